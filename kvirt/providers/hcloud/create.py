"""Making and removing VMs.

Only an ISO image can't be named in the call that makes a VM: such a VM says who is still making it, is made stopped, and
gets the image before it is started.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
from hcloud import APIException
from hcloud.images.domain import Image
from hcloud.locations.domain import Location
from hcloud.server_types.domain import ServerType
from hcloud.servers.domain import ServerCreatePublicNetwork
from hcloud.ssh_keys.domain import SSHKey

from kvirt.errors import Conflict, InvalidInput, NotFound, Problem
from kvirt.providers.families import cloud, marks, rules
from kvirt.providers.families.births import CloudCreate, Draft, Left
from kvirt.providers.families.groups import Group
from kvirt.providers.families.keys import Key
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.volumes import Volume
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.dns import Dns
from kvirt.providers.hcloud.firewalls import MOST, Firewalls
from kvirt.providers.hcloud.storage import Storage
from kvirt.shapes import Flavor
from kvirt.spec import NetSpec, VmSpec

_NO_HYPERVISOR = {key: why for key, why in cloud.NO_HYPERVISOR.items() if key != 'iso'}
_CARD = 'a card gets its addresses from the platform'


class Needs(NamedTuple):
    """What a VM needs beside what all clouds have."""

    networks: list[Native]
    iso: Native | None
    placement: Native | None


class Create(CloudCreate, Storage, Firewalls, Dns):
    """Create, delete, and what was left behind."""

    honours = frozenset({'arch', 'ports', 'securitygroups', 'publicip', 'placement'})
    platform = PLATFORM
    machine_names = (r'[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?', 'Use letters, digits, dashes and dots')
    user_data_limit = 32 * 1024
    refused = {**_NO_HYPERVISOR, 'ips': _CARD, 'netmasks': _CARD, 'gateway': _CARD, 'dns': _CARD,
               'diskthin': 'a volume is always whole', 'diskinterface': 'the platform chooses it'}
    whole_at_birth = False  # with an ISO

    def check_spec(self, spec: VmSpec) -> None:
        """Raise InvalidInput for what can't be said of cards, of addresses, and of what guards them."""
        problems = [Problem(f'{PLATFORM} can not honour {key} of card {index}', 'nets')
                    for index, net in enumerate(spec.nets) for key in msgspec.structs.asdict(net)
                    if key != 'name' and getattr(net, key) != getattr(NetSpec(), key)]
        if not spec.publicip and (spec.ports or spec.securitygroups):
            problems.append(Problem('firewalls stand before the public address only, and there is none', 'publicip'))
        if len(spec.securitygroups) >= MOST:
            problems.append(Problem(f'a VM has at most {MOST} firewalls, and one is for its ports', 'securitygroups'))
        if problems:
            raise InvalidInput(problems)

    def machine_exists(self, name: str) -> bool:
        found = self.conn.servers.get_by_name(name)
        return found is not None and found.name == name

    def birth_place(self, flavor: Flavor) -> str:
        return str(flavor.location)

    def find_image(self, name: str, arch: str | None) -> Native:
        return self.image(name, arch)

    def needs_of(self, draft: Draft) -> Needs:
        placement, iso = draft.spec.placement, draft.spec.iso
        return Needs(networks=self._networks(draft.spec, draft.flavor), iso=self.iso(iso) if iso else None,
                     placement=self.get('placement group', self.conn.placement_groups, placement) if placement else None)

    def _networks(self, spec: VmSpec, flavor: Flavor) -> list[Native]:
        """Return the private networks of a VM: each must be there where the flavor is."""
        given = [self.network if net.name == 'default' else net.name for net in spec.nets]
        names = [name for name in given if name is not None]
        if len(set(names)) < len(names):
            raise InvalidInput(f'a VM of {PLATFORM} can have one card on a network', hint='Name each network once')
        if not spec.publicip and not names:
            raise InvalidInput('without a public address, a VM needs a network', hint='Give nets, or publicip: true')
        known = [self.get('network', self.conn.networks, name) for name in names]
        zone = self.zones[str(flavor.location)] if known else None
        for network in known:
            if zone not in [subnet.network_zone for subnet in network.subnets]:
                raise Conflict(f'network {network.name} has no subnet in {zone}, where {flavor.location} is',
                               hint='Make one: create subnet')
        return known

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        try:
            return self._made_vm(draft, volumes)
        except APIException as error:
            # Who deletes the last VM of a kind reaps what it shared, which may be right now.
            if error.code not in ('not_found', 'firewall_resource_not_found', 'invalid_input'):
                raise
        return self._made_vm(draft, volumes)

    def _made_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        spec, needs, public = draft.spec, draft.needs, draft.spec.publicip
        # Firewalls stand before the public interface only; a VM without it can't have one.
        groups = [self.shared_group(rules.wanted(spec)), *draft.groups] if public else []
        keys = [SSHKey(name=key.name) for key in self.shared_keys(draft.guest.keys)]
        maker = {marks.MAKER: marks.maker(time.time())} if needs.iso else {}
        return self.machine_of(self.conn.servers.create(
            draft.name, ServerType(name=draft.flavor.name), Image(name=str(draft.image.id)), ssh_keys=keys,
            volumes=[volume.native for volume in volumes], firewalls=[group.native for group in groups],
            networks=needs.networks, user_data=draft.user_data, labels=marks.to_labels({**draft.fields, **maker}),
            location=Location(name=draft.place), start_after_create=spec.start and not needs.iso,
            automount=False if volumes else None, placement_group=needs.placement,
            public_net=None if public else ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)).server)

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        """Insert the ISO, which can't be named when a VM is made, and start it only then."""
        if not draft.needs.iso:
            return
        server = machine.native
        self.done(self.patiently(f'inserting an ISO into VM {draft.name}', lambda: server.attach_iso(draft.needs.iso)))
        if draft.spec.start:
            self.patiently(f'starting VM {draft.name}', server.power_on)
        self.relabel(server, **{marks.MAKER: None})

    def marked(self, request: str | None = None) -> list[Machine]:
        selector = marks.MARK if request is None else f'{marks.MARK}={request}'
        return [self.machine_of(server) for server in self.conn.servers.get_all(label_selector=selector)]

    # the end

    def copies_of(self, machine: Machine) -> list[Native]:
        return list(self.snapshots(machine.native).values())

    def drop_copy(self, copy: Native) -> None:
        self.gone(copy)

    def need_deletable(self, machine: Machine) -> None:
        if machine.native.protection['delete']:
            raise Conflict(f'VM {machine.name} is protected from being deleted',
                           hint='The console takes the protection away')

    def drop_vm(self, machine: Machine) -> None:
        """Delete a server, and return when it is gone."""
        with suppress(NotFound):
            self.done(self.patiently(f'deleting VM {machine.name}', machine.native.delete))

    def drop_left(self, left: Left) -> None:
        if isinstance(left.native, (Group, Key)):
            self.gone(left.native.native)
        else:
            super().drop_left(left)
