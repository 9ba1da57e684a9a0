"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kvirt.base import unsupported
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.providers.aws.account import OURS, Native, cards_of, groups_of
from kvirt.providers.aws.create import Create
from kvirt.providers.aws.wellknown import native_arch
from kvirt.providers.families.ec2 import to_tags
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import COMPUTED, unshown
from kvirt.providers.families.vms import CloudVms
from kvirt.shapes import Flavor, NicShape, Status
from kvirt.wait import until

STOP_SECONDS = 600.0


class Vms(Create, CloudVms):
    """The VMs of an account."""

    # what is known

    def machines(self) -> list[Machine]:
        def read(region: str) -> list[Machine]:
            found = [self.machine_of(each) for each in self.instances(regions=[region])]
            flavors = self.types_of({each.flavor for each in found if each.flavor}, region)
            return [_sized(each, flavors.get(each.flavor)) for each in found]
        return self.in_regions(read)

    def nics_of(self, machine: Machine) -> list[NicShape]:
        names = self.network_names(machine.location)
        return [{'device': f'eth{number}', 'mac': card['MacAddress'].lower(), 'ip': card.get('PrivateIpAddress', ''),
                 'net': names.get(card['VpcId'], str(card['VpcId'])), 'type': card.get('InterfaceType', '')}
                for number, card in enumerate(cards_of(machine.native))]

    def shown(self, machine: Machine) -> Mapping[str, str]:
        return {key: value for key, value in unshown(machine.fields).items()
                if key not in OURS and key not in COMPUTED and not key.startswith('aws:')}

    def more_of_vm(self, machine: Machine) -> dict[str, Any]:
        flavor = self.types_of([machine.flavor], machine.location).get(machine.flavor)
        size = {'numcpus': flavor.numcpus, 'memory': flavor.memory} if flavor else {}
        instance, spot, stays = machine.native, _is_spot(machine.native), _outlives_a_stop(machine.native)
        return {**size, 'stoppable': stays, 'resizable': stays, 'spot': spot or None,
                'preemptible': spot or bool(flavor and flavor.preemptible), 'sublocation': machine.place,
                'dnsname': instance.get('PublicDnsName') or None, 'privateip': instance.get('PrivateIpAddress') or None,
                'placement': instance['Placement'].get('GroupName') or None,
                'securitygroups': sorted(set(groups_of(instance).values())) or None}

    _console = unsupported('EC2 shows no display of a VM; serialconsole returns what the guest has printed')

    def _serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        instance = self.instance(name)
        answer = self.ec2_of(instance).get_console_output(InstanceId=instance['InstanceId'])
        return {'output': answer.get('Output', '')}

    # life and changes

    def start_vm(self, machine: Machine) -> None:
        self._settled(machine, 'stopping')
        if machine.status == 'stopped':
            self.ec2_of(machine.native).start_instances(InstanceIds=[machine.id])

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        if machine.status != 'stopping':
            self.allowed(machine, 'stoppable')
            self._settled(machine, 'pending')
            self.ec2_of(machine.native).stop_instances(InstanceIds=[machine.id], Force=not soft)

    def restart_vm(self, machine: Machine) -> None:
        self._settled(machine, 'pending', 'stopping')
        self.ec2_of(machine.native).reboot_instances(InstanceIds=[machine.id])

    @staticmethod
    def _settled(machine: Machine, *passing: Status) -> None:
        """Raise Conflict while a VM is in one of the *passing* states."""
        if machine.status in passing:
            raise Conflict(f'VM {machine.name} is {machine.status}', hint='Try again when it is done')

    @staticmethod
    def allowed(machine: Machine, flag: str) -> None:
        """Raise NotSupported when a VM, which must stop for that, is not *flag*: stoppable, resizable."""
        if not _outlives_a_stop(machine.native):
            kind = 'a spot VM' if _is_spot(machine.native) else "one whose root disk is its host's"
            raise NotSupported(f'VM {machine.name} is not {flag}: it is {kind}')

    def halt_vm(self, machine: Machine) -> None:
        if machine.status != 'stopping':
            self.ec2_of(machine.native).stop_instances(InstanceIds=[machine.id])
        until(lambda: [each['State']['Name'] for each in self.instances({'instance-id': [machine.id]}, [machine.location])]
              == ['stopped'], what=f'VM {machine.id} stopping', timeout=STOP_SECONDS, clock=self.clock, interval=5.0)

    def _rename(self, name: str, new: str) -> None:
        machine = self.machine(name)
        if self.named(new, [machine.location]):
            raise AlreadyExists(f'VM {new} exists')
        self.ec2_of(machine.native).create_tags(Resources=[machine.id], Tags=to_tags({'Name': new}))

    def check_resize(self, machine: Machine, flavor: Flavor) -> None:
        self.allowed(machine, 'resizable')
        arch = machine.native.get('Architecture')
        if arch not in (None, native_arch(flavor.arch)):
            raise InvalidInput(f'VM {machine.name} is made for {arch}, and flavor {flavor.name} has {flavor.arch}')

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        self.ec2_of(machine.native).modify_instance_attribute(InstanceId=machine.id, InstanceType={'Value': flavor})

    def _remove_cloudinit(self, name: str) -> None:
        instance = self.instance(name)
        ec2, vm = self.ec2_of(instance), instance['InstanceId']
        seed = ec2.describe_instance_attribute(InstanceId=vm, Attribute='userData').get('UserData', {}).get('Value')
        if not seed:
            raise NotFound(f'VM {name} has no seed')
        if instance['State']['Name'] != 'stopped':
            raise Conflict(f'VM {name} is running', hint='EC2 changes what a guest is told only while it is stopped')
        ec2.modify_instance_attribute(InstanceId=vm, UserData={'Value': b''})


def _sized(machine: Machine, flavor: Flavor | None) -> Machine:
    """Return a VM with the size of its flavor, where that is known."""
    return msgspec.structs.replace(machine, numcpus=flavor.numcpus, memory=flavor.memory) if flavor else machine


def _outlives_a_stop(instance: Native) -> bool:
    """Tell if a VM can be stopped: a spot one could not be got again, and what is on a disk of its host would be lost."""
    return instance.get('RootDeviceType', 'ebs') == 'ebs' and not _is_spot(instance)


def _is_spot(instance: Native) -> bool:
    return bool(instance.get('InstanceLifecycle') == 'spot')
