"""VMs: what is known of them, their life, and changes to them."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

import libvirt

from kvirt.base import unsupported
from kvirt.base.vms import Rows
from kvirt.errors import Conflict, InvalidInput, NotFound
from kvirt.providers.kvm import domain, journals
from kvirt.providers.kvm.domain import Domain
from kvirt.providers.kvm.growth import Growth
from kvirt.providers.kvm.lookup import Counters, state_of
from kvirt.providers.kvm.mapping import NATIVE, status_of
from kvirt.providers.kvm.reservations import FIELD, renamed_text
from kvirt.providers.kvm.volumes import GIB
from kvirt.shapes import DiskShape, NicShape, Status, VmInfo, VmRow
from kvirt.undo import Undo

log = logging.getLogger(__name__)

_ROW_FIELDS = ('image', 'plan', 'profile', 'kube', 'kubetype')
_INFO_FIELDS = ('owner', 'user', 'domain', 'hostkey', 'userport', 'insecure', 'information', 'tags', 'dnsclient')
Lease = Mapping[str, Any]


class Vms(Growth):
    """The VMs of a libvirt host."""

    # what is known

    def _list(self) -> Rows:
        found = self.counted()
        stopped = libvirt.VIR_DOMAIN_SHUTOFF
        leases = self.leases() if any(counters['state.state'] != stopped for _, counters in found) else {}
        rows = [self._row(native, counters, text, leases)
                for (native, counters), text in zip(found, self.each(found, _description), strict=True) if text != '']
        return sorted(rows, key=lambda row: row['name'])

    def _row(self, native: libvirt.virDomain, counters: Counters, text: str | None,
             leases: Mapping[str, list[Lease]]) -> VmRow:
        row: VmRow = {'name': native.name(), 'status': _status(counters) if text else 'unknown',
                      'id': native.UUIDString(), 'ip': None, 'image': '', 'plan': '', 'profile': '', 'flavor': '',
                      'location': ''}
        if not text:
            return row
        view = domain.read(text)  # a domain's XML, or only its metadata
        row.update({key: view.info[key] for key in _ROW_FIELDS if key in view.info})  # type: ignore[typeddict-item]
        row['numcpus'] = counters.get('vcpu.current') or view.numcpus
        row['memory'] = counters.get('balloon.current', 0) // 1024 or view.memory
        if row['status'] in ('running', 'suspended'):
            row['ip'] = view.forward[0] if view.forward else _first_lease(view, leases) or view.info.get('ip')
        return row

    def leases(self) -> dict[str, list[Lease]]:
        """Return the DHCP leases of all networks by MAC address, the newest first."""
        found: dict[str, list[Lease]] = {}
        for leased in self.each(self.libvirt.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE), _leases):
            for lease in leased:
                found.setdefault(lease['mac'], []).append(lease)
        for leases in found.values():
            leases.sort(key=lambda lease: -lease['expirytime'])
        return found

    def _info(self, name: str) -> VmInfo:
        native = self.domain_of(name)
        state = state_of(native)
        text = native.XMLDesc(0)
        view = domain.read(text)
        leases = self.leases()
        found = cast(VmInfo, dict(self._row(native, state, text, leases)))
        found.update({key: view.info[key] for key in view.info if key not in ('creationdate', 'ip')})  # type: ignore
        if view.forward:
            found['userport'] = str(view.forward[1])  # type: ignore[typeddict-unknown-key] # a field of ours, as above
        if found['status'] == 'running' and not found['ip']:
            found['ip'] = self._asked(native, view)
        if 'creationdate' in view.info:
            found['creationdate'] = domain.iso_date(view.info['creationdate']) or view.info['creationdate']
        found['native_status'] = NATIVE.get(state['state.state'], str(state['state.state']))
        found['autostart'] = bool(native.autostart())
        found['nets'] = [self._nic_shape(nic, leases) for nic in view.nics]
        found['disks'] = [self._disk_shape(native, disk) for disk in view.disks
                          if disk.device == 'disk' and not disk.readonly]
        found['snapshots'] = self.snapshot_shapes(native)
        return found

    @staticmethod
    def _nic_shape(nic: domain.NicView, leases: Mapping[str, list[Lease]]) -> NicShape:
        shape: NicShape = {'device': nic.device or '', 'mac': nic.mac or '', 'net': nic.network or nic.bridge or '',
                           'type': nic.model or ''}
        if leases.get(nic.mac or ''):
            shape['ip'] = leases[nic.mac or ''][0]['ipaddr']
        return shape

    def _disk_shape(self, native: libvirt.virDomain, disk: domain.DiskView) -> DiskShape:
        shape: DiskShape = {'device': disk.target or '', 'format': disk.format or '', 'type': disk.bus or '',
                            'path': disk.path or f'{disk.pool}/{disk.volume}'}
        with contextlib.suppress(libvirt.libvirtError):  # the size of an odd disk is not known; the rest of the VM is
            # libvirt itself looks at no disk on a network: QEMU does while the VM runs, else its pool knows.
            volume = self.volume_of(disk) if (disk.ceph or disk.pool) and not native.isActive() else None
            capacity = volume.info()[1] if volume else native.blockInfo(disk.target or disk.path, 0)[0]
            shape['size'] = -(-capacity // GIB)
        return shape

    @staticmethod
    def _asked(native: libvirt.virDomain, view: Domain) -> str | None:
        """Return the address of a VM that has no lease: from its guest agent, else from the host's ARP table."""
        macs = [nic.mac for nic in view.nics]
        for source in (libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP):
            try:
                interfaces = native.interfaceAddresses(source, 0)
            except libvirt.libvirtError:
                continue  # no agent answers, or libvirt can't ask: the next source may know
            known = sorted((macs.index(facts['hwaddr']), address['addr']) for facts in interfaces.values()
                           if facts.get('hwaddr') in macs for address in facts.get('addrs') or []
                           if not ipaddress.ip_address(address['addr']).is_link_local)
            if known:
                return str(known[0][1])
        return None

    # life

    def _start(self, name: str) -> None:
        native = self.domain_of(name)
        state = native.state()[0]
        if state == libvirt.VIR_DOMAIN_PAUSED:
            native.resume()
        elif not native.isActive():
            native.create()

    def _stop(self, name: str, soft: bool = False) -> None:
        native = self.domain_of(name)
        if not native.isActive():
            return
        try:
            if soft:
                native.shutdown()
            else:
                native.destroy()
        except libvirt.libvirtError:
            if native.isActive():
                raise

    def _restart(self, name: str) -> None:
        native = self.domain_of(name)
        if not native.isActive():
            native.create()
            return
        native.reset(0) if self.driver == 'qemu' else native.reboot(0)

    def _rename(self, name: str, new: str) -> None:
        native = self.domain_of(name)
        self.refuse_existing(new)
        if native.isActive():
            raise Conflict(f'VM {name} is running', hint='Stop it first')
        if self._snapshots(native):
            raise Conflict(f'VM {name} has snapshots, and libvirt renames none that has', hint='Delete them first')
        view = self.persistent(native)
        reserved = view.info.get(FIELD)
        if reserved:
            self.refuse_reserved(view, new)
        if view.journal is None and view.info:
            self.write_journal(native, self.journal_of(view))  # the disks that kcli made are known by its old name
        with Undo().translating(self.translate) as undo:
            if reserved:  # under both names, so that a delete gives it back wherever this is ended
                undo.add('what is reserved', lambda: self._update_metadata(name, FIELD, reserved))
                self._update_metadata(name, FIELD, renamed_text(reserved, name, new))
            undo.add(f'the name {new}', lambda: self._named_back(new, name))
            native.rename(new, 0)
            if reserved:
                self.rename_reserved(view, name, new, undo)
                self._update_metadata(new, FIELD, renamed_text(reserved, new))
            named = view.nvram is not None and view.nvram.rpartition('/')[2].startswith(f'{name}_VARS.')
            if named:  # by a libvirt that tells so, and leaves them called as they are
                self.redefine(domain.with_fresh_variables(self.persistent_xml(self.domain_of(new))))
        if view.uefi and (named or view.nvram is None) and self.driver == 'qemu':
            self._drop_variables(name, view)

    def _named_back(self, new: str, name: str) -> None:
        native = self.lookup(new)
        if native is not None:
            native.rename(name, 0)

    def _drop_variables(self, name: str, view: Domain) -> None:
        """Remove the variables of UEFI that libvirt kept under the *name* that a VM had, lest another VM inherits them.

        libvirt makes new ones for the new name, and removes those of an old one only with a domain that bears it.
        """
        try:
            self.libvirt.defineXML(domain.stub(name, view)).undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        except libvirt.libvirtError as error:
            log.warning('the variables of UEFI that VM %s had are left behind: %s', name, error)

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        native = self._running(name)
        view = domain.read(native.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
        shown = next((graphics for graphics in view.graphics if graphics.port), None)
        if shown is None:
            raise NotFound(f'VM {name} has no display')
        listen = shown.listen if shown.listen not in (None, '', '0.0.0.0', '::') else '127.0.0.1'
        answer: dict[str, Any] = {'protocol': shown.type, 'host': listen, 'port': shown.port,
                                  'url': f'{shown.type}://{listen}:{shown.port}'}
        if shown.password:
            answer['password'] = shown.password
        if self.remote:
            answer['tunnel'] = tunnelhost or self.host
        return answer

    def _serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        self._running(name)
        return {'command': ['virsh', '--connect', self.dialled, 'console', '--safe', name]}

    def _running(self, name: str) -> libvirt.virDomain:
        native = self.domain_of(name)
        if not native.isActive():
            raise Conflict(f'VM {name} is stopped', hint=f"Start it: 'kvirt start vm {name}'")
        return native

    # changes

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        native = self.domain_of(name)
        have = self.persistent(native).info
        value = None if metavalue is None else str(metavalue)
        if append and value is not None and have.get(metatype):
            value = f'{have[metatype]},{value}'
        native.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domain.to_metadata(domain.info_element(
            {key: text for key, text in {**have, metatype: value}.items() if text is not None})),
            domain.INFO_PREFIX, domain.INFO_URI, self.affected(native))

    def _update_start(self, name: str, start: bool = True) -> None:
        self.domain_of(name).setAutostart(1 if start else 0)

    def _update_iso(self, name: str, iso: str | None) -> None:
        native = self.domain_of(name)
        path = self.iso_path(iso) if iso else None
        self.redefine(domain.with_iso(self.persistent_xml(native), path))
        if native.isActive():
            drive = next((disk for disk in domain.read(native.XMLDesc(0)).disks if disk.device == 'cdrom'), None)
            if drive is None:
                raise Conflict(f'VM {name} is running and has no CD drive', hint='It has one when it starts the next time')
            native.updateDeviceFlags(domain.to_text(domain.cdrom_element(drive, path)), libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _update_nic(self, name: str, index: int, network: str) -> None:
        native = self.domain_of(name)
        view = self.persistent(native)
        if not 0 <= index < len(view.nics):
            raise InvalidInput(f'VM {name} has no network card number {index}', hint=f'It has {len(view.nics)}')
        nic = view.nics[index]
        changed = domain.Nic(**self.network_or_bridge(network), mac=nic.mac or '', model=nic.model or 'virtio')
        native.updateDeviceFlags(domain.to_text(domain.nic_element(changed)), self.affected(native))

    def _remove_cloudinit(self, name: str) -> None:
        native = self.domain_of(name)
        view = self.persistent(native)
        journal = view.journal
        names = {volume for _, volume in journal.volumes} if journal else {f'{name}.ISO'}  # the one that kcli gives
        seed = next((disk for disk in view.disks if (disk.path or '').rpartition('/')[2] in names
                     and (disk.path or '').lower().endswith('.iso')), None)
        if seed is None:
            raise NotFound(f'VM {name} has no seed')
        self.detach(native, domain.view_element(seed), 'its seed',
                    lambda known: seed.target in [disk.target for disk in known.disks])
        if seed.path:
            volume = self.libvirt.storageVolLookupByPath(seed.path)
            pool = volume.storagePoolLookupByVolume().name()
            volume.delete(0)
            if journal:
                self.write_journal(native, journals.without(journal, pool, volume.name()))

    _update_flavor = unsupported('libvirt has no flavors; use update_cpus and update_memory')


def _status(counters: Counters) -> Status:
    return status_of(counters['state.state'], counters.get('state.reason'))


def _leases(network: libvirt.virNetwork) -> list[Lease]:
    """Return the leases of a network; none of one that has no DHCP, or is gone."""
    try:
        return list(network.DHCPLeases())
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_NETWORK):
            raise
        return []


def _description(each: tuple[libvirt.virDomain, Counters]) -> str | None:
    """Return the XML of a domain that runs, whose cards are looked up among leases; of another its metadata is enough.

    Return '' when it is gone, None when it can't be read.
    """
    native, counters = each
    stopped = counters['state.state'] == libvirt.VIR_DOMAIN_SHUTOFF
    try:
        if stopped and 'vcpu.current' in counters:
            return str(native.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domain.INFO_URI, 0))
        return str(native.XMLDesc(0))
    except libvirt.libvirtError as error:
        return {libvirt.VIR_ERR_NO_DOMAIN: '', libvirt.VIR_ERR_NO_DOMAIN_METADATA: '<info/>'}.get(error.get_error_code())


def _first_lease(view: Domain, leases: Mapping[str, list[Lease]]) -> str | None:
    """Return the address of the first card that has one, IPv4 before IPv6."""
    found: Iterable[str] = (lease['ipaddr'] for nic in view.nics for lease in leases.get(nic.mac or '', []))
    return next(iter(sorted(found, key=lambda address: ':' in address)), None)


