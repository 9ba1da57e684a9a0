"""``<disk>``: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms"""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal, get_args
from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm.domain.element import add
from kvirt.providers.kvm.domain.host import Host
from kvirt.spec import Bus

_PREFIX = {'virtio': 'vd', 'scsi': 'sd', 'sata': 'sd', 'ssd': 'sd', 'ide': 'hd', 'fdc': 'fd'}


@dataclass(frozen=True)
class Disk:
    """A disk or drive to attach: a file or block device (``path``), or a ``volume`` of a ``pool``.

    With ``network`` it is served over one, and ``path`` is what it is called there; see ``ceph_source``.
    Neither is an empty CD drive. ``bus`` None is virtio for a disk, and what the machine type has for a CD drive;
    ``ssd`` is a SATA disk that tells the guest it does not rotate.
    """

    path: str | None = None
    pool: str | None = None
    volume: str | None = None
    format: str = 'qcow2'
    bus: Bus | Literal['fdc'] | None = None
    device: Literal['disk', 'cdrom', 'floppy'] = 'disk'
    readonly: bool = False
    shareable: bool = False
    serial: str | None = None
    wwn: str | None = None
    cache: str | None = None
    discard: str | None = 'unmap'
    block: bool = False
    """Whether ``path`` is a block device; what lies under /dev/ always is."""
    network: Element | None = None
    """The ``<source>`` of a disk that is served over a network."""

    def __post_init__(self) -> None:
        if (self.pool is None) != (self.volume is None) or (self.path is not None and self.pool is not None):
            raise ValueError('a disk has a path, or a pool and a volume')
        if self.device == 'disk' and self.path is None and self.pool is None:
            raise ValueError('a disk without a source')


def ceph_source(pool: Element, volume: str) -> Element:
    """Return the ``<source>`` of a disk that is a volume of *pool*, a pool of type rbd: libvirt itself finds none there."""
    source = Element('source', protocol='rbd', name=f"{pool.findtext('source/name')}/{volume}")
    for host in pool.iterfind('source/host'):
        source.append(deepcopy(host))
    auth, secret = pool.find('source/auth'), pool.find('source/auth/secret')
    if auth is not None and secret is not None:
        add(add(source, 'auth', username=auth.get('username')), 'secret', type='ceph', **secret.attrib)
    return source


def cdrom(path: str | None, host: Host) -> Disk:
    """Return a CD drive with the image at *path*, empty when None."""
    return Disk(path, format='raw', bus=cdrom_bus(host), device='cdrom', readonly=True)


def floppy(path: str, host: Host) -> Disk:
    """Return a floppy drive with the image at *path*, which only a PC has. Raises NotSupported."""
    if not host.x86:
        raise NotSupported(f'floppy: {host.arch} machines have no floppy drive')
    return Disk(path, format='raw', bus='fdc', device='floppy')


def cdrom_bus(host: Host) -> Bus:
    """Return the bus on which firmware and installers of the machine type expect a CD drive."""
    buses: dict[str, Bus] = {'q35': 'sata', 'pc': 'ide'}
    return buses.get(host.chipset, 'scsi')


def seed_disk(path: str, root: Disk | None, host: Host) -> Disk:
    """Return the seed image of cloud-init as a device that the kernel which boots from *root* can see.

    Kernels made for clouds have no AHCI or IDE driver and would not see a CD drive there, but a kernel that finds its
    root disk on virtio has that driver. On SATA and IDE a disk can't be read-only, and a guest there has the drivers
    of a PC: there, and on NVMe, it is a CD.
    """
    bus = root.bus if root else None
    if bus in (None, 'virtio', 'scsi'):
        return Disk(path, format='raw', bus=bus, readonly=True, discard=None)
    return cdrom(path, host)


def with_bus(disk: Disk, host: Host) -> Disk:
    """Return *disk* with its bus decided. Raises NotSupported for a bus that the hypervisor lacks."""
    if disk.bus is None:
        return replace(disk, bus=cdrom_bus(host) if disk.device == 'cdrom' else 'virtio')
    bus = 'sata' if disk.bus == 'ssd' else disk.bus
    if bus not in (*get_args(Bus), 'fdc'):
        raise InvalidInput(f"'{bus}' is no interface of a disk{did_you_mean(bus, get_args(Bus))}",
                           hint=f"Use {', '.join(get_args(Bus))}")
    if bus not in host.disk_buses:
        what = {'nvme': 'NVMe'}.get(bus, bus.upper())
        raise NotSupported(f'libvirt on this hypervisor has no {what} disks for {host.machine or host.arch}',
                           hint='Use interface: virtio')
    return disk


def next_target(bus: str, taken: Container[str | None]) -> str:
    """Return the first device name of *bus* that is not *taken*: vda, sdb, hdc, nvme0n1.

    Each NVMe disk is on a controller of its own, whose serial number is that of the disk.
    """
    return next(name for name in _targets(bus) if name not in taken)


def _targets(bus: str) -> itertools.chain[str] | map[str]:
    if bus == 'nvme':
        return map('nvme{}n1'.format, itertools.count())
    letters = 'abcdefghijklmnopqrstuvwxyz'
    return itertools.chain.from_iterable(
        (_PREFIX[bus] + ''.join(word) for word in itertools.product(letters, repeat=length)) for length in (1, 2))


def disk_element(disk: Disk, target: str) -> Element:
    """Return the ``<disk>`` of *disk*, whose bus is decided, as device *target*."""
    block = disk.block or (disk.path or '').startswith('/dev/')
    kind = 'volume' if disk.pool else 'network' if disk.network is not None else 'block' if block else 'file'
    element = Element('disk', type=kind, device=disk.device)
    add(element, 'driver', name='qemu', type=disk.format, cache=disk.cache,
        discard=None if disk.readonly or disk.device != 'disk' else disk.discard)
    if disk.pool:
        add(element, 'source', pool=disk.pool, volume=disk.volume)
    elif disk.network is not None:
        element.append(deepcopy(disk.network))
    elif disk.path:
        add(element, 'source', **{'dev' if kind == 'block' else 'file': disk.path})
    add(element, 'target', dev=target, bus='sata' if disk.bus == 'ssd' else disk.bus,
        rotation_rate=1 if disk.bus == 'ssd' else None)
    if disk.readonly or disk.device == 'cdrom':
        add(element, 'readonly')
    if disk.shareable:
        add(element, 'shareable')
    if disk.serial or disk.bus == 'nvme':  # libvirt takes no NVMe disk without
        add(element, 'serial', _serial(disk) if disk.serial else target)
    if disk.wwn:
        add(element, 'wwn', _wwn(disk))
    return element


def _serial(disk: Disk) -> str:
    longest = 36 if disk.bus == 'scsi' else 20  # QEMU cuts what is longer, without a word
    if not re.fullmatch(r'[A-Za-z0-9_.+ -]+', str(disk.serial)) or len(str(disk.serial)) > longest:
        raise InvalidInput(f'disks: {disk.serial!r} can not be a serial number',
                           hint=f'Use up to {longest} letters, digits, spaces and _ . + -')
    return str(disk.serial)


def _wwn(disk: Disk) -> str:
    text = str(disk.wwn).lower().removeprefix('0x')
    if not re.fullmatch(r'[0-9a-f]{16}', text):
        raise InvalidInput(f'disks: {disk.wwn!r} is not a world wide name', hint='Write 16 hexadecimal digits')
    if disk.bus not in ('scsi', 'ide'):
        raise InvalidInput(f'disks: a {disk.bus} disk has no wwn', hint='Use interface: scsi, or serial instead')
    return text


def add_disks(devices: Element, disks: Sequence[Disk], taken: set[str]) -> None:
    """Add *disks*, whose buses are decided, in order; their device names join *taken*."""
    for disk in disks:
        target = next_target(disk.bus or 'virtio', taken)
        taken.add(target)
        devices.append(disk_element(disk, target))
