"""What surrounds a plan: its name, the clients that it uses, the profiles that it may name, and what is there already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from kvirt.errors import InvalidInput, NotFound, Problem
from kvirt.names import did_you_mean
from kvirt.plan.ledger import Ledger
from kvirt.plan.parse import Entry
from kvirt.plan.rules import Rule
from kvirt.profiles import Layer, Merged, Profiles
from kvirt.result import Result

T = TypeVar('T')


class Config(Protocol):
    """What a plan needs of the configuration of a client; :class:`kvirt.config.Kconfig` is one."""

    client: str
    settings: Any

    @property
    def k(self) -> Any: ...

    @property
    def provider(self) -> Any: ...

    @property
    def profiles(self) -> Profiles: ...

    @property
    def keeps_networks(self) -> bool: ...

    @property
    def dnsclient(self) -> str | None: ...

    def for_client(self, client: str) -> Any: ...

    def layers(self) -> list[Layer]: ...

    def decoded(self, name: str, merged: Merged, basedir: Any) -> tuple[dict[str, Any], dict[str, Any], Any]: ...

    def unknown(self, merged: Merged, basedir: Any) -> dict[str, Problem]: ...

    def create_merged(self, name: str, merged: Merged, basedir: Any = '.', *, wait: bool = False,
                      tick: Any = None, variables: Mapping[str, Any] = ...) -> Result: ...

    def context(self) -> Mapping[str, Any]: ...

    def ansible_host(self, name: str) -> dict[str, Any]: ...

    def ssh_words(self, where: str) -> list[str]: ...

    def host_words(self) -> list[str]: ...

    def delete_vm(self, name: str, snapshots: bool = False) -> Result: ...


class Live:
    """What there is on a client. Each list is read once, when it is first asked for, and again after :meth:`forget`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, Any] = {}
        self._lock = threading.RLock()

    def forget(self) -> None:
        """Read everything anew."""
        with self._lock:
            self._known.clear()

    def _once(self, what: str, read: Callable[[Any], T]) -> T:
        with self._lock:
            if what not in self._known:
                self._known[what] = read(self._config.k)
            found: T = self._known[what]
            return found

    def vms(self) -> dict[str, Any]:
        """Return the rows of the VMs by name."""
        return self._once('vms', lambda k: {row['name']: row for row in k.list()})

    def networks(self) -> dict[str, Any]:
        """Return the networks by name."""
        return self._once('networks', lambda k: dict(k.list_networks()))

    def pools(self) -> list[str]:
        """Return the names of the storage pools."""
        return self._once('pools', lambda k: list(k.list_pools()))

    def images(self) -> set[str]:
        """Return the names of the images, short ones included."""
        def read(k: Any) -> set[str]:
            return {str(row[key]) for row in k.volumes(extended=True) for key in ('name', 'short') if row.get(key)}
        return self._once('images', read)

    def disks(self) -> dict[str, Any]:
        """Return the volumes by name."""
        return self._once('disks', lambda k: dict(k.list_disks()))

    def buckets(self) -> list[str]:
        """Return the names of the buckets."""
        return self._once('buckets', lambda k: list(k.list_buckets()))

    def groups(self) -> list[str]:
        """Return the names of the security groups."""
        return self._once('groups', lambda k: list(k.list_security_groups()))

    def balancers(self) -> dict[str, Any]:
        """Return the load balancers by name."""
        return self._once('balancers', lambda k: {row['name']: row for row in k.list_loadbalancers()})

    def records(self, domain: str) -> list[Any]:
        """Return the DNS records of a domain."""
        return self._once(f'records {domain}', lambda k: list(k.list_dns(domain)))


@dataclass
class Scope:
    """The surroundings of plan *name*, whose entries are made on the client of *config* unless they name another.

    *given* is what the user gave with -P, which also holds for all VMs; *variables* what templates see. *rules* are values
    for VMs whose names match. *made* are the VMs that this run made.
    """

    name: str
    config: Config
    given: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    rules: Sequence[Rule] = ()
    made: set[str] = field(default_factory=set)
    _configs: dict[str, Config] = field(default_factory=dict, repr=False)
    _live: dict[str, Live] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @property
    def profiles(self) -> dict[str, Entry]:
        """The plan's own profiles."""
        return {entry.name: entry for entry in self.entries if entry.kind == 'profile'}

    @property
    def ledger(self) -> Ledger:
        """What the plan made that can bear no mark."""
        return Ledger(self.config.settings.home, self.name)

    def client(self, name: str | None) -> Config:
        """Return the configuration of a client, the plan's own for None. NotFound, InvalidInput."""
        with self._lock:
            wanted = name or self.config.client
            if wanted not in self._configs:
                self._configs[wanted] = self.config if wanted == self.config.client else self.config.for_client(wanted)
            return self._configs[wanted]

    def live(self, config: Config) -> Live:
        """Return what there is on the client of *config*."""
        with self._lock:
            return self._live.setdefault(config.client, Live(config))

    def used(self) -> Iterable[Config]:
        """Return the configurations of all clients that were asked for."""
        with self._lock:
            return list(self._configs.values())

    def forget(self) -> None:
        """Read anew what there is on all clients."""
        with self._lock:
            for live in self._live.values():
                live.forget()

    def profile_layers(self, name: str, where: str) -> list[Layer]:
        """Return the layers of a profile of the plan, or of the configuration, with its bases below. InvalidInput."""
        chain: list[Layer] = []
        seen: list[str] = []
        current: str | None = name
        while current is not None:
            if current in seen:
                raise InvalidInput(Problem(f"profiles are each other's base: {' -> '.join([*seen, current])}", where))
            seen.append(current)
            entry = self.profiles.get(current)
            if entry is None:
                return [*self._configured(current, where), *reversed(chain)]
            values = {key: value for key, value in entry.values.items() if key != 'base'}
            chain.append(Layer(f'profile {current}', values, {key: entry.where(key) for key in values}))
            base = entry.values.get('base')
            current = str(base) if base is not None else None
        return list(reversed(chain))

    def _configured(self, name: str, where: str) -> list[Layer]:
        known = self.config.profiles
        if name not in known:
            words = [*self.profiles, *known.names()]
            raise InvalidInput(Problem(f"profile '{name}' does not exist{did_you_mean(name, words)}", where))
        return known.layers(name)


def missing_client(error: NotFound, where: str) -> InvalidInput:
    """Return what says that an entry names a client that does not exist."""
    return InvalidInput(Problem(error.reason, where), hint=error.hint)
