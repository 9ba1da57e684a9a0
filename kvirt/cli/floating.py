"""Floating addresses: addresses of the platform that can move from one VM to another."""

from __future__ import annotations

from kvirt.cli.completion import floating_ips, vms
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing, showing
from kvirt.cli.reads import by_name
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.result import Result

list_ = listing('floating-ip', lambda config: by_name(config.k.list_floating_ips()), ('name', 'ip', 'vm'),
                plural='floating addresses')
info = showing('floating-ip', lambda config: by_name(config.k.list_floating_ips()), floating_ips,
               about='Show a floating address, and the VM that has it.', example='front')


@command('floating-ip', example='kvirt create floating-ip front')
@name_argument()
def create(session: Session, name: str) -> int:
    """Take an address of the platform. It may cost money for as long as it is kept."""
    config = session.one_client(any_of_group=True)
    result = Result.of(config.k.create_floating_ip(name))
    return change(session, name, result, f"Floating address {name} created on {config.client}: {result.get('ip', '')}")


@command('floating-ip', example='kvirt delete floating-ip -y front')
@names_argument(floating_ips, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Give floating addresses back; one that a VM has is refused."""
    config = session.one_client()
    session.confirm(f"Delete floating address {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_floating_ip(name)),
                   f'Floating address {{}} deleted on {config.client}')


@command('floating-ip', example='kvirt attach floating-ip front web')
@name_argument(floating_ips)
@name_argument(vms, name='vm')
def attach(session: Session, name: str, vm: str) -> int:
    """Point a floating address to a VM: first the address, then the VM."""
    config = session.one_client()
    return change(session, name, Result.of(config.k.attach_floating_ip(name, vm)),
                  f'Floating address {name} points to VM {vm} on {config.client}')


@command('floating-ip', example='kvirt detach floating-ip front')
@name_argument(floating_ips)
def detach(session: Session, name: str) -> int:
    """Take a floating address from the VM that has it."""
    config = session.one_client()
    return change(session, name, Result.of(config.k.detach_floating_ip(name)),
                  f'Floating address {name} points to no VM on {config.client}')
