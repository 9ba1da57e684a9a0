"""Images, and snapshots of VMs, which DigitalOcean keeps among the images: ``web@first`` is snapshot first of VM web."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kvirt.errors import InvalidInput, NotFound, NotSupported
from kvirt.guest import images
from kvirt.names import did_you_mean
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME, Account
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.families.snapshots import Snapshot, Snapshots
from kvirt.wait import until

_SLUG = re.compile(r'[a-z0-9][a-z0-9-]*')
_AT = '@'
_IMPORT = 7200.0
"""Seconds that DigitalOcean may take to fetch an image."""


class Images(CloudImages, Snapshots, Account):
    """Images and snapshots."""

    def login_user(self, image: str | None) -> str:
        """Return root, whom DigitalOcean lets in everywhere; guests that are told by ignition keep their own."""
        return 'root' if images.kind_of(image or '') == 'cloudinit' else super().login_user(image)

    def image_for(self, name: str) -> dict[str, Any]:
        """Return the image with this well-known name, slug, id, or name of ours. NotFound."""
        slug = mapping.slug(name)
        if _SLUG.fullmatch(slug):
            try:
                known: dict[str, Any] = self.api.get(f'/images/{slug}')['image']
                return known
            except NotFound:
                pass
        try:
            native: dict[str, Any] = self.own_image(name).native
            return native
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
                if self.location in (EVERYWHERE, *(each.get('regions') or ())))

    def own_images(self, name: str | None = None) -> Iterator[Image]:
        return map(mapping.image, self._private())

    def drop_image(self, image: Image) -> None:
        self.drop(f'/images/{image.id}')

    def check_source(self, url: str, pool: str | None, size: int | None) -> None:
        if not url.startswith(('http://', 'https://')):
            if not Path(url.removeprefix('file://')).expanduser().is_file():
                raise NotFound(f'{url} does not exist')
            raise NotSupported(f'{NAME} takes no files, and fetches images itself', hint='Give an address: https://...')
        if size or pool not in (None, 'default'):
            raise InvalidInput(f'{NAME} takes an image as it is: without size and pool')

    def bring_image(self, wanted: NewImage) -> None:
        made = self.api.post('/images', {'name': wanted.name, 'url': wanted.url, 'region': self.made_in(),
                                         'distribution': mapping.distribution(f'{wanted.name} {wanted.url}')})['image']
        until(lambda: self._is_there(made, wanted.url), what=f'{NAME} fetching image {wanted.name}', timeout=_IMPORT,
              interval=5, clock=self.clock)

    def _is_there(self, image: Thing, url: str) -> bool:
        now = self.api.get(f"/images/{image['id']}")['image']
        if (now.get('error_message') or '').strip() or now['status'] in ('deleted', 'retired'):
            raise NotFound(f"{NAME} could not bring {url}: {now.get('error_message') or now['status']}")
        return bool(now['status'] == 'available')

    def unmake_image(self, name: str, request: str) -> None:
        """Delete what was being fetched under *name*: an image can't bear a request. A copy of a disk is there or not."""
        for image in list(self.all('/images', private=True)):
            if image['name'] == name and image['type'] == 'custom':
                self.drop(f"/images/{image['id']}")

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        self._copy(machine, wanted.name)

    def _copy(self, machine: Machine, name: str) -> None:
        """Copy the root disk of a droplet, and wait until that is done."""
        asked = self.act(machine.native, 'snapshot', name=name)
        self.finish(asked, f'copying the disk of VM {machine.name}', timeout=3600)

    # snapshots

    def snapshots_of(self, droplet: Thing) -> dict[str, dict[str, Any]]:
        """Return the snapshots of a droplet by name, oldest first."""
        if not droplet.get('snapshot_ids'):
            return {}
        found = [each for each in self.all('/snapshots', resource_type='droplet')
                 if each['resource_id'] == str(droplet['id']) and _AT in each['name']]
        return {each['name'].rpartition(_AT)[2]: each
                for each in sorted(found, key=lambda each: (each['created_at'], int(each['id'])))}

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        return [Snapshot(id=str(each['id']), name=name) for name, each in self.snapshots_of(machine.native).items()]

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        self._copy(machine, f'{machine.name}{_AT}{name}')

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        self.api.delete(f'/snapshots/{snapshot.id}')

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Restore the root disk. Volumes stay as they are."""
        droplet = machine.native
        self.finish(self.act(droplet, 'restore', image=int(snapshot.id)),
                    f'reverting VM {machine.name} to {snapshot.name}', timeout=3600)
        now = mapping.machine(self.api.get(f'/droplets/{machine.id}')['droplet'])
        if machine.status != 'running' and now.status == 'running':
            self.finish(self.act(droplet, 'power_off'), f'stopping VM {machine.name} again')
