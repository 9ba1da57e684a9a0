"""From libvirt's text of a domain, whoever wrote it, to what list, info, delete and update need to know.

Nothing here raises: a domain that is odd has fields that are empty. Memory is MiB.
"""

from __future__ import annotations

import itertools
from xml.etree.ElementTree import Element, ParseError

from msgspec import Struct, field

from kvirt.providers.kvm.domain.element import local, parse
from kvirt.providers.kvm.domain.journal import Journal, read_journal
from kvirt.providers.kvm.domain.metadata import fields_of, read_info
from kvirt.providers.kvm.domain.nics import FORWARDED

_UNITS = {'b': 1, 'bytes': 1, 'kb': 10**3, 'k': 2**10, 'kib': 2**10, 'mb': 10**6, 'm': 2**20, 'mib': 2**20,
          'gb': 10**9, 'g': 2**30, 'gib': 2**30, 'tb': 10**12, 't': 2**40, 'tib': 2**40}


class DiskView(Struct, frozen=True):
    """A disk or CD drive: ``path``, or ``pool`` and ``volume``; none of them when the drive is empty.

    The ``path`` of a disk on Ceph, ``pool/volume``, is what it is called there, on one of ``hosts``; of what else comes
    over a network nothing is known.
    """

    target: str
    bus: str
    device: str
    path: str | None
    pool: str | None
    volume: str | None
    format: str
    readonly: bool
    serial: str | None
    shared: bool = False
    ceph: bool = False
    hosts: frozenset[str] = frozenset()


class NicView(Struct, frozen=True):
    """A network card, on a libvirt ``network``, a ``bridge`` of the host, or neither (``type`` direct, user, ...).

    ``device`` is its name among the VM's cards (eth0 is the first); ``target`` its device on the host, while the VM
    runs; ``forward`` an address and port of the host that lead to the guest's ssh.
    """

    device: str
    target: str
    mac: str
    type: str
    network: str | None
    bridge: str | None
    model: str
    forward: tuple[str, int] | None = None


class GraphicsView(Struct, frozen=True):
    """A display. ``port`` is None while the VM does not run; ``password`` is there only in secure XML."""

    type: str
    port: int | None
    listen: str
    password: str | None


class Domain(Struct, frozen=True):
    """A domain as its XML tells it. ``memory`` and ``max_memory`` are MiB."""

    name: str = ''
    uuid: str = ''
    virttype: str = ''
    arch: str = ''
    machine: str = ''
    emulator: str = ''
    numcpus: int = 0
    max_cpus: int = 0
    memory: int = 0
    max_memory: int = 0
    uefi: bool = False
    nvram: str | None = None
    nvram_format: str | None = None
    kernel: str | None = None
    agent: bool = False
    serial: str | None = None
    disks: tuple[DiskView, ...] = ()
    nics: tuple[NicView, ...] = ()
    graphics: tuple[GraphicsView, ...] = ()
    info: dict[str, str] = field(default_factory=dict)
    journal: Journal | None = None

    @property
    def forward(self) -> tuple[str, int] | None:
        """The address and port of the host that lead to the guest's ssh, None when it is reached as others are."""
        return next((nic.forward for nic in self.nics if nic.forward), None)

    @property
    def seed_pool(self) -> str | None:
        """The pool of the seed image that was made for the VM, None when there is none."""
        volumes = self.journal.volumes if self.journal else ()
        return next((pool for pool, name in volumes if name.endswith('.iso')), None)


def read(xml: str) -> Domain:
    """Return what *xml* says of its domain; an empty Domain when it is no XML."""
    try:
        root = parse(xml)
    except (ParseError, ValueError):
        return Domain()
    if local(root.tag) == 'info':  # the metadata alone, as libvirt gives it apart from the rest
        return Domain(info=fields_of(root))
    vcpu, system = root.find('vcpu'), root.find('os')
    most = _number(vcpu.text) if vcpu is not None else 0
    memory = mebibytes(root.find('memory'))
    domain_type = system.find('type') if system is not None else None
    nvram = _nvram(system)
    devices: dict[str, list[Element]] = {}
    for child in root.iterfind('devices/*'):
        devices.setdefault(child.tag, []).append(child)
    return Domain(
        name=root.findtext('name') or '',
        uuid=root.findtext('uuid') or '',
        virttype=root.get('type', ''),
        arch=domain_type.get('arch', '') if domain_type is not None else '',
        machine=domain_type.get('machine', '') if domain_type is not None else '',
        emulator=root.findtext('devices/emulator') or '',
        numcpus=(_number(vcpu.get('current')) if vcpu is not None else 0) or most,
        max_cpus=most,
        memory=mebibytes(root.find('currentMemory')) or memory,
        max_memory=mebibytes(root.find('maxMemory')) or memory,
        uefi=_uefi(system, nvram),
        nvram=nvram,
        nvram_format=nvram and _format_of_nvram(system),
        kernel=system.findtext('kernel') if system is not None else None,
        agent=any(_name_of_target(channel) == 'org.qemu.guest_agent.0' for channel in devices.get('channel', ())),
        serial=_serial(devices),
        disks=tuple(map(_disk, devices.get('disk', ()))),
        nics=tuple(map(_nic, itertools.count(), devices.get('interface', ()))),
        graphics=tuple(map(_graphics, devices.get('graphics', ()))),
        info=read_info(root),
        journal=read_journal(root))


def mebibytes(element: Element | None) -> int:
    """Return an amount of memory in MiB; 0 when *element* is absent or can't be read. libvirt's own unit is KiB."""
    if element is None:
        return 0
    return _number(element.text) * _UNITS.get(element.get('unit', 'KiB').lower(), 0) // 2**20


def _number(text: str | None) -> int:
    text = (text or '').strip()
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _nvram(system: Element | None) -> str | None:
    element = system.find('nvram') if system is not None else None
    if element is None:
        return None
    source = element.find('source')
    return (source.get('file') if source is not None else (element.text or '').strip()) or None


def _format_of_nvram(system: Element | None) -> str | None:
    element = system.find('nvram') if system is not None else None
    return element.get('format', 'raw') if element is not None else None


def _uefi(system: Element | None, nvram: str | None) -> bool:
    if system is None:
        return False
    loader = system.find('loader')
    return system.get('firmware') == 'efi' or nvram is not None or (loader is not None and loader.get('type') == 'pflash')


def _name_of_target(element: Element) -> str | None:
    target = element.find('target')
    return target.get('name') if target is not None else None


def _serial(devices: dict[str, list[Element]]) -> str | None:
    """Return the path of the first terminal that stands for a serial port or console."""
    for element in (*devices.get('serial', ()), *devices.get('console', ())):
        source = element.find('source')
        path: str | None = source.get('path') if source is not None else None
        if element.get('type') == 'pty' and path:
            return path
    return None


def _disk(element: Element) -> DiskView:
    source, target, driver = element.find('source'), element.find('target'), element.find('driver')
    origin = source.attrib if source is not None else {}
    ceph = origin.get('protocol') == 'rbd'
    return DiskView(
        target=target.get('dev', '') if target is not None else '',
        bus=target.get('bus', '') if target is not None else '',
        device=element.get('device', 'disk'),
        path=origin.get('file') or origin.get('dev') or origin.get('dir') or (origin.get('name') if ceph else None),
        pool=origin.get('pool'),
        volume=origin.get('volume'),
        format=driver.get('type', '') if driver is not None else '',
        readonly=element.find('readonly') is not None,
        serial=element.findtext('serial'),
        shared=element.find('shareable') is not None,
        ceph=ceph,
        hosts=hosts_of(source) if ceph else frozenset())


def hosts_of(source: Element | None) -> frozenset[str]:
    """Return the servers of a ``<source>``, be it a disk's or a pool's."""
    found = source.iterfind('host') if source is not None else ()
    return frozenset(f"{host.get('name', '')}:{host.get('port', '')}" for host in found)


def _nic(index: int, element: Element) -> NicView:
    source, target = element.find('source'), element.find('target')
    mac, model = element.find('mac'), element.find('model')
    kind = element.get('type', '')
    origin = source.attrib if source is not None else {}
    network = origin.get('network')  # also where the network is a bridge or a device of the host, and so the card's type
    return NicView(
        device=f'eth{index}',
        target=target.get('dev', '') if target is not None else '',
        mac=mac.get('address', '').lower() if mac is not None else '',
        type=kind,
        network=network,
        bridge=origin.get('bridge') if kind == 'bridge' and network is None else None,
        model=model.get('type', '') if model is not None else '',
        forward=_forward(element))


def _forward(element: Element) -> tuple[str, int] | None:
    for forward in element.iterfind('portForward[@address]'):
        ports = forward.find(f"range[@start='{FORWARDED}']")
        if ports is not None and forward.get('address', '').startswith('127.'):
            return forward.get('address', ''), FORWARDED
    return None


def _graphics(element: Element) -> GraphicsView:
    port, listen = element.get('port', ''), element.find('listen')
    address = listen.get('address') if listen is not None else None
    return GraphicsView(type=element.get('type', ''), port=_number(port) or None,
                        listen=element.get('listen') or address or '', password=element.get('passwd'))
