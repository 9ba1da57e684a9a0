"""Security groups are DigitalOcean's firewalls. Each has a tag, so that a droplet has its firewall from birth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.mapping import label
from kvirt.providers.digitalocean.networks import Networks
from kvirt.providers.digitalocean.shared import Shared
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.shapes import Rule


class Firewalls(SharedGroups, Shared, Networks):
    """Firewalls. Without one everything is let in, so each VM gets one that opens its ssh port and no other."""

    def groups(self, network: str | None = None) -> Iterator[Group]:
        """Yield all firewalls: they belong to no network."""
        if network is not None:
            self.network_named(network)
        return map(mapping.group, self.shared('group'))

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        """Make a firewall and its tag. Who removes an old one by its tag takes nothing from a new one of that name."""
        cloud.check_name('security group', name, '[A-Za-z0-9][A-Za-z0-9.-]+', 'Use 2 or more letters, digits, dots, dashes')
        tag = f"{label('group', name)}:{marks.new_request()}"
        with self.undo() as undo:
            undo.add(f'security group {name}', lambda: self.unshare(tag, self.counted()))
            if marks.MAKER in fields:
                self.announce(tag)
            else:
                self.tag([tag])
            return mapping.group(self.api.post('/firewalls', mapping.firewall(name, wanted, [tag]))['firewall'])

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        body = mapping.firewall(group.name, wanted, group.native.get('tags') or ())
        self.api.put(f'/firewalls/{group.id}', {**body, 'droplet_ids': group.native.get('droplet_ids') or []})

    def drop_group(self, group: Group) -> None:
        self.api.delete(f'/firewalls/{group.id}')
        known = self.counted()
        for tag in mapping.tags_of(group):
            self.retract(tag, known)

    def users_of_group(self, group: Group) -> Iterator[str]:
        direct, tags = group.native.get('droplet_ids') or (), set(group.native.get('tags') or ())
        return (each['name'] for each in self.droplets(everywhere=True)
                if each['id'] in direct or tags & set(each['tags']))

    def more_of_group(self, group: Group) -> Mapping[str, Any]:
        return {'native_status': group.native.get('status')}

    def join(self, group: Group) -> str:
        """Return the tag that puts droplets behind a firewall; one that was made elsewhere is given a tag."""
        for tag in mapping.tags_of(group):
            return tag
        tag = label('group', group.name)
        self.tag([tag])
        self.api.post(f'/firewalls/{group.id}/tags', {'tags': [tag]})
        return tag
