"""Whole plans on fake: what is checked, made, compared, changed and deleted; and kcli's faults, which are not ours."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.config import Kconfig
from kvirt.errors import InvalidInput, NotFound
from kvirt.plan.engine import Plan
from kvirt.plan.events import Event, Failed, Finished
from kvirt.plan.execute import Summary

Opened = Callable[..., Plan]

SHOP = """\
parameters:
  workers: 2
  memory: 1024
lab: {type: network, cidr: 10.77.0.0/24}
more: {type: pool, path: /var/lib/fake/more}
small: {type: profile, numcpus: 2, memory: "{{ memory }}"}
{% for i in range(workers) %}
web-{{ i }}:
  profile: small
  image: debian12
  nets: [lab]
{% endfor %}
db:
  image: debian12
  pool: more
  disks: [10, 20]
  depends_on: web-0
shared: {type: disk, size: 5, vms: [db]}
guard: {type: securitygroup, ports: [80, 443]}
www: {type: dns, domain: example.com, ip: 10.0.0.1}
front: {type: loadbalancer, ports: [80], vms: [web-0, web-1]}
files: {type: bucket}
"""


def refused(opened: Opened, text: str, **given: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        opened(text, **given)
    return str(caught.value)


def world(config: Kconfig) -> list[tuple[Any, ...]]:
    """Return all that there is, past the provider."""
    with sqlite3.connect(config.k.conn.path) as world:
        tables = [name for name, in world.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return [(table, *row) for table in tables for row in sorted(world.execute(f'SELECT * FROM {table}'), key=repr)]


def done(summary: Summary) -> Summary:
    assert summary.ok, (summary.failed, summary.skipped)
    return summary


class TestLife:
    """Made, made again, compared, changed, deleted."""

    def test_a_plan_is_made_and_nothing_differs_then(self, opened: Opened, config: Kconfig) -> None:
        summary = done(opened(SHOP).create())
        assert set(summary.changed()) == set(opened(SHOP).checked.items)
        assert {row['name'] for row in config.k.list() if row['plan'] == 'shop'} == {'web-0', 'web-1', 'db'}
        assert config.k.info('web-0')['memory'] == 1024
        assert config.k.info('db')['disks'][-1]['path'].endswith('/shared')
        assert config.k.list_networks()['lab']['plan'] == 'shop'
        assert all(change.action == 'nothing' and not change.differences for change in opened(SHOP).diff().values())

    def test_a_second_run_changes_nothing(self, opened: Opened, config: Kconfig) -> None:
        done(opened(SHOP).create())
        before = world(config)
        assert done(opened(SHOP).create()).changed() == []
        plan = opened(SHOP)
        assert done(plan.update(plan.diff())).changed() == []
        assert world(config) == before

    def test_an_update_does_what_the_difference_showed(self, opened: Opened, config: Kconfig) -> None:
        done(opened(SHOP).create())
        changed = SHOP.replace('[10, 20]', '[10, 30, 40]').replace('[80, 443]', '[80]')
        for name in ('web-0', 'web-1', 'db'):
            config.k.stop(name)
        plan = opened(changed, memory=2048, workers=3)
        changes = {key: change for key, change in plan.diff().items() if change.action != 'nothing'}
        assert {key: change.action for key, change in changes.items()} == {
            ('vm', 'web-0'): 'update', ('vm', 'web-1'): 'update', ('vm', 'web-2'): 'create', ('vm', 'db'): 'update',
            ('securitygroup', 'guard'): 'update'}
        assert [each.what for each in changes['vm', 'db'].differences] == ['memory', 'size of disk 1', 'a further disk']
        summary = done(plan.update(plan.diff()))
        assert set(summary.changed()) == set(changes)
        again = opened(changed, memory=2048, workers=3)
        assert all(change.action == 'nothing' for change in again.diff().values())

    def test_a_further_disk_is_what_a_create_would_have_made(self, opened: Opened, config: Kconfig) -> None:
        done(opened('a: {image: debian12, disks: [10]}').create())
        config.k.create_disk('there', 3).expect()
        config.k.create_disk('also', 4).expect()
        changed = 'a: {image: debian12, disks: [10, there, {existing: also}, {name: new, size: 5, serial: S1}]}'
        done((plan := opened(changed)).update(plan.diff()))
        assert [disk['size'] for disk in config.k.info('a')['disks']] == [10, 3, 4, 5]
        assert config.k.list_disks()['new']['vms'] == ['a']
        assert all(change.action == 'nothing' for change in opened(changed).diff().values())

    def test_of_fewer_disks_and_cards_the_last_ones_go(self, opened: Opened, config: Kconfig) -> None:
        config.k.create_network('lab', cidr='10.8.0.0/24').expect()
        config.k.create_network('back', cidr='10.9.0.0/24').expect()
        done(opened('a: {image: debian12, disks: [10, 20, 30, 40], nets: [default, lab, back], start: false}').create())
        changed = 'a: {image: debian12, disks: [10, 20, 30], nets: [default], start: false}'
        done((plan := opened(changed)).update(plan.diff()))
        known = config.k.info('a')
        assert [disk['size'] for disk in known['disks']] == [10, 20, 30]
        assert [nic['net'] for nic in known['nets']] == ['default']
        assert all(change.action == 'nothing' for change in opened(changed).diff().values())

    def test_a_network_is_given_all_that_its_entry_says_in_one_call(self, opened: Opened, config: Kconfig,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
        done(opened('lab: {type: network, cidr: 10.77.0.0/24, mtu: 1400}').create())
        calls, real = [], config.k.update_network

        def update(name: str, **changes: Any) -> Any:
            calls.append(changes)
            return real(name, **changes)
        monkeypatch.setattr(config.k, 'update_network', update)
        text = 'lab: {type: network, cidr: 10.77.0.0/24, mtu: 1500, vlan: 7, nat: false, domain: lab.test}'
        differences = (plan := opened(text)).diff()['network', 'lab'].differences
        assert {each.what: (each.now, each.wanted) for each in differences} == {
            'mtu': (1400, 1500), 'vlan': (None, 7), 'nat': (True, False), 'domain': (None, 'lab.test')}
        done(plan.update(plan.diff()))
        assert calls == [{'domain': 'lab.test', 'nat': False, 'overrides': {'mtu': 1500, 'vlan': 7}}]
        assert opened(text).diff()['network', 'lab'].action == 'nothing'
        known = config.k.info_network('lab')
        assert (known['mtu'], known['vlan'], known['mode'], known['domain']) == (1500, 7, 'isolated', 'lab.test')

    def test_a_network_that_has_to_be_made_anew_is_told_with_the_reason(self, opened: Opened, config: Kconfig) -> None:
        done(opened('lab: {type: network, cidr: 10.77.0.0/24, az: a}').create())
        plan = opened('lab: {type: network, cidr: 10.78.0.0/24, az: b, mtu: 1500}')
        change = plan.diff()['network', 'lab']
        assert (change.action, change.reason) == ('replace', 'the addresses and az of a network can not be changed')
        assert {each.what for each in change.differences} == {'cidr', 'az', 'mtu'}
        done(plan.update(plan.diff()))
        assert config.k.info_network('lab')['cidr'] == '10.77.0.0/24'
        done(plan.update(plan.diff(), replace=True))
        assert config.k.info_network('lab')['cidr'] == '10.78.0.0/24'

    def test_what_can_not_be_changed_is_replaced_only_when_told(self, opened: Opened, config: Kconfig) -> None:
        done(opened('a: {image: debian12}').create())
        born = config.k.info('a')['id']
        plan = opened('a: {image: ubuntu2404}')
        assert plan.diff()['vm', 'a'].action == 'replace'
        done(plan.update(plan.diff()))
        assert config.k.info('a')['id'] == born
        done(plan.update(plan.diff(), replace=True))
        assert (config.k.info('a')['image'], config.k.info('a')['id'] != born) == ('ubuntu2404', True)

    def test_a_deletion_removes_what_the_plan_made_and_nothing_else(self, opened: Opened, config: Kconfig) -> None:
        config.create_vm('other', 'debian12').expect()
        config.k.create_network('theirs', cidr='10.9.0.0/24').expect()
        before = world(config)
        done(opened(SHOP).create())
        done(opened(SHOP).delete())
        left = {row[1:3] for row in world(config) if row[0] == 'records' and row[1] != 'PublicRange'}
        left -= {row[1:3] for row in before}
        assert left == {('Pool', 'more')}, 'a pool stays, since others may use it'
        assert [row['name'] for row in config.k.list()] == ['other']

    def test_without_its_file_a_plan_is_found_by_its_marks(self, opened: Opened, config: Kconfig) -> None:
        done(opened('lab: {type: network, cidr: 10.77.0.0/24}\na: {image: debian12, nets: [lab]}\nb: {image: debian12}')
             .create())
        outcome = config.delete_plan('shop').expect()
        assert sorted(outcome['deletedvms']) == ['a', 'b']
        assert 'lab' not in config.k.list_networks()
        assert config.delete_plan('shop')['error'] == NotFound.__name__

    def test_what_left_the_file_goes_with_the_plan(self, opened: Opened, config: Kconfig) -> None:
        from kvirt.plan import found
        done(opened(SHOP, workers=4).create())
        done(opened(SHOP).delete(further=found.everything('shop', [config])))
        assert config.k.list() == []
        assert 'lab' not in config.k.list_networks()

    def test_a_vm_of_another_plan_is_not_touched(self, opened: Opened, config: Kconfig) -> None:
        config.create_vm('a', 'debian12', {'memory': 777}, plan='theirs').expect()
        plan = opened('a: {image: debian12, memory: 1024}')
        change = plan.diff()['vm', 'a']
        assert (change.action, change.reason) == ('nothing', 'VM a is there, and belongs to plan theirs')

    @pytest.mark.parametrize('seed', range(6))
    def test_the_order_of_entries_does_not_matter(self, opened: Opened, config: Kconfig, seed: int) -> None:
        head, *entries = SHOP.replace('{% for i in range(workers) %}\n', '').replace('{% endfor %}\n', '').replace(
            '{{ i }}', '0').split('\nlab:')
        blocks = [block for block in ('lab:' + entries[0]).replace('\n  ', '\x00  ').splitlines() if block]
        random.Random(seed).shuffle(blocks)
        text = '\n'.join([head, *(block.replace('\x00', '\n') for block in blocks)]).replace(', web-1', '')
        done(opened(text).create())
        assert all(change.action == 'nothing' for change in opened(text).diff().values())

    def test_two_hundred_vms(self, opened: Opened, config: Kconfig) -> None:
        text = 'parameters: {}\n{% for i in range(200) %}\nvm-{{ i }}: {image: debian12}\n{% endfor %}\n'
        assert len(done(opened(text).create(parallel=20)).changed()) == 200
        assert len(config.k.list()) == 200

    def test_several_clients_in_one_plan(self, opened: Opened, config: Kconfig) -> None:
        done(opened('a: {image: debian12}\nb: {image: debian12, client: far}').create())
        assert [row['name'] for row in config.k.list()] == ['a']
        with config.for_client('far') as far:
            assert [(row['name'], row['location']) for row in far.k.list()] == [('b', 'oslo')]

    def test_an_export_makes_the_like(self, opened: Opened, config: Kconfig) -> None:
        from kvirt.plan import found
        from kvirt.yamlfile import dump
        done(opened('lab: {type: network, cidr: 10.77.0.0/24}\na: {image: debian12, nets: [lab], memory: 2048}').create())
        text = dump(found.export(found.everything('shop', [config])))
        assert all(change.action == 'nothing' for change in opened(text).diff().values())


class TestFailures:
    """One entry fails; what needs it is left out, and nothing else."""

    def test_what_needs_it_is_left_out_and_the_next_run_goes_on(self, opened: Opened, config: Kconfig) -> None:
        config.k.create_network('other', cidr='10.77.0.0/24').expect()
        seen: list[Event] = []
        summary = opened(SHOP).create(seen.append)
        assert set(summary.failed) == {('network', 'lab')}
        assert set(summary.skipped) == {('vm', 'web-0'), ('vm', 'web-1'), ('vm', 'db'), ('disk', 'shared'),
                                        ('loadbalancer', 'front')}
        assert set(summary.skipped.values()) == {('network', 'lab')}
        assert ('bucket', 'files') in summary.done
        [failed] = [event for event in seen if isinstance(event, Failed)]
        assert '10.77.0.0/24' in failed.reason
        config.k.delete_network('other').expect()
        done(opened(SHOP).create())

    def test_a_failure_in_a_plan_is_a_failure_of_the_plan(self, config: Kconfig) -> None:
        outcome = config.plan('shop', inputstring='a: {image: nothing}\nb: {image: debian12}')
        assert (outcome['result'], outcome['newvms'], outcome['failedvms']) == ('failure', ['b'], ['a'])
        assert 'nothing' in outcome['reason']

    def test_a_dns_entry_without_an_address_fails_alone(self, opened: Opened) -> None:
        summary = opened('www: {type: dns, domain: example.com}\na: {image: debian12}').create()
        assert set(summary.failed) == {('dns', 'www')}
        assert ('vm', 'a') in summary.done


class TestChecks:
    """Every fault, with its place, before anything is made."""

    def test_all_faults_are_told_at_once(self, opened: Opened) -> None:
        told = refused(opened, 'a: {image: debian12, memroy: 5}\nb: {type: vmm}\nc: {profile: smal}\nd:\n'
                               '  image: debian12\n  memory: lots\nsmall: {type: profile}\n'
                               'e: {image: debian12, client: nowhere}\nf: {type: network, cidr: 10.0.0.0/99}\ng: 7\n')
        for says in ("shop:1: vm a: unknown keyword 'memroy'", "shop:2: entry 'b' is of no known type: 'vmm'",
                     "shop:3: vm c: profile 'smal'", "shop:6: vm d: keyword memory",
                     "shop:8: vm e: client 'nowhere'", "shop:9: network f: key of a network cidr",
                     "shop:10: entry 'g' must be a mapping of keys"):
            assert says in told
        assert len(told.splitlines()) == 7

    @pytest.mark.parametrize(('entry', 'says'), [
        ('a: {image: debian12, memroy: 5}', "shop:1: vm a: unknown keyword 'memroy', did you mean 'memory'?"),
        ('a:\n  image: debian12\n  memory: lots', 'shop:3: vm a: keyword memory'),
        ('a: {profile: smal}\nsmall: {type: profile}',
         "shop:1: vm a: profile 'smal' does not exist, did you mean 'small'?"),
        ('a: {image: debian12, client: nowhere}', "shop:1: vm a: client 'nowhere' does not exist"),
        ('f: {type: network, cidr: 10.0.0.0/99}', 'shop:1: network f: key of a network cidr'),
        ('f: {type: loadbalancer, ports: [80, 0]}', 'shop:1: loadbalancer f: key of a loadbalancer ports'),
        ('f: {type: loadbalancer}', 'ports'),
        ('f: {type: disk, sise: 5}', "unknown key of a disk 'sise', did you mean 'size'?"),
        ('a: {image: debian12, depends_on: [b]}', "shop:1: vm a depends on 'b', which is no entry of the plan"),
        ('a: {image: debian12, depends_on: b}\nb: {image: debian12, depends_on: a}',
         'these need each other: vm a -> vm b'),
        ('a: {image: debian12, files: [nofile.txt]}', 'nofile.txt'),
        ("a: {image: debian12, cmds: ['echo {% raw %}{{ nothing }}{% endraw %}']}", "'nothing' is undefined"),
        ('a: {image: debian12}\na: {image: debian12}', 'shop:2: vm a stands here again, after shop:1'),
        ('a: [1\n', 'this is not YAML'),
        ('a: {type: plan}', 'needs a url or a file'), ('a: {type: plan, file: nofile.yml}', 'nofile.yml does not exist'),
        ('a: {basevm: b}', "builds on VM 'b', which is not there"),
    ])
    def test_a_fault_names_its_place(self, opened: Opened, entry: str, says: str) -> None:
        assert says in refused(opened, entry)

    def test_faults_of_several_entries_come_together(self, opened: Opened) -> None:
        told = refused(opened, 'a: {image: debian12, memroy: 5}\nb: {profile: none}\nc: {type: disk, x: 1}')
        assert len(told.splitlines()) == 3

    def test_nothing_is_connected_to(self, config: Kconfig) -> None:
        config.open_plan('shop', inputstring=SHOP)
        assert config._provider is None

    def test_a_name_may_be_that_of_several_kinds(self, opened: Opened) -> None:
        plan = opened('web: {image: debian12}\nweb: {type: dns, domain: example.com}')
        assert plan.checked.needs['dns', 'web'] == (('vm', 'web'),)


class TestBuildingOnOthers:
    """Profiles with bases, plans in plans, VMs on VMs."""

    def test_a_profile_of_the_plan_has_a_base(self, opened: Opened, config: Kconfig) -> None:
        done(opened('base: {type: profile, image: debian12, memory: 3072}\nsmall: {type: profile, base: base, numcpus: 3}\n'
                    'a: {profile: small}').create())
        info = config.k.info('a')
        assert (info['memory'], info['numcpus'], info['profile'], info['image']) == (3072, 3, 'small', 'debian12')

    def test_a_base_may_be_a_profile_of_the_configuration(self, opened: Opened, config: Kconfig, home: Path) -> None:
        (home / 'profiles.yml').write_text('mine: {image: debian12, memory: 640}\n')
        done(opened('small: {type: profile, base: mine, numcpus: 1}\na: {profile: small}').create())
        assert (config.k.info('a')['memory'], config.k.info('a')['numcpus']) == (640, 1)

    def test_a_plan_in_a_plan(self, opened: Opened, config: Kconfig, tmp_path: Path) -> None:
        (tmp_path / 'inner.yml').write_text('b: {image: debian12, memory: "{{ memory }}"}\n')
        (tmp_path / 'outer.yml').write_text('parameters: {}\na: {image: debian12}\nmore: {type: plan, file: inner.yml}\n')
        done(opened(tmp_path / 'outer.yml', memory=777).create())
        assert {row['name']: row['memory'] for row in config.k.list()} == {'a': 777, 'b': 777}

    def test_plans_that_name_each_other(self, opened: Opened, tmp_path: Path) -> None:
        (tmp_path / 'a.yml').write_text('x: {type: plan, file: b.yml}\n')
        (tmp_path / 'b.yml').write_text('x: {type: plan, file: a.yml}\n')
        with pytest.raises(InvalidInput, match='plans name each other'):
            opened(tmp_path / 'a.yml')

    def test_a_vm_on_a_vm(self, opened: Opened, config: Kconfig) -> None:
        done(opened('a: {image: debian12, memory: 2048, disks: [10]}\nb: {basevm: a, disks: [20], numcpus: 3}').create())
        info = config.k.info('b')
        assert (info['memory'], info['numcpus'], [disk['size'] for disk in info['disks']]) == (2048, 3, [10, 20])

    def test_a_baseplan(self, opened: Opened, config: Kconfig, tmp_path: Path) -> None:
        (tmp_path / 'base.yml').write_text('a: {image: debian12, memory: 600}\nb: {image: debian12, memory: 600}\n')
        (tmp_path / 'plan.yml').write_text('parameters:\n  baseplan: base.yml\nb: {image: debian12, memory: 700}\n')
        done(opened(tmp_path / 'plan.yml').create())
        assert {row['name']: row['memory'] for row in config.k.list()} == {'a': 600, 'b': 700}


class TestValues:
    """Which value wins."""

    def test_parameters_lie_below_the_entries_and_above_profiles(self, opened: Opened, config: Kconfig) -> None:
        done(opened('small: {type: profile, memory: 512, image: debian12}\na: {profile: small}\n'
                    'b: {profile: small, memory: 2048}', memory=1024).create())
        assert {row['name']: row['memory'] for row in config.k.list()} == {'a': 1024, 'b': 2048}

    def test_values_do_not_leak_from_one_vm_to_the_next(self, opened: Opened, config: Kconfig) -> None:
        done(opened('big: {type: profile, memory: 8192, image: debian12}\na: {profile: big}\nb: {image: debian12}\n'
                    'c: {image: debian12, SECRET: x, files: [{path: /root/x, content: y}]}\nd: {image: debian12}').create())
        assert config.k.info('b')['memory'] == 512

    def test_the_size_of_disks_is_honoured(self, opened: Opened, config: Kconfig) -> None:
        done(opened('a: {image: debian12, disksize: 33}').create())
        assert config.k.info('a')['disks'][0]['size'] == 33

    def test_a_parameter_may_be_set_on_one_vm_for_its_templates(self, opened: Opened) -> None:
        plan = opened("parameters: {colour: red}\na: {image: debian12, colour: blue, cmds: ['echo [[ colour ]]']}\n"
                      .replace('[[', '{% raw %}{{').replace(']]', '}}{% endraw %}'))
        assert plan.checked.items['vm', 'a'].variables['colour'] == 'blue'  # type: ignore[attr-defined]


class TestRules:
    """vmrules."""

    def rules(self, opened: Opened, rules: Any) -> Plan:
        return opened("vm-1: {image: debian12, cmds: [own]}\nvm-2: {image: debian12, cmds: [own]}\ndb: {image: debian12}",
                      vmrules=rules)

    def spec(self, plan: Plan, name: str) -> Any:
        return plan.checked.items['vm', name].spec  # type: ignore[attr-defined]

    def test_values_are_for_those_that_match(self, opened: Opened) -> None:
        plan = self.rules(opened, [{'vm-.*': {'memory': 2048}}, {'d?': {'memory': 640}}])
        assert [self.spec(plan, name).memory for name in ('vm-1', 'vm-2', 'db')] == [2048, 2048, 640]

    def test_commands_are_added_to_each_alike(self, opened: Opened) -> None:
        plan = self.rules(opened, [{'vm-.*': {'cmds': ['rule']}}])
        assert [self.spec(plan, name).cmds for name in ('vm-1', 'vm-2', 'db')] == [('own', 'rule'), ('own', 'rule'), ()]

    def test_what_is_caught_fills_texts_and_leaves_the_rest_alone(self, opened: Opened) -> None:
        plan = self.rules(opened, [{'vm-(\\d)': {'owner': 'team-\\1', 'start': False, 'numcpus': '\\1'}}])
        spec = self.spec(plan, 'vm-2')
        assert (spec.owner, spec.start, spec.numcpus) == ('team-2', False, 2)

    @pytest.mark.parametrize('rules', ['x', [1], [{'a': 1}], [{'(': {'memory': 1}}]])
    def test_rules_that_are_none(self, opened: Opened, rules: Any) -> None:
        with pytest.raises(InvalidInput, match='rule'):
            self.rules(opened, rules)


def test_everything_about_a_run_is_told(opened: Opened) -> None:
    seen: list[Event] = []
    opened(SHOP).create(seen.append)
    finished = [event.key for event in seen if isinstance(event, Finished)]
    assert sorted(finished) == sorted(opened(SHOP).checked.items)
