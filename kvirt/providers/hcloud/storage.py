"""Disks: volumes of the block storage, beside the root disk that comes with a flavor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hcloud.locations.domain import Location

from kvirt.base import unsupported, waits
from kvirt.errors import Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.families import cloud, marks
from kvirt.providers.hcloud.account import Native
from kvirt.providers.hcloud.images import Images
from kvirt.shapes import DiskRow

SMALLEST = 10
"""GiB of the smallest volume."""

ROOT = 'sda'
_NO_POOLS = 'Hetzner Cloud has no storage pools: volumes are in the block storage of their location'
_NO_CLONE = 'volumes of Hetzner Cloud are empty: only a root disk is made of an image'


class Storage(Images):
    """The volumes of a project."""

    @waits
    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        check_disk(size, pool, image)
        volume = self._made_volume(name, size, 'volume', location=Location(name=self.usual_place))
        return {'path': volume.linux_device}

    @waits
    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        server = self.server(name)
        cloud.check_settings('a volume', overrides, ['diskname'])
        if shareable:
            raise NotSupported('a volume of Hetzner Cloud can only be at one VM')
        if existing:
            volume = self.free_volume(existing, server.location.name)
            self.done(self.patiently(f'attaching volume {existing}', lambda: volume.attach(server)))
            return {'device': volume.name, 'path': volume.linux_device}
        check_disk(size, pool, image)
        # It bears the mark of the VM, and so goes with it.
        volume = self._made_volume(overrides.get('diskname') or self._fresh_name(server), size, self.mark_of(server),
                                   server=server)
        return {'device': volume.name, 'path': volume.linux_device}

    def _made_volume(self, name: str, size: int, mark: str, **where: Native) -> Native:
        """Make a volume, or none."""
        self.free('volume', self.conn.volumes, name)
        request = marks.new_request()
        with self.undo() as undo:
            undo.add(f'volume {name}', lambda: self.remove_volumes(f'request={request}'))
            made = self.patiently(f'making volume {name}', lambda: self.conn.volumes.create(
                size, name, {marks.MARK: mark, 'request': request}, **where))
            self.done(made.action, *made.next_actions)
        return made.volume

    def _fresh_name(self, server: Native) -> str:
        taken = {volume.name for volume in self.conn.volumes.get_all()}
        number = len(server.volumes or ()) + 1
        while f'{server.name}-{number}' in taken:
            number += 1
        return f'{server.name}-{number}'

    @waits
    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        if name is None:
            self.free_volume(diskname).delete()
            return
        volume = self.volume_of(self.server(name), diskname)
        self.done(self.patiently(f'detaching {diskname}', volume.detach))
        self.gone(volume)

    @waits
    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        volumes = self.volumes_of(self.server(name))
        for volume in volumes:
            self.done(self.patiently(f'detaching volume {volume.name}', volume.detach))
            self.relabel(volume, **{marks.MARK: 'volume', marks.MAKER: None})  # so that it stays when the VM goes
        return {'disks': [volume.linux_device for volume in volumes]}

    @waits
    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        volume = self.volume_of(self.server(name), diskname)
        if size < volume.size:
            raise InvalidInput(f'disk {diskname} of VM {name} has {volume.size} GiB and can not be made smaller')
        if size > volume.size:
            self.done(volume.resize(size))

    def _list_disks(self) -> dict[str, DiskRow]:
        volumes = sorted(self.conn.volumes.get_all(), key=lambda volume: str(volume.name))
        names = self.server_names() if any(volume.server for volume in volumes) else {}
        return {volume.name: {'path': volume.linux_device, 'size': int(volume.size),
                              'vms': [names.get(volume.server.id, str(volume.server.id))] if volume.server else []}
                for volume in volumes if self.place in (None, volume.location.name)}

    # for VMs

    def volumes_of(self, server: Native) -> list[Native]:
        """Return the volumes that a VM has, oldest first."""
        ids = {volume.id for volume in server.volumes or ()}
        return sorted((volume for volume in self.conn.volumes.get_all() if volume.id in ids),
                      key=lambda volume: volume.id) if ids else []

    def volume_of(self, server: Native, disk: str) -> Native:
        """Return a volume of a VM by device, name or id. NotFound; NotSupported for the root disk."""
        if disk == ROOT:
            raise NotSupported(f'the root disk of VM {server.name} is of its flavor', hint='Change the flavor instead')
        volumes = self.volumes_of(server)
        for volume in volumes:
            if disk in (volume.linux_device, volume.name, str(volume.id)):
                return volume
        raise NotFound(f'VM {server.name} has no disk {disk}{did_you_mean(disk, [volume.name for volume in volumes])}')

    def free_volume(self, name: str, place: str | None = None) -> Native:
        """Return a volume that no VM has, at *place*. NotFound; Conflict names the VM that has it."""
        volume = self.get('volume', self.conn.volumes, name)
        if volume.server:
            raise Conflict(f'volume {name} is a disk of {self.server_names().get(volume.server.id, volume.server.id)}',
                           hint='Detach it first')
        if place not in (None, volume.location.name):
            raise Conflict(f'volume {name} is in {volume.location.name}, and the VM in {place}')
        return volume

    def remove_volumes(self, selector: str) -> None:
        """Delete the volumes whose labels *selector* chooses; those that a VM still has are taken from it."""
        for volume in self.conn.volumes.get_all(label_selector=selector):
            if volume.server:
                self.done(self.patiently(f'detaching volume {volume.name}', volume.detach))
            self.gone(volume)

    _create_pool = unsupported(_NO_POOLS)
    _delete_pool = unsupported(_NO_POOLS)
    _list_pools = unsupported(_NO_POOLS)
    _info_pool = unsupported(_NO_POOLS)
    _get_pool_path = unsupported(_NO_POOLS)


def check_disk(size: int, pool: str | None = None, image: str | None = None) -> None:
    """Raise InvalidInput for a volume that the platform does not make."""
    if image is not None:
        raise NotSupported(_NO_CLONE)
    if pool not in (None, 'default'):
        raise NotSupported(_NO_POOLS)
    if size < SMALLEST:
        raise InvalidInput(f'a disk of {size} GiB is too small', hint=f'A volume of Hetzner Cloud has at least {SMALLEST}')
