"""Disks of VMs, and volumes."""

from __future__ import annotations

import click

from kvirt.cli.completion import choices, disks, images, pools, vms
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing, showing
from kvirt.cli.reads import by_name
from kvirt.cli.targets import change, changes, one
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean
from kvirt.result import Result

COLUMNS = ('name', 'pool', 'size', 'vms', 'path')
_EXTRAS = ('diskname', 'serial', 'wwn', 'format', 'cache', 'discard', 'thin', 'shareable', 'existing')


list_ = listing('disk', lambda config: by_name(config.k.list_disks()), COLUMNS, plural='disks',
                about='Sizes are in GiB; images are listed by their own noun.')
info = showing('disk', lambda config: by_name(config.k.list_disks()), disks,
               about='Show a disk, and the VMs that have it. Its size is in GiB.', example='web-disk1')


@command('disk', parameters=True, example='kvirt create disk -s 20 web')
@name_argument(vms)
@click.option('-s', '--size', metavar='SIZE', default='10', show_default=True, help='Size in GiB, or with a unit: 512M.')
@name_option('-i', '--image', help='Image that it is a clone of.', complete=images)
@click.option('--interface', metavar='BUS', default='virtio', show_default=True, help='Bus: virtio, scsi, sata, ide.',
              shell_complete=choices('virtio', 'scsi', 'sata', 'ide', 'nvme'))
@click.option('-n', '--novm', is_flag=True, help='Only make a volume called NAME.')
@name_option('-p', '--pool', help='Pool to make it in.', complete=pools)
@click.option('-f', '--force', is_flag=True, hidden=True, help='Accepted for scripts written for kcli.')
def create(session: Session, name: str, size: str, image: str | None, interface: str, novm: bool, pool: str | None,
           force: bool) -> int:
    """Give VM NAME a further disk, or with --novm make a volume NAME.

    -P diskname, serial, wwn, format, cache, discard, thin, shareable, existing (a volume to attach).
    """
    values = session.parameters()
    for key in values:
        if key not in _EXTRAS:
            raise InvalidInput(f"'{key}' means nothing for a disk{did_you_mean(key, _EXTRAS)}",
                               hint=f"Give {', '.join(_EXTRAS)}")
    config = session.one_client(any_of_group=True) if novm else one(session, name).config
    direct = {key: values.pop(key) for key in ('thin', 'shareable', 'existing') if key in values}
    result = Result.of(config.k.add_disk(name, size=size, pool=pool, image=image, interface=interface, novm=novm,
                                         overrides=values, **direct))
    done = f'Volume {name} created' if novm else f'Disk added to VM {name}'
    return change(session, name, result, f'{done} on {config.client}')


@command('disk', example='kvirt update disk --vm web -s 40 vda')
@name_argument(disks, name='diskname')
@name_option('--vm', help='VM that has it.', complete=vms, required=True)
@click.option('-s', '--size', metavar='SIZE', required=True, help='New size in GiB, or with a unit; it can only grow.')
def update(session: Session, diskname: str, vm: str, size: str) -> int:
    """Grow a disk of a VM: a device or a volume. The file system in it is the guest's matter."""
    target = one(session, vm)
    result = Result.of(target.config.k.resize_disk(target.name, diskname, size))
    return change(session, diskname, result, f'Disk {diskname} of VM {vm} is larger now on {target.config.client}')


@command('disk', example='kvirt delete disk --vm web vdb')
@names_argument(disks, name='disknames', required=True)
@name_option('--vm', help='VM that has it.', complete=vms)
@click.option('-n', '--novm', is_flag=True, help='It is a volume that no VM uses.')
@name_option('-p', '--pool', help='Pool that it is in.', complete=pools)
def delete(session: Session, disknames: tuple[str, ...], vm: str | None, novm: bool, pool: str | None) -> int:
    """Detach disks from a VM and delete them; without --vm, delete volumes that no VM uses."""
    config = one(session, vm).config if vm else session.one_client()
    owner = f' of VM {vm}' if vm else ''
    session.confirm(f"Delete disk {', '.join(disknames)}{owner} on {config.client}?")
    return changes(session, disknames,
                   lambda name: Result.of(config.k.delete_disk(vm, name, pool=pool, novm=novm or not vm)),
                   f'Disk {{}} deleted on {config.client}')
