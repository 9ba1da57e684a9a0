"""Disks beside the root one are volumes, whose names are unique in the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar

from hcloud.locations.domain import Location

from kvirt.errors import NotFound
from kvirt.providers.families import blocks, marks
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.volumes import NewVolume, Volume
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Native
from kvirt.providers.hcloud.images import Images


class Storage(blocks.Blocks, Images):
    """The volumes of a project."""

    smallest_volume: ClassVar[int] = 10
    root_device: ClassVar[str | None] = 'sda'

    def read_volumes(self, name: str | None = None) -> Iterator[Volume]:
        known = self.conn.volumes.get_all() if name is None else filter(None, [self.find(self.conn.volumes, name)])
        return map(mapping.volume, known)

    def in_sight(self, volume: Volume) -> bool:
        return self.place in (None, volume.place)

    def volume_place(self) -> str:
        return self.usual_place

    def make_volume(self, wanted: NewVolume) -> Volume:
        return self._made_volume(wanted, location=Location(name=wanted.place))

    def make_disk(self, wanted: NewVolume, machine: Machine) -> Volume:
        return self._made_volume(wanted, server=machine.native)

    def _made_volume(self, wanted: NewVolume, **where: Native) -> Volume:
        made = self.patiently(f'making volume {wanted.name}', lambda: self.conn.volumes.create(
            wanted.size, wanted.name, marks.to_labels(wanted.fields), **where))
        self.done(made.action, *made.next_actions)
        return mapping.volume(made.volume)

    def drop_volume(self, volume: Volume) -> None:
        self.gone(volume.native)

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        self.done(self.patiently(f'attaching volume {volume.name}', lambda: volume.native.attach(machine.native)))
        return volume

    def detach_volume(self, volume: Volume) -> None:
        with suppress(NotFound):
            self.done(self.patiently(f'detaching volume {volume.name}', volume.native.detach))

    def grow_volume(self, volume: Volume, size: int) -> None:
        self.done(volume.native.resize(size))

    def keep_volume(self, volume: Volume) -> None:
        self.relabel(volume.native, **{marks.MARK: None, marks.MAKER: None})
