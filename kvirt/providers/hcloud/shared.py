"""What VMs share: security groups, which are firewalls here, and ssh keys. They are reaped when no VM needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hcloud.firewalls import FirewallRule

from kvirt.base import waits
from kvirt.providers.families import marks
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.providers.families.keys import Key, SharedKeys
from kvirt.providers.families.rules import ports_text, sources
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account
from kvirt.shapes import Rule

MOST = 5
"""Firewalls that a server may have."""


class Shared(SharedGroups, SharedKeys, Account):
    """The firewalls and ssh keys of a project."""

    keys_are_unique = True

    # firewalls

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

    # keys

    def keys(self) -> Iterator[Key]:
        return map(mapping.key, self.conn.ssh_keys.get_all())

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        return mapping.key(self.conn.ssh_keys.create(name, public, labels=marks.to_labels(fields)))

    def drop_key(self, key: Key) -> None:
        key.native.delete()

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        key.native.update(name=name, labels=marks.to_labels(fields))


def _native_rules(wanted: Iterable[Rule]) -> list[FirewallRule]:
    """Return rules as the platform writes them. What no rule lets in is dropped, and all may go out."""
    return [FirewallRule('in', rule['protocol'], sources(rule), port=ports_text(rule) or None) for rule in wanted]
