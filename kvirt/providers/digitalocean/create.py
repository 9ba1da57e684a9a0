"""Making and removing VMs, all or nothing.

Volumes come first and bear the mark of the request; the droplet comes last, in one call that carries its marks, volumes and
firewall. So a droplet that exists is complete, and what bears the mark of a request without a droplet was left behind.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kvirt.base import unsupported, waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput
from kvirt.guest.guest import Guest
from kvirt.providers.digitalocean.account import NAME, check_host
from kvirt.providers.digitalocean.dns import Dns
from kvirt.providers.digitalocean.firewalls import Firewalls
from kvirt.providers.digitalocean.images import Images
from kvirt.providers.digitalocean.keys import Keys
from kvirt.providers.digitalocean.mapping import Thing, label, labelled, to_tags
from kvirt.providers.digitalocean.storage import Storage
from kvirt.providers.families import cloud, marks, rules
from kvirt.providers.families.groups import Group
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Orphan
from kvirt.spec import NetSpec, VmSpec

USER_DATA_LIMIT = 64 * 1024
_REFUSED = {**cloud.NO_HYPERVISOR, 'diskinterface': 'it chooses the bus', 'diskthin': 'it chooses how volumes are kept'}


@dataclass(frozen=True)
class Draft:
    """A VM to be made: the call, the sizes of the volumes to be made for it by name, firewalls and project to put it in."""

    request: str
    body: dict[str, Any]
    new: Mapping[str, int]
    groups: Sequence[Group]
    project: str | None


class Create(Firewalls, Keys, Storage, Images, Dns):
    """Create, delete, and what was left behind."""

    starts_at_once: ClassVar[bool] = True
    honours: ClassVar[frozenset[str]] = frozenset({'arch', 'gpus', 'ports', 'publicip', 'securitygroups'})

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        draft, wanted = self._drafted(name, spec, guest), rules.wanted(spec)
        body, tags = draft.body, draft.body['tags']
        with self.undo() as undo:
            undo.add(f'what VM {name} shares with others', lambda: self.reap(tags))
            for group in (self.shared_group(wanted), *draft.groups):
                tags.append(self.join(group))
            body['ssh_keys'] = [key.native['fingerprint'] for key in self.shared_keys(guest.keys)]
            undo.add(f'volumes of VM {name}', lambda: self.unmake_volumes(marks.MARK, draft.request))
            body['volumes'] += [volume.id for volume in self.make_volumes(draft.new, body['region'], draft.request)]
            undo.add(f'VM {name}', lambda: self._unmake(draft.request))
            droplet = self._born(body, guest)
            tags.append(self.join(self.shared_group(wanted)))  # another one if the first was reaped just before the birth
            self._confirm(droplet, tags)
            if draft.project:
                things = [f"do:droplet:{droplet['id']}", *(f'do:volume:{each}' for each in body['volumes'])]
                self.api.post(f'/projects/{draft.project}/resources', {'resources': things})
        return {'id': str(droplet['id'])}

    def _born(self, body: dict[str, Any], guest: Guest) -> Thing:
        """Make the droplet; at the second attempt if a key was reaped in the moment before."""
        try:
            droplet: Thing = self.api.post('/droplets', body)['droplet']
        except InvalidInput as error:
            if 'key identifiers' not in error.reason:
                raise
            self.shared_keys(guest.keys)
            droplet = self.api.post('/droplets', body)['droplet']
        return droplet

    def _drafted(self, name: str, spec: VmSpec, guest: Guest) -> Draft:
        """Look up all that the VM needs. Raises what forbids it; nothing is made."""
        check_host(name)
        cloud.refuse(spec, _REFUSED, NAME)
        network = _network(spec)
        if spec.image is None:
            raise InvalidInput(f'a VM of {NAME} needs an image', hint="'kvirt list image' shows what is there")
        user_data = cloud.check_user_data(guest.user_data(), USER_DATA_LIMIT, NAME) if guest.kind else None
        request, region = marks.new_request(), self.made_in()
        fields = marks.fields_of(spec, guest)
        if self.bearers(name):
            raise AlreadyExists(f'VM {name} exists')
        flavor, image, vpc = self.flavor_for(spec), self.image_for(spec.image), self.vpc_for(network)
        assert flavor is not None  # there are always some
        there, new = self.planned(name, spec, flavor, region)
        project = cloud.find('project', self.project, self.all('/projects'), lambda each: each['name'],
                             lambda each: each['id'])['id'] if self.project else None
        groups = [self.group(name) for name in spec.securitygroups]
        tags = [*to_tags({marks.MARK: request, **fields}), *(label('key', cloud.key_name(key)) for key in guest.keys)]
        body = {'name': name, 'region': region, 'size': flavor.name, 'image': image.get('slug') or image['id'],
                'tags': tags, 'volumes': [volume.id for volume in there], 'user_data': user_data, 'vpc_uuid': vpc,
                'public_networking': None if spec.publicip else False}
        return Draft(request, {key: value for key, value in body.items() if value is not None}, new, groups,
                     project)

    def _confirm(self, droplet: Thing, tags: list[str]) -> None:
        """Make sure that no other VM has the name, and that the droplet bears all its tags: none was reaped just before."""
        found = self.bearers(droplet['name'])
        cloud.oldest_stays('VM', droplet['name'], str(droplet['id']),
                           [((each['created_at'], each['id']), str(each['id'])) for each in found])
        now = next((each for each in found if each['id'] == droplet['id']), droplet)
        self.tag(set(tags) - set(now['tags']), 'droplet', droplet['id'])

    def _unmake(self, request: str) -> None:
        """Delete the droplet of a request. Conflict while it is being made."""
        for droplet in list(self.droplets(everywhere=True, tag_name=to_tags({marks.MARK: request})[0])):
            self.drop(f"/droplets/{droplet['id']}")

    # delete

    @waits
    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        droplet = self.droplet(name)
        machine = self.machine_of(droplet)
        copies, attached = self.snapshots_of(droplet), self.volumes_of(machine)
        if copies and not snapshots:
            raise Conflict(f'VM {name} has snapshots', hint='Delete them first, or delete the VM with its snapshots')
        fields = marks.from_tags(droplet['tags'])
        ours = [each for each in attached if each.fields.get(marks.MARK) == machine.mark]
        self.forget_records(fields)
        for copy in copies.values():
            self.drop(f"/snapshots/{copy['id']}")
        self.insist(lambda: self.api.delete(f"/droplets/{droplet['id']}"), f'deleting VM {name}')
        self.drop_volumes(ours)
        self.reap(droplet['tags'])
        kept = [each.name for each in attached if each not in ours]
        return {'kept': kept} if kept else None

    _clone = unsupported(f'{NAME} has no clones: export the VM, and make another one of that image')

    # what was left behind

    def _list_orphans(self) -> list[Orphan]:
        found = [*map(_orphan, self._left_volumes()), *map(_orphan, self.abandoned())]
        return sorted(found, key=lambda each: each['name'])

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        volumes, labels, known = self._left_volumes(), self.abandoned(), self.counted()
        self.drop_volumes(volumes)
        for each in labels:
            self.unshare(each, known)
        return {'deleted': [*map(_orphan, volumes), *map(_orphan, labels)]}

    def _left_volumes(self) -> list[Volume]:
        """Return the volumes that were made for a VM which is not there, and which nobody is making."""
        now, made = time.time(), []
        for volume in self.read_volumes():
            if marks.MAKER in volume.fields and marks.abandoned(volume.fields[marks.MAKER], now):
                made.append((volume.fields.get(marks.MARK), volume))
        owners = {marks.from_tags(each['tags']).get(marks.MARK) for each in self.droplets(everywhere=True)} if made else ()
        return [volume for request, volume in made if request not in owners]


def _orphan(thing: Volume | str) -> Orphan:
    """Describe a volume, or what is shared under a label."""
    kind, name = ('disk', thing.name) if not isinstance(thing, str) else (
        'key' if thing.startswith(label('key', '')) else 'security group', labelled('', [thing])[0])
    return {'kind': kind, 'name': name, 'detail': 'made for a VM that is not there'}


def _network(spec: VmSpec) -> str:
    """Return the network of the one card. InvalidInput for what only a platform with real cards can honour."""
    if len(spec.nets) != 1:
        raise InvalidInput(f'a VM of {NAME} has one card, on one network; {len(spec.nets)} were asked for')
    [card] = spec.cards()
    if card != NetSpec(name=card.name, domain=card.domain):
        raise InvalidInput(f'{NAME} chooses addresses and settings of a card; nets can only name the network')
    return card.name
