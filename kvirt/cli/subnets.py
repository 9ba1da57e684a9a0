"""Subnets of networks."""

from __future__ import annotations

import click

from kvirt.cli import output
from kvirt.cli.completion import networks, subnets
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing
from kvirt.cli.reads import by_name
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput, NotFound
from kvirt.result import Result

list_ = listing('subnet', lambda config: by_name(config.k.list_subnets()), ('name', 'network', 'cidr', 'az', 'id'),
                plural='subnets')


@command('subnet', example='kvirt info subnet front')
@name_argument(subnets)
def info(session: Session, name: str) -> None:
    """Show a subnet."""
    config = session.one_client()
    known = dict(config.k.info_subnet(name))
    if not known:
        raise NotFound(f'subnet {name} does not exist on client {config.client}')
    output.facts(session, {'name': name, **known})


@command('subnet', parameters=True, example='kvirt create subnet -c 10.0.1.0/24 --network lab front')
@name_argument()
@click.option('-c', '--cidr', metavar='CIDR', required=True, help='Addresses of the subnet, within those of its network.')
@name_option('--network', help='Network that it belongs to.', complete=networks)
@click.option('-i', '--isolated', is_flag=True, help='Without a way out.')
@click.option('--domain', metavar='DOMAIN', help='DNS domain.')
@click.option('--nodhcp', is_flag=True, help='Without DHCP.')
def create(session: Session, name: str, cidr: str, network: str | None, isolated: bool, domain: str | None,
           nodhcp: bool) -> int:
    """Create a subnet. -P sets what only its provider knows."""
    config = session.one_client(any_of_group=True)
    values = session.parameters()
    plan = str(values.pop('plan', 'kvirt'))
    if network:
        values['network'] = network
    result = Result.of(config.k.create_subnet(name, cidr, dhcp=not nodhcp, nat=not isolated, domain=domain, plan=plan,
                                              overrides=values))
    return change(session, name, result, f'Subnet {name} created on {config.client}')


@command('subnet', parameters=True, example='kvirt update subnet -P dhcp=false front')
@name_argument(subnets)
def update(session: Session, name: str) -> int:
    """Change what -P says of a subnet."""
    values = session.parameters()
    if not values:
        raise InvalidInput('nothing to change was given', hint='Give it with -P')
    config = session.one_client()
    return change(session, name, Result.of(config.k.update_subnet(name, values)),
                  f'Subnet {name} updated on {config.client}')


@command('subnet', example='kvirt delete subnet -y front')
@names_argument(subnets, required=True)
@click.option('-f', '--force', is_flag=True, help='Take it away from the VMs that use it.')
def delete(session: Session, names: tuple[str, ...], force: bool) -> int:
    """Delete subnets."""
    config = session.one_client()
    session.confirm(f"Delete subnet {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_subnet(name, force=force)),
                   f'Subnet {{}} deleted on {config.client}')
