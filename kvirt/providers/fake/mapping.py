"""From what is kept to what the contract returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import cast

from kvirt.providers.fake.catalogue import FLAVORS
from kvirt.providers.fake.records import Disk, Network, Nic, Pool, Subnet, Vm, Volume
from kvirt.shapes import DiskShape, NetworkShape, NicShape, Status, VmInfo, VmRow
from kvirt.spec import SPECIAL

STATUS: Mapping[str, Status] = {'creating': 'pending', 'abandoned': 'failed', 'booting': 'pending', 'on': 'running',
                                'halting': 'stopping', 'off': 'stopped'}
"""Every word of the fake, and the standard one."""

_FLAGS = ('stoppable', 'rebootable', 'resizable', 'preemptible', 'firewall')

COMPUTED = frozenset({*VmInfo.__annotations__, *_FLAGS, *SPECIAL, 'iso'}
                     - {'image', 'plan', 'profile', 'user', 'owner', 'hostkey'})
"""What info tells of a VM by itself; a text kept on the VM can't take its place."""

_PREFIX = {'virtio': 'vd', 'scsi': 'sd', 'sata': 'sd', 'ssd': 'sd', 'ide': 'hd'}


def native_status(vm: Vm, now: float) -> str:
    """Return the state of a VM in the fake's own word."""
    if vm.maker is not None:
        return 'abandoned' if vm.maker.gone(now) else 'creating'
    if now < vm.settles:
        return 'booting' if vm.power == 'on' else 'halting'
    return vm.power


def vm_row(vm: Vm, now: float) -> VmRow:
    """Map a VM to a row."""
    status = STATUS.get(native_status(vm, now), 'unknown')
    return {'name': vm.name, 'status': status, 'ip': vm.ip if status == 'running' else None,
            'image': vm.fields.get('image', ''), 'plan': vm.fields.get('plan', ''),
            'profile': vm.fields.get('profile', ''), 'id': vm.id, 'flavor': vm.flavor, 'numcpus': vm.numcpus,
            'memory': vm.memory, 'location': vm.location}


def vm_info(vm: Vm, now: float, volumes: Mapping[str, Volume], pools: Mapping[str, Pool],
            snapshots: Iterable[str]) -> VmInfo:
    """Map a VM to all that is known of it: *volumes* and *pools* by name, its *snapshots* oldest first."""
    info = cast(VmInfo, {
        **vm.fields, **vm.hardware, **vm_row(vm, now), **({'iso': vm.iso} if vm.iso else {}),
        **flags_of(vm), 'securitygroups': vm.groups, **({'placement': vm.placement} if vm.placement else {}),
        **({} if vm.publicip else {'publicip': False})})
    if vm.sublocation:
        info['sublocation'] = vm.sublocation
    info['nets'] = [_nic(nic) for nic in vm.nics]
    # The volumes of a VM in the making may not be there yet.
    info['disks'] = [_disk(disk, volumes[disk.volume], pools) for disk in vm.disks if disk.volume in volumes]
    info['snapshots'] = [{'snapshot': name, 'current': name == vm.snapshot} for name in snapshots]
    info['autostart'] = vm.autostart
    info['creationdate'] = iso_date(vm.created)
    info['native_status'] = native_status(vm, now)
    return info


def flags_of(vm: Vm) -> dict[str, bool]:
    """Return what may be done with a VM: what its flavor allows, and less where it is spare capacity."""
    flavor = FLAVORS.get(vm.flavor)
    if flavor is None:
        return {}
    return {**{flag: getattr(flavor, flag) for flag in _FLAGS}, 'preemptible': vm.spot,
            'stoppable': flavor.stoppable and not vm.spot}


def _nic(nic: Nic) -> NicShape:
    shape: NicShape = {'device': nic.device, 'mac': nic.mac, 'net': nic.net, 'type': nic.type}
    if nic.ip:
        shape['ip'] = nic.ip
    return shape


def _disk(disk: Disk, volume: Volume, pools: Mapping[str, Pool]) -> DiskShape:
    return {'device': disk.device, 'size': volume.size, 'format': 'qcow2' if volume.thin else 'raw', 'type': disk.bus,
            'path': volume_path(volume, pools)}


def volume_path(volume: Volume, pools: Mapping[str, Pool]) -> str:
    """Return where a volume lies."""
    return f'{pools[volume.pool].path}/{volume.name}'


def next_device(bus: str, disks: Iterable[Disk]) -> str:
    """Return the first name that is free for a disk on *bus*: vda, sdb, nvme0n1."""
    taken = {disk.device for disk in disks}
    number = 0
    while True:
        name = f'nvme{number}n1' if bus == 'nvme' else _PREFIX[bus] + _letters(number)
        if name not in taken:
            return name
        number += 1


def _letters(number: int) -> str:
    """Return a, b, ... z, aa, ab, ..."""
    text = ''
    while number >= 0:
        text = chr(ord('a') + number % 26) + text
        number = number // 26 - 1
    return text


def network_shape(network: Network) -> NetworkShape:
    """Map a network, or a subnet."""
    shape: NetworkShape = {'cidr': network.cidr, 'dhcp': network.dhcp, 'type': 'fake', 'plan': network.plan,
                           'mode': 'nat' if network.nat else 'isolated'}
    if network.domain:
        shape['domain'] = network.domain
    if isinstance(network, Subnet):
        return cast(NetworkShape, {**network.settings, **shape, 'network': network.network, 'id': network.id})
    return cast(NetworkShape, {**network.settings, **shape})


def iso_date(seconds: float) -> str:
    """Return a time as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
