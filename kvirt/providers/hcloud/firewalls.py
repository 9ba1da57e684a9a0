"""Security groups, which are firewalls here, and ssh keys: what VMs share, and what is reaped when none needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hcloud.firewalls.domain import FirewallRule
from hcloud.ssh_keys.domain import SSHKey

from kvirt.base import waits
from kvirt.providers.families import marks
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.providers.families.keys import Key, SharedKeys
from kvirt.providers.families.rules import ports_text, sources
from kvirt.providers.families.shared import SHARED
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native
from kvirt.shapes import Rule

MOST = 5
"""Firewalls that a server may have."""


class Firewalls(SharedGroups, SharedKeys, Account):
    """The firewalls and ssh keys of a project."""

    keys_are_unique = True

    def groups(self, network: str | None = None) -> Iterator[Group]:
        """Yield all firewalls, none of a network: they stand before the public interface only."""
        if network is not None:
            self.get('network', self.conn.networks, network)
            return iter(())
        return map(mapping.group, self.conn.firewalls.get_all())

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        made = self.conn.firewalls.create(name, rules=_native_rules(wanted), labels=marks.to_labels(fields))
        return mapping.group(made.firewall)

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        self.done(*group.native.set_rules(_native_rules(wanted)))

    @waits
    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        super()._update_security_group(name, overrides)

    def drop_group(self, group: Group) -> None:
        group.native.delete()

    def users_of_group(self, group: Group) -> list[str]:
        users = {resource.server.id for resource in group.native.applied_to or () if resource.type == 'server'}
        names = self.server_names() if users else {}
        return [names.get(user, str(user)) for user in users]

    def keys(self) -> Iterator[Key]:
        return map(mapping.key, self.conn.ssh_keys.get_all())

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        return mapping.key(self.conn.ssh_keys.create(name, public, labels=marks.to_labels(fields)))

    def drop_key(self, key: Key) -> None:
        key.native.delete()

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        key.native.update(name=name, labels=marks.to_labels(fields))

    # what VMs shared

    def unused(self, but_by: Iterable[int] = ()) -> list[Native]:
        """Return what VMs shared and none needs any more, *but_by* those with these ids.

        That is, firewalls; and keys, of which nobody knows who was made with them, when kvirt has no VM left.
        """
        ours, gone = f'{marks.MARK}={SHARED}', set(but_by)
        spare = [each for each in self.conn.firewalls.get_all(label_selector=ours)
                 if all(resource.type == 'server' and resource.server.id in gone for resource in each.applied_to or ())]
        if gone.issuperset(server.id for server in self.conn.servers.get_all(label_selector=marks.MARK)):
            spare += self.conn.ssh_keys.get_all(label_selector=ours)
        return spare

    def reap(self) -> None:
        """Remove what VMs shared and none needs any more. What is in use again by now stays."""
        spare = self.unused()
        self.drop_unused(spare, lambda thing: thing.delete())
        keys = [thing for thing in spare if isinstance(thing, SSHKey)]
        if keys and self.conn.servers.get_list(label_selector=marks.MARK, per_page=1).servers:
            self.shared_keys([str(key.public_key) for key in keys])  # a VM came while we were at it


def _native_rules(wanted: Iterable[Rule]) -> list[FirewallRule]:
    """Return rules as the platform writes them. What no rule lets in is dropped, and all may go out."""
    return [FirewallRule('in', rule['protocol'], sources(rule), port=ports_text(rule) or None) for rule in wanted]
