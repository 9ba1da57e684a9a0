"""What a plan made and its file no longer names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvirt.config import Kconfig
from kvirt.plan.engine import Plan

Opened = Callable[..., Plan]

WHOLE = """\
lab: {type: network, cidr: 10.77.0.0/24}
a: {image: debian12}
b: {image: debian12, nets: [lab]}
c: {image: debian12, client: other}
data: {type: disk, size: 5, vms: [b]}
guard: {type: securitygroup, ports: [80]}
front: {type: loadbalancer, ports: [80], vms: [a, b]}
files: {type: bucket}
www: {type: dns, domain: example.com, ip: 10.0.0.1}
"""
LESS = 'a: {image: debian12}\nd: {image: debian12, client: other}\n'


@pytest.mark.parametrize('verb', ['create', 'update'])
def test_it_goes_when_asked_and_nothing_else(verb: str, opened: Opened, config: Kconfig) -> None:
    config.create_vm('theirs', 'debian12', plan='theirs').expect()
    config.k.create_bucket('mine').expect()
    assert opened(WHOLE).create().ok
    assert {change.action for change in opened(LESS).diff().values()} == {'nothing', 'create'}
    plan = opened(LESS)
    changes = plan.diff(prune=True)
    doomed = {(kind, name.partition(' on ')[0]) for (kind, name), change in changes.items() if change.action == 'delete'}
    assert doomed == {('network', 'lab'), ('vm', 'b'), ('vm', 'c'), ('disk', 'data'), ('securitygroup', 'guard'),
                      ('loadbalancer', 'front'), ('bucket', 'files'), ('dns', 'www')}
    summary = plan.create(prune=True) if verb == 'create' else plan.update(changes)
    assert summary.ok, summary.failed
    assert len(summary.changed()) == len(doomed) + 1
    assert [row['name'] for row in config.k.list()] == ['a', 'theirs']
    assert (config.k.list_buckets(), config.k.list_loadbalancers()) == (['mine'], [])
    assert list(config.k.list_disks()) == ['a_0.img', 'theirs_0.img']
    assert 'lab' not in config.k.list_networks()
    assert [row['name'] for row in config.for_client('other').k.list()] == ['d']
    assert {change.action for change in opened(LESS).diff(prune=True).values()} == {'nothing'}


def test_without_it_nothing_goes(opened: Opened, config: Kconfig) -> None:
    assert opened(WHOLE).create().ok
    plan = opened(LESS)
    assert plan.update(plan.diff()).ok
    assert [row['name'] for row in config.k.list()] == ['a', 'b']


def test_a_balancer_that_is_a_vm_is_no_surplus(opened: Opened, config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt.base import unsupported
    for name in ('_create_loadbalancer', '_delete_loadbalancer', '_list_loadbalancers'):
        monkeypatch.setattr(type(config.k), name, unsupported('none here'))
    text = 'a: {image: debian12}\nfront: {type: loadbalancer, ports: [80], vms: [a]}\n'
    assert opened(text).create().ok
    assert {change.action for change in opened(text).diff(prune=True).values()} == {'nothing'}


@pytest.mark.parametrize('update', [False, True])
def test_scripts_say_so_too(update: bool, config: Kconfig) -> None:
    config.plan('shop', inputstring=WHOLE).expect()
    config.plan('shop', inputstring=LESS, update=update, prune=True, compat=True, overrides={'threaded': True}).expect()
    assert [row['name'] for row in config.k.list()] == ['a']


def test_its_price_is_not_known(opened: Opened) -> None:
    assert opened(WHOLE).create().ok
    plan = opened('a: {image: debian12}')
    assert 'vm b, which is deleted' in plan.costs(plan.diff(prune=True))[1]
