"""Changes to a domain that exists: from libvirt's text of its inactive XML to the text to define instead.

Each function keeps what it has no reason to touch, so a domain that others made stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput
from kvirt.names import counted
from kvirt.providers.kvm.domain import journal, metadata
from kvirt.providers.kvm.domain.cpu import SHRINKING_CPUS, removable
from kvirt.providers.kvm.domain.disks import cdrom, disk_element, next_target
from kvirt.providers.kvm.domain.element import add, parse, to_text
from kvirt.providers.kvm.domain.host import Host
from kvirt.providers.kvm.domain.nics import loopback, random_mac
from kvirt.providers.kvm.domain.reader import DiskView, Domain, mebibytes


def with_cpus(xml: str, count: int) -> str:
    """Return the domain with *count* CPUs. Its layout keeps cores and threads, and gets other sockets.

    Raises InvalidInput when the layout, or NUMA nodes, leave no way.
    """
    domain = parse(xml)
    vcpu = _get(domain, 'vcpu')
    listed = domain.find('vcpus') is not None
    _drop(domain, 'vcpus')
    if vcpu.get('current') and count <= int(vcpu.text or 0):
        vcpu.set('current', str(count))
        if listed and _get(domain, 'os/type').get('arch') in SHRINKING_CPUS:
            domain.append(removable(count))
        return to_text(domain)
    vcpu.text = str(count)
    vcpu.attrib.pop('current', None)
    topology = domain.find('cpu/topology')
    if topology is not None:
        socket = 1
        for part in ('dies', 'clusters', 'cores', 'threads'):
            socket *= int(topology.get(part, '1'))
        if count % socket:
            raise InvalidInput(f'{counted(count, "CPU")} can not be divided into sockets of {socket}')
        topology.set('sockets', str(count // socket))
    cells = domain.findall('cpu/numa/cell')
    if len(cells) > 1:
        raise InvalidInput('the number of CPUs is fixed, since they are shared out among NUMA nodes')
    for cell in cells:
        cell.set('cpus', f'0-{count - 1}' if count > 1 else '0')
    for tune in domain.iterfind('cputune'):
        for pin in tune.findall('vcpupin'):
            if int(pin.get('vcpu', '0')) >= count:
                tune.remove(pin)
    return to_text(domain)


def with_memory(xml: str, mib: int) -> str:
    """Return the domain with *mib* MiB of memory. Modules that were plugged in stay, and count."""
    domain = parse(xml)
    plugged = sum(mebibytes(size) for size in domain.iterfind('devices/memory/target/size'))
    cells = domain.findall('cpu/numa/cell')
    if len(cells) > 1:
        raise InvalidInput('the amount of memory is fixed, since it is shared out among NUMA nodes')
    if mib <= plugged:
        raise InvalidInput(f'{mib} MiB are not more than the {plugged} MiB that were plugged in')
    for cell in cells:
        cell.attrib.update(memory=str(mib - plugged), unit='MiB')
    ceiling = domain.find('maxMemory')
    for element in (_get(domain, 'memory'), domain.find('currentMemory'),
                    ceiling if mebibytes(ceiling) < mib else None):
        if element is not None:
            element.text = str(mib)
            element.set('unit', 'MiB')
    return to_text(domain)


def memory_module(mib: int) -> Element:
    """Return the device that adds *mib* MiB of memory to a running VM made with ``memoryhotplug``."""
    if mib % 128:
        raise InvalidInput(f'{mib} MiB can not be added while running', hint='Linux takes multiples of 128 MiB')
    module = Element('memory', model='dimm')
    target = add(module, 'target')
    add(target, 'size', mib, unit='MiB')
    add(target, 'node', 0)
    return module


def with_iso(xml: str, path: str | None) -> str:
    """Return the domain with the image at *path* in its first CD drive, with an empty one when None.

    A domain without a drive gets one when there is an image to put in.
    """
    domain = parse(xml)
    devices, system = _get(domain, 'devices'), _get(domain, 'os/type')
    drives = [disk for disk in devices.iterfind('disk') if disk.get('device') == 'cdrom']
    if drives:
        _point(drives[0], path)
    elif path:
        drive = cdrom(path, Host(arch=system.get('arch', ''), virttype='', machine=system.get('machine')))
        taken = {target.get('dev') for target in devices.iterfind('disk/target')}
        devices.append(disk_element(drive, next_target(drive.bus or 'sata', taken)))
    return to_text(domain)


def cdrom_element(drive: DiskView, path: str | None) -> Element:
    """Return the element that puts the image at *path* into a running VM's *drive*, or empties it."""
    element = view_element(drive)
    _point(element, path)
    return element


def view_element(disk: DiskView) -> Element:
    """Return as much of the element of *disk* as libvirt needs to know which one is meant."""
    block = (disk.path or '').startswith('/dev/')
    kind = 'volume' if disk.pool else 'network' if disk.ceph else 'block' if block else 'file'
    element = Element('disk', type=kind, device=disk.device)
    if disk.pool:
        add(element, 'source', pool=disk.pool, volume=disk.volume)
    elif disk.ceph:
        add(element, 'source', protocol='rbd', name=disk.path)
    elif disk.path:
        add(element, 'source', **{'dev' if block else 'file': disk.path})
    add(element, 'target', dev=disk.target, bus=disk.bus or None)
    return element


def stub(name: str, view: Domain) -> str:
    """Return a domain *name* with the machine and firmware of *view*, and nothing else."""
    root = Element('domain', type=view.virttype)
    add(root, 'name', name)
    add(root, 'memory', 64, unit='MiB')
    system = add(root, 'os', firmware='efi')
    add(system, 'type', 'hvm', arch=view.arch, machine=view.machine)
    add(system, 'nvram')
    add(add(root, 'features'), 'acpi')  # which UEFI asks for
    return to_text(root)


def with_fresh_variables(xml: str) -> str:
    """Return the domain without the file that keeps its variables of UEFI: libvirt makes one that bears its name."""
    root = parse(xml)
    _forget_variables(root)
    return to_text(root)


def _forget_variables(domain: Element) -> None:
    for variables in domain.iterfind("os[@firmware='efi']/nvram"):
        variables.clear()
    for variables in domain.iterfind('os/nvram'):
        variables.text = None  # but the template stays: nothing else tells where to take them from
        variables.attrib.pop('type', None)
        _drop(variables, 'source')


def clone(xml: str, name: str, uuid: str, macs: Sequence[str], sources: Mapping[str, str],
          info: Mapping[str, str], owned: Element | None) -> Element:
    """Return the domain as one of its own: *name*, *uuid*, *macs*, and *info* and journal *owned* replaced.

    *sources* are the new paths of disks by the old ones; a volume of a pool is called ``pool/volume``. A disk that is
    not among them is shared. What libvirt made for the original (firmware variables, sockets, ports) is left out, so
    that it makes it anew.
    """
    domain = parse(xml)
    domain.attrib.pop('id', None)
    _get(domain, 'name').text = name
    _get(domain, 'uuid').text = uuid
    for number in domain.findall('genid'):  # another one tells the guest that it is a copy
        number.text = None
    block = domain.find('metadata')
    block = add(domain, 'metadata') if block is None else block
    _drop(block, metadata.TAG, journal.TAG)
    if info:
        block.append(metadata.info_element(info))
    if owned is not None:
        block.append(owned)
    _forget_variables(domain)
    for system in domain.iterfind('sysinfo/system'):
        for entry in system.findall("entry[@name='uuid']"):  # must be that of the domain, if there is one
            system.remove(entry)
    for index, card in enumerate(domain.iterfind('devices/interface')):
        had, mac = card.find('mac'), macs[index] if index < len(macs) else random_mac()
        for forward in card.iterfind('portForward[@address]'):
            if had is not None and forward.get('address') == loopback(had.get('address', '')):
                forward.set('address', loopback(mac))
        _drop(card, 'mac', 'target')
        add(card, 'mac', address=mac)
    for disk in domain.iterfind('devices/disk'):
        source = disk.find('source')
        if source is not None:
            ceph = source.get('name') if source.get('protocol') == 'rbd' else None
            old = source.get('file') or source.get('dev') or ceph or f"{source.get('pool')}/{source.get('volume')}"
            if old in sources:
                _drop(disk, 'backingStore')
                if ceph:
                    source.set('name', sources[old])  # with the servers and the secret that it has
                else:
                    _point(disk, sources[old])
    for port in domain.iterfind('devices/*[log]'):  # two guests can't write to one file
        _drop(port, 'log')
    for channel in domain.iterfind("devices/channel[@type='unix']"):
        _drop(channel, 'source')
    for graphics in domain.iterfind("devices/graphics[@autoport='yes']"):
        graphics.attrib.pop('port', None)
    return domain


def _point(disk: Element, path: str | None) -> None:
    """Make the file or block device at *path* the source of *disk*; none when None."""
    _drop(disk, 'source')
    block = (path or '').startswith('/dev/')
    disk.set('type', 'block' if block else 'file')
    if path:
        add(disk, 'source', **{'dev' if block else 'file': path})


def _drop(parent: Element, *tags: str) -> None:
    for tag in tags:
        for child in parent.findall(tag):
            parent.remove(child)


def _get(parent: Element, tag: str) -> Element:
    child = parent.find(tag)
    if child is None:
        raise InvalidInput(f'the XML of the domain has no {tag}')
    return child
