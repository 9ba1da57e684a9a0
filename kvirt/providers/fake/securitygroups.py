"""Security groups. Inbound is denied unless a rule allows it; the group ``default`` opens ssh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from kvirt.errors import Conflict, InvalidInput
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.records import Group, Network, Vm
from kvirt.providers.fake.world import Transaction
from kvirt.rules import rules_of
from kvirt.shapes import Rule

DEFAULT_GROUP = 'default'
SETTINGS = ('ports', 'network', 'description')
"""What ``overrides`` may hold."""


class SecurityGroups(Account):
    """The security groups of an account."""

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        with self.conn.read() as world:
            if network is not None:
                world.need(Network, network)
            return [group.name for group in world.all(Group) if network in (None, group.network)]

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        given = _checked(overrides)
        with self.conn.change() as world:
            network = world.need(Network, str(given.get('network', 'default'))).name
            world.add(Group(name=safe_name('security group', name), network=network, rules=rules_of(given.get('ports', ())),
                            description=str(given.get('description', ''))))

    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        given = _checked(overrides)
        with self.conn.change() as world:
            group = world.need(Group, name)
            if 'ports' in given:
                group.rules = rules_of(given['ports'])
            group.network = world.need(Network, str(given.get('network', group.network))).name
            group.description = str(given.get('description', group.description))
            world.put(group)

    def _delete_security_group(self, name: str) -> None:
        with self.conn.change() as world:
            group = world.need(Group, name)
            users = [vm.name for vm in world.all(Vm) if name in vm.groups]
            if users:
                raise Conflict(f"security group {name} is in use by {', '.join(users)}", hint='Delete those VMs first')
            if name == DEFAULT_GROUP:
                raise Conflict(f'security group {name} is what new VMs get, so it stays')
            world.drop(group)

    def _info_security_group(self, name: str) -> dict[str, Any]:
        with self.conn.read() as world:
            group = world.get(Group, name)
        return {key: value for key, value in msgspec.to_builtins(group).items() if key not in ('owner', 'managed')} | {
            'rules': group.rules, 'network': group.network} if group else {}


def group_for(world: Transaction, ssh_port: int | None) -> str:
    """Return the name of the group that opens ssh on *ssh_port*: the default one, or one shared by all VMs like this."""
    if ssh_port in (None, 22):
        return DEFAULT_GROUP
    name = f'ssh-{ssh_port}'
    if world.get(Group, name) is None:
        world.add(Group(name=name, rules=rules_of([ssh_port]), managed=True))
    return name


def group_of(world: Transaction, rules: Sequence[Rule]) -> str:
    """Return the name of the group with these *rules* that is shared by all VMs that asked for them."""
    name = f'rules-{crc32(msgspec.json.encode(sorted(rules, key=str))):08x}'
    if world.get(Group, name) is None:
        world.add(Group(name=name, rules=list(rules), managed=True))
    return name


def reap(world: Transaction, groups: list[str]) -> None:
    """Remove those of *groups* that were made for VMs and are used by none."""
    made = [group for name in groups if (group := world.get(Group, name)) and group.managed]
    used = {name for vm in world.all(Vm) for name in vm.groups} if made else set()
    for group in made:
        if group.name not in used:
            world.drop(group)


def _checked(overrides: Mapping[str, Any] | None) -> Mapping[str, Any]:
    given = overrides or {}
    for key in given:
        if key not in SETTINGS:
            raise InvalidInput(f"unknown setting of a security group '{key}'{did_you_mean(key, SETTINGS)}")
    return given
