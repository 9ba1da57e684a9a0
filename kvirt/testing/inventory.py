"""What there is on a platform, as the provider tells it, and how to remove what bears a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from kvirt.base import Kbase
from kvirt.errors import KvirtError, NotFound
from kvirt.result import Result

Thing = tuple[str, str]
"""A kind and a name."""


def take(provider: Kbase) -> list[Thing]:
    """Return everything that the provider lists and that a test can make."""
    return [(kind, name) for kind, (needed, names, _) in _KINDS.items() if provider.supports(needed)
            for name in names(provider)]


def sweep(provider: Kbase, prefix: str, done: Callable[[], bool] = lambda: False) -> list[str]:
    """Delete everything whose name begins with *prefix*; return what could not be deleted, with the reason.

    Kind after kind, until *done* tells that nothing is left.
    """
    problems = []
    for kind, (needed, names, delete) in _KINDS.items():
        if done():
            break
        if not provider.supports(needed):
            continue
        try:
            ours = [name for name in names(provider) if name.startswith(prefix)]
        except KvirtError as error:  # one kind that can't be listed must not keep the others from being deleted
            problems.append(f'{kind}s can not be listed: {error}')
            continue
        for name in ours:
            try:
                result = delete(provider, name)
            except KvirtError as error:
                result = Result.failure(error)
            if not result.ok and result['error'] != 'NotFound':
                problems.append(f"{kind} {name}: {result['reason']}")
    return problems


def _zones(provider: Kbase) -> list[str]:
    return provider.list_dns_zones() if provider.supports('list_dns_zones') else []


def _records(provider: Kbase) -> Iterator[str]:
    for zone in _zones(provider):
        with suppress(NotFound):  # somebody else's, which went meanwhile
            for record in provider.list_dns(zone):
                yield f"{relative(record['name'], zone)} {zone}"


def relative(name: str, zone: str) -> str:
    """Return the name of a DNS record without that of its zone."""
    return name.removesuffix('.').removesuffix(f'.{zone}')


def _delete_record(provider: Kbase, name: str) -> Result:
    record, _, zone = name.partition(' ')
    return provider.delete_dns(record, zone)


def _delete_disk(provider: Kbase, name: str) -> Result:
    return provider.delete_disk(None, name, provider.list_disks()[name].get('pool'))


def _release(provider: Kbase, name: str) -> Result:
    if provider.list_floating_ips()[name].get('vm'):
        provider.detach_floating_ip(name)
    return provider.delete_floating_ip(name)


# In the order in which they can be deleted: what uses comes before what is used.
_KINDS: dict[str, tuple[str, Callable[[Kbase], Any], Callable[[Kbase, str], Result]]] = {
    'load balancer': ('list_loadbalancers', lambda k: [row['name'] for row in k.list_loadbalancers()],
                      lambda k, name: k.delete_loadbalancer(name)),
    'floating address': ('list_floating_ips', lambda k: list(k.list_floating_ips()), _release),
    'VM': ('list', lambda k: [row['name'] for row in k.list()], lambda k, name: k.delete(name, snapshots=True)),
    'disk': ('list_disks', lambda k: list(k.list_disks()), _delete_disk),
    'image': ('volumes', lambda k: k.volumes(), lambda k, name: k.delete_image(name)),
    'ISO': ('volumes', lambda k: k.volumes(iso=True), lambda k, name: k.delete_image(name)),
    'DNS record': ('list_dns', _records, _delete_record),
    'subnet': ('list_subnets', lambda k: list(k.list_subnets()), lambda k, name: k.delete_subnet(name, force=True)),
    'network': ('list_networks', lambda k: list(k.list_networks()), lambda k, name: k.delete_network(name, force=True)),
    'security group': ('list_security_groups', lambda k: k.list_security_groups(),
                       lambda k, name: k.delete_security_group(name)),
    'bucket': ('list_buckets', lambda k: k.list_buckets(), lambda k, name: k.delete_bucket(name)),
    'key': ('list_keys', lambda k: list(k.list_keys()), lambda k, name: k.delete_key(name)),
    'pool': ('list_pools', lambda k: k.list_pools(), lambda k, name: k.delete_pool(name, full=True)),
}
