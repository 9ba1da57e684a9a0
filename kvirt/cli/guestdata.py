"""What guests would be told at their first boot, to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from kvirt.cli import output
from kvirt.cli.context import Session, command
from kvirt.cli.types import name_argument
from kvirt.cli.vms_create import layers, order_of
from kvirt.errors import InvalidInput

_TITLES = {'userdata': 'user-data', 'metadata': 'meta-data', 'networkdata': 'network-config'}


@command('vm-data', parameters=True, example='kvirt create vm-data -i debian12 -P cmds=[uptime] web')
@name_argument(required=False)
@layers
def of_vm(session: Session, name: str | None, profile: str | None, profilefile: str | None, image: str | None) -> None:
    """Show what a VM would be told at its first boot, without making it: cloud-init's files, or ignition.

    Secrets are masked, and private keys left out. The host key, the MAC addresses and the id are those of its birth, so
    they are not shown.
    """
    order = order_of(session, name, profile, profilefile, image)
    _shown(session, [order.config.vm_data(order.name, order.profile, order.values, order.custom)], several=False)


@command('plan-data', parameters=True, example='kvirt create plan-data -f web.yml shop')
@name_argument(required=False)
@click.option('-f', '--inputfile', metavar='FILE', help='File or folder of the plan.')
def of_plan(session: Session, name: str | None, inputfile: str | None) -> None:
    """Show what the VMs of a plan would be told at their first boot, without making any; as vm-data does."""
    config = session.one_client(any_of_group=True)
    plan = config.open_plan(name, inputfile, overrides=session.parameters(implicit=True), pre=False)
    vms: list[Any] = [item for item in plan.checked.in_order() if item.entry.kind == 'vm']
    if not vms:
        raise InvalidInput(f'plan {plan.name} has no VM')
    _shown(session, [vm.config.guest_data(vm.name, vm.spec, vm.variables, vm.entry.folder) for vm in vms], several=True)


def _shown(session: Session, told: Iterable[Mapping[str, Any]], *, several: bool) -> None:
    from kvirt.redact import redact
    known = list(told)
    if session.output != 'table':
        output.facts(session, known if several else known[0])
        return
    for guest in known:
        for key, title in _TITLES.items():
            if guest.get(key):
                click.echo(f"# {title} of {guest['name']}")
                click.echo(redact(guest[key].rstrip('\n')))
        if guest['kind'] is None:
            session.say(f"{guest['name']} would be told nothing")
