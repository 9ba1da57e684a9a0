"""Networks."""

from __future__ import annotations

import click

from kvirt.cli import output
from kvirt.cli.completion import networks
from kvirt.cli.context import Session, command
from kvirt.cli.reads import by_name, from_clients
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import NotFound
from kvirt.result import Result

COLUMNS = ('name', 'type', 'cidr', 'dhcp', 'domain', 'mode', 'plan')


@command('network', example='kvirt list network')
@click.option('-s', '--short', is_flag=True, help='Print names only.')
def list_(session: Session, short: bool) -> int:
    """List networks."""
    rows, further, code = from_clients(session, lambda config: by_name(config.k.list_networks()))
    output.rows(session, rows, [*COLUMNS[:1], *further, *COLUMNS[1:]], empty='There are no networks', short=short)
    return code


@command('network', example='kvirt info network default')
@name_argument(networks)
def info(session: Session, name: str) -> None:
    """Show a network, and the VMs on it."""
    config = session.one_client()
    known = dict(config.k.info_network(name))
    if not known:
        raise NotFound(f'network {name} does not exist on client {config.client}')
    if config.k.supports('network_ports'):
        known['vms'] = list(config.k.network_ports(name))
    output.facts(session, {'name': name, **known})


@command('network', parameters=True, example='kvirt create network -c 192.168.50.0/24 lab')
@name_argument()
@click.option('-c', '--cidr', metavar='CIDR', help='Addresses of the network.')
@click.option('-i', '--isolated', is_flag=True, help='Without a way out.')
@click.option('--domain', metavar='DOMAIN', help='DNS domain.')
@click.option('--nodhcp', is_flag=True, help='Without DHCP.')
def create(session: Session, name: str, cidr: str | None, isolated: bool, domain: str | None, nodhcp: bool) -> int:
    """Create a network. -P sets what only its provider knows."""
    config = session.one_client(any_of_group=True)
    values = session.parameters()
    plan = str(values.pop('plan', 'kvirt'))
    result = Result.of(config.k.create_network(name, cidr=cidr, dhcp=not nodhcp, nat=not isolated, domain=domain,
                                               plan=plan, overrides=values))
    return change(session, name, result, f'Network {name} created on {config.client}')


@command('network', example='kvirt delete network -y lab')
@names_argument(networks, required=True)
@click.option('-f', '--force', is_flag=True, help='Take it away from the VMs that use it.')
def delete(session: Session, names: tuple[str, ...], force: bool) -> int:
    """Delete networks."""
    config = session.one_client()
    session.confirm(f"Delete network {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_network(name, force=force)),
                   f'Network {{}} deleted on {config.client}')
