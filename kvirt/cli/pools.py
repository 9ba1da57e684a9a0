"""Storage pools."""

from __future__ import annotations

import click

from kvirt.cli import output
from kvirt.cli.completion import choices, pools
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.reads import from_clients
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import NotFound
from kvirt.result import Result

COLUMNS = ('name', 'type', 'path', 'capacity', 'available', 'status')


@list_command('pool', *COLUMNS)
def list_(session: Session, short: bool, sort: str | None) -> int:
    """List storage pools. Sizes are in GiB."""
    bare = (short or session.output == 'name') and sort in (None, 'name') and not session.parameters()
    rows, further, code = from_clients(session, lambda config: [
        {'name': name, **({} if bare else config.k.info_pool(name))} for name in config.k.list_pools()])
    show(session, rows, COLUMNS, further, sort=sort, empty='There are no pools', short=short)
    return code


@command('pool', example='kvirt info pool default')
@name_argument(pools)
def info(session: Session, name: str) -> None:
    """Show a storage pool."""
    config = session.one_client()
    known = dict(config.k.info_pool(name))
    if not known:
        raise NotFound(f'pool {name} does not exist on client {config.client}')
    output.facts(session, {'name': name, **known})


@command('pool', parameters=True, example='kvirt create pool -p /var/lib/libvirt/fast fast')
@name_argument()
@click.option('-p', '--path', metavar='PATH', help='Folder, volume group or dataset on the host.')
@click.option('-t', '--pooltype', metavar='TYPE', default='dir', show_default=True, help='dir, lvm, zfs, netfs, ...',
              shell_complete=choices('dir', 'lvm', 'zfs', 'netfs', 'iscsi', 'iscsi-direct', 'rbd'))
@click.option('--thinpool', metavar='NAME', help='Thin pool of the volume group.')
@click.option('-f', '--full', is_flag=True, hidden=True, help='Accepted for scripts written for kcli.')
def create(session: Session, name: str, path: str | None, pooltype: str, thinpool: str | None, full: bool) -> int:
    """Create a storage pool. -P sets what only its provider knows: host, format, target, user, secret."""
    config = session.one_client(any_of_group=True)
    values = session.parameters()
    settings = {'overrides': values} if values else {}
    result = Result.of(config.k.create_pool(name, path, pooltype=pooltype, thinpool=thinpool, **settings))
    return change(session, name, result, f'Pool {name} created on {config.client}')


@command('pool', example='kvirt delete pool -y fast')
@names_argument(pools, required=True)
@click.option('-f', '--full', is_flag=True, help='Delete the volumes in it too.')
@name_option('-p', '--path', help='Accepted for scripts written for kcli.', hidden=True)
@name_option('--thinpool', help='Accepted for scripts written for kcli.', hidden=True)
def delete(session: Session, names: tuple[str, ...], full: bool, path: str | None, thinpool: str | None) -> int:
    """Delete storage pools; their volumes stay, unless --full."""
    config = session.one_client()
    what = ' and the volumes in it' if full else ''
    session.confirm(f"Delete pool {', '.join(names)}{what} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_pool(name, full=full)),
                   f'Pool {{}} deleted on {config.client}')
