"""VMs, from birth to end. A droplet bears its marks, volumes and firewalls from birth: marks and firewalls are tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kvirt.base import unsupported
from kvirt.errors import InvalidInput
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import HOST, NAME
from kvirt.providers.digitalocean.endpoints import Dns
from kvirt.providers.digitalocean.shared import Shared
from kvirt.providers.digitalocean.storage import Storage
from kvirt.providers.families import cloud, marks, rules
from kvirt.providers.families.births import Draft
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.tags import names_of, note, to_tags
from kvirt.providers.families.vms import CloudVms
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import NicShape
from kvirt.spec import VmSpec


class Needs(NamedTuple):
    """What a droplet needs beside what all clouds have: ids of a VPC and a project, and its tags, the sooner the better."""

    vpc: str | None
    project: str | None
    tags: set[str]


class Vms(Shared, Storage, Dns, CloudVms):
    """The droplets of an account."""

    starts_at_once = True
    honours = frozenset({'arch', 'gpus', 'ports', 'publicip', 'securitygroups'})
    machine_names = HOST, 'Use letters, digits, dots and dashes'
    user_data_limit = 64 * 1024
    refused = {**cloud.NO_HYPERVISOR, 'diskinterface': 'it chooses the bus',
               'diskthin': 'it chooses how volumes are kept'}
    stops_to_resize = False
    login = 'root'

    # birth

    def check_spec(self, spec: VmSpec) -> None:
        if len(spec.nets) != 1:
            raise InvalidInput(f'a VM of {NAME} has one card, on one network; {len(spec.nets)} were asked for')
        cloud.refuse_cards(spec, ('domain',), NAME)

    def machine_exists(self, name: str) -> bool:
        return bool(self.bearers(name))

    def needs_of(self, draft: Draft) -> Needs:
        project = cloud.find('project', self.options.project, self.all('/projects'), lambda each: each['name'],
                             lambda each: each['id'])['id'] if self.options.project else None
        keys = (note('key', cloud.key_name(key)) for key in draft.guest.keys)
        return Needs(self.vpc_for(draft.spec.nets[0].name), project, {*to_tags(draft.fields), *keys})

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        vpc, project, tags = draft.needs
        tags.update(map(self.join, (self._group_of(draft), *draft.groups)))
        body: dict[str, Any] = {
            'name': draft.name, 'region': draft.place, 'size': draft.flavor.name, 'tags': sorted(tags),
            'image': draft.image.get('slug') or draft.image['id'], 'volumes': [volume.id for volume in volumes],
            'ssh_keys': [key.native['fingerprint'] for key in self.shared_keys(draft.guest.keys)],
            **({'vpc_uuid': vpc} if vpc else {}), **({'user_data': draft.user_data} if draft.user_data else {}),
            **({} if draft.spec.publicip else {'public_networking': False})}
        machine = mapping.machine(self.api.post('/droplets', body)['droplet'])
        if project:
            self.api.post(f'/projects/{project}/resources', {'resources': [
                f'do:droplet:{machine.id}', *(f'do:volume:{volume.id}' for volume in volumes)]})
        return machine

    def was_reaped(self, error: Exception) -> bool:
        return isinstance(error, InvalidInput) and 'key identifiers' in error.reason

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        """Make sure that no other VM has the name, and that the droplet bears all its tags: none was reaped just before."""
        tags = draft.needs.tags
        tags.add(self.join(self._group_of(draft)))  # another one if the first was reaped just before the birth
        found = self.bearers(draft.name)
        cloud.oldest_stays('VM', draft.name, machine.id,
                           [((each['created_at'], each['id']), str(each['id'])) for each in found])
        now = next((each for each in found if str(each['id']) == machine.id), machine.native)
        self.tag(tags - set(now['tags']), self.vm_kind, machine.id)

    def _group_of(self, draft: Draft) -> Any:
        return self.shared_group(rules.wanted(draft.spec))

    def marked(self, request: str | None = None) -> list[Machine]:
        tag = to_tags({marks.MARK: request})[0] if request else None
        return [mapping.machine(each) for each in self.droplets(everywhere=True, tag_name=tag)]

    def drop_vm(self, machine: Machine) -> None:
        self.drop_when_free(f'/droplets/{machine.id}', f'VM {machine.name}')

    # what is known

    def machines(self) -> Iterator[Machine]:
        return map(mapping.machine, self.droplets())

    def nics_of(self, machine: Machine) -> list[NicShape]:
        vpc = machine.native.get('vpc_uuid')
        return [mapping.card(machine.native, self.api.get(f'/vpcs/{vpc}')['vpc']['name'])] if vpc else []

    def more_of_vm(self, machine: Machine) -> dict[str, Any]:
        return {'autostart': True, 'securitygroups': names_of('group', machine.tags)}

    _console = unsupported(f'the console of {NAME} is a part of its control panel, and has no API')
    _serialconsole = unsupported(f'{NAME} has no serial console')

    # life and changes

    def start_vm(self, machine: Machine) -> None:
        self.act(f'/droplets/{machine.id}', type='power_on')

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        self.act(f'/droplets/{machine.id}', type='shutdown' if soft else 'power_off')

    def restart_vm(self, machine: Machine) -> None:
        self.act(f'/droplets/{machine.id}', type='reboot')

    def halt_vm(self, machine: Machine) -> None:
        self.acted(f'stopping VM {machine.name}', f'/droplets/{machine.id}', type='power_off')

    def rename_vm(self, machine: Machine, new: str) -> None:
        self.acted(f'renaming VM {machine.name}', f'/droplets/{machine.id}', type='rename', name=new)

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        """Resize CPUs and memory. The root disk stays as it is, so that a smaller flavor can follow a larger one."""
        self.acted(f'resizing VM {machine.name}', f'/droplets/{machine.id}', 3600, type='resize', size=flavor, disk=False)
