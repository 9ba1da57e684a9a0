"""Network cards of VMs."""

from __future__ import annotations

import click

from kvirt.cli.completion import networks, vms
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.targets import change, one
from kvirt.cli.types import name_argument, name_option
from kvirt.errors import InvalidInput, NotFound
from kvirt.result import Result

COLUMNS = ('device', 'mac', 'net', 'type', 'ip')


@list_command('nic', *COLUMNS, example='kvirt list nic web')
@name_argument(vms, required=False)
def list_(session: Session, name: str | None, short: bool, sort: str | None) -> None:
    """List the network cards of a VM, by default of the last one created."""
    target = one(session, name)
    known = target.config.k.info(target.name)
    if not known:
        raise NotFound(f'VM {target.name} does not exist on client {target.config.client}')
    rows = [dict(nic) for nic in known.get('nets', [])]
    show(session, rows, COLUMNS, (), sort=sort, key='device', empty='It has no network cards', short=short)


@command('nic', example='kvirt create nic -n lab web')
@name_argument(vms)
@name_option('-n', '--network', help='Network to connect it to.', complete=networks, required=True)
@click.option('-m', '--model', metavar='MODEL', default='virtio', show_default=True, help='Model of the card.')
def create(session: Session, name: str, network: str, model: str) -> int:
    """Give VM NAME a further network card."""
    target = one(session, name)
    result = Result.of(target.config.k.add_nic(target.name, network, model))
    return change(session, name, result, f'Card on network {network} added to VM {name} on {target.config.client}')


@command('nic', example='kvirt update nic -i 1 -n lab web')
@name_argument(vms)
@click.option('-i', '--index', type=click.IntRange(0), metavar='N', default=0, show_default=True,
              help='Number of the card, from 0.')
@name_option('-n', '--network', help='Network to connect it to.', complete=networks, required=True)
def update(session: Session, name: str, index: int, network: str) -> int:
    """Connect a network card of VM NAME to another network."""
    target = one(session, name)
    result = Result.of(target.config.k.update_nic(target.name, index, network))
    return change(session, name, result, f'Card {index} of VM {name} is on network {network} on {target.config.client}')


@command('nic', example='kvirt delete nic -i eth1 web')
@name_argument(vms)
@name_option('-i', '--interface', help='Device, MAC address or network of the card.')
@name_option('-n', '--network', help='Network of the card.', complete=networks)
def delete(session: Session, name: str, interface: str | None, network: str | None) -> int:
    """Take a network card away from VM NAME."""
    card = interface or network
    if not card:
        raise InvalidInput('give the card with -i')
    target = one(session, name)
    session.confirm(f'Delete card {card} of VM {name} on {target.config.client}?')
    result = Result.of(target.config.k.delete_nic(target.name, card))
    return change(session, name, result, f'Card {card} deleted from VM {name} on {target.config.client}')
