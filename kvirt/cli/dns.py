"""DNS: zones and records."""

from __future__ import annotations

import click

from kvirt.cli.completion import networks, zones
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, listing, show
from kvirt.cli.reads import from_clients
from kvirt.cli.targets import changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.result import Result

COLUMNS = ('name', 'type', 'ttl', 'data')

list_zones = listing('dns-zone', lambda config: [{'name': name} for name in config.k.list_dns_zones()], ('name',),
                     plural='DNS zones')


@list_command('dns', *COLUMNS, example='kvirt list dns example.com')
@name_argument(zones, name='domain', required=False)
def list_(session: Session, domain: str | None, short: bool, sort: str | None) -> int:
    """List the DNS records of a zone, or of all zones."""
    rows, further, code = from_clients(session, lambda config: [
        record for zone in ([domain] if domain else config.k.list_dns_zones()) for record in config.k.list_dns(zone)])
    show(session, rows, COLUMNS, further, sort=sort, empty='There are no DNS records', short=short)
    return code


@command('dns', example='kvirt create dns -d example.com -i 10.0.0.5 www')
@names_argument(required=True)
@name_option('-d', '--domain', help='Zone to make them in; the domain of the VM when absent.', complete=zones)
@click.option('-i', '--ip', metavar='ADDRESS', help='Address; that of the VM with the name of the record when absent.')
@click.option('-a', '--alias', 'aliases', metavar='NAME', multiple=True, help='Further name for the same address.')
@name_option('-n', '--net', help='Network to take the address of the VM from.', complete=networks)
@click.option('-f', '--force', is_flag=True, help='Replace what is there.')
def create(session: Session, names: tuple[str, ...], domain: str | None, ip: str | None, aliases: tuple[str, ...],
           net: str | None, force: bool) -> int:
    """Create DNS records."""
    config = session.one_client(any_of_group=True)
    return changes(session, names,
                   lambda name: Result.of(config.k.reserve_dns(name, nets=[net] if net else [], domain=domain, ip=ip,
                                                               alias=list(aliases), force=force)),
                   f"DNS record {{}} created{f' in {domain}' if domain else ''} on {config.client}")


@command('dns', example='kvirt delete dns -y -d example.com www')
@names_argument(required=True)
@name_option('-d', '--domain', help='Zone that they are in.', complete=zones, required=True)
@click.option('-a', '--all', 'everything', is_flag=True, help='Delete every record with the same address.')
def delete(session: Session, names: tuple[str, ...], domain: str, everything: bool) -> int:
    """Delete DNS records."""
    config = session.one_client()
    session.confirm(f"Delete DNS record {', '.join(names)} of {domain} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_dns(name, domain, allentries=everything)),
                   f'DNS record {{}} deleted from {domain} on {config.client}')
