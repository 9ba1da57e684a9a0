"""VMs as Ansible's inventory."""

from __future__ import annotations

import json

import click

from kvirt.cli.context import Session, command
from kvirt.errors import NotFound
from kvirt.names import did_you_mean


@command('inventory', parameters=True, example='kvirt list inventory -P plan=shop')
@click.option('--list', 'everything', is_flag=True, help='All hosts, which is also what comes without it.')
@click.option('--host', metavar='NAME', help='The variables of one host alone.')
def list_(session: Session, everything: bool, host: str | None) -> None:
    """Print VMs as Ansible's inventory, in JSON, or in YAML with -o.

    Groups are by plan, profile, client, image and status. A script of one line is an inventory to Ansible:
    exec kvirt list inventory "$@"

    -P chooses VMs as in 'list vm'.
    """
    from kvirt.inventory import hosts, inventory
    found = hosts([session.config(client) for client in session.clients], session.parameters())
    if host is not None:
        named = {each.name: each for each in found}
        if host not in named:
            raise NotFound(f"there is no host '{host}'{did_you_mean(host, named)}")
        data = dict(named[host].variables)
    elif session.output == 'name':
        for each in found:
            click.echo(each.name)
        return
    else:
        data = inventory(found)
    if session.output == 'yaml':
        from kvirt.yamlfile import dump
        click.echo(dump(data), nl=False)
    else:
        click.echo(json.dumps(data, indent=None if session.output == 'jsoncompact' else 2, default=str))
