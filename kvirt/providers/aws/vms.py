"""VMs: their life, what is known of them, and changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.base import unsupported, waits
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.parallel import in_parallel
from kvirt.providers.aws import mapping
from kvirt.providers.aws.account import address_of, tags_of, to_tags
from kvirt.providers.aws.create import Create
from kvirt.providers.aws.wellknown import native_arch
from kvirt.shapes import VmInfo
from kvirt.wait import until

STOP_SECONDS = 600.0


class Vms(Create):
    """The VMs of an account."""

    # life

    def _start(self, name: str) -> None:
        instance = self.instance(name)
        self._settled(instance, name, 'stopping')
        if instance['State']['Name'] == 'stopped':
            self.ec2_of(instance).start_instances(InstanceIds=[instance['InstanceId']])

    def _stop(self, name: str, soft: bool = False) -> None:
        instance = self.instance(name)
        if instance['State']['Name'] in ('stopping', 'stopped'):
            return
        self.allowed(instance, 'stoppable')
        self._settled(instance, name, 'pending')
        self.ec2_of(instance).stop_instances(InstanceIds=[instance['InstanceId']], Force=not soft)

    def _restart(self, name: str) -> None:
        instance = self.instance(name)
        self._settled(instance, name, 'pending', 'stopping')
        ec2, ids = self.ec2_of(instance), [instance['InstanceId']]
        if instance['State']['Name'] == 'stopped':
            ec2.start_instances(InstanceIds=ids)
        else:
            ec2.reboot_instances(InstanceIds=ids)

    @staticmethod
    def _settled(instance: Mapping[str, Any], name: str, *passing: str) -> None:
        """Raise Conflict while an instance is in one of the *passing* states."""
        if instance['State']['Name'] in passing:
            raise Conflict(f"VM {name} is {instance['State']['Name']}", hint='Try again when it is done')

    def allowed(self, instance: Mapping[str, Any], flag: str) -> None:
        """Raise NotSupported when a VM lacks *flag*: stoppable, rebootable, resizable."""
        if not mapping.flags_of(instance, None)[flag]:
            kind = 'a spot VM' if instance.get('InstanceLifecycle') == 'spot' else 'one whose root disk is its host\'s'
            raise NotSupported(f"VM {mapping.vm_row(instance, {})['name']} is not {flag}: it is {kind}")

    _clone = unsupported('EC2 makes VMs of images only, and starts them at once: export the VM, and create one of that')

    def _rename(self, name: str, new: str) -> None:
        instance = self.instance(name)
        if self.named(new, [instance['Region']]):
            raise AlreadyExists(f'VM {new} exists')
        self.ec2_of(instance).create_tags(Resources=[instance['InstanceId']], Tags=to_tags({'Name': new}))

    # what is known

    def _list(self) -> Rows:
        def read(region: str) -> Rows:
            found = self.instances(regions=[region])
            flavors = self.types_of({each['InstanceType'] for each in found if 'InstanceType' in each}, region)
            return [mapping.vm_row(each, flavors) for each in found]
        rows = [row for found in in_parallel(self.regions, read, workers=16) for row in found]
        return sorted(rows, key=lambda row: (row['name'], row['id']))

    def _info(self, name: str) -> VmInfo:
        instance = self.instance(name)
        snapshots = dict.fromkeys(tags_of(each)['snapshot'] for each in self.snapshots_of_vm(instance))
        return mapping.vm_info(instance, self.types_of([instance['InstanceType']], instance['Region']),
                               self.disks_of(self.machine_of(instance)), snapshots, self.network_names(instance['Region']))

    def _exists(self, name: str) -> bool:
        return bool(self.named(name))

    def _status(self, name: str) -> str | None:
        found = self.named(name)
        return mapping.status_of(self.one('VM', name, found)) if found else None

    def _ip(self, name: str) -> str | None:
        found = self.named(name)
        return address_of(self.one('VM', name, found)) if found else None

    _console = unsupported('EC2 shows no display of a VM; serialconsole returns what the guest has printed')

    def _serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        instance = self.instance(name)
        answer = self.ec2_of(instance).get_console_output(InstanceId=instance['InstanceId'])
        return {'output': answer.get('Output', '')}

    # changes

    check_field = staticmethod(mapping.check_key)

    _update_memory = unsupported('the memory of a VM is that of its flavor: update_flavor changes it')
    _update_cpus = unsupported('the CPUs of a VM are those of its flavor: update_flavor changes them')
    _update_start = unsupported('EC2 restarts VMs after a fault of its host of itself, and there is nothing to choose')
    _update_iso = unsupported('VMs of EC2 have no CD drive')

    @waits
    def _update_flavor(self, name: str, flavor: str) -> None:
        """Change the type of a VM; one that runs is stopped for that and started again, also when it can't be changed."""
        new = self.flavor_named(flavor)
        instance = self.instance(name)
        if instance['InstanceType'] == new.name:
            return
        self.allowed(instance, 'resizable')
        if instance.get('Architecture') not in (None, native_arch(new.arch)):
            raise InvalidInput(f"VM {name} is made for {instance['Architecture']}, and flavor {new.name} has {new.arch}")
        ec2, vm = self.ec2_of(instance), instance['InstanceId']
        if instance['State']['Name'] == 'stopped':
            ec2.modify_instance_attribute(InstanceId=vm, InstanceType={'Value': new.name})
            return

        def resume(type_: str) -> None:
            ec2.modify_instance_attribute(InstanceId=vm, InstanceType={'Value': type_})
            ec2.start_instances(InstanceIds=[vm])

        with self.undo() as undo:
            undo.add(f'the stop of VM {name}', lambda: resume(instance['InstanceType']))
            self.stop_and_wait(instance)
            resume(new.name)  # there may be no room for the new type

    def stop_and_wait(self, instance: Mapping[str, Any]) -> None:
        """Stop an instance, and wait until it has stopped. TimedOut."""
        vm = instance['InstanceId']
        if instance['State']['Name'] != 'stopping':
            self.ec2_of(instance).stop_instances(InstanceIds=[vm])
        until(lambda: [each['State']['Name'] for each in self.instances({'instance-id': [vm]}, [instance['Region']])]
              == ['stopped'], what=f'VM {vm} stopping', timeout=STOP_SECONDS, clock=self.clock, interval=5.0)

    def _remove_cloudinit(self, name: str) -> None:
        instance = self.instance(name)
        ec2, vm = self.ec2_of(instance), instance['InstanceId']
        seed = ec2.describe_instance_attribute(InstanceId=vm, Attribute='userData').get('UserData', {}).get('Value')
        if not seed:
            raise NotFound(f'VM {name} has no seed')
        if instance['State']['Name'] != 'stopped':
            raise Conflict(f'VM {name} is running', hint='EC2 changes what a guest is told only while it is stopped')
        ec2.modify_instance_attribute(InstanceId=vm, UserData={'Value': b''})


