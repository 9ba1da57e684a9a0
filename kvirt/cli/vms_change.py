"""VMs: their life, and changes to them."""

from __future__ import annotations

import click

from kvirt.cli.completion import flavors, vms
from kvirt.cli.context import Session, command
from kvirt.cli.targets import Target, act, change, one, targets
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput
from kvirt.result import Result


@command('vm', example='kvirt start vm web db')
@names_argument(vms)
def start(session: Session, names: tuple[str, ...]) -> int:
    """Start VMs, by default the last one created."""
    return act(session, targets(session, names), lambda vm: Result.of(vm.config.k.start(vm.name)), 'started')


@command('vm', example='kvirt stop vm --soft web')
@names_argument(vms)
@click.option('-s', '--soft', is_flag=True, help='Ask the operating system, instead of taking the power away.')
def stop(session: Session, names: tuple[str, ...], soft: bool) -> int:
    """Stop VMs, by default the last one created."""
    return act(session, targets(session, names), lambda vm: Result.of(vm.config.k.stop(vm.name, soft=soft)),
               'asked to stop' if soft else 'stopped')


@command('vm', example='kvirt restart vm web')
@names_argument(vms)
@click.option('--hard', is_flag=True, help='Take the power away and start again, instead of a reboot.')
def restart(session: Session, names: tuple[str, ...], hard: bool) -> int:
    """Restart VMs, by default the last one created."""
    def work(vm: Target) -> Result:
        if not hard:
            return Result.of(vm.config.k.restart(vm.name))
        stopped = Result.of(vm.config.k.stop(vm.name))
        return Result.of(vm.config.k.start(vm.name)) if stopped.ok else stopped
    return act(session, targets(session, names), work, 'restarted')


@command('vm', example='kvirt delete vm -y web db')
@names_argument(vms)
@click.option('-a', '--all', 'everything', is_flag=True, help='Delete every VM of the client.')
@click.option('-c', '--count', type=int, help='Delete NAME-0, NAME-1, ..., as create -c made them.')
@click.option('-f', '--force', is_flag=True, help='Delete snapshots too.')
@click.option('-k', '--keep', is_flag=True, help='Keep the disks but the root one.')
def delete(session: Session, names: tuple[str, ...], everything: bool, count: int | None, force: bool,
           keep: bool) -> int:
    """Delete VMs with what was made for them, by default the last one created."""
    from kvirt.cli.lastvm import LastVms
    found = _all(session) if everything else targets(session, _counted(names, count))
    if everything and (names or count is not None):
        raise InvalidInput('--all leaves nothing to name')
    if not found:
        session.say('There are no VMs')
        return 0
    session.confirm(f"Delete VM {', '.join(f'{vm.name} on {vm.config.client}' for vm in found)}?")
    last = LastVms(session.settings)

    def work(vm: Target) -> Result:
        result = vm.config.delete_vm(vm.name, snapshots=force, keep_disks=keep)
        if result.ok or result['error'] == 'NotFound':
            last.remove(vm.config.client, vm.name)
        return result
    return act(session, found, work, 'deleted')


def _all(session: Session) -> list[Target]:
    configs = [session.config(client) for client in session.clients]
    return [Target(config, row['name']) for config in configs for row in config.k.list()]


def _counted(names: tuple[str, ...], count: int | None) -> list[str]:
    from kvirt.copies import copy_names
    if count is None:
        return list(names)
    if len(names) != 1:
        raise InvalidInput('--count goes with one name')
    return copy_names(names[0], count)


@command('clone', example='kvirt clone -b web -s web2')
@name_argument()
@name_option('-b', '--base', help='VM to clone.', complete=vms, required=True)
@click.option('-f', '--full', is_flag=True, help='Copy the disks, instead of sharing what does not change.')
@click.option('-s', '--start', is_flag=True, help='Start the new VM.')
def clone(session: Session, name: str, base: str, full: bool, start: bool) -> int:
    """Make a VM from a stopped one."""
    from kvirt.cli.lastvm import LastVms
    target = one(session, base)
    result = Result.of(target.config.k.clone(target.name, name, full=full, start=start))
    if result.ok:
        LastVms(session.settings).add(target.config.client, name)
    return change(session, name, result, f'VM {name} cloned from {base} on {target.config.client}')


@command('vm', parameters=True, example='kvirt update vm -P memory=4g -P autostart=true web')
@names_argument(vms)
@name_option('--flavor', help='Resize to this flavor; the power may go off for it.', complete=flavors)
def update(session: Session, names: tuple[str, ...], flavor: str | None) -> int:
    """Change VMs, by default the last one created.

    -P numcpus, memory, flavor, autostart, iso (empty: none), information, cloudinit=false; what is no keyword becomes a
    field of the VM's metadata.
    """
    values = session.parameters()
    if flavor is not None:
        values['flavor'] = flavor
    if not values:
        raise InvalidInput('nothing to change was given', hint='Give it with -P: -P memory=2048')
    return act(session, targets(session, names), lambda vm: vm.config.update_vm(vm.name, values), 'updated')


@command('vm', example='kvirt export vm -i golden web')
@name_argument(vms, required=False)
@click.option('-i', '--image', metavar='NAME', help="Name of the image; the VM's own when absent.")
def export(session: Session, name: str | None, image: str | None) -> int:
    """Make an image of the root disk of a stopped VM, by default of the last one created."""
    target = one(session, name)
    result = Result.of(target.config.k.export(target.name, image))
    made = str(result.get('image') or image or target.name)
    return change(session, made, result, f'Image {made} made from VM {target.name} on {target.config.client}')


@command('vm', example='kvirt rename vm web www')
@name_argument(vms)
@name_argument(name='new')
def rename(session: Session, name: str, new: str) -> int:
    """Rename a VM: first its name, then the new one."""
    from kvirt.cli.lastvm import LastVms
    target = one(session, name)
    result = Result.of(target.config.k.rename(target.name, new))
    if result.ok:
        LastVms(session.settings).rename(target.config.client, name, new)
    return change(session, new, result, f'VM {name} renamed to {new} on {target.config.client}')
