"""Images, and snapshots of VMs, which DigitalOcean keeps among the images: ``web@first`` is snapshot first of VM web."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kvirt.base import waits
from kvirt.base.images import Progress
from kvirt.download import file_name
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.guest import images
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import NAME, Account
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families import cloud
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import EVERYWHERE
from kvirt.providers.families.snapshots import Snapshot, Snapshots
from kvirt.wait import until

_SLUG = re.compile(r'[a-z0-9][a-z0-9-]*')
_AT = '@'
_IMPORT = 7200.0
"""Seconds that DigitalOcean may take to fetch an image."""


class Images(Snapshots, Account):
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
            return self._own(name)
        except NotFound:
            offered = [mapping.image_name(each) for each in self.all('/images', type='distribution')]
            raise NotFound(f"image '{name}' does not exist{did_you_mean(slug, offered)}",
                           hint="'kvirt list image' shows what is there") from None

    def _own(self, name: str) -> dict[str, Any]:
        return cloud.find('image', name, self._private(), lambda each: each['name'], lambda each: each['id'])

    def _private(self) -> list[dict[str, Any]]:
        """Return the account's own images: those that were brought here, and copies of VMs that are no snapshots."""
        return [each for each in self.all('/images', private=True)
                if each['type'] != 'backup' and each.get('status', 'available') == 'available'
                and (each['type'] != 'snapshot' or _AT not in each['name'])]

    # hooks

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        found = [] if iso else [*self.all('/images', type='distribution'), *self._private()]
        here = {mapping.image_name(each): each for each in found
                if self.location in (EVERYWHERE, *(each.get('regions') or ()))}
        if not extended:
            return sorted(here)
        return [{'name': name, 'id': str(each['id']), 'size': each.get('min_disk_size') or 0,
                 'distribution': each.get('distribution')} for name, each in sorted(here.items())]

    @waits
    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None) -> Mapping[str, Any] | None:
        """Let DigitalOcean fetch the image at *url*."""
        final = safe_name('image', name or short or file_name(url))
        if not url.startswith(('http://', 'https://')):
            if not Path(url.removeprefix('file://')).expanduser().is_file():
                raise NotFound(f'{url} does not exist')
            raise NotSupported(f'{NAME} takes no files, and fetches images itself', hint='Give an address: https://...')
        if cmds or size or pool not in (None, 'default'):
            raise InvalidInput(f'{NAME} takes an image as it is: without cmds, size and pool')
        if any(each['name'] == final for each in self._private()):
            return {'image': final, 'found': True}
        with self.undo() as undo:
            undo.add(f'image {final}', lambda: self._unmake_image(final))
            made = self.api.post('/images', {'name': final, 'url': url, 'region': self.made_in(),
                                             'distribution': mapping.distribution(f'{final} {url}')})['image']
            until(lambda: self._is_there(made, url), what=f'{NAME} fetching image {final}', timeout=_IMPORT, interval=5,
                  clock=self.clock)
        return {'image': final}

    def _unmake_image(self, name: str) -> None:
        for image in list(self.all('/images', private=True)):
            if image['name'] == name and image['type'] == 'custom':
                self.drop(f"/images/{image['id']}")

    def _is_there(self, image: Thing, url: str) -> bool:
        now = self.api.get(f"/images/{image['id']}")['image']
        if (now.get('error_message') or '').strip() or now['status'] in ('deleted', 'retired'):
            raise NotFound(f"{NAME} could not bring {url}: {now.get('error_message') or now['status']}")
        return bool(now['status'] == 'available')

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        self.api.delete(f"/images/{self._own(image)['id']}")

    @waits
    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        droplet, final = self.droplet(name), safe_name('image', image or name)
        if mapping.machine(droplet).status != 'stopped':
            raise Conflict(f'VM {name} is not stopped', hint='Stop it first')
        if any(each['name'] == final for each in self._private()):
            raise AlreadyExists(f'image {final} exists')
        self._copy(droplet, final)
        return {'image': final}

    def _copy(self, droplet: Thing, name: str) -> None:
        """Copy the root disk of a droplet, and wait until that is done."""
        self.finish(self.act(droplet, 'snapshot', name=name), f"copying the disk of VM {droplet['name']}", timeout=3600)

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

    def take_snapshot(self, machine: Machine, name: str) -> None:
        self._copy(machine.native, f'{machine.name}{_AT}{name}')

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
