"""Networks."""

from __future__ import annotations

from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.completion import networks
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing
from kvirt.cli.reads import by_name
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import InvalidInput, NotFound
from kvirt.result import Result

COLUMNS = ('name', 'type', 'cidr', 'dhcp', 'domain', 'mode', 'plan')


list_ = listing('network', lambda config: by_name(config.k.list_networks()), COLUMNS, plural='networks')


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
    dhcp, nat = _switch(values, 'dhcp', nodhcp), _switch(values, 'nat', isolated)
    cidr, domain, plan = cidr or _text(values, 'cidr'), domain or _text(values, 'domain'), _text(values, 'plan')
    result = Result.of(config.k.create_network(name, cidr=cidr, dhcp=dhcp is not False, nat=nat is not False, domain=domain,
                                               plan=plan or 'kvirt', overrides=values))
    return change(session, name, result, f'Network {name} created on {config.client}')


@command('network', parameters=True, example='kvirt update network --domain lab.example.com lab')
@name_argument(networks)
@click.option('-i', '--isolated', is_flag=True, help='Take the way out away.')
@click.option('--domain', metavar='DOMAIN', help='DNS domain.')
@click.option('--nodhcp', is_flag=True, help='End DHCP.')
def update(session: Session, name: str, isolated: bool, domain: str | None, nodhcp: bool) -> int:
    """Change a network. -P dhcp, nat, plan, and what only its provider knows."""
    values = session.parameters()
    dhcp, nat = _switch(values, 'dhcp', nodhcp), _switch(values, 'nat', isolated)
    domain, plan = domain or _text(values, 'domain'), _text(values, 'plan')
    if not values and all(value is None for value in (dhcp, nat, plan, domain)):
        raise InvalidInput('nothing to change was given', hint='Give --domain, or -P nat=true')
    config = session.one_client()
    result = Result.of(config.k.update_network(name, dhcp=dhcp, nat=nat, domain=domain, plan=plan, overrides=values))
    return change(session, name, result, f'Network {name} updated on {config.client}')


def _switch(values: dict[str, Any], key: str, off: bool) -> bool | None:
    """Take the switch *key* out of what -P gave; *off* is the option that turns it off. None when neither is given."""
    value = values.pop(key, None)
    if value not in (None, True, False):
        raise InvalidInput(f'{key}: expected true or false, got {value!r}')
    return False if off else value


def _text(values: dict[str, Any], key: str) -> str | None:
    value = values.pop(key, None)
    return None if value is None else str(value)


@command('network', example='kvirt delete network -y lab')
@names_argument(networks, required=True)
@click.option('-f', '--force', is_flag=True, help='Take it away from the VMs that use it.')
def delete(session: Session, names: tuple[str, ...], force: bool) -> int:
    """Delete networks."""
    config = session.one_client()
    session.confirm(f"Delete network {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_network(name, force=force)),
                   f'Network {{}} deleted on {config.client}')
