"""What VMs share: security groups, which are firewalls here, and ssh keys. Tags tell who shares them, and who made them.

Without a firewall everything is let in, and without a key DigitalOcean mails a root password; so each VM gets both. The
tag of a firewall is what it is bound to, so that a droplet has its firewall from birth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kvirt.errors import NotFound
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.networks import Networks
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.groups import Group
from kvirt.providers.families.keys import Key
from kvirt.providers.families.tags import TaggedVms, names_of, note
from kvirt.shapes import Rule


class Shared(TaggedVms, Networks):
    """The firewalls and public keys of the account."""

    vm_kind = 'droplet'
    keys_are_unique = True

    # firewalls

    def groups(self, network: str | None = None) -> Iterator[Group]:
        """Yield all firewalls: they belong to no network."""
        if network is not None:
            self.network_named(network)
        return map(mapping.group, self.all('/firewalls'))

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        """Make a firewall and its tag. Who removes an old one by its tag takes nothing from a new one of that name."""
        cloud.check_name('security group', name, '[A-Za-z0-9][A-Za-z0-9.-]+', 'Use 2 or more letters, digits, dots, dashes')
        tag = note('group', name, marks.new_request())
        with self.undo() as undo:
            undo.add(f'security group {name}', lambda: self.unshare(tag, self.counted()))
            if marks.MAKER in fields:
                self.announce(tag)
            else:
                self.make_tag(tag)
            return mapping.group(self.api.post('/firewalls', mapping.firewall(name, wanted, [tag]))['firewall'])

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        body = mapping.firewall(group.name, wanted, group.native.get('tags') or ())
        self.api.put(f'/firewalls/{group.id}', {**body, 'droplet_ids': group.native.get('droplet_ids') or []})

    def drop_group(self, group: Group) -> None:
        self.api.delete(f'/firewalls/{group.id}')
        known = self.counted()
        for tag in _made_for(group):
            self.retract(tag, known)

    def users_of_group(self, group: Group) -> Iterator[str]:
        direct, tags = group.native.get('droplet_ids') or (), set(group.native.get('tags') or ())
        return (each['name'] for each in self.droplets(everywhere=True)
                if each['id'] in direct or tags & set(each['tags']))

    def more_of_group(self, group: Group) -> Mapping[str, Any]:
        return {'native_status': group.native.get('status')}

    def join(self, group: Group) -> str:
        """Return the tag that puts droplets behind a firewall; one that was made elsewhere is given a tag."""
        for tag in _made_for(group):
            return tag
        tag = note('group', group.name)
        self.make_tag(tag)
        self.api.post(f'/firewalls/{group.id}/tags', {'tags': [tag]})
        return tag

    # keys

    def keys(self) -> Iterator[Key]:
        return map(mapping.key, self.all('/account/keys', 'ssh_keys'))

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        if marks.MAKER in fields:
            self.announce(note('key', name))
        return mapping.key(self.api.post('/account/keys', {'name': name, 'public_key': public})['ssh_key'])

    def drop_key(self, key: Key) -> None:
        self.api.delete(f'/account/keys/{key.id}')
        self.retract(note('key', key.name), self.counted())

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        self.api.put(f'/account/keys/{key.id}', {'name': name})
        self.retract(note('key', key.name), self.counted())

    # what no VM shares any more

    def drop_shared(self, kind: str, name: str, label: str) -> bool:
        if kind == 'key':
            for key in [key for key in self.keys() if key.name == name]:
                self.drop(f'/account/keys/{key.id}')
            return True
        for group in [group for group in self.groups() if group.name == name and label in group.native['tags']]:
            self.drop(f'/firewalls/{group.id}')
            if self._is_borne(label):  # by a VM that was born a moment ago
                self.api.post('/firewalls', {key: group.native[key] for key in mapping.FIREWALL})
                return False
        return True

    def _is_borne(self, label: str) -> bool:
        with suppress(NotFound):
            return bool(self.api.get(f'/tags/{label}')['tag']['resources']['count'])
        return False


def _made_for(group: Group) -> list[str]:
    """Return the tags that were made for a firewall."""
    return [tag for tag in group.native.get('tags') or () if names_of('group', [tag]) == [group.name]]
