"""Does KVM really run guests here?

/dev/kvm may be there and yet fail on the first real guest (a virtual machine without nested virtualization, some kernels
for containers). The VM is then "running" or "paused" and never boots. So before KVM is chosen for the first time on a
host, a guest of 512 bytes is run: it does what every operating system does first, and resets the machine, which ends
it. The answer is remembered in kvirt's home.
"""

from __future__ import annotations

import json
import logging
import time
import uuid as uuids
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

from kvirt.errors import TimedOut
from kvirt.providers.kvm import domain, journals
from kvirt.providers.kvm.domain import Disk
from kvirt.providers.kvm.storage import Storage
from kvirt.wait import until
from kvirt.yamlfile import locked, write_private

log = logging.getLogger(__name__)

# probe.S, assembled: gcc -c probe.S && ld -Ttext 0x7c00 --oformat binary probe.o
CODE = bytes.fromhex(
    'fa31c08ed88ec08ed0bc007cbf0010b90018fcf3abc70600100320c70600200330c706003083000f0116a87c0f20c00c010f22c0ea397c08'
    '0066b810008ed88ed0bc007c00009c6a08684f7c0000cf0f20e083c8200f22e0b8001000000f22d8b9800000c00f320d000100000f300f20'
    'c00d000000800f22c0ea807c00001800b0fee664f4ebfd900000000000000000ffff0000009acf00ffff00000092cf00ffff0000009aaf00'
    '1f00887c')
SECTOR = CODE.ljust(510, b'\0') + b'\x55\xaa'

_PATIENCE = 5.0  # seconds; a guest that works is through in a tenth of one
_REMEMBERED = {True: 30 * 86400, False: 3600}  # seconds that an answer holds: what fails may be mended soon


class Probe(Storage):
    """The question whether KVM works on a host, asked once."""

    def kvm_works(self, arch: str) -> bool:
        """Tell if KVM can run a guest of *arch* on this host. Takes some tenths of a second the first time."""
        if arch not in ('x86_64', 'i686'):
            return True
        pool = next((pool for pool in self.pools() if self.on_files(pool)), None)
        if pool is None:
            return True
        memory = Path(self.home or '.', 'cache', 'kvm.json') if self.home else None
        key = f'{self.host_uuid()} {self.libvirt.getVersion()}'
        known = _recall(memory, key)
        if known is None:
            known = self._run_probe(pool)
            _remember(memory, key, known)
        return known

    def host_uuid(self) -> str:
        """Return what tells this host from others."""
        raise NotImplementedError

    def remove(self, uuid: str) -> list[str]:
        """Remove a domain; see Create."""
        raise NotImplementedError

    def _run_probe(self, pool: libvirt.virStoragePool) -> bool:
        uuid = str(uuids.uuid4())
        name = f'kvirt-probe-{uuid[:8]}'
        journal = journals.begin([(pool.name(), f'{name}.img')])
        disk = Disk(path=f'{self.pool_folder(pool)}/{name}.img', format='raw', bus='ide')
        try:
            native = self.libvirt.defineXML(domain.to_text(_guest(name, uuid, disk, journal)))
            self.make_seed(pool, f'{name}.img', SECTOR)
            native.create()
            until(lambda: _ended(native), what='the probe of KVM', timeout=_PATIENCE, interval=0.1)
            return bool(native.state()[0] == libvirt.VIR_DOMAIN_SHUTOFF)
        except (libvirt.libvirtError, TimedOut) as error:
            log.info('the probe of KVM on %s failed: %s', self.uri, error)
            return False
        finally:
            self.remove(uuid)


def _guest(name: str, uuid: str, disk: Disk, journal: domain.Journal) -> ET.Element:
    """Return the smallest PC that boots *disk*, and is gone when it resets itself."""
    root = ET.Element('domain', type='kvm')
    domain.add(root, 'name', name)
    domain.add(root, 'uuid', uuid)
    domain.add(root, 'metadata').append(journal.to_element())
    domain.add(root, 'memory', 16, unit='MiB')
    domain.add(root, 'vcpu', 1)
    domain.add(domain.add(root, 'os'), 'type', 'hvm', arch='x86_64', machine='pc')
    for event in ('on_poweroff', 'on_reboot', 'on_crash'):
        domain.add(root, event, 'destroy')
    devices = domain.add(root, 'devices')
    domain.add(devices, 'controller', type='usb', model='none')
    domain.add(devices, 'memballoon', model='none')
    devices.append(domain.disk_element(disk, 'hda'))
    return root


def _ended(native: libvirt.virDomain) -> bool:
    return native.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_NOSTATE, libvirt.VIR_DOMAIN_SHUTDOWN)


def _recall(memory: Path | None, key: str) -> bool | None:
    answer = _read(memory).get(key)
    if not isinstance(answer, dict) or not isinstance(answer.get('works'), bool):
        return None
    age = time.time() - float(answer.get('at', 0))
    return answer['works'] if 0 <= age < _REMEMBERED[answer['works']] else None


def _read(memory: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_text()) if memory else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path | None, key: str, works: bool) -> None:
    if memory is None:
        return
    with locked(memory):
        write_private(memory, json.dumps({**_read(memory), key: {'works': works, 'at': time.time()}}))
