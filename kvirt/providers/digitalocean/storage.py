"""What is kept: volumes; images; and snapshots of VMs, which are among the images: ``web@first`` is first of VM web."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from kvirt.errors import NotFound
from kvirt.names import did_you_mean
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME, Account
from kvirt.providers.families import blocks, cloud, marks, tags
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import Snapshot, Snapshots
from kvirt.providers.families.volumes import REQUEST, NewVolume, Volume

_SLUG = re.compile(r'[a-z0-9][a-z0-9-]*')
_AT = '@'
_LONG = 3600.0
"""Seconds that DigitalOcean may take to copy a disk; twice as many to fetch an image."""


class Storage(blocks.Blocks, Snapshots, CloudImages, Account):
    """The volumes and images of an account. The names of volumes are unique in their region."""

    root_device = 'vda'
    names_are_local = True
    fetched_by_platform = True

    # volumes

    def read_volumes(self, name: str | None = None) -> Iterator[Volume]:
        return map(mapping.volume, self.all('/volumes', region=self.only_location))

    def make_volume(self, wanted: NewVolume) -> Volume:
        """Make a volume. Tags that nothing bears stay, so the one that no VM shares with it stands in its description."""
        cloud.check_name('volume', wanted.name, '[a-z][a-z0-9-]*',
                         'Use small letters, digits and dashes, beginning with a letter')
        shared = {key: text for key, text in wanted.fields.items() if key != REQUEST}
        own = {key: text for key, text in wanted.fields.items() if key == REQUEST}
        return mapping.volume(self.api.post('/volumes', {
            'name': wanted.name, 'size_gigabytes': wanted.size, 'region': wanted.place, 'tags': tags.to_tags(shared),
            'description': ' '.join(tags.to_tags(own))})['volume'])

    def drop_volume(self, volume: Volume) -> None:
        self.drop_when_free(f'/volumes/{volume.id}', f'volume {volume.name}')

    def drop_volumes(self, volumes: Iterable[Volume]) -> None:
        """Delete volumes, and the tags that they alone had."""
        dropped = list(volumes)
        super().drop_volumes(dropped)
        self.forget_tags({tag for volume in dropped for tag in volume.native.get('tags') or ()})

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        self._change(volume, 'attaching', type='attach', droplet_id=machine.native['id'])
        return volume

    def detach_volume(self, volume: Volume) -> None:
        for droplet in volume.native['droplet_ids']:
            with suppress(NotFound):
                self._change(volume, 'detaching', type='detach', droplet_id=droplet)

    def grow_volume(self, volume: Volume, size: int) -> None:
        self._change(volume, 'resizing', type='resize', size_gigabytes=size)

    def _change(self, volume: Volume, doing: str, **asked: Any) -> None:
        self.acted(f'{doing} volume {volume.name}', f'/volumes/{volume.id}', region=volume.place, **asked)

    def keep_volume(self, volume: Volume) -> None:
        self.untag({tag for tag in volume.native['tags'] or () if marks.from_tags([tag])}, 'volume', volume.id)

    # images

    def find_image(self, name: str, arch: str | None) -> Any:
        """Return the image with this well-known name, slug, id, or name of ours. NotFound."""
        slug = mapping.slug(name)
        if _SLUG.fullmatch(slug):
            with suppress(NotFound):
                return self.api.get(f'/images/{slug}')['image']
        try:
            return self.own_image(name).native
        except NotFound:
            offered = [mapping.image_name(each) for each in self._offered()]
            raise NotFound(f"image '{name}' does not exist{did_you_mean(slug, offered)}",
                           hint="'kvirt list image' shows what is there") from None

    def _offered(self) -> Iterator[dict[str, Any]]:
        return self.all('/images', type='distribution')

    def _private(self) -> list[dict[str, Any]]:
        """Return the account's own images: those that were brought here, and copies of VMs that are no snapshots."""
        return [each for each in self.all('/images', private=True)
                if each['type'] != 'backup' and each.get('status', 'available') == 'available'
                and (each['type'] != 'snapshot' or _AT not in each['name'])]

    def read_images(self) -> Iterator[Image]:
        return (mapping.image(each) for each in (*self._offered(), *self._private())
                if self.only_location in (None, *(each.get('regions') or ())))

    def own_images(self, name: str | None = None) -> Iterator[Image]:
        return map(mapping.image, self._private())

    def drop_image(self, image: Image) -> None:
        self.drop(f'/images/{image.id}')

    def bring_image(self, wanted: NewImage) -> None:
        made = self.api.post('/images', {'name': wanted.name, 'url': wanted.url, 'region': self.made_in(),
                                         'distribution': mapping.distribution(f'{wanted.name} {wanted.url}')})['image']

        def look() -> bool:
            now = self.api.get(f"/images/{made['id']}")['image']
            trouble = (now.get('error_message') or '').strip()
            if trouble or now['status'] in ('deleted', 'retired'):
                raise NotFound(f"{NAME} could not bring {wanted.url}: {trouble or now['status']}")
            return bool(now['status'] == 'available')
        self.awaited(look, f'{NAME} fetching image {wanted.name}', 2 * _LONG, pause=5)

    def unmake_image(self, name: str, request: str) -> None:
        """Delete what was being fetched under *name*: an image can't bear a request. A copy of a disk is there or not."""
        for image in list(self.all('/images', private=True)):
            if image['name'] == name and image['type'] == 'custom':
                self.drop(f"/images/{image['id']}")

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        self.acted(f'copying the disk of VM {machine.name}', f'/droplets/{machine.id}', _LONG, type='snapshot',
                   name=wanted.name)

    # snapshots

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        if not machine.native.get('snapshot_ids'):
            return []
        found = [each for each in self.all('/snapshots', resource_type='droplet')
                 if each['resource_id'] == machine.id and _AT in each['name']]
        return [Snapshot(id=str(each['id']), name=each['name'].rpartition(_AT)[2])
                for each in sorted(found, key=lambda each: (each['created_at'], int(each['id'])))]

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        self.copy_disk(machine, NewImage(name=f'{machine.name}{_AT}{name}', fields={}))

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        self.drop(f'/snapshots/{snapshot.id}')

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Restore the root disk. Volumes stay as they are."""
        where = f'/droplets/{machine.id}'
        self.acted(f'reverting VM {machine.name} to {snapshot.name}', where, _LONG, type='restore', image=int(snapshot.id))
        now = mapping.machine(self.api.get(where)['droplet'])
        if machine.status != 'running' and now.status == 'running':
            self.acted(f'stopping VM {machine.name} again', where, type='power_off')
