"""The libvirt host: what it is, what it can run, and what was left behind on it."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Sequence
from typing import Any

import libvirt

from kvirt.base import unsupported
from kvirt.errors import NotFound, NotSupported
from kvirt.providers.kvm import domain, journals, leases
from kvirt.providers.kvm.lookup import Counters, still_there
from kvirt.providers.kvm.probe import Probe
from kvirt.shapes import Orphan
from kvirt.spec import VmSpec

log = logging.getLogger(__name__)

class Host(Probe):
    """A libvirt host."""

    @functools.cached_property
    def _facts_lock(self) -> threading.Lock:
        return threading.Lock()

    def host_uuid(self) -> str:
        """Return what tells this host from others."""
        return self.capabilities_xml.findtext('host/uuid') or self.uri

    def host_for(self, spec: VmSpec) -> domain.Host:
        """Return what the host offers to a VM like *spec*. NotSupported for what it can't run."""
        arch = spec.arch or (self.arch if self.driver != 'test' else 'i686')
        virttype = spec.virttype or self.best_virttype(arch)
        machine = domain.machine_for(spec, arch)
        if self.driver == 'test':
            return domain.Host(arch='i686', virttype='test')
        text = self._domain_capabilities(spec.emulator, arch, machine, virttype)
        nodes = len(self.capabilities_xml.findall('host/topology/cells/cell')) or 1
        pages = frozenset(int(page.get('size', '0')) for page in self.capabilities_xml.iterfind('host/cpu/pages'))
        return domain.read_host(text, nodes, pages)

    def need_devices(self, addresses: Sequence[str]) -> None:
        """Raise NotFound for a PCI device that the host does not have."""
        if not addresses:
            return
        found = self.libvirt.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV)
        names = {device.name() for device in found}
        for address in addresses:
            if 'pci_' + address.replace(':', '_').replace('.', '_') not in names:
                raise NotFound(f'{self.uri} has no PCI device {address}', hint='Run lspci -D there to see what it has')

    def host_of(self, view: domain.Domain) -> domain.Host:
        """Return what the host offers to a VM that exists."""
        if self.driver == 'test':
            return domain.Host(arch='i686', virttype='test')
        return domain.read_host(self._domain_capabilities(view.emulator or None, view.arch or self.arch,
                                                          view.machine or None, view.virttype or 'qemu'))

    def _domain_capabilities(self, emulator: str | None, arch: str, machine: str | None, virttype: str) -> str:
        key = (emulator, arch, machine, virttype)
        with self._facts_lock:
            known: dict[Any, str] = self.__dict__.setdefault('_known_capabilities', {})
            if key not in known:
                try:
                    known[key] = self.libvirt.getDomainCapabilities(emulator, arch, machine, virttype, 0)
                except libvirt.libvirtError as error:
                    raise NotSupported(f'{self.uri} can not run a {virttype} VM for {arch}'
                                       f'{f" on machine {machine}" if machine else ""}: '
                                       f'{(error.get_error_message() or "").strip()}') from None
            return known[key]

    def best_virttype(self, arch: str) -> str:
        """Return the kind of virtualization to use: the hardware's where it works, else emulation, which is said."""
        if self.driver == 'test':
            return 'test'
        kinds = {kind.get('type') for guest in self.capabilities_xml.iterfind('guest/arch')
                 if guest.get('name') == arch for kind in guest.iterfind('domain')}
        if not kinds:
            raise NotSupported(f'{self.uri} can not run VMs for {arch}')
        if 'kvm' not in kinds:
            self._say_once(f'{self.uri} has no KVM for {arch}: VMs are emulated (virttype qemu), which is slow')
            return 'qemu'
        with self._facts_lock:
            works = self.kvm_works(arch)
        if not works:
            self._say_once(f'{self.uri} has KVM, but it fails to run a guest: VMs are emulated (virttype qemu), slowly')
        return 'kvm' if works else 'qemu'

    def _say_once(self, warning: str) -> None:
        said: set[str] = self.__dict__.setdefault('_said', set())
        if warning not in said:
            said.add(warning)
            log.warning('%s', warning)

    def release_leases(self, view: domain.Domain) -> None:
        """Give back the DHCP leases of a VM that is being deleted, where that can be done."""
        if self.remote or self.driver == 'test':
            return
        macs = {nic.mac for nic in view.nics if nic.mac}
        for name in {nic.network for nic in view.nics if nic.network}:
            try:
                network = self.libvirt.networkLookupByName(name)
                if network.isActive():
                    leases.release(network, macs)
            except libvirt.libvirtError as error:
                log.debug('leases on %s were not released: %s', name, error)

    # the area

    def _info_host(self) -> dict[str, Any]:
        model, memory, cpus, *_ = self.libvirt.getInfo()
        with contextlib.suppress(libvirt.libvirtError):  # getInfo leaves out memory that was plugged in later
            memory = self.libvirt.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)['total'] // 1024
        has = [(_running(counters), *_size(native, counters)) for native, counters in self.counted()]
        taken = sum(size for runs, _, size in has if runs)
        facts: dict[str, Any] = {
            'connection': self.uri, 'hostname': self.libvirt.getHostname(), 'arch': model, 'cpus_total': cpus,
            'cpus_used': sum(number for _, number, _ in has), 'memory_total': memory,
            'memory_used': sum(size for _, _, size in has), 'memory_free': max(0, memory - taken), 'vms': len(has),
            'vms_running': sum(runs for runs, _, _ in has), 'hypervisor': self.libvirt.getType(),
            'libvirt_version': _version(self.libvirt.getLibVersion()),
            'hypervisor_version': _version(self.libvirt.getVersion()),
            'pools': [{'name': name, 'capacity': known['capacity'], 'available': known['available']}
                      for name in sorted(pool.name() for pool in self.pools()) if (known := self._info_pool(name))]}
        return facts

    def _list_orphans(self) -> list[Orphan]:
        return [Orphan(kind='vm', name=view.name,
                       detail=f"begun {view.journal.since} and never finished; owns "
                              f"{', '.join(name for _, name in view.journal.volumes) or 'no volume'}")
                for view in sorted(self.domains_read(), key=lambda view: view.name)
                if view.journal and journals.abandoned(view.journal)]

    def _delete_orphans(self) -> dict[str, Any]:
        deleted = []
        for orphan in self._list_orphans():
            native = self.lookup(orphan['name'])
            if native is not None:
                self.remove(native.UUIDString())
            deleted.append(orphan)
        return {'deleted': deleted}

    _list_locations = unsupported('libvirt is one host; it has no locations')
    _list_quotas = unsupported('libvirt has no quotas')
    _list_flavors = unsupported('libvirt has no flavors; any number of CPUs and any memory can be had')
    _info_flavor = unsupported('libvirt has no flavors')
    _list_keys = unsupported('libvirt keeps no ssh keys; they go to each guest')
    _create_key = unsupported('libvirt keeps no ssh keys')
    _delete_key = unsupported('libvirt keeps no ssh keys')


def _running(counters: Counters) -> bool:
    return counters['state.state'] not in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)


def _size(native: libvirt.virDomain, counters: Counters) -> tuple[int, int]:
    """Return the CPUs and the MiB of a domain; (0, 0) when it is gone."""
    if 'vcpu.current' in counters and 'balloon.current' in counters:
        return counters['vcpu.current'], counters['balloon.current'] // 1024
    return next(still_there([native], lambda native: (native.info()[3], native.info()[2] // 1024)), (0, 0))


def _version(number: int) -> str:
    return f'{number // 1000000}.{number // 1000 % 1000}.{number % 1000}'
