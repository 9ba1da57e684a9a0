"""VMs, from birth to end.

Only an ISO image can't be named in the call that makes a VM: such a VM says who is still making it, is made stopped, and
gets the image before it is started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from hcloud import APIException
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.ssh_keys import SSHKey

from kvirt.base import unsupported, waits
from kvirt.errors import Conflict, InvalidInput, NotFound
from kvirt.providers.families import cloud, marks, rules
from kvirt.providers.families.births import CloudCreate, Draft
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.vms import CloudVms
from kvirt.providers.families.volumes import Volume
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.endpoints import Dns
from kvirt.providers.hcloud.shared import MOST, Shared
from kvirt.providers.hcloud.storage import Storage
from kvirt.shapes import NicShape
from kvirt.spec import VmSpec

_NO_HYPERVISOR = {key: why for key, why in cloud.NO_HYPERVISOR.items() if key != 'iso'}


class Needs(NamedTuple):
    """What a VM needs beside what all clouds have."""

    networks: list[Native]
    iso: Native | None
    placement: Native | None


class Vms(CloudCreate, Shared, Storage, Dns, CloudVms):
    """The VMs of a project."""

    honours = frozenset({'arch', 'ports', 'securitygroups', 'publicip', 'placement'})
    machine_names = (r'[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?', 'Use letters, digits, dashes and dots')
    user_data_limit = 32 * 1024
    refused = {**_NO_HYPERVISOR, 'diskthin': 'a volume is always whole', 'diskinterface': 'the platform chooses it'}
    whole_at_birth = False  # with an ISO
    login = 'root'

    # birth

    def check_spec(self, spec: VmSpec) -> None:
        """Raise InvalidInput for what can't be said of addresses, and of what guards them."""
        cloud.refuse_cards(spec, (), PLATFORM)
        if not spec.publicip and (spec.ports or spec.securitygroups):
            raise InvalidInput('firewalls stand before the public address only: ports and securitygroups want publicip')
        if len(spec.securitygroups) >= MOST:
            raise InvalidInput(f'a VM has at most {MOST} firewalls, and one is for its ports: give fewer securitygroups')

    def machine_exists(self, name: str) -> bool:
        found = self.conn.servers.get_by_name(name)
        return found is not None and found.name == name

    def needs_of(self, draft: Draft) -> Needs:
        placement, iso = draft.spec.placement, draft.spec.iso
        return Needs(networks=self._networks(draft.spec, draft.place), iso=self.iso(iso) if iso else None,
                     placement=self.get('placement group', self.conn.placement_groups, placement) if placement else None)

    def _networks(self, spec: VmSpec, place: str) -> list[Native]:
        """Return the private networks of a VM: each must be there where the VM will be."""
        given = [self.options.network if net.name == 'default' else net.name for net in spec.nets]
        names = [name for name in given if name is not None]
        if len(set(names)) < len(names):
            raise InvalidInput(f'a VM of {PLATFORM} can have one card on a network', hint='Name each network once')
        if not spec.publicip and not names:
            raise InvalidInput('without a public address, a VM needs a network', hint='Give nets, or publicip: true')
        known = [self.get('network', self.conn.networks, name) for name in names]
        zone = self.zones[place] if known else None
        for network in known:
            if zone not in [subnet.network_zone for subnet in network.subnets]:
                raise Conflict(f'network {network.name} has no subnet in {zone}, where {place} is',
                               hint='Make one: create subnet')
        return known

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        spec, needs, public = draft.spec, draft.needs, draft.spec.publicip
        # Firewalls stand before the public interface only; a VM without it can't have one.
        groups = [self.shared_group(rules.wanted(spec)), *draft.groups] if public else []
        keys = [SSHKey(name=key.name) for key in self.shared_keys(draft.guest.keys)]
        maker = {marks.MAKER: marks.maker(time.time())} if needs.iso else {}
        return mapping.machine(self.conn.servers.create(
            draft.name, ServerType(name=draft.flavor.name), Image(name=str(draft.image.id)), ssh_keys=keys,
            volumes=[volume.native for volume in volumes], firewalls=[group.native for group in groups],
            networks=needs.networks, user_data=draft.user_data, labels=marks.to_labels({**draft.fields, **maker}),
            location=Location(name=draft.place), start_after_create=spec.start and not needs.iso,
            automount=False if volumes else None, placement_group=needs.placement,
            public_net=None if public else ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)).server)

    def was_reaped(self, error: Exception) -> bool:
        return isinstance(error, APIException) and error.code in (
            'not_found', 'firewall_resource_not_found', 'invalid_input')

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        """Insert the ISO, which can't be named when a VM is made, and start it only then."""
        if not draft.needs.iso:
            return
        server = machine.native
        self.carry_out(f'inserting an ISO into VM {draft.name}', lambda: server.attach_iso(draft.needs.iso))
        if draft.spec.start:
            self.insist(server.power_on, f'starting VM {draft.name}')
        self.relabel(server, **{marks.MAKER: None})

    def marked(self, request: str | None = None) -> list[Machine]:
        selector = marks.MARK if request is None else f'{marks.MARK}={request}'
        return list(map(mapping.machine, self.conn.servers.get_all(label_selector=selector)))

    # what is known

    def machines(self) -> Iterator[Machine]:
        return (machine for machine in map(mapping.machine, self.conn.servers.get_all()) if self.is_seen(machine.place))

    def nics_of(self, machine: Machine) -> list[NicShape]:
        server = machine.native
        return mapping.cards(server, {each.id: each.name for each in self.conn.networks.get_all()}
                             if server.private_net else {})

    def more_of_vm(self, machine: Machine) -> dict[str, Any]:
        server = machine.native
        public, placement = server.public_net, server.placement_group
        names = {each.id: each.name for each in self.conn.firewalls.get_all()} if public.firewalls else {}
        groups = sorted(names.get(each.firewall.id, str(each.firewall.id)) for each in public.firewalls or ())
        return {'autostart': False, 'sublocation': server.location.network_zone, 'securitygroups': groups or None,
                'ipv6': mapping.first_of_ipv6(public.ipv6.ip) if public.ipv6 else None,
                'iso': server.iso.name if server.iso else None, 'placement': placement.name if placement else None}

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        server = self.server(name)
        if server.status != 'running':
            raise Conflict(f'VM {name} does not run', hint=f"Start it: 'kvirt start vm {name}'")
        answer = server.request_console()
        return {'url': answer.wss_url, 'password': answer.password}

    _serialconsole = unsupported('Hetzner Cloud has no serial console: use console, a display over a web socket')

    # life and changes

    def start_vm(self, machine: Machine) -> None:
        if machine.native_status != 'starting':
            machine.native.power_on()

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        (machine.native.shutdown if soft else machine.native.power_off)()

    def restart_vm(self, machine: Machine) -> None:
        machine.native.reboot()

    def halt_vm(self, machine: Machine) -> None:
        self.carry_out(f'stopping VM {machine.name}', machine.native.power_off)

    def rename_vm(self, machine: Machine, new: str) -> None:
        machine.native.update(name=new)

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        """Change the type. The disk stays as it is, so the way back is open."""
        kind = ServerType(name=flavor)
        self.carry_out(f'changing VM {machine.name}', lambda: machine.native.change_type(kind, upgrade_disk=False))

    @waits
    def _update_iso(self, name: str, iso: str | None) -> None:
        server = self.server(name)
        self.done(server.attach_iso(self.iso(iso)) if iso else server.detach_iso())

    # the end

    def need_deletable(self, machine: Machine) -> None:
        if machine.native.protection['delete']:
            raise Conflict(f'VM {machine.name} is protected from being deleted',
                           hint='The console takes the protection away')

    def drop_vm(self, machine: Machine) -> None:
        """Delete a server, and return when it is gone."""
        with suppress(NotFound):
            self.carry_out(f'deleting VM {machine.name}', machine.native.delete)
