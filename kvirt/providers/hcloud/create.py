"""Making and removing VMs, all or nothing.

Everything is looked up first. What VMs share is ensured, the VM's own volumes are made with its mark, and the VM comes
last, complete, in one call. Only an ISO image can't be named in that call: such a VM says who is still making it, is
made stopped, and gets the image before it is started.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from hcloud import APIException
from hcloud.images.domain import Image
from hcloud.locations.domain import Location
from hcloud.server_types.domain import ServerType
from hcloud.servers.domain import ServerCreatePublicNetwork
from hcloud.ssh_keys.domain import SSHKey

from kvirt.base import waits
from kvirt.errors import Conflict, InvalidInput, NotFound, Problem
from kvirt.guest.guest import Guest
from kvirt.providers.families import cloud, marks
from kvirt.providers.families.rules import wanted
from kvirt.providers.families.shared import SHARED
from kvirt.providers.families.volumes import Volume
from kvirt.providers.hcloud.account import PLATFORM, Native
from kvirt.providers.hcloud.dns import Dns
from kvirt.providers.hcloud.firewalls import MOST, Firewalls
from kvirt.providers.hcloud.storage import Storage
from kvirt.shapes import Flavor, Orphan
from kvirt.spec import NetSpec, VmSpec

USER_DATA = 32 * 1024
"""The bytes that a guest can be told."""

_CARD = 'a card gets its addresses from the platform'
_REFUSED = {
    'autostart': cloud.NO_HYPERVISOR['autostart'], 'pool': cloud.NO_HYPERVISOR['pool'], 'ips': _CARD, 'netmasks': _CARD,
    'gateway': _CARD, 'dns': _CARD, 'diskthin': 'a volume is always whole', 'diskinterface': 'the platform chooses it'}
_NAME = r'[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?'


@dataclass(frozen=True)
class Draft:
    """A VM to be made, as it was looked up: what is there already, and the volumes that are to be made, by name."""

    name: str
    spec: VmSpec
    guest: Guest
    flavor: Flavor
    image: Native
    networks: list[Native]
    groups: list[Native]
    placement: Native
    iso: Native
    volumes: list[Volume]
    new_volumes: dict[str, int]
    user_data: str | None
    fields: dict[str, str]


class Create(Storage, Firewalls, Dns):
    """Create, delete, and what was left behind."""

    honours = frozenset({'arch', 'ports', 'securitygroups', 'publicip', 'placement'})

    @waits
    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        draft = self._drafted(name, spec, guest)
        request = marks.new_request()
        with self.undo() as undo:
            undo.add(f'VM {name}', lambda: self._unmake(request))
            new = self.make_volumes(draft.new_volumes, str(draft.flavor.location), request)
            volumes = [volume.native for volume in (*draft.volumes, *new)]
            server = self._make_server(draft, request, volumes)
            if draft.iso:
                self._insert(server, draft)
        return {'id': str(server.id)}

    def _drafted(self, name: str, spec: VmSpec, guest: Guest) -> Draft:
        """Look everything up that VM *name* needs. Raises all that forbids it."""
        check_name(name)
        cloud.refuse(spec, _REFUSED, PLATFORM)
        check_cards(spec)
        if spec.image is None:
            raise InvalidInput(f'a VM of {PLATFORM} needs an image, also when it boots from an ISO')
        user_data = cloud.check_user_data(guest.user_data(), USER_DATA, PLATFORM) if guest.kind else None
        fields = marks.fields_of(spec, guest)
        self.free('VM', self.conn.servers, name)
        flavor = self.flavor_for(spec)
        if flavor is None:
            raise NotFound(f'{PLATFORM} sells no flavors in {self.location}')
        volumes, new = self.planned(name, spec, flavor, str(flavor.location))
        get, conn = self.get, self.conn
        return Draft(name, spec, guest, flavor, self.image(spec.image, flavor.arch), self._networks(spec, flavor),
                     [get('security group', conn.firewalls, group) for group in spec.securitygroups],
                     get('placement group', conn.placement_groups, spec.placement) if spec.placement else None,
                     self.iso(spec.iso) if spec.iso else None, volumes, new, user_data, fields)

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

    def _make_server(self, draft: Draft, request: str, volumes: list[Native], again: bool = True) -> Native:
        spec, public = draft.spec, draft.spec.publicip
        rules = wanted(spec)
        maker = {marks.MAKER: marks.maker(time.time())} if draft.iso else {}
        try:
            # Firewalls stand before the public interface only; a VM without it can't have one.
            firewalls = [self.shared_group(rules).native, *draft.groups] if public else []
            keys = self.shared_keys(draft.guest.keys)
            return self.conn.servers.create(
                draft.name, ServerType(name=draft.flavor.name), Image(name=str(draft.image.id)),
                ssh_keys=[SSHKey(name=key.name) for key in keys], volumes=volumes, firewalls=firewalls,
                networks=draft.networks, user_data=draft.user_data,
                labels=marks.to_labels({marks.MARK: request, **draft.fields, **maker}),
                location=Location(name=draft.flavor.location), start_after_create=spec.start and not draft.iso,
                automount=False if volumes else None, placement_group=draft.placement,
                public_net=None if public else ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)).server
        except APIException as error:
            # Who deletes the last VM of a kind reaps what it shared, which may be right now.
            if not again or error.code not in ('not_found', 'firewall_resource_not_found', 'invalid_input'):
                raise
        return self._make_server(draft, request, volumes, again=False)

    def _insert(self, server: Native, draft: Draft) -> None:
        what = f'VM {draft.name}'
        self.done(self.patiently(f'inserting an ISO into {what}', lambda: server.attach_iso(draft.iso)))
        if draft.spec.start:
            self.patiently(f'starting {what}', server.power_on)
        self.relabel(server, **{marks.MAKER: None})

    def _unmake(self, request: str) -> None:
        """Remove what bears a request's mark, and what it alone shared."""
        ours = f'{marks.MARK}={request}'
        for server in self.conn.servers.get_all(label_selector=ours):
            self._remove(server)
        self.unmake_volumes(marks.MARK, request)
        self.reap()

    def _remove(self, server: Native) -> None:
        """Delete a server, and return when it is gone."""
        with suppress(NotFound):
            self.done(self.patiently(f'deleting VM {server.name}', server.delete))

    # delete

    @waits
    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        server = self.server(name)
        known = self.snapshots(server)
        if known and not snapshots:
            raise Conflict(f'VM {name} has snapshots', hint='Delete them first, or delete the VM with its snapshots')
        if server.protection['delete']:
            raise Conflict(f'VM {name} is protected from being deleted', hint='The console takes the protection away')
        machine = self.machine_of(server)
        attached = self.volumes_of(machine)
        ours = [volume for volume in attached if volume.fields.get(marks.MARK) == machine.mark]
        for image in known.values():
            self.gone(image)
        self.forget_records(marks.from_labels(server.labels or {}))
        self._remove(server)
        self.drop_volumes(ours)
        if marks.MARK in (server.labels or {}):
            self.reap()
        kept = [volume.name for volume in attached if volume not in ours]
        return {'kept': kept} if kept else None

    # what was left behind

    def _list_orphans(self) -> list[Orphan]:
        return [_orphan(kind, thing) for kind, thing in self._abandoned()]

    @waits
    def _delete_orphans(self) -> Mapping[str, Any] | None:
        orphans = self._abandoned()
        for kind, thing in orphans:
            (self._remove if kind == 'vm' else self.gone)(thing)
        return {'deleted': [_orphan(kind, thing) for kind, thing in orphans]}

    def _abandoned(self) -> list[tuple[str, Native]]:
        """Return what a process was making, or had made for a VM, that is gone without having finished."""
        servers = self.conn.servers.get_all(label_selector=marks.MARK)
        orphans = {server.id: server for server in servers if _unfinished(server)}
        owners = {self.machine_of(server).mark for server in servers if server.id not in orphans}
        volumes = [volume for volume in self.conn.volumes.get_all(label_selector=marks.MAKER)
                   if _unfinished(volume) and volume.labels.get(marks.MARK) not in owners
                   and (not volume.server or volume.server.id in orphans)]
        ids = {str(each) for each in orphans}
        shared = [('security group', group.native) for group in self.unused_groups(ids)]
        shared += [('key', key.native) for key in self.unused_keys(ids)]
        return [*(('vm', server) for server in orphans.values()), *(('disk', volume) for volume in volumes),
                *((kind, thing) for kind, thing in shared if _unfinished(thing))]


def _unfinished(thing: Native) -> bool:
    labels = marks.from_labels(thing.labels or {})
    return marks.MAKER in labels and marks.abandoned(labels[marks.MAKER], time.time())


def _orphan(kind: str, thing: Native) -> Orphan:
    mark = (thing.labels or {}).get(marks.MARK, '')
    made_for = 'VMs that are gone' if mark == SHARED else f'request {mark}, which was never finished'
    return {'kind': kind, 'name': str(thing.name), 'detail': f'made {marks.iso_date(thing.created)} for {made_for}'}


def check_name(name: str) -> str:
    """Return *name* if a VM can have it. InvalidInput."""
    return cloud.check_name('VM', name, _NAME, 'Use letters, digits, dashes and dots')


def check_cards(spec: VmSpec) -> None:
    """Raise InvalidInput for what the platform does not let us say of cards, of addresses, and of what guards them."""
    problems = [Problem(f'{PLATFORM} can not honour {key} of card {index}', 'nets') for index, net in enumerate(spec.nets)
                for key in msgspec.structs.asdict(net) if key != 'name'
                and getattr(net, key) != getattr(NetSpec(), key)]
    if not spec.publicip and (spec.ports or spec.securitygroups):
        problems.append(Problem('firewalls stand before the public address only, and there is none', 'publicip'))
    if len(spec.securitygroups) >= MOST:
        problems.append(Problem(f'a VM has at most {MOST} firewalls, and one is for its ports', 'securitygroups'))
    if problems:
        raise InvalidInput(problems)
