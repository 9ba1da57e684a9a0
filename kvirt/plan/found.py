"""Plans without their file: what bears a plan's mark on the platforms, and what can be done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kvirt.errors import KvirtError, NotFound
from kvirt.names import UNPLANNED, did_you_mean
from kvirt.result import Result

if TYPE_CHECKING:  # who only looks needs nothing of what plans are written and carried out with
    from kvirt.plan.events import Key, Sink, Verb
    from kvirt.plan.execute import Summary, Tell
    from kvirt.plan.scope import Config


@dataclass(frozen=True)
class Found:
    """A VM or network that bears a plan's mark. Its name is *shared* where another client has one of that name."""

    kind: str
    name: str
    config: Config
    row: Mapping[str, Any]
    shared: bool = False

    @property
    def key(self) -> Key:
        """What tells it from all others of its plan."""
        return self.kind, f'{self.name} on {self.config.client}' if self.shared else self.name


def plans(configs: Iterable[Config]) -> list[dict[str, Any]]:
    """Return a row for each plan that VMs belong to: ``plan vms running clients``, sorted by name."""
    return grouped({**vm, 'client': config.client} for config in configs for vm in config.k.list())


def grouped(vms: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the same of *vms*, each of which tells its ``client``."""
    rows: dict[str, dict[str, Any]] = {}
    for vm in vms:
        if vm.get('plan') in (None, '', UNPLANNED):
            continue
        row = rows.setdefault(vm['plan'], {'plan': vm['plan'], 'vms': [], 'running': 0, 'clients': []})
        row['vms'].append(vm['name'])
        row['running'] += vm['status'] == 'running'
        if vm['client'] not in row['clients']:
            row['clients'].append(vm['client'])
    return [rows[name] for name in sorted(rows)]


def vms(name: str, configs: Sequence[Config]) -> list[Found]:
    """Return the VMs of plan *name*. NotFound when there are none."""
    found, others = [], set()
    for config in configs:
        for row in config.k.list():
            others.add(row.get('plan') or '')
            if row.get('plan') == name:
                found.append(Found('vm', row['name'], config, row))
    if not found:
        raise NotFound(f'there is no VM of plan {name}{did_you_mean(name, others - {name, ""})}')
    return told_apart(found)


def everything(name: str, configs: Sequence[Config]) -> list[Found]:
    """Return the VMs and networks that bear the mark of plan *name*; none is no error."""
    found: list[Found] = []
    for config in configs:
        found += [Found('vm', row['name'], config, row) for row in config.k.list() if row.get('plan') == name]
        if config.k.supports('list_networks') and config.k.supports('delete_network'):
            found += [Found('network', network, config, row) for network, row in config.k.list_networks().items()
                      if row.get('plan') == name]
    return told_apart(found)


def told_apart(found: Sequence[Found], taken: Collection[Key] = ()) -> list[Found]:
    """Return what was found such that each has a key of its own, and none of those that are *taken*."""
    counts = Counter((thing.kind, thing.name) for thing in found)
    return [replace(thing, shared=counts[thing.kind, thing.name] > 1 or (thing.kind, thing.name) in taken)
            for thing in found]


def removable(name: str, configs: Sequence[Config]) -> list[Found]:
    """Return of plan *name* what its deletion removes: ``everything``, but for networks that are to be kept."""
    return [thing for thing in everything(name, configs) if thing.kind != 'network' or not thing.config.keeps_networks]


def delete(name: str, found: Sequence[Found], sink: Sink, *, parallel: int = 10) -> Summary:
    """Delete what was found of plan *name*: the VMs, and then the networks that are free of others' VMs."""
    from kvirt.guest.keys import forget_shared_key
    from kvirt.plan.execute import Step, execute
    inner = [thing.key for thing in found if thing.kind == 'vm']
    steps = [Step(thing.key, 'delete', partial(deleted, thing), () if thing.kind == 'vm' else tuple(inner))
             for thing in found]
    summary = execute(steps, sink, parallel=parallel)
    if summary.ok and found:
        forget_shared_key(found[0].config.settings.home, name)
    return summary


def deleted(thing: Found, tell: Tell) -> Result:
    """Delete what was found; what is gone already is fine."""
    from kvirt.plan.kinds.item import attempt
    if thing.kind == 'vm':
        result = thing.config.delete_vm(thing.name, snapshots=True)
    else:
        result = attempt(thing.config.k.delete_network, thing.name)
    return Result.success(changed=False) if not result.ok and result['error'] == NotFound.__name__ else result


def act(found: Sequence[Found], verb: Verb, work: Callable[[Found], Any], sink: Sink, *, parallel: int = 10) -> Summary:
    """Do *work* to each of what was found."""
    from kvirt.plan.execute import Step, execute
    return execute([Step(thing.key, verb, partial(_acted, thing, work)) for thing in found], sink, parallel=parallel)


def _acted(thing: Found, work: Callable[[Found], Any], tell: Tell) -> Result:
    from kvirt.plan.kinds.item import attempt
    return attempt(work, thing)


def export(found: Sequence[Found]) -> dict[str, Any]:
    """Return a plan that makes the like of what was found: as data, networks first."""
    entries: dict[str, Any] = {}
    several = len({thing.config.client for thing in found}) > 1
    for thing in sorted(found, key=lambda thing: thing.kind != 'network'):
        name = thing.name if thing.name not in entries else f'{thing.name}-{thing.config.client}'
        entry = {'type': 'network', **_network(thing)} if thing.kind == 'network' else _vm(thing)
        entries[name] = {**({'name': thing.name} if name != thing.name else {}),
                         **({'client': thing.config.client} if several else {}), **entry}
    return entries


def _network(thing: Found) -> dict[str, Any]:
    entry = _kept(thing.row, ('cidr', 'dhcp', 'domain'))
    return {**entry, **({'nat': thing.row['mode'] == 'nat'} if thing.row.get('mode') in ('isolated', 'nat') else {})}


def _vm(thing: Found) -> dict[str, Any]:
    try:
        info = thing.config.k.info(thing.name)
    except KvirtError:
        info = {}
    known: Mapping[str, Any] = info or thing.row
    entry = _kept(known, ('image', 'flavor', 'owner', 'domain', 'autostart', 'iso'))
    if not entry.get('flavor'):
        entry |= _kept(known, ('numcpus', 'memory'))
    disks = [disk['size'] for disk in known.get('disks') or () if disk.get('size')]
    nets = [net['net'] for net in known.get('nets') or () if net.get('net')]
    return {**entry, **({'disks': disks} if disks else {}), **({'nets': nets} if nets else {})}


def _kept(known: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: known[key] for key in keys if known.get(key) not in (None, '', False)}
