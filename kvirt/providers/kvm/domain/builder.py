"""From a VmSpec to ``<domain>``: https://libvirt.org/formatdomain.html"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import msgspec

from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.kvm.domain import cpu, devices, extras, system
from kvirt.providers.kvm.domain.disks import Disk, add_disks, with_bus
from kvirt.providers.kvm.domain.element import add, check_path, check_text
from kvirt.providers.kvm.domain.honoured import HONOURED
from kvirt.providers.kvm.domain.host import Host, machine_for
from kvirt.providers.kvm.domain.metadata import info_element
from kvirt.providers.kvm.domain.nics import Nic, nic_element
from kvirt.spec import VmSpec


def build(name: str, uuid: str, spec: VmSpec, host: Host, disks: Sequence[Disk], nics: Sequence[Nic],
          seed: Disk | None = None, metadata: Mapping[str, str] | None = None,
          journal: Element | None = None) -> Element:
    """Return the ``<domain>`` of VM *name* as *spec* asks for it, with volumes and networks already decided.

    *uuid* is used when the spec names none. *host* tells what libvirt offers to such a domain; the root disk is the
    first of *disks*; *seed* (see ``seed_disk``) comes after them, so that it takes no disk's name in the guest.
    Raises InvalidInput for keywords that contradict each other or the machine type, NotSupported for what the
    hypervisor lacks.
    """
    _check_texts(spec)
    host = _target(spec, host)
    domain = Element('domain', type=host.virttype)
    add(domain, 'name', name)
    add(domain, 'uuid', _uuid(spec.uuid or uuid))
    _add_metadata(domain, metadata, journal)
    cpus = cpu.vcpus(spec, host)
    cpu.add_memory(domain, spec, host)
    cpu.add_vcpus(domain, spec, host, cpus)
    system.add_os(domain, spec, host)
    system.add_features(domain, spec, host)
    cpu.add_cpu(domain, spec, host, cpus)
    system.add_clock(domain, host)
    system.add_power(domain, host)
    _add_devices(domain, spec, host, [*disks, *([seed] if seed else [])], nics)
    extras.add_arguments(domain, spec)
    return domain


def _target(spec: VmSpec, host: Host) -> Host:
    """Return *host* with what *spec* decides over it."""
    virttype = spec.virttype or host.virttype
    if virttype in {'lxc', 'xen'}:
        raise NotSupported(f'virttype: {virttype} guests are not made of disk images and firmware as kvirt makes them',
                           hint='Use kvm or qemu')
    arch = spec.arch or host.arch
    machine = machine_for(spec, arch) or (host.machine if arch == host.arch else None)
    return replace(host, virttype=virttype, arch=arch, machine=machine, emulator=spec.emulator or host.emulator)


def _uuid(text: str) -> str:
    try:
        return str(uuids.UUID(text))
    except ValueError:
        raise InvalidInput(f'uuid: {text!r} is not a UUID') from None


def _check_texts(spec: VmSpec) -> None:
    """Refuse what XML can't carry by the name of its keyword, before it is hidden in an element's."""
    for keyword in sorted(HONOURED | {'disks', 'nets'}):
        for text in _texts(msgspec.to_builtins(getattr(spec, keyword))):
            check_text(keyword, text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))


def _add_metadata(domain: Element, fields: Mapping[str, str] | None, journal: Element | None) -> None:
    if fields or journal is not None:
        block = add(domain, 'metadata')
        if fields:
            block.append(info_element(fields))
        if journal is not None:
            block.append(journal)


def _add_devices(domain: Element, spec: VmSpec, host: Host, drives: Sequence[Disk], cards: Sequence[Nic]) -> None:
    block = add(domain, 'devices')
    if host.emulator:
        add(block, 'emulator', check_path('emulator', host.emulator))
    drives = [with_bus(drive, host) for drive in drives]
    add_disks(block, drives, set())
    devices.add_controllers(block, host, {drive.bus or '' for drive in drives}, len(drives) + len(cards))
    devices.add_folders(block, spec, host)
    for card in cards:
        block.append(nic_element(card))
    devices.add_consoles(block, spec, host)
    devices.add_agent(block, spec)
    devices.add_display(block, spec, host)
    extras.add_extras(block, spec, host)
