"""What bears no mark of its plan: it goes when the plan made it, and stays when it was there before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.base import unsupported
from kvirt.config import Kconfig
from kvirt.errors import InvalidInput
from kvirt.plan.engine import Plan
from kvirt.plan.events import Key
from kvirt.plan.ledger import Ledger
from kvirt.result import Result

Opened = Callable[..., Plan]

PLAN = """\
a: {image: debian12}
guard: {type: securitygroup, ports: [80]}
front: {type: loadbalancer, ports: [80], vms: [a]}
data: {type: disk, size: 5}
files: {type: bucket}
www: {type: dns, domain: example.com, ip: 10.0.0.1, alias: [web]}
"""
KINDS = {('securitygroup', 'guard'), ('loadbalancer', 'front'), ('disk', 'data'), ('bucket', 'files'), ('dns', 'www')}


def there(config: Kconfig) -> set[Key]:
    """Return what there is of those kinds."""
    k = config.k
    return {*(('securitygroup', name) for name in k.list_security_groups() if name != 'default'),
            *(('loadbalancer', row['name']) for row in k.list_loadbalancers()),
            *(('disk', name) for name in k.list_disks()),
            *(('bucket', name) for name in k.list_buckets()),
            *(('dns', row['name'].partition('.')[0]) for row in k.list_dns('example.com') if row['type'] == 'A')}


def make_by_hand(config: Kconfig) -> None:
    """Make what the plan names, before the plan."""
    k = config.k
    for result in (k.create_security_group('guard', {'ports': [80]}), k.create_loadbalancer('front', ports=[80]),
                   k.create_disk('data', 5), k.create_bucket('files'),
                   k.reserve_dns('www', domain='example.com', ip='10.0.0.1')):
        Result.of(result).expect()


def test_what_the_plan_made_goes_with_it_and_aliases_too(opened: Opened, config: Kconfig, home: Path) -> None:
    assert opened(PLAN).create().ok
    assert {(thing['type'], thing['name']) for thing in Ledger(home, 'shop').all()} == KINDS
    assert ('dns', 'web') in there(config)
    assert set(opened(PLAN).doomed()) == {*KINDS, ('vm', 'a')}
    assert opened(PLAN).delete().ok
    assert not KINDS & there(config)
    assert ('dns', 'web') not in there(config)
    assert Ledger(home, 'shop').all() == []


def test_what_was_there_before_outlives_it(opened: Opened, config: Kconfig) -> None:
    make_by_hand(config)
    assert set(opened(PLAN).create().changed()) == {('vm', 'a')}
    assert opened(PLAN).create().changed() == []
    assert opened(PLAN).doomed() == [('vm', 'a')]
    summary = opened(PLAN).delete()
    assert (summary.ok, summary.changed()) == (True, [('vm', 'a')])
    assert there(config) >= KINDS


def test_from_another_machine_it_stays_unless_that_is_said(opened: Opened, config: Kconfig, home: Path) -> None:
    assert opened(PLAN).create().ok
    (home / 'plans' / 'shop.yml').unlink()
    assert opened(PLAN).delete().changed() == [('vm', 'a')]
    assert there(config) >= KINDS
    assert opened(PLAN).delete(unmarked=True).ok
    assert not there(config) & KINDS


def test_what_is_of_another_plan_stays_even_then(opened: Opened, config: Kconfig) -> None:
    config.create_vm('a', 'debian12', plan='theirs').expect()
    assert ('vm', 'a') not in opened(PLAN).doomed(unmarked=True)


def test_what_was_taken_away_by_hand_and_made_again_is_no_longer_the_plans(opened: Opened, config: Kconfig) -> None:
    assert opened('data: {type: disk, size: 5}').create().ok
    config.k.delete_disk(None, 'data').expect()
    assert opened('data: {type: disk, size: 5}').delete().changed() == []
    config.k.create_disk('data', 7).expect()
    assert opened('data: {type: disk, size: 5}').doomed() == []


def test_what_others_make_at_the_same_moment_is_theirs(opened: Opened, config: Kconfig,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    make = type(config.k).create_bucket

    def late(self: Any, *args: Any) -> Any:
        make(self, *args)
        return make(self, *args)
    with monkeypatch.context() as patched:
        patched.setattr(type(config.k), 'create_bucket', late)
        assert opened('files: {type: bucket}').create().failed['bucket', 'files']['error'] == 'AlreadyExists'
    assert opened('files: {type: bucket}').doomed() == []


def test_a_killed_run_is_known_to_have_made_what_it_made(opened: Opened, config: Kconfig,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    make = type(config.k).create_bucket

    class Killed(BaseException):
        """As if the process had ended."""

    def killed(self: Any, *args: Any) -> Any:
        make(self, *args)
        raise Killed
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(type(config.k), 'create_bucket', killed)
        opened('files: {type: bucket}').create()
    assert opened('files: {type: bucket}').doomed() == [('bucket', 'files')]


def test_an_odd_ledger_is_told(opened: Opened, config: Kconfig, home: Path) -> None:
    make_by_hand(config)
    (home / 'plans').mkdir()
    (home / 'plans' / 'shop.yml').write_text('5\n')
    with pytest.raises(InvalidInput, match='expected a list of what the plan made'):
        opened(PLAN).doomed()


@pytest.mark.parametrize(('kind', 'changed'), [
    ('network', 'a: {type: network, cidr: 10.7.0.0/24}'), ('loadbalancer', 'a: {type: loadbalancer, ports: [81]}')])
def test_what_others_made_is_not_replaced(opened: Opened, config: Kconfig, kind: str, changed: str) -> None:
    if kind == 'network':
        config.k.create_network('a', cidr='10.9.0.0/24', plan='theirs').expect()
    else:
        config.k.create_loadbalancer('a', ports=[80]).expect()
    plan = opened(changed)
    change = plan.diff()[kind, 'a']
    assert (change.action, 'the plan did not make it' in change.reason) == ('nothing', True)
    assert plan.update(plan.diff(), replace=True).changed() == []


class TestOtherClientsRecord:
    """``dnsclient``: another client records the names."""

    def records(self, config: Kconfig) -> dict[str, list[str]]:
        with config.for_client('other') as other:
            return {row['name']: row['data'] for row in other.k.list_dns('example.com') if row['type'] == 'A'}

    @pytest.mark.parametrize('text', [
        'a: {image: debian12, domain: example.com, dnsclient: other}',
        'small: {type: profile, image: debian12, domain: example.com, dnsclient: other}\na: {profile: small}',
        'a: {image: debian12}\nname: {type: dns, name: a, domain: example.com, dnsclient: other}',
        'a: {type: loadbalancer, ports: [80], domain: example.com, dnsclient: other}'])
    def test_of_a_vm_a_load_balancer_and_an_entry(self, text: str, opened: Opened, config: Kconfig) -> None:
        assert opened(text).create().ok
        [(name, [address])] = self.records(config).items()
        balancers = {row['name']: row['ip'] for row in config.k.list_loadbalancers()}
        assert (name, address) == ('a.example.com', balancers.get('a') or config.k.info('a')['ip'])
        if balancers:
            assert not any(row['name'] == 'a.example.com' for row in config.k.list_dns('example.com'))
        assert opened(text).create().changed() == []
        assert {change.action for change in opened(text).diff().values()} == {'nothing'}
        assert opened(text).delete().ok
        assert (self.records(config), config.k.list(), config.k.list_loadbalancers()) == ({}, [], [])

    def test_without_the_file_the_record_of_a_vm_goes_with_it(self, opened: Opened, config: Kconfig, home: Path) -> None:
        assert opened('a: {image: debian12, domain: example.com, dnsclient: other}').create().ok
        assert config.k.dnsinfo('a') == ('other', 'example.com')
        config.delete_plan('shop').expect()
        assert (self.records(config), Ledger(home, 'shop').all()) == ({}, [])

    def test_a_record_that_points_elsewhere_stays(self, opened: Opened, config: Kconfig) -> None:
        assert opened('a: {image: debian12, domain: example.com, dnsclient: other}').create().ok
        config.for_client('other').k.reserve_dns('a', domain='example.com', ip='10.9.9.9', force=True).expect()
        config.delete_plan('shop').expect()
        assert self.records(config) == {'a.example.com': ['10.9.9.9']}

    def test_a_balancer_that_is_a_vm_is_named_too(self, opened: Opened, config: Kconfig,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ('_create_loadbalancer', '_delete_loadbalancer', '_list_loadbalancers'):
            monkeypatch.setattr(type(config.k), name, unsupported('none here'))
        text = 'a: {image: debian12}\nfront: {type: loadbalancer, ports: [80], vms: [a], domain: example.com}'
        assert opened(text).create().ok
        assert config.k.info('front')['ip'] in [address for row in config.k.list_dns('example.com')
                                                if row['name'] == 'front.example.com' for address in row['data']]
        assert opened(text).create().changed() == []

    @pytest.mark.parametrize(('text', 'says'), [
        ('a: {image: debian12, dnsclient: other}', 'shop:1: vm a: it needs a domain'),
        ('a: {type: loadbalancer, ports: [80], dnsclient: other}', 'shop:1: loadbalancer a: it needs a domain'),
        ('a: {image: debian12, domain: example.com, dnsclient: nowhere}', "shop:1: .*client 'nowhere' does not exist"),
        ('a: {type: dns, ip: 10.0.0.1, dnsclient: nowhere}', "shop:1: .*client 'nowhere' does not exist")])
    def test_what_is_wrong_is_told(self, text: str, says: str, opened: Opened) -> None:
        with pytest.raises(InvalidInput, match=says):
            opened(text)

    def test_the_configuration_may_say_so_for_all_vms_with_a_domain(self, home: Path, opened: Opened) -> None:
        text = (home / 'config.yml').read_text()
        (home / 'config.yml').write_text(f'default: {{dnsclient: other}}\n{text}')
        from kvirt.settings import Settings
        with Kconfig('fake', settings=Settings(home)) as config:
            plan = config.open_plan('shop', inputstring='a: {image: debian12, domain: example.com}\nb: {image: debian12}')
            assert set(plan.checked.items) == {('vm', 'a'), ('vm', 'b'), ('dns', 'a')}

    def test_a_record_of_a_replaced_vm_follows_its_address(self, opened: Opened, config: Kconfig) -> None:
        text = 'a: {image: debian12, domain: example.com, dnsclient: other}'
        assert opened(text).create().ok
        config.for_client('other').k.reserve_dns('a', domain='example.com', ip='10.9.9.9', force=True).expect()
        plan = opened(text)
        assert plan.diff()['dns', 'a'].action == 'update'
        assert plan.update(plan.diff()).ok
        assert self.records(config) == {'a.example.com': [config.k.info('a')['ip']]}
