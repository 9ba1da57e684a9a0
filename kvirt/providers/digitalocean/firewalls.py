"""Security groups are DigitalOcean's firewalls. Each has a tag, so that a droplet has its firewall from birth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.errors import AlreadyExists, Conflict, NotFound
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.mapping import Thing, label
from kvirt.providers.digitalocean.networks import Networks
from kvirt.providers.digitalocean.shared import Shared
from kvirt.providers.families import cloud, marks, rules
from kvirt.rules import rules_of
from kvirt.shapes import Rule


class Firewalls(Shared, Networks):
    """Firewalls. Without one everything is let in, so each VM gets one that opens its ssh port and no other."""

    def firewall(self, name: str) -> dict[str, Any]:
        """Return the firewall with this name or id. NotFound."""
        return cloud.find('security group', name, self.shared('group'), lambda each: each['name'], lambda each: each['id'])

    def ensure_group(self, wanted: Sequence[Rule]) -> str:
        """Return the tag that puts droplets behind the firewall of these rules, which is made if it is not there.

        Each firewall that is made has a tag of its own, so that who removes an old one takes nothing from a new one.
        """
        name = rules.group_name(wanted)
        for firewall in self.shared('group'):
            for tag in firewall.get('tags') or ():
                if firewall['name'] == name and tag.startswith(f"{label('group', name)}:"):
                    return str(tag)
        tag = f"{label('group', name)}:{marks.new_request()}"
        with self.undo() as undo:
            undo.add(f'security group {name}', lambda: self.unshare(tag, self.counted()))
            self.announce(tag)
            try:
                self.api.post('/firewalls', _body(name, wanted, tag))
            except AlreadyExists:  # another VM's creation came first
                self.retract(tag, self.counted())
                return self.ensure_group(wanted)
        return tag

    def join(self, firewall: Thing) -> None:
        """Let droplets that bear its tag stand behind a firewall that is there."""
        tag = label('group', firewall['name'])
        if tag not in (firewall.get('tags') or ()):
            self.tag([tag])
            self.api.post(f"/firewalls/{firewall['id']}/tags", {'tags': [tag]})

    # hooks

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        """Return all of them: a firewall belongs to no network."""
        if network is not None:
            self.network_named(network)
        return sorted(each['name'] for each in self.shared('group'))

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        cloud.check_name('security group', name, '[A-Za-z0-9][A-Za-z0-9.-]+', 'Use 2 or more letters, digits, dots, dashes')
        body = _body(name, _rules(overrides), label('group', name))
        if name in self._list_security_groups():
            raise AlreadyExists(f'security group {name} exists')
        with self.undo() as undo:
            undo.add(f'security group {name}', lambda: self.unshare(body['tags'][0], ()))
            self.tag(body['tags'])
            self.api.post('/firewalls', body)

    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        wanted, firewall = _rules(overrides), self.firewall(name)
        body = _body(firewall['name'], wanted, *(firewall.get('tags') or ()))
        self.api.put(f"/firewalls/{firewall['id']}", {**body, 'droplet_ids': firewall.get('droplet_ids') or []})

    def _delete_security_group(self, name: str) -> None:
        firewall = self.firewall(name)
        direct, tags = set(firewall.get('droplet_ids') or ()), set(firewall.get('tags') or ())
        users = sorted(each['name'] for each in self.droplets(everywhere=True)
                       if each['id'] in direct or tags & set(each['tags']))
        if users:
            raise Conflict(f"security group {name} is in use by {', '.join(users)}", hint='Delete those VMs first')
        self.drop(f"/firewalls/{firewall['id']}")
        known = self.counted()
        for tag in tags:
            if tag.startswith(label('group', firewall['name'])):
                self.retract(tag, known)

    def _info_security_group(self, name: str) -> dict[str, Any]:
        try:
            firewall = self.firewall(name)
        except NotFound:
            return {}
        return {'name': firewall['name'], 'id': firewall['id'], 'native_status': firewall.get('status'),
                'rules': mapping.let_in(firewall)}


def _rules(overrides: Mapping[str, Any] | None) -> list[Rule]:
    return rules_of(cloud.check_settings('a security group', overrides, ('ports',)).get('ports', ()))


def _body(name: str, wanted: Sequence[Rule], *tags: str) -> dict[str, Any]:
    return {'name': name, 'inbound_rules': [mapping.inbound(rule) for rule in wanted], 'outbound_rules': mapping.OUTBOUND,
            'tags': list(tags)}
