"""Load balancers in front of VMs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.cli.completion import loadbalancers, vms
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing, showing
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean
from kvirt.result import Result

_KEYS = ('ports', 'vms', 'checkpath', 'checkport', 'domain', 'alias', 'internal', 'dnsclient', 'ip')

list_ = listing('loadbalancer', lambda config: config.k.list_loadbalancers(), ('name', 'ip', 'protocol', 'ports', 'vms'),
                plural='load balancers')
info = showing('loadbalancer', lambda config: config.k.list_loadbalancers(), loadbalancers,
               about='Show a load balancer, and the VMs behind it.', example='front')


@command('loadbalancer', parameters=True, example='kvirt create loadbalancer -P ports=[80,443] -P vms=[web-0,web-1] front')
@name_argument()
def create(session: Session, name: str) -> int:
    """Create a load balancer that spreads -P ports over -P vms.

    Also -P checkpath, checkport (where a VM tells that it is well), domain, alias, internal, dnsclient, ip.
    """
    values = _checked(session.parameters(), _KEYS)
    config = session.one_client(any_of_group=True)
    result = Result.of(config.k.create_loadbalancer(name, **values))
    address = f" at {result['ip']}" if result.get('ip') else ''
    return change(session, name, result, f'Load balancer {name} created on {config.client}{address}')


@command('loadbalancer', example='kvirt delete loadbalancer -y front')
@names_argument(loadbalancers, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Delete load balancers; the VMs behind them stay."""
    config = session.one_client()
    session.confirm(f"Delete load balancer {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_loadbalancer(name)),
                   f'Load balancer {{}} deleted on {config.client}')


@command('loadbalancer', parameters=True, example='kvirt attach loadbalancer front web-2')
@name_argument(loadbalancers)
@name_argument(vms, name='vm')
def attach(session: Session, name: str, vm: str) -> int:
    """Put a VM behind a load balancer, for all its ports or for -P ports."""
    values = _checked(session.parameters(), ('ports',))
    config = session.one_client()
    return change(session, name, Result.of(config.k.add_vm_to_loadbalancer(vm, name, **values)),
                  f'VM {vm} is behind load balancer {name} on {config.client}')


def _checked(values: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters of a load balancer as its operations take them. InvalidInput."""
    for key in values:
        if key not in known:
            raise InvalidInput(f"'{key}' means nothing for a load balancer{did_you_mean(key, known)}",
                               hint=f"Give {', '.join(known)}")
    checked = dict(values)
    for key in ('ports', 'vms', 'alias'):
        if key in checked and not isinstance(checked[key], list):
            checked[key] = [part.strip() for part in checked[key].split(',')] if isinstance(
                checked[key], str) else [checked[key]]
    for port in [*checked.get('ports', ()), *([checked['checkport']] if 'checkport' in checked else ())]:
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise InvalidInput(f'{port!r} is no port', hint='Give numbers from 1 to 65535: -P ports=[80,443]')
    return checked
