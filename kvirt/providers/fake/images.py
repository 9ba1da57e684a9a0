"""Images and ISOs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kvirt.base.images import Progress
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.fake.account import Account
from kvirt.providers.fake.records import Image, Pool, Vm, Volume
from kvirt.providers.fake.storage import DEFAULT_POOL, users_of
from kvirt.providers.fake.world import Transaction

_GIB = 1024**3


class Images(Account):
    """The images of an account."""

    def image_behind(self, image: str | None) -> str | None:
        """Return the well-known name that tells the kind of an image made here."""
        if image is None:
            return None
        with self.conn.read() as world:
            known = world.get(Image, image)
        return known.short or image if known else image

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        with self.conn.read() as world:
            images = [image for image in world.all(Image) if image.iso == iso]
        if not extended:
            return [image.name for image in images]
        return [{'name': image.name, 'id': f'img-{image.name}', 'pool': image.pool, 'size': image.size,
                 **({'short': image.short} if image.short else {}), **({'url': image.url} if image.url else {})}
                for image in images]

    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None, checksum: str | None = None) -> Mapping[str, Any] | None:
        """Record an image. A file must be there; what is at a URL is taken on trust, since the fake fetches nothing."""
        from kvirt.download import file_name  # what unpacks files is not for every command to load
        final = safe_name('image', name or short or file_name(url))
        if size is not None and size < 1:
            raise InvalidInput(f'an image can not have {size} GiB')
        with self.conn.change() as world:
            where = world.need(Pool, pool or DEFAULT_POOL)
            if world.get(Image, final) is not None:
                return {'image': final, 'found': True}
            length = _length(url)
            if checksum and length is not None:
                _verify(url, checksum)
            world.add(Image(name=final, pool=where.name, short=short, url=url, cmds=list(cmds), iso=final.endswith('.iso'),
                            size=max(size or 1, -(-(length or 0) // _GIB))))
        if progress and length is not None:
            progress(length, length)
        return {'image': final}

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        with self.conn.change() as world:
            known = world.need(Image, image)
            if pool not in (None, known.pool):
                raise NotFound(f'image {image} is not in pool {pool}, but in {known.pool}')
            clones = [volume for volume in world.all(Volume) if volume.image == image and volume.thin]
            users = {vm for volume in clones for vm in users_of(world, volume) or [f'volume {volume.name}']}
            users |= {vm.name for vm in world.all(Vm) if vm.iso == image}
            if users:
                raise Conflict(f"image {image} is in use by {', '.join(sorted(users))}")
            world.drop(known)

    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        final = safe_name('image', image or name)
        with self.conn.change() as world:
            vm = self.stopped(world, name)
            if not vm.disks:
                raise NotFound(f'VM {name} has no disk')
            root = world.need(Volume, f'{vm.location}/{vm.disks[0].volume}')
            if world.get(Image, final) is not None:
                raise AlreadyExists(f'image {final} exists')
            source = world.get(Image, root.image or '')
            world.add(Image(name=final, pool=root.pool, size=root.size, short=source.short if source else None))
        return {'image': final}


def checked_iso(world: Transaction, iso: str) -> str:
    """Return *iso* when there is an ISO image of this name, or a file at this absolute path. NotFound."""
    known = world.get(Image, iso)
    if (known is not None and known.iso) or (iso.startswith('/') and Path(iso).is_file()):
        return iso
    names = [image.name for image in world.all(Image) if image.iso]
    raise NotFound(f"ISO '{iso}' does not exist{did_you_mean(iso, names)}", hint="'kvirt list iso' shows what is there")


def _verify(url: str, checksum: str) -> None:
    from kvirt.download import downloaded
    with downloaded(url, checksums=checksum):
        pass


def _length(url: str) -> int | None:
    """Return the size of a local file in bytes, None when *url* is of the web. NotFound, InvalidInput."""
    if url.startswith(('http://', 'https://')):
        return None
    if '://' in url and not url.startswith('file://'):
        raise InvalidInput(f"'{url}' can not be downloaded", hint='Use http://, https:// or a path')
    path = Path(url.removeprefix('file://')).expanduser()
    if not path.is_file():
        raise NotFound(f'{path} does not exist')
    return path.stat().st_size

