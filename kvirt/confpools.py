"""Pools of addresses and names that VMs take theirs from, kept in ``confpools.yml`` with what is reserved.

    lab:
      ips: 192.168.122.32/28          # or a list
      netmask: 24
      gateway: 192.168.122.1
      names: [ada, grace, joan]
      ip_reservations: {web: 192.168.122.33}      # kept by kvirt
      name_reservations: [ada]

``ippool: lab`` on a VM or a card gives it an address, ``namepool: lab`` a name, ``confpool: lab`` both of what it has.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import msgspec

from kvirt import yamlfile
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Problem, QuotaExceeded
from kvirt.names import did_you_mean, safe_name
from kvirt.settings import Settings

FILE = 'confpools.yml'
KEYS = ('confpool', 'ippool', 'namepool')
"""Keys of a VM, and of a card, that are taken out before the rest is read as keywords."""
_OF_A_CARD = ('netmask', 'prefix', 'mask', 'gateway', 'dns', 'domain')
RESERVED = ('ip_reservations', 'name_reservations')
"""Keys of a pool that say what VMs have of it."""

_OWN = ('ips', 'names', *_OF_A_CARD)
_THEIRS = ('baremetal_hosts', 'bmc_user', 'bmc_password', 'cluster_baremetal_reservations')
"""Keys that kcli gives a pool beside these; they are left alone."""

_MOST = 65536


class Wish(msgspec.Struct, frozen=True):
    """What a VM takes from pools: its name, and the addresses of cards by their index."""

    name: str | None = None
    cards: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.name or self.cards)


def wish_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], Wish]:
    """Return the values of a VM without what they say of pools, and that. InvalidInput."""
    plain = {key: value for key, value in values.items() if key not in KEYS}
    asked = {key: str(values[key]) for key in KEYS if values.get(key)}
    cards: dict[int, str] = {}
    if 'ippool' in asked or 'confpool' in asked:
        cards[0] = asked.get('ippool') or asked['confpool']
    nets = values.get('nets')
    if isinstance(nets, (list, tuple)) and any(isinstance(net, Mapping) and set(net) & set(KEYS) for net in nets):
        plain['nets'] = []
        for index, net in enumerate(nets):
            own = dict(net) if isinstance(net, Mapping) else net
            pool = (own.pop('ippool', None) or own.pop('confpool', None)) if isinstance(own, dict) else None
            if pool:
                cards[index] = str(pool)
            plain['nets'].append(own)
    return plain, Wish(asked.get('namepool'), tuple(sorted(cards.items())))


class ConfPools:
    """The pools of the configuration."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self) -> dict[str, dict[str, Any]]:
        """Return the pools by name."""
        path = self._settings.path(FILE)
        document = yamlfile.load_file(path) if path else None
        data = document.data if document else None
        if data is not None and not (isinstance(data, dict) and all(isinstance(pool, dict) for pool in data.values())):
            raise InvalidInput(Problem('expected a mapping of pools by name', str(path)))
        return data or {}

    def get(self, name: str) -> dict[str, Any]:
        """Return pool *name*. NotFound."""
        return self._pool(name)

    def create(self, name: str, values: Mapping[str, Any]) -> None:
        """Add pool *name*. AlreadyExists; InvalidInput for values that can't be."""
        safe_name('pool', name)
        with yamlfile.locked(self._settings.home / FILE):
            if name in self.all():
                raise AlreadyExists(f'pool {name} exists', hint=f"Change it: 'kvirt update confpool {name}'")
            self._write(name, _checked(name, values))

    def update(self, name: str, values: Mapping[str, Any]) -> None:
        """Set *values* of pool *name*; None takes a key away. What VMs have of it stays theirs."""
        with yamlfile.locked(self._settings.home / FILE):
            merged = {**self._pool(name), **values}
            self._write(name, _checked(name, {key: value for key, value in merged.items() if value is not None}))

    def delete(self, name: str) -> None:
        """Remove pool *name*. Conflict while VMs have something of it."""
        with yamlfile.locked(self._settings.home / FILE):
            pool = self._pool(name)
            users = [*(pool.get('ip_reservations') or ()), *(pool.get('name_reservations') or ())]
            if users:
                raise Conflict(f"pool {name} is in use by {', '.join(dict.fromkeys(map(str, users)))}")
            self._edit(name, None)

    def fill(self, vm: str, values: Mapping[str, Any], wish: Wish) -> dict[str, Any]:
        """Return *values* with the addresses that *vm* has, or now gets, from its pools."""
        filled = dict(values)
        nets = [dict(net) if isinstance(net, Mapping) else {'name': net} for net in values.get('nets') or ['default']]
        for index, name in wish.cards:
            if index >= len(nets):
                raise InvalidInput(f'VM {vm} has no card {index} for an address of pool {name}')
            pool, address = self._address(name, vm if index == 0 else f'{vm}/{index}')
            nets[index] |= {key: pool[key] for key in _OF_A_CARD if key in pool and key not in nets[index]}
            nets[index]['ip'] = address
        return {**filled, 'nets': nets} if wish.cards else filled

    def name(self, pool: str) -> str:
        """Return a name that nobody has yet, and reserve it."""
        with yamlfile.locked(self._settings.home / FILE):
            known = self._pool(pool)
            taken = list(known.get('name_reservations') or ())
            free = next((str(name) for name in known.get('names') or () if name not in taken), None)
            if free is None:
                raise QuotaExceeded(f'pool {pool} has no name left')
            self._write(pool, {**known, 'name_reservations': [*taken, free]})
            return free

    def release(self, vm: str) -> None:
        """Give back what *vm* has of any pool."""
        if not any(_has(pool, vm) for pool in self.all().values()):
            return
        with yamlfile.locked(self._settings.home / FILE):
            for name, pool in self.all().items():
                if _has(pool, vm):
                    kept = {owner: address for owner, address in (pool.get('ip_reservations') or {}).items()
                            if owner != vm and not str(owner).startswith(f'{vm}/')}
                    names = [each for each in pool.get('name_reservations') or () if each != vm]
                    self._write(name, {**pool, 'ip_reservations': kept, 'name_reservations': names})

    def _pool(self, name: str) -> dict[str, Any]:
        known = self.all()
        if name not in known:
            raise NotFound(f"there is no pool '{name}' of addresses and names{did_you_mean(name, known)}",
                           hint=f"Pools stand in {self._settings.home / FILE}; 'kvirt list confpool' shows them")
        return known[name]

    def _address(self, name: str, owner: str) -> tuple[dict[str, Any], str]:
        with yamlfile.locked(self._settings.home / FILE):
            pool = self._pool(name)
            taken = dict(pool.get('ip_reservations') or {})
            if owner in taken:
                return pool, str(taken[owner])
            free = next((address for address in _addresses(name, pool) if address not in map(str, taken.values())), None)
            if free is None:
                raise QuotaExceeded(f'pool {name} has no address left')
            self._write(name, {**pool, 'ip_reservations': {**taken, owner: free}})
            return pool, free

    def _write(self, name: str, pool: Mapping[str, Any]) -> None:
        """Write a pool anew; the caller holds the lock of the file."""
        self._edit(name, {key: value for key, value in pool.items() if value})

    def _edit(self, name: str, values: dict[str, Any] | None) -> None:
        path = self._settings.home / FILE
        known = path if path.is_file() else self._settings.path(FILE)
        text = known.read_text(encoding='utf-8') if known else ''
        yamlfile.write_private(path, yamlfile.edit_section(text, name, values))


def _checked(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a pool. InvalidInput names each that can't be."""
    problems = [Problem(f"unknown key '{key}' of pool {name}{did_you_mean(key, _OWN)}") for key in values
                if key not in (*_OWN, *RESERVED, *_THEIRS)]
    names = values.get('names') or []
    if not isinstance(names, list) or not all(isinstance(each, (str, int)) for each in names):
        problems.append(Problem(f'names of pool {name} must be a list'))
    if not (values.get('ips') or names):
        problems.append(Problem(f'pool {name} would hold neither addresses (ips) nor names'))
    if not isinstance(values.get('ips') or [], (str, list)):
        problems.append(Problem(f'ips of pool {name} must be a network or a list of addresses'))
    if problems:
        raise InvalidInput(problems)
    _addresses(name, values)
    return dict(values)


def _has(pool: Mapping[str, Any], vm: str) -> bool:
    owners = [str(owner) for owner in pool.get('ip_reservations') or ()]
    named = vm in (pool.get('name_reservations') or ())
    return named or any(owner == vm or owner.startswith(f'{vm}/') for owner in owners)


def _addresses(name: str, pool: Mapping[str, Any]) -> list[str]:
    """Return the addresses of a pool in their order; of a network those that hosts may have, but the gateway's."""
    written = pool.get('ips') or ()
    try:
        if isinstance(written, str):
            network = ipaddress.ip_network(written, strict=False)
            if network.num_addresses > _MOST:
                raise InvalidInput(f'{written} of pool {name} is too large', hint='Give at most a /16')
            gateway = str(pool.get('gateway') or network[min(1, network.num_addresses - 1)])
            return [str(address) for address in network.hosts() if str(address) != gateway]
        return [str(ipaddress.ip_address(str(address))) for address in written]
    except ValueError as error:
        raise InvalidInput(f'pool {name}: {error}') from None
