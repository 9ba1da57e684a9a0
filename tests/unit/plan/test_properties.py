"""Whole plans, as they may be: any order gives the same, and a failure leaves out exactly what needs it."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvirt.config import Kconfig
from kvirt.plan.engine import Plan
from kvirt.plan.events import Event, Finished, Key, Started
from kvirt.settings import Settings
from kvirt.yamlfile import dump

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BROKEN = 'no-such-image'


@st.composite
def plans(draw: Any) -> dict[str, dict[str, Any]]:
    """Return entries that refer to each other, never in a circle; the image of some VMs does not exist."""
    entries: dict[str, dict[str, Any]] = {}
    nets = [f'net-{index}' for index in range(draw(st.integers(0, 2)))]
    for index, net in enumerate(nets):
        entries[net] = {'type': 'network', 'cidr': f'10.{70 + index}.0.0/24'}
    vms: list[str] = []
    for index in range(draw(st.integers(1, 5))):
        entry: dict[str, Any] = {'image': BROKEN if draw(st.integers(0, 5)) == 0 else 'debian12'}
        if nets:
            entry['nets'] = draw(st.lists(st.sampled_from(nets), min_size=1, max_size=2, unique=True))
        if vms:
            entry['depends_on'] = draw(st.lists(st.sampled_from(vms), max_size=2, unique=True))
        entries[f'vm-{index}'] = entry
        vms.append(f'vm-{index}')
    some = st.lists(st.sampled_from(vms), min_size=1, max_size=2, unique=True)
    if draw(st.booleans()):
        entries['front'] = {'type': 'loadbalancer', 'ports': [80], 'vms': draw(some)}
    if draw(st.booleans()):
        entries['shared'] = {'type': 'disk', 'size': 5, 'vms': draw(some)}
    if draw(st.booleans()):
        entries['www'] = {'type': 'dns', 'domain': 'example.com', 'ip': '10.0.0.1', 'depends_on': draw(some)}
    return entries


def world(config: Kconfig) -> set[tuple[str, str]]:
    """Return what there is, without ids."""
    k = config.k
    cards = {row['name']: [net['net'] for net in k.info(row['name'])['nets']] for row in k.list()}
    vms = {('vm', f"{row['name']} {row['image']} {cards[row['name']]}") for row in k.list()}
    with sqlite3.connect(k.conn.path) as there:
        kinds = {(kind, '') for kind, in there.execute("SELECT kind FROM records WHERE kind != 'PublicRange'")}
    return {*vms, *kinds, *(('network', name) for name in k.list_networks()), *(('disk', name) for name in k.list_disks()),
            *(('balancer', str(sorted(row['vms']))) for row in k.list_loadbalancers())}


def above(plan: Plan, key: Key) -> set[Key]:
    found = {need for need in plan.checked.needs[key] if need in plan.checked.items}
    for need in set(found):
        found |= above(plan, need)
    return found


def made(entries: dict[str, dict[str, Any]], order: list[str], parallel: int) -> tuple[Any, Plan, list[Event], Any]:
    """Carry out *entries* in *order* on a fresh world; return how it went, and what there is then."""
    seen: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'config.yml').write_text('fake: {type: fake}\n')
        with Kconfig('fake', settings=Settings(Path(folder))) as config:
            plan = config.open_plan('shop', inputstring=dump({name: entries[name] for name in order}))
            summary = plan.create(seen.append, parallel=parallel)
            return summary, plan, seen, world(config)


@FEW
@given(plans(), st.integers(0, 2**32), st.integers(1, 8))
def test_any_order_of_entries_gives_the_same(entries: dict[str, dict[str, Any]], seed: int, parallel: int) -> None:
    order = list(entries)
    random.Random(seed).shuffle(order)
    first, again = made(entries, list(entries), 1), made(entries, order, parallel)
    assert first[3] == again[3]
    assert {key: set(needs) for key, needs in first[1].checked.needs.items()} == {
        key: set(needs) for key, needs in again[1].checked.needs.items()}
    assert [set(part) for part in (first[0].done, first[0].failed, first[0].skipped)] == [
        set(part) for part in (again[0].done, again[0].failed, again[0].skipped)]


@FEW
@given(plans(), st.integers(1, 8))
def test_a_failure_leaves_out_exactly_what_needs_it(entries: dict[str, dict[str, Any]], parallel: int) -> None:
    summary, plan, seen, _ = made(entries, list(entries), parallel)
    broken = {('vm', name) for name, entry in entries.items() if entry.get('image') == BROKEN}
    left_out = {key for key in plan.checked.items if above(plan, key) & broken}
    assert set(summary.skipped) == left_out
    assert set(summary.failed) == broken - left_out
    assert set(summary.done) == set(plan.checked.items) - left_out - broken
    finished: set[Key] = set()
    for event in seen:
        if isinstance(event, Started):
            assert above(plan, event.key) <= finished, 'it began when all that it needs was done'
        elif isinstance(event, Finished):
            finished.add(event.key)
