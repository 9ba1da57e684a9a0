"""Security groups, which are firewalls here, and ssh keys: what VMs share, and what is reaped when none needs it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from hcloud import APIException
from hcloud.firewalls.domain import FirewallRule
from hcloud.ssh_keys.domain import SSHKey

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.guest import keys
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.rules import group_name, sources
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native
from kvirt.rules import rules_of
from kvirt.shapes import Rule

SHARED = 'shared'
"""In place of a request, the mark of what no single VM owns."""

MOST = 5
"""Firewalls that a server may have."""


class Firewalls(Account):
    """The firewalls and ssh keys of a project."""

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        if network is not None:
            self.get('network', self.conn.networks, network)
            return []  # firewalls stand before the public interface only
        return sorted(firewall.name for firewall in self.conn.firewalls.get_all())

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        wanted = asked_rules(overrides)
        self.free('security group', self.conn.firewalls, name)
        self.conn.firewalls.create(name, rules=wanted, labels={marks.MARK: 'group'})

    @waits
    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        wanted = asked_rules(overrides)
        self.done(*self.get('security group', self.conn.firewalls, name).set_rules(wanted))

    def _delete_security_group(self, name: str) -> None:
        firewall = self.get('security group', self.conn.firewalls, name)
        users = {resource.server.id for resource in firewall.applied_to or () if resource.type == 'server'}
        if users:
            names = self.server_names()
            told = ', '.join(sorted(names.get(each, str(each)) for each in users))
            raise Conflict(f'security group {name} is in use by {told}', hint='Delete those VMs first')
        firewall.delete()

    def _info_security_group(self, name: str) -> dict[str, Any]:
        firewall = self.find(self.conn.firewalls, name)
        return {'name': firewall.name, 'id': str(firewall.id), 'rules': mapping.rules(firewall)} if firewall else {}

    def _list_keys(self) -> dict[str, str]:
        return {key.name: key.public_key for key in sorted(self.conn.ssh_keys.get_all(), key=lambda key: str(key.name))}

    def _create_key(self, name: str, public_key: str) -> None:
        line = keys.valid_key(public_key)
        if line is None:
            raise InvalidInput(f'{public_key[:60]!r} is no public ssh key')
        self.free('key', self.conn.ssh_keys, name)
        self.conn.ssh_keys.create(name, line, labels={marks.MARK: 'key'})

    def _delete_key(self, name: str) -> None:
        self.get('key', self.conn.ssh_keys, name).delete()

    # for VMs

    def shared_firewall(self, rules: list[Rule]) -> Native:
        """Return the firewall of all VMs with these rules; made when there is none."""
        name = group_name(rules)
        return self.find(self.conn.firewalls, name) or self._made(
            lambda: self.conn.firewalls.create(name, rules=native_rules(rules), labels=_shared()).firewall,
            lambda: self.find(self.conn.firewalls, name))

    def shared_keys(self, lines: Iterable[str]) -> list[Native]:
        """Return the project's ssh keys with these public keys; made where absent.

        A VM made without one gets a password instead, by mail, and its guest insists on a new one at the first login.
        """
        found = []
        known = self._known_keys() if lines else {}
        for line in lines:
            text = tuple(line.split()[:2])
            found.append(known.get(text) or self._made(
                lambda line=line: self.conn.ssh_keys.create(cloud.key_name(line), line, labels=_shared()),
                lambda text=text: self._known_keys().get(text)))
        return found

    def _known_keys(self) -> dict[tuple[str, ...], Native]:
        return {tuple(key.public_key.split()[:2]): key for key in self.conn.ssh_keys.get_all()}

    def _made(self, make: Any, find: Any) -> Native:
        """Return what *make* makes, or what *find* finds when another process made it first."""
        try:
            return make()
        except APIException as error:
            found = find() if isinstance(self.translate(error), AlreadyExists) else None
            if found is None:
                raise
            return found

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
        for thing in spare:
            try:
                thing.delete()
            except APIException as error:
                if not isinstance(self.translate(error), (Conflict, NotFound)):
                    raise
        keys = [thing for thing in spare if isinstance(thing, SSHKey)]
        if keys and self.conn.servers.get_list(label_selector=marks.MARK, per_page=1).servers:
            self.shared_keys([str(key.public_key) for key in keys])  # a VM came while we were at it


def _shared() -> dict[str, str]:
    return marks.to_labels({marks.MARK: SHARED, marks.MAKER: marks.maker(time.time())})


def asked_rules(overrides: Mapping[str, Any] | None) -> list[FirewallRule]:
    """Return the rules that ``ports`` of *overrides* asks for. InvalidInput."""
    return native_rules(rules_of(cloud.check_settings('a security group', overrides, ['ports']).get('ports', ())))


def native_rules(rules: Iterable[Rule]) -> list[FirewallRule]:
    """Return rules as the platform writes them. What no rule lets in is dropped, and all may go out."""
    return [FirewallRule('in', rule['protocol'], sources(rule), port=_range(rule)) for rule in rules]


def _range(rule: Rule) -> str | None:
    if 'from_port' not in rule:
        return None
    first, last = rule['from_port'], rule['to_port']
    return str(first) if first == last else f'{first}-{last}'

