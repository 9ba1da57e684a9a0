"""``<vcpu>``, ``<cputune>``, ``<numatune>``, ``<cpu>`` and the memory elements of a domain.

https://libvirt.org/formatdomain.html#cpu-allocation, #cpu-tuning, #numa-node-tuning, #cpu-model-and-topology
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import msgspec

from kvirt.errors import InvalidInput, NotSupported
from kvirt.names import counted
from kvirt.providers.kvm.domain.element import add
from kvirt.providers.kvm.domain.host import X86, Host
from kvirt.spec import NumaCell, VmSpec

_RANGE = re.compile(r'(\d{1,4})(?:-(\d{1,4}))?')
_HOTPLUG_CPUS = 64
_HOTPLUG_SLOTS = 16
_HOTPLUG_MIB = 64 * 1024
_DEFAULT_CPUS = VmSpec().numcpus
_GROWING_CPUS = X86 | {'ppc64', 'ppc64le', 's390x'}
_GROWING_MEMORY = X86 | {'ppc64', 'ppc64le', 'aarch64'}
"""Architectures whose machines QEMU adds CPUs, or memory, to while they run."""

SHRINKING_CPUS = X86
"""Architectures that take CPUs away one by one."""

_NESTED = {'Intel': ('vmx',), 'AMD': ('svm',)}


class Vcpus(msgspec.Struct, frozen=True):
    """How many virtual CPUs there are, how many there may be, and how they are laid out (sockets, cores, threads)."""

    now: int
    most: int
    topology: tuple[int, int, int] | None = None


def vcpus(spec: VmSpec, host: Host) -> Vcpus:
    """Return the virtual CPUs that *spec* asks for. ``sockets`` and ``cores`` together decide over ``numcpus``.

    Raises InvalidInput when they do not go together or the machine type has no room for them.
    """
    for keyword, value in (('sockets', spec.sockets), ('cores', spec.cores)):
        if value is not None and value < 1:
            raise InvalidInput(f'{keyword} must be at least 1, not {value}')
    now, topology = spec.numcpus, None
    if spec.sockets or spec.cores or spec.threads > 1:
        now, topology = _topology(spec)
    if now > host.max_vcpus:
        raise InvalidInput(f'{now} CPUs are more than the {host.max_vcpus} that this machine type can have')
    if not spec.cpuhotplug:
        return Vcpus(now, now, topology)
    if host.arch not in _GROWING_CPUS:
        raise NotSupported(f'cpuhotplug: {host.arch} machines get no further CPUs while they run')
    most = max(now, min(_HOTPLUG_CPUS, host.max_vcpus))
    if topology:
        sockets, cores, threads = topology
        sockets = max(sockets, most // (cores * threads))
        topology, most = (sockets, cores, threads), sockets * cores * threads
    return Vcpus(now, most, topology)


def _topology(spec: VmSpec) -> tuple[int, tuple[int, int, int]]:
    """Return the number of CPUs and their layout, of which the keywords may leave a part to be computed."""
    if spec.sockets and spec.cores:
        count = spec.sockets * spec.cores * spec.threads
        if spec.numcpus not in (count, _DEFAULT_CPUS):
            raise InvalidInput(f'sockets, cores and threads make {counted(count, "CPU")}, but numcpus is {spec.numcpus}')
        return count, (spec.sockets, spec.cores, spec.threads)
    given = (spec.sockets or spec.cores or 1) * spec.threads
    computed, rest = divmod(spec.numcpus, given)
    if rest:
        raise InvalidInput(f'{spec.numcpus} CPUs can not be divided by {given}, as sockets, cores and threads ask')
    if spec.cores:
        return spec.numcpus, (computed, spec.cores, spec.threads)
    return spec.numcpus, (spec.sockets or 1, computed, spec.threads)


def cpu_set(keyword: str, text: str) -> list[int]:
    """Return the CPUs of a set such as ``0-3,5``; raise InvalidInput that names *keyword* when it is none."""
    found: list[int] = []
    for part in text.split(','):
        match = _RANGE.fullmatch(part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise InvalidInput(f'{keyword}: {text!r} is not a set of CPUs', hint='Write numbers and ranges: 0-3,5')
        found.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def add_memory(domain: Element, spec: VmSpec, host: Host) -> None:
    """Add the memory, the ceiling up to which it can grow while running, and what it lies in."""
    if spec.memoryhotplug:
        if host.arch not in _GROWING_MEMORY:
            raise NotSupported(f'memoryhotplug: {host.arch} machines get no further memory while they run')
        # A higher ceiling costs: page tables on some architectures, and QEMU refuses what the CPU could not address.
        add(domain, 'maxMemory', max(_HOTPLUG_MIB, 4 * spec.memory), slots=_HOTPLUG_SLOTS, unit='MiB')
    add(domain, 'memory', spec.memory, unit='MiB')
    add(domain, 'currentMemory', spec.memory, unit='MiB')
    shared = spec.sharedfolders and host.folders == 'virtiofs'  # its server on the host writes into the guest's memory
    if shared or spec.hugepages is not None:
        backing = add(domain, 'memoryBacking')
        if spec.hugepages is not None:
            _add_pages(backing, spec.hugepages, host)
        if shared:
            add(backing, 'source', type='memfd')
            add(backing, 'access', mode='shared')


def _add_pages(backing: Element, size: int, host: Host) -> None:
    huge = sorted(host.pages)[1:]  # the smallest is the usual one
    if size not in (0, *huge):
        told = ', '.join(f'{page // 1024}M' for page in huge) or 'none'
        raise NotSupported(f'hugepages: the hypervisor has no pages of {size} KiB', hint=f'It has {told}')
    element = add(backing, 'hugepages')
    if size:
        add(element, 'page', size=size, unit='KiB')


def add_vcpus(domain: Element, spec: VmSpec, host: Host, cpus: Vcpus) -> None:
    """Add the number of CPUs, what they are pinned to, and where memory comes from."""
    add(domain, 'vcpu', cpus.most, placement='static', current=cpus.now if cpus.most > cpus.now else None)
    if spec.cpuhotplug and host.arch in SHRINKING_CPUS:
        domain.append(removable(cpus.now))
    if spec.cpupinning:
        tune = add(domain, 'cputune')
        for cpu, hosts in sorted(_pins(spec, cpus.now).items()):
            add(tune, 'vcpupin', vcpu=cpu, cpuset=hosts)
    if spec.numamode:
        # Interleaving means all nodes; the other modes need one to keep to.
        every = spec.numamode == 'interleave' and host.nodes > 1
        add(add(domain, 'numatune'), 'memory', mode=spec.numamode, nodeset=f'0-{host.nodes - 1}' if every else '0')


def removable(count: int) -> Element:
    """Return the description of *count* CPUs that can be taken away while the VM runs: all but the first, without which
    nothing boots. Those that libvirt is not told of are for as long as the VM runs.
    """
    vcpus = Element('vcpus')
    for number in range(count):
        add(vcpus, 'vcpu', id=number, enabled='yes', hotpluggable='yes' if number else 'no')
    return vcpus


def _pins(spec: VmSpec, count: int) -> dict[int, str]:
    pins: dict[int, str] = {}
    for pin in spec.cpupinning:
        hosts = ','.join(map(str, cpu_set('cpupinning', pin.hostcpus)))
        for cpu in cpu_set('cpupinning', pin.vcpus):
            if cpu >= count:
                raise InvalidInput(f'cpupinning: there is no virtual CPU {cpu}, the VM has {count} (from 0)')
            if pins.setdefault(cpu, hosts) != hosts:
                raise InvalidInput(f'cpupinning: virtual CPU {cpu} is pinned twice')
    return pins


def add_cpu(domain: Element, spec: VmSpec, host: Host, cpus: Vcpus) -> None:
    """Add the model of the CPU, its layout, its features, and the NUMA nodes of the guest."""
    cpu = Element('cpu')
    mode = _mode(spec, host)
    if mode == 'custom':
        cpu.attrib.update(mode=mode, match='exact')
        add(cpu, 'model', spec.cpumodel, fallback='forbid')
    elif mode:
        cpu.set('mode', mode)
    if cpus.topology:
        sockets, cores, threads = cpus.topology
        add(cpu, 'topology', sockets=sockets, cores=cores, threads=threads)
    features = _features(spec, host)
    if mode:
        for name, policy in features.items():
            add(cpu, 'feature', policy=policy, name=name)
    elif spec.cpuflags:
        raise NotSupported(f'cpuflags: {host.virttype} domains have no CPU features to choose from')
    _add_numa(cpu, spec, cpus)
    if len(cpu) or cpu.attrib:
        domain.append(cpu)


def _mode(spec: VmSpec, host: Host) -> str | None:
    """Return the mode of the CPU model, None to leave it to libvirt."""
    if spec.cpumodel not in ('host-model', 'host-passthrough'):
        return 'custom'
    # Emulation has no host CPU to pass on: libvirt's host-model is then its guess of what QEMU emulates, and QEMU's own
    # default lacks instructions that present distributions are compiled for (x86-64-v2). "maximum" is all it can do.
    wanted = (spec.cpumodel, 'host-passthrough', 'maximum') if host.virttype in {'kvm', 'hvf'} else ('maximum',)
    return next((mode for mode in wanted if mode in host.cpu_modes), None)


def _features(spec: VmSpec, host: Host) -> dict[str, str]:
    features: dict[str, str] = {}
    if host.x86 and not spec.nested:
        features = dict.fromkeys(_NESTED.get(host.cpu_vendor or '', ('vmx', 'svm')), 'disable')
    elif host.x86 and host.virttype == 'kvm':
        # Optional: on by default must not keep a VM from starting where the host's kernel has nesting off.
        features = dict.fromkeys(_NESTED.get(host.cpu_vendor or '', ()), 'optional')
    return features | {flag.name: flag.policy for flag in spec.cpuflags}


def _add_numa(cpu: Element, spec: VmSpec, cpus: Vcpus) -> None:
    if spec.numa:
        total = sum(cell.memory for cell in spec.numa)
        if total != spec.memory:
            raise InvalidInput(f'the cells of numa have {total} MiB together, but memory is {spec.memory} MiB')
        numa = add(cpu, 'numa')
        for cell in spec.numa:
            if any(number >= cpus.most for number in cpu_set('numa', cell.vcpus)):
                raise InvalidInput(f'numa: cell {cell.id} names CPUs {cell.vcpus}, but the VM has {cpus.now} (from 0)')
            node = add(numa, 'cell', id=cell.id, cpus=cell.vcpus.replace(' ', ''), memory=cell.memory, unit='MiB')
            _add_distances(node, cell, spec)
    elif spec.memoryhotplug:  # memory is plugged into a node, so there must be one
        add(add(cpu, 'numa'), 'cell', id=0, cpus=f'0-{cpus.most - 1}' if cpus.most > 1 else '0',
            memory=spec.memory, unit='MiB')


def _add_distances(node: Element, cell: NumaCell, spec: VmSpec) -> None:
    if cell.siblings:
        distances = add(node, 'distances')
        for sibling in cell.siblings:
            if sibling.id not in [other.id for other in spec.numa]:
                raise InvalidInput(f'numa: cell {cell.id} has a sibling {sibling.id}, and there is no such cell')
            add(distances, 'sibling', id=sibling.id, value=sibling.value)
