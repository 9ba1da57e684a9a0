"""libvirt's domain XML, as elements and never as text: built from a VmSpec, read, and edited. Imports no libvirt.

What builds and edits is loaded when it is first used: a list only reads.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kvirt.providers.kvm.domain.disks import (
    Disk,
    cdrom,
    ceph_source,
    disk_element,
    floppy,
    next_target,
    seed_disk,
    with_bus,
)
from kvirt.providers.kvm.domain.element import add, check_text, parse, to_metadata, to_text
from kvirt.providers.kvm.domain.honoured import HONOURED
from kvirt.providers.kvm.domain.host import Host, machine_for, read_host
from kvirt.providers.kvm.domain.journal import JOURNAL_PREFIX, JOURNAL_URI, Journal, read_journal
from kvirt.providers.kvm.domain.metadata import (
    INFO_PREFIX,
    INFO_URI,
    creation_date,
    info_element,
    iso_date,
    read_info,
)
from kvirt.providers.kvm.domain.nics import Nic, loopback, nic_element, random_mac
from kvirt.providers.kvm.domain.reader import DiskView, Domain, GraphicsView, NicView, hosts_of, read

if TYPE_CHECKING:
    from kvirt.providers.kvm.domain.builder import build
    from kvirt.providers.kvm.domain.devices import mounts
    from kvirt.providers.kvm.domain.edit import (
        cdrom_element,
        clone,
        memory_module,
        stub,
        view_element,
        with_cpus,
        with_fresh_variables,
        with_iso,
        with_memory,
    )

__all__ = [
    'HONOURED', 'INFO_PREFIX', 'INFO_URI', 'JOURNAL_PREFIX', 'JOURNAL_URI', 'Disk', 'DiskView', 'Domain', 'GraphicsView',
    'Host', 'Journal', 'Nic', 'NicView', 'add', 'build', 'cdrom', 'cdrom_element', 'ceph_source', 'check_text', 'clone',
    'creation_date', 'disk_element', 'floppy', 'hosts_of', 'info_element', 'iso_date', 'loopback', 'machine_for',
    'memory_module', 'mounts', 'next_target', 'nic_element', 'parse', 'random_mac', 'read', 'read_host', 'read_info',
    'read_journal', 'seed_disk', 'stub', 'to_metadata', 'to_text', 'view_element', 'with_bus', 'with_cpus',
    'with_fresh_variables', 'with_iso', 'with_memory',
]

_LATER = {'build': 'builder', 'mounts': 'devices',
          **dict.fromkeys(('cdrom_element', 'clone', 'memory_module', 'stub', 'view_element', 'with_cpus',
                           'with_fresh_variables', 'with_iso', 'with_memory'), 'edit')}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    found = getattr(importlib.import_module(f'{__name__}.{_LATER[name]}'), name)
    globals()[name] = found
    return found
