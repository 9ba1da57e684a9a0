"""Copying a disk to where libvirt itself can't write, as on Ceph: QEMU does it.

A VM that never runs has the source as its disk, and is told to mirror it. That happens on the hypervisor, with the
secrets that libvirt has there, and from whatever format the source is in. libvirt ends the VM with our connection, so
nobody who is killed leaves one behind.
"""

from __future__ import annotations

import contextlib
import logging
import uuid as uuids
import xml.etree.ElementTree as ET
from dataclasses import replace

import libvirt

from kvirt.errors import KvirtError
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Disk
from kvirt.wait import until

log = logging.getLogger(__name__)

_TARGET = 'vda'
_PATIENCE = 300.0  # seconds without progress: on a Ceph that is full QEMU waits for ever
_PAUSED = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY


def copy_disk(conn: libvirt.virConnect, arch: str, source: Disk, target: Disk) -> None:
    """Fill *target*, which is there and as large as *source*, with what the guest of *source* would see."""
    name = f'kvirt-copy-{uuids.uuid4().hex[:8]}'
    log.debug('%s copies %s to %s', name, source.path or source.volume, target.path or target.volume)
    native = conn.createXML(domain.to_text(_copier(name, arch, source)), _PAUSED)
    try:
        native.blockCopy(_TARGET, domain.to_text(domain.disk_element(replace(target, bus='virtio'), _TARGET)), {},
                         libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT)
        while not _ready(native):
            done = _done(native)
            until(lambda: _ready(native) or _done(native) != done, what=f'progress of the copy to {target.path}',  # noqa: B023
                  timeout=_PATIENCE, interval=0.2)
        native.blockJobAbort(_TARGET, 0)  # a mirror that is complete ends as it is, flushed
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            native.destroy()


def _copier(name: str, arch: str, source: Disk) -> ET.Element:
    """Return a VM that has *source* to read, and nothing else."""
    root = ET.Element('domain', type='qemu')
    domain.add(root, 'name', name)
    domain.add(root, 'memory', 16, unit='MiB')
    domain.add(domain.add(root, 'os'), 'type', 'hvm', arch=arch)
    devices = domain.add(root, 'devices')
    disk = domain.disk_element(replace(source, bus='virtio', readonly=True), _TARGET)
    for driver in disk.iterfind('driver'):  # which the target takes over: zeros take no room there
        driver.attrib.update(discard='unmap', detect_zeroes='unmap')
    devices.append(disk)
    domain.add(devices, 'controller', type='usb', model='none')
    domain.add(devices, 'memballoon', model='none')
    return root


def _done(native: libvirt.virDomain) -> int:
    return int(native.blockJobInfo(_TARGET, 0).get('cur', 0))


def _ready(native: libvirt.virDomain) -> bool:
    mirror = ET.fromstring(native.XMLDesc(0)).find('devices/disk/mirror')
    if mirror is None:
        raise KvirtError('QEMU could not copy the disk', hint="libvirt's log on the hypervisor tells why")
    return mirror.get('ready') == 'yes'
