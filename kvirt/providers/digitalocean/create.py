"""Making and removing VMs. A droplet bears its marks, volumes and firewalls from birth: marks and firewalls are tags."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, NamedTuple

from kvirt.base import unsupported
from kvirt.errors import InvalidInput
from kvirt.providers.digitalocean.account import HOST, NAME
from kvirt.providers.digitalocean.dns import Dns
from kvirt.providers.digitalocean.firewalls import Firewalls
from kvirt.providers.digitalocean.images import Images
from kvirt.providers.digitalocean.keys import Keys
from kvirt.providers.digitalocean.mapping import Thing, label, labelled, to_tags
from kvirt.providers.digitalocean.storage import Storage
from kvirt.providers.families import cloud, marks, rules
from kvirt.providers.families.births import CloudCreate, Draft, Left
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor
from kvirt.spec import NetSpec, VmSpec


class Needs(NamedTuple):
    """What a droplet needs beside what all clouds have: ids of a VPC and a project, and its tags, the sooner the better."""

    vpc: str | None
    project: str | None
    tags: list[str]


class Create(CloudCreate, Firewalls, Keys, Storage, Images, Dns):
    """Create, delete, and what was left behind."""

    starts_at_once: ClassVar[bool] = True
    honours: ClassVar[frozenset[str]] = frozenset({'arch', 'gpus', 'ports', 'publicip', 'securitygroups'})
    platform = NAME
    machine_names = HOST, 'Use letters, digits, dots and dashes'
    user_data_limit = 64 * 1024
    refused = {**cloud.NO_HYPERVISOR, 'diskinterface': 'it chooses the bus',
               'diskthin': 'it chooses how volumes are kept'}

    def check_spec(self, spec: VmSpec) -> None:
        """Raise InvalidInput for what only a platform with real cards can honour."""
        if len(spec.nets) != 1:
            raise InvalidInput(f'a VM of {NAME} has one card, on one network; {len(spec.nets)} were asked for')
        [card] = spec.cards()
        if card != NetSpec(name=card.name, domain=card.domain):
            raise InvalidInput(f'{NAME} chooses addresses and settings of a card; nets can only name the network')

    def machine_exists(self, name: str) -> bool:
        return bool(self.bearers(name))

    def birth_place(self, flavor: Flavor) -> str:
        return self.made_in()

    def find_image(self, name: str, arch: str | None) -> Thing:
        return self.image_for(name)

    def needs_of(self, draft: Draft) -> Needs:
        project = cloud.find('project', self.project, self.all('/projects'), lambda each: each['name'],
                             lambda each: each['id'])['id'] if self.project else None
        keys = (label('key', cloud.key_name(key)) for key in draft.guest.keys)
        return Needs(self.vpc_for(draft.spec.nets[0].name), project, [*to_tags(draft.fields), *keys])

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        """Make a droplet; at the second attempt if a key was reaped in the moment before."""
        draft.needs.tags.extend(self.join(group) for group in (self._group_of(draft), *draft.groups))
        try:
            machine = self._made_vm(draft, volumes)
        except InvalidInput as error:
            if 'key identifiers' not in error.reason:
                raise
            machine = self._made_vm(draft, volumes)
        if draft.needs.project:
            self.api.post(f'/projects/{draft.needs.project}/resources', {'resources': [
                f'do:droplet:{machine.id}', *(f'do:volume:{volume.id}' for volume in volumes)]})
        return machine

    def _made_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        vpc, public = draft.needs.vpc, draft.spec.publicip
        body: dict[str, Any] = {
            'name': draft.name, 'region': draft.place, 'size': draft.flavor.name,
            'image': draft.image.get('slug') or draft.image['id'], 'tags': draft.needs.tags,
            'ssh_keys': [key.native['fingerprint'] for key in self.shared_keys(draft.guest.keys)],
            'volumes': [volume.id for volume in volumes], **({'vpc_uuid': vpc} if vpc else {}),
            **({'user_data': draft.user_data} if draft.user_data else {}),
            **({} if public else {'public_networking': False})}
        return self.machine_of(self.api.post('/droplets', body)['droplet'])

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        """Make sure that no other VM has the name, and that the droplet bears all its tags: none was reaped just before."""
        tags = draft.needs.tags
        tags.append(self.join(self._group_of(draft)))  # another one if the first was reaped just before the birth
        found = self.bearers(draft.name)
        cloud.oldest_stays('VM', draft.name, machine.id,
                           [((each['created_at'], each['id']), str(each['id'])) for each in found])
        now = next((each for each in found if str(each['id']) == machine.id), machine.native)
        self.tag(set(tags) - set(now['tags']), 'droplet', machine.id)

    def _group_of(self, draft: Draft) -> Any:
        return self.shared_group(rules.wanted(draft.spec))

    def marked(self, request: str | None = None) -> list[Machine]:
        tag = to_tags({marks.MARK: request})[0] if request else None
        return [self.machine_of(each) for each in self.droplets(everywhere=True, tag_name=tag)]

    def forget_birth(self, draft: Draft) -> None:
        self.reap(draft.needs.tags)

    # the end

    def copies_of(self, machine: Machine) -> Collection[Thing]:
        return self.snapshots_of(machine.native).values()

    def drop_copy(self, copy: Thing) -> None:
        self.drop(f"/snapshots/{copy['id']}")

    def drop_vm(self, machine: Machine) -> None:
        self.insist(lambda: self.api.delete(f'/droplets/{machine.id}'), f'deleting VM {machine.name}')

    def forget_vm(self, machine: Machine) -> None:
        self.reap(machine.native['tags'])

    def left_shared(self, but_by: Collection[str]) -> list[Left]:
        return [Left(kind='key' if tag.startswith(label('key', '')) else 'security group', name=labelled('', [tag])[0],
                     detail='made for VMs that are not there', native=tag) for tag in self.abandoned()]

    def drop_left(self, left: Left) -> None:
        if isinstance(left.native, str):
            self.unshare(left.native, self.counted())
        else:
            super().drop_left(left)

    _clone = unsupported(f'{NAME} has no clones: export the VM, and make another one of that image')
