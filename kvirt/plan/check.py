"""The fourth step: every entry looked at, and every fault told at once. Nothing is connected to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kvirt.errors import InvalidInput, KvirtError, Problem
from kvirt.plan.events import Key
from kvirt.plan.graph import Graph
from kvirt.plan.kinds.containers import ContainerItem
from kvirt.plan.kinds.infrastructure import DiskItem, ImageItem, NetworkItem, PoolItem
from kvirt.plan.kinds.item import Item, Made
from kvirt.plan.kinds.jobs import AnsibleItem, Job, WorkflowItem
from kvirt.plan.kinds.services import BucketItem, DnsItem, LoadBalancerItem, SecurityGroupItem
from kvirt.plan.kinds.vm import VmItem
from kvirt.plan.parse import Entry
from kvirt.plan.scope import Scope

ITEMS: Mapping[str, type[Item]] = {item.kind: item for item in (
    VmItem, NetworkItem, PoolItem, ImageItem, DiskItem, BucketItem, DnsItem, SecurityGroupItem, LoadBalancerItem,
    ContainerItem, AnsibleItem, WorkflowItem)}


class Checked:
    """The items of a plan that was found right, and what each of them needs, or only comes *after*."""

    def __init__(self, items: Mapping[Key, Item], needs: Mapping[Key, Sequence[Key]],
                 after: Mapping[Key, Sequence[Key]] | None = None) -> None:
        self.items, self._own = dict(items), dict(needs)
        self.needs = {key: (*wanted, *(after or {}).get(key, ())) for key, wanted in needs.items()}

    def in_order(self) -> list[Item]:
        """Return the items, each after all that it needs."""
        return [self.items[key] for key, _ in Graph(self.needs).in_order()]

    def backwards(self) -> dict[Key, set[Key]]:
        """Return what must be gone before each item can go: what needed it, but for what outlives that."""
        turned: dict[Key, set[Key]] = {key: set() for key in self.items}
        for key, wanted in self._own.items():
            for need in wanted:
                first, then = (need, key) if self.items[key].outlives(need) else (key, need)
                turned[then].add(first)
        return turned


def check(entries: Iterable[Entry], scope: Scope, found: Sequence[Problem] = ()) -> Checked:
    """Return the items of *entries*. InvalidInput names every fault of every entry, and what was *found* before."""
    known = [entry for entry in entries if entry.kind != 'profile']
    problems: list[Problem] = list(found)
    items: dict[Key, Item] = {}
    for entry in known:
        kind = ITEMS.get(entry.kind)
        if kind is None:
            problems.append(Problem(f'entries of type {entry.kind} can not be made yet', entry.where()))
            continue
        try:
            item = kind(entry, scope)
            items[item.key] = item
        except InvalidInput as error:
            problems += _placed(error, entry)
        except KvirtError as error:
            problems.append(Problem(str(error), entry.where()))
    _name_on_others(items, scope, problems)
    made: dict[Made, Key] = {}
    for key, item in items.items():
        thing = (item.kind, item.config.client, item.name)
        if thing in made and not isinstance(item, Job):
            problems.append(Problem(f'{item.entry} makes the same as {items[made[thing]].entry}: {item.name} on '
                                    f'{item.config.client}', item.entry.where('name')))
        made[thing] = key
    needs: dict[Key, Sequence[Key]] = {}
    for key, item in items.items():
        try:
            needs[key] = item.needs(items, made)
        except InvalidInput as error:
            problems += error.problems
    if not problems:
        problems += _circles(needs, items)
    if problems:
        raise InvalidInput(problems)
    return Checked(items, needs, _in_order_of_kcli(items, needs))


def _name_on_others(items: dict[Key, Item], scope: Scope, problems: list[Problem]) -> None:
    """Add the DNS entries of VMs and load balancers whose records another client keeps, but where the plan has its own."""
    zones = {(item.name, item.zone) for item in items.values() if isinstance(item, DnsItem)}
    for item in list(items.values()):
        if not isinstance(item, (VmItem, LoadBalancerItem)) or item.dns is None:
            continue
        if (item.name, item.dns['domain']) in zones:
            continue
        name = item.name if ('dns', item.name) not in items else f"{item.name}.{item.dns['domain']}"
        values = {'name': item.name, 'client': item.config.client, **item.dns}
        try:
            record = DnsItem(replace(item.entry, kind='dns', name=name, values=values), scope)
            items[record.key] = record
        except InvalidInput as error:
            problems += _placed(error, item.entry)


def _placed(error: InvalidInput, entry: Entry) -> list[Problem]:
    """Return the problems of *error* with their places in the plan's file, and its hint with the last one."""
    told = [*error.problems[:-1], *(Problem(f'{last.message}. {error.hint}' if error.hint else last.message, last.where)
                                    for last in error.problems[-1:])]
    return [_of_entry(problem, entry) for problem in told]


def _of_entry(problem: Problem, entry: Entry) -> Problem:
    """Return a problem with its place in the plan's file; what it says of a place within the guest stays in its text."""
    if problem.where.startswith(f'{entry.document.source}:') or not problem.where:
        return Problem(f'{entry}: {problem.message}', problem.where or entry.where())
    if re.match(r'.*:\d+$', problem.where) and '.' in problem.where.rpartition(':')[0]:
        return Problem(f'{entry}: {problem.message}', problem.where)  # another file
    return Problem(f'{entry}: {problem.where}: {problem.message}', entry.where(problem.where.split()[0]))


def _in_order_of_kcli(items: Mapping[Key, Item], needs: Mapping[Key, Sequence[Key]]) -> dict[Key, list[Key]]:
    """Return what comes before each item because kcli did it so, where its entry does not say what it depends on.

    What follows a VM with ``wait`` begins when that is ready, and workflows come last; but for what would make a circle.
    """
    further: dict[Key, list[Key]] = {key: [] for key in items}
    waited: list[Key] = []

    def above(key: Key) -> set[Key]:
        seen, left = {key}, [key]
        while left:
            current = left.pop()
            new = {*needs[current], *further[current]} - seen
            seen |= new
            left += new
        return seen

    for key, item in items.items():
        free = 'depends_on' not in item.entry.values
        if free and isinstance(item, WorkflowItem):
            before = [other for other, one in items.items() if not isinstance(one, WorkflowItem)]
        else:
            before = waited if free and isinstance(item, VmItem) else []
        further[key] = [other for other in before if other not in needs[key] and key not in above(other)]
        if isinstance(item, VmItem) and item.spec.waits:
            waited = [key] if free else [*waited, key]
    return further


def _circles(needs: Mapping[Key, Sequence[Key]], items: Mapping[Key, Item]) -> Iterable[Problem]:
    try:
        Graph({f'{kind} {name}': [f'{other} {called}' for other, called in wanted]
               for (kind, name), wanted in needs.items()}).in_order()
    except InvalidInput as error:
        yield Problem(error.reason, next(iter(items.values())).entry.document.source)
