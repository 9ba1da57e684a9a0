"""Security groups: those of users, and the one that VMs with the same rules share. A provider says how they are made.

They are called firewalls, firewall groups or network security groups on some platforms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.providers.families import cloud, rules
from kvirt.providers.families.marks import MARK, new_request
from kvirt.providers.families.shared import SHARED, Shared, shared_fields
from kvirt.rules import rules_of
from kvirt.shapes import Rule


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A security group."""

    id: str
    name: str
    rules: Sequence[Rule]
    """What it lets in."""

    vms: Sequence[str] = ()
    """The ids of the VMs that use it, or what else does so, where the platform tells them with it."""

    fields: Mapping[str, str] = {}
    """The marks that it bears, where the platform has room for them; see :mod:`kvirt.providers.families.marks`."""

    native: Any = None
    """The group as the platform tells it."""


class SharedGroups(Shared):
    """Security groups over four primitives; two more where the platform does not tell with a group who uses it.

    ``shared_group`` and ``reap_groups`` are for create and delete of VMs.
    """

    group_settings: ClassVar[tuple[str, ...]] = ()
    """What can be said of a new group beside ``ports``: ``network``, ``description``. It can't be changed later."""

    group_network: ClassVar[str | None] = None
    """The network of a group that names none; None where groups belong to no network."""

    def groups(self, network: str | None = None) -> Iterable[Group]:
        """Return all groups, or those of a *network* (name or id). NotFound for a network that is not there."""
        raise NotImplementedError

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        """Make a group that lets in what is *wanted* and lets everything out, with the marks *fields*.

        A group without rules lets nothing in. *settings* are those of ``group_settings`` that were given. AlreadyExists;
        InvalidInput for a name or setting that the platform does not take.
        """
        raise NotImplementedError

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        """Let a group let in what is *wanted*, and nothing else. What stays open must not close in between."""
        raise NotImplementedError

    def drop_group(self, group: Group) -> None:
        """Delete a group that no VM uses. Conflict when one does."""
        raise NotImplementedError

    def users_of_group(self, group: Group) -> Iterable[str]:
        """Return the names of the VMs, and of what else there is, that use a group."""
        names = self.vm_names(group.vms) if group.vms else {}
        return [names.get(each, each) for each in group.vms]

    def unused_groups(self, but_by: Collection[str] = ()) -> Iterable[Group]:
        """Return the groups with the mark ``shared`` that nothing uses; VMs with the ids *but_by* do not count as users."""
        return [group for group in self.groups() if group.fields.get(MARK) == SHARED and set(group.vms) <= set(but_by)]

    def more_of_group(self, group: Group) -> Mapping[str, Any]:
        """Return what ``info`` shows of a group beside its name, id and rules."""
        return {}

    def group(self, name: str, known: Iterable[Group] | None = None) -> Group:
        """Return the group with this name or id, of those that are *known* or of all. NotFound, Conflict."""
        return cloud.find('security group', name, self.groups() if known is None else known,
                          lambda group: group.name, lambda group: group.id)

    # hooks

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        return sorted({group.name for group in self.groups(network)})

    def _info_security_group(self, name: str) -> dict[str, Any]:
        try:
            group = self.group(name)
        except NotFound:
            return {}
        return {'name': group.name, 'id': group.id, **self.more_of_group(group), 'rules': list(group.rules)}

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        wanted, settings = self._asked_group(overrides)
        if any(group.name == name for group in self.groups(settings.get('network', self.group_network))):
            raise AlreadyExists(f'security group {name} exists')
        request = new_request()
        with self.undo() as undo:
            undo.add(f'security group {name}', lambda: self._unmake_group(request))
            self.make_group(name, wanted or (), {MARK: request}, settings)

    def _unmake_group(self, request: str) -> None:
        for group in list(self.groups()):
            if group.fields.get(MARK) == request:
                self.drop_group(group)

    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        wanted, settings = self._asked_group(overrides)
        if settings:
            raise InvalidInput(f"the {', '.join(sorted(settings))} of a security group can not be changed",
                               hint='Make another one')
        group = self.group(name)
        if wanted is not None:
            self.set_rules(group, wanted)

    def _asked_group(self, overrides: Mapping[str, Any] | None) -> tuple[list[Rule] | None, dict[str, str]]:
        """Return the rules that are asked for, None when nothing is said of them, and the other settings."""
        given = cloud.check_settings('a security group', overrides, ('ports', *self.group_settings))
        return (rules_of(given['ports']) if 'ports' in given else None,
                {key: str(value) for key, value in given.items() if key != 'ports'})

    def _delete_security_group(self, name: str) -> None:
        group = self.group(name)
        users = sorted(set(self.users_of_group(group)))
        if users:
            raise Conflict(f"security group {name} is in use by {', '.join(users)}", hint='Delete those first')
        self.drop_group(group)

    # for VMs

    def shared_group(self, wanted: Iterable[Rule], network: str | None = None,
                     known: Iterable[Group] | None = None) -> Group:
        """Return the group that VMs (of a *network*) with these rules share; it is made when it is not among the *known*.

        One whose maker was killed half-way, or from which somebody took a rule, is mended. Conflict for one that somebody
        opened further: no VM gets more than what was asked for.
        """
        wanted = rules.ordered(wanted)
        name, where = rules.group_name(wanted), {} if network is None else {'network': network}

        def among(groups: Iterable[Group]) -> Group | None:
            return next((group for group in groups if group.name == name), None)
        group = among(self.groups(network) if known is None else known) or self.made_or_found(
            lambda: self.make_group(name, wanted, shared_fields(), where), lambda: among(self.groups(network)))
        have, asked = rules.spread(group.rules), rules.spread(wanted)
        if have - asked:
            surplus = [rule for rule in group.rules if rules.spread([rule]) - asked]
            raise Conflict(f'security group {name} lets in more than was asked for: {surplus}',
                           hint='Somebody changed it: take that away from it')
        if asked - have:
            self.set_rules(group, wanted)
        return group

    def reap_groups(self) -> None:
        """Delete the groups that VMs shared and none uses any more."""
        self.drop_unused(list(self.unused_groups()), self.drop_group)
