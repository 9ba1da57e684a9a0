"""Disks beside the root one are volumes, whose names are unique in their region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

from kvirt.errors import NotFound
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.families import blocks, cloud, marks
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.families.volumes import REQUEST, NewVolume, Volume


class Storage(blocks.Blocks, Account):
    """Volumes."""

    root_device: ClassVar[str | None] = 'vda'
    names_are_local: ClassVar[bool] = True

    def read_volumes(self, name: str | None = None) -> Iterator[Volume]:
        where = None if self.location == EVERYWHERE else self.location
        return map(mapping.volume, self.all('/volumes', region=where))

    def volume_place(self) -> str:
        return self.made_in()

    def make_volume(self, wanted: NewVolume) -> Volume:
        """Make a volume. Tags that nothing bears stay, so the one that no VM shares with it stands in its description."""
        cloud.check_name('volume', wanted.name, '[a-z][a-z0-9-]*',
                         'Use small letters, digits and dashes, beginning with a letter')
        tags = mapping.to_tags({key: text for key, text in wanted.fields.items() if key != REQUEST})
        request = mapping.to_tags({key: text for key, text in wanted.fields.items() if key == REQUEST})
        return mapping.volume(self.api.post('/volumes', {
            'name': wanted.name, 'size_gigabytes': wanted.size, 'region': wanted.place, 'tags': tags,
            'description': ' '.join(request)})['volume'])

    def drop_volume(self, volume: Volume) -> None:
        self.insist(lambda: self.api.delete(f'/volumes/{volume.id}'), f'deleting volume {volume.name}')

    def drop_volumes(self, volumes: Iterable[Volume]) -> None:
        """Delete volumes, and the tags that they alone had."""
        dropped = list(volumes)
        super().drop_volumes(dropped)
        self.forget({tag for volume in dropped for tag in volume.native.get('tags') or ()})

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        self._change_volume(volume, f'attaching volume {volume.name}', type='attach', droplet_id=machine.native['id'])
        return volume

    def detach_volume(self, volume: Volume) -> None:
        for droplet in volume.native['droplet_ids']:
            with suppress(NotFound):
                self._change_volume(volume, f'detaching volume {volume.name}', type='detach', droplet_id=droplet)

    def grow_volume(self, volume: Volume, size: int) -> None:
        self._change_volume(volume, f'resizing volume {volume.name}', type='resize', size_gigabytes=size)

    def keep_volume(self, volume: Volume) -> None:
        ours = {tag for tag in volume.native['tags'] or () if marks.from_tags([tag])}
        self.untag(ours, 'volume', volume.id)

    def _change_volume(self, volume: Volume, what: str, **body: Any) -> None:
        self.finish(self.api.post(f'/volumes/{volume.id}/actions', {**body, 'region': volume.place}), what)
