"""Snapshots of VMs."""

from __future__ import annotations

import click

from kvirt.cli.completion import vms
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.targets import change, one
from kvirt.cli.types import name_argument, name_option
from kvirt.result import Result

_of_vm = name_option('-n', '--name', 'vm', help='VM; the last one created when absent.', complete=vms)


@list_command('snapshot', 'name', example='kvirt list snapshot web')
@name_argument(vms, name='vm', required=False)
def list_(session: Session, vm: str | None, short: bool, sort: str | None) -> None:
    """List the snapshots of a VM, oldest first; by default of the last one created."""
    target = one(session, vm)
    rows = [{'name': name} for name in target.config.k.list_snapshots(target.name)]
    show(session, rows, ('name',), (), sort=sort, empty=f'VM {target.name} has no snapshots', short=short)


@command('snapshot', example='kvirt create snapshot -n web before-upgrade')
@name_argument()
@_of_vm
@click.option('--external/--internal', default=None, help='Outside or inside the files of its disks, if there is a choice.')
def create(session: Session, name: str, vm: str | None, external: bool | None) -> int:
    """Take a snapshot of a VM."""
    target = one(session, vm)
    kind = {} if external is None else {'external': external}
    return change(session, name, Result.of(target.config.k.create_snapshot(name, target.name, **kind)),
                  f'Snapshot {name} of VM {target.name} created on {target.config.client}')


@command('snapshot', example='kvirt delete snapshot -y -n web before-upgrade')
@name_argument()
@_of_vm
def delete(session: Session, name: str, vm: str | None) -> int:
    """Delete a snapshot of a VM."""
    target = one(session, vm)
    session.confirm(f'Delete snapshot {name} of VM {target.name} on {target.config.client}?')
    return change(session, name, Result.of(target.config.k.delete_snapshot(name, target.name)),
                  f'Snapshot {name} of VM {target.name} deleted on {target.config.client}')


@command('snapshot', example='kvirt revert snapshot -y -n web before-upgrade')
@name_argument()
@_of_vm
def revert(session: Session, name: str, vm: str | None) -> int:
    """Bring a VM back to a snapshot; what was written since is lost."""
    target = one(session, vm)
    session.confirm(f'Bring VM {target.name} on {target.config.client} back to snapshot {name}?')
    return change(session, name, Result.of(target.config.k.revert_snapshot(name, target.name)),
                  f'VM {target.name} is back at snapshot {name} on {target.config.client}')
