"""Images and ISOs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from kvirt.cli.completion import images, isos, local, pools
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show, showing
from kvirt.cli.reads import from_clients
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput
from kvirt.result import Result

COLUMNS = ('name', 'pool', 'size', 'short', 'id')


def _well_known(session: Session) -> list[str]:
    from kvirt.guest.images import names
    return list(names())


def _list(iso: bool, noun: str, plural: str) -> Callable[..., Any]:
    def run(session: Session, extended: bool, short: bool, sort: str | None) -> int:
        extended = extended or bool(session.parameters()) or sort not in (None, 'name')
        rows, further, code = from_clients(session, lambda config: [
            row if extended else {'name': row} for row in config.k.volumes(iso=iso, extended=extended)])
        columns = [column for column in COLUMNS if any(row.get(column) is not None for row in rows)]
        show(session, rows, columns or COLUMNS, further, sort=sort, empty=f'There are no {plural}', short=short)
        return code
    run.__doc__ = f'List {plural}.'
    option = click.option('-e', '--extended', is_flag=True, help='Show pool and size (GiB) as well.')
    return list_command(noun, *COLUMNS, example=f'kvirt list {noun} -e')(option(run))


@list_command('available-image', 'name', 'user')
def list_available(session: Session, short: bool, sort: str | None) -> None:
    """List the well-known images, which 'download image' knows by their names."""
    from kvirt.guest.images import well_known
    columns = ('name', 'user', 'kind', 'archs', 'aliases')
    show(session, well_known(), columns, (), sort=sort, empty='There are none', short=short)


def _delete(noun: str, complete: Any) -> Callable[..., Any]:
    def run(session: Session, names: tuple[str, ...], pool: str | None) -> int:
        config = session.one_client()
        session.confirm(f"Delete {noun} {', '.join(names)} on {config.client}?")
        return changes(session, names, lambda name: Result.of(config.k.delete_image(name, pool=pool)),
                       f'{noun[:1].upper()}{noun[1:]} {{}} deleted on {config.client}')
    run.__doc__ = f'Delete {noun}s; one that a disk is a thin clone of is refused.'
    for decorator in (name_option('-p', '--pool', help='Pool that it is in.', complete=pools),
                      names_argument(complete, required=True)):
        run = decorator(run)
    return command(noun, example=f'kvirt delete {noun} -y old')(run)


def _download(noun: str, known: bool) -> Callable[..., Any]:
    def run(session: Session, name: str | None, url: str | None, pool: str | None, checksum: str | None) -> int:
        from kvirt.cli.progress import transfer
        values = session.parameters()
        unknown = set(values) - {'arch', 'size', 'pool', 'name', 'cmds', 'url', 'checksum'}
        if unknown:
            raise InvalidInput(f"'{min(unknown)}' means nothing here",
                               hint='Give arch, size, pool, name, cmds, url or checksum')
        url = url or values.get('url')
        if name and '://' in name and not url:
            name, url = None, name
        if not url and (not name or not known):
            raise InvalidInput(f'give the {noun} to download' if known else 'give its URL with -u')
        config = session.one_client(any_of_group=True)
        with transfer(session, name or str(url).rpartition('/')[2]) as progress:
            result = config.download_image(
                name if not url or known else None, url, pool=pool or values.get('pool'), size=_gib(values.get('size')),
                name=_kept_as(values.get('name') or (name if url else None), url, known), cmds=_texts(values.get('cmds')),
                arch=values.get('arch'), progress=progress, checksum=checksum or values.get('checksum'))
        found = str(result.get('image') or name)
        done = 'is there already' if result.get('found') else 'downloaded'
        return change(session, found, result, f'{noun[:1].upper()}{noun[1:]} {found} {done} on {config.client}')
    run.__doc__ = (f'Bring an {noun} to where VMs are made: a well-known one by its name, or any by its URL.' if known
                   else 'Bring an ISO to where VMs are made, by its URL.')
    for decorator in (name_option('-p', '--pool', help='Pool to put it in.', complete=pools),
                      click.option('-u', '--url', metavar='URL', help='http(s) address, or a local file.'),
                      click.option('--checksum', metavar='SUM',
                                   help='What it must match: sha256:..., sha512:..., or the URL of a list of checksums.'),
                      name_argument(local(_well_known) if known else None, required=False)):
        run = decorator(run)
    example = 'kvirt download image debian12' if known else 'kvirt download iso -u https://example.com/live.iso'
    return command(noun, parameters=True, example=example)(run)


def _kept_as(name: str | None, url: str | None, image: bool) -> str | None:
    """Return the name to keep a download under: that of an ISO says what it is, or it would be taken for an image."""
    if image:
        return name
    from kvirt.download import file_name
    name = name or file_name(str(url))
    return name if name.lower().endswith('.iso') else f'{name}.iso'


def _gib(size: Any) -> int | None:
    from kvirt.units import disk_gib
    return None if size is None else disk_gib(size)


def _texts(cmds: Any) -> list[str]:
    if cmds is None:
        return []
    return [str(cmd) for cmd in cmds] if isinstance(cmds, list) else [str(cmds)]


list_ = _list(False, 'image', 'images')
list_iso = _list(True, 'iso', 'ISOs')
info = showing('image', lambda config: config.k.volumes(extended=True), images,
               about='Show an image. Its size is in GiB.', example='debian12')
info_iso = showing('iso', lambda config: config.k.volumes(iso=True, extended=True), isos,
                   about='Show an ISO image. Its size is in GiB.', example='live.iso')
delete = _delete('image', images)
delete_iso = _delete('iso', isos)
download = _download('image', True)
download_iso = _download('iso', False)
