"""Faults that were found by trying plans out, each with what shows that it is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.base import unsupported
from kvirt.config import Kconfig
from kvirt.errors import InvalidInput
from kvirt.plan.engine import Plan
from kvirt.plan.events import Key
from kvirt.plan.locate import Source
from kvirt.settings import Settings

Opened = Callable[..., Plan]


class TestWords:
    """What is written, and what it means."""

    def test_kclis_word_for_the_client_of_a_network_is_understood(self, opened: Opened) -> None:
        plan = opened('lab: {type: network, cidr: 10.77.0.0/24, vmclient: far}')
        assert plan.checked.items['network', 'lab'].config.client == 'far'
        assert plan.create().ok

    def test_rules_may_stand_in_the_section_of_a_client(self, home: Path) -> None:
        (home / 'config.yml').write_text('fake:\n  type: fake\n  vmrules:\n  - web.*: {memory: 3072}\n')
        with Kconfig('fake', settings=Settings(home)) as config:
            config.open_plan('shop', inputstring='web: {image: debian12}').create()
            assert config.k.info('web')['memory'] == 3072

    @pytest.mark.parametrize('entry', [
        'a: {type: container, image: x, volumes: [true]}', 'a: {type: container, image: x, environment: [5]}',
        'a: {image: debian12, cpuflags: [null]}'])
    def test_what_is_no_text_is_not_made_one(self, opened: Opened, entry: str) -> None:
        with pytest.raises(InvalidInput, match='shop:1'):
            opened(entry)

    def test_numbers_of_old_bases_are_texts(self, opened: Opened) -> None:
        plan = opened('a:\n  image: debian12\n  nets: [{name: default, mac: 52:54:00:12:34:56}]\n'
                      '  files: [{path: /x, content: y, mode: 0644}]\n  owner: 007\n'
                      'web: {type: container, image: x, ports: [22:22]}')
        spec = plan.checked.items['vm', 'a'].spec  # type: ignore[attr-defined]
        assert (spec.nets[0].mac, spec.files[0].mode, spec.owner) == ('52:54:00:12:34:56', '0644', '007')
        assert plan.checked.items['container', 'web'].keys.ports == ('22:22',)

    @pytest.mark.parametrize('value', ['2020-13-45', '9' * 5000])
    def test_a_value_that_can_not_be_is_told(self, opened: Opened, value: str) -> None:
        with pytest.raises(InvalidInput, match='shop:2: this is not YAML'):
            opened(f'a: {{image: debian12}}\nb: {{image: debian12, owner: {value}}}')

    def test_a_parameter_that_nothing_uses_is_a_misspelled_one(self, opened: Opened) -> None:
        text = 'parameters: {workers: 2}\na: {image: debian12}\n'
        with pytest.raises(InvalidInput, match="no parameter 'wokers', did you mean 'workers'"):
            opened(text, wokers=5)
        opened(text, workers=5, memory=1024, COLOUR='red', ip0='192.168.122.9', netmask0=24)

    def test_a_parameter_may_be_for_the_templates_of_a_guest_or_for_a_plan_within(self, opened: Opened,
                                                                                  tmp_path: Path) -> None:
        (tmp_path / 'inner.yml').write_text("parameters: {deep: 1}\nb: {image: debian12, owner: '{{ deeper }}'}\n")
        (tmp_path / 'do.sh').write_text('echo {{ work }}\n')
        (tmp_path / 'outer.yml').write_text(
            "a: {image: debian12, cmds: ['echo {% raw %}{{ colour }}{% endraw %}']}\nmore: {type: plan, file: inner.yml}\n"
            "job: {type: workflow, scripts: [do.sh]}\n")
        opened(tmp_path / 'outer.yml', colour='red', deep=2, deeper='x', work='y')

    def test_what_kcli_ignored_is_a_warning_in_a_plan_of_its_name(self, opened: Opened, tmp_path: Path,
                                                                  caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / 'kcli_plan.yml').write_text('a: {image: debian12, notify: true, memroy: 5}\n')
        with caplog.at_level(logging.WARNING, 'kvirt'):
            opened(tmp_path, threaded=True).create()
        for says in ("kcli_plan.yml:1: vm a: unknown keyword 'notify'", "unknown keyword 'memroy', did you mean 'memory'?",
                     "there is no parameter 'threaded'"):
            assert says in caplog.text
        with pytest.raises(InvalidInput, match='memroy'):
            (tmp_path / 'kcli_plan.yml').rename(tmp_path / 'kvirt_plan.yml')
            opened(tmp_path)


@pytest.mark.parametrize('kind', ['vm', 'network, cidr: 10.0.0.0/24', 'pool', 'disk', 'bucket', 'dns', 'securitygroup',
                                  'loadbalancer, ports: [80]', 'container, image: x', 'image'])
@pytest.mark.parametrize('name', ['../x', '--all', '', 'a b', 'a;b', '\\e[2J'])
def test_a_name_that_can_not_be_is_told_before_anything_is_made(opened: Opened, kind: str, name: str) -> None:
    with pytest.raises(InvalidInput, match='shop:1: .*can not name'):
        opened(f'"{name}": {{type: {kind}}}')


@pytest.mark.parametrize('template', ["{{ 'a' * 10**10 }}", "{{ 10**10 * ['a'] }}", '{{ 9 ** 999999999 }}',
                                      '{{ ' + '9' * 5000 + ' }}'])
def test_a_template_can_not_fill_the_memory(opened: Opened, template: str) -> None:
    with pytest.raises(InvalidInput, match='shop'):
        opened(f"a: {{image: debian12, owner: '{template}'}}")
    opened("a: {image: debian12, memory: '{{ 512 * 2 ** 2 }}', owner: '{{ 2 * 'ab' }}'}".replace("'ab'", '"ab"'))


class TestOrder:
    """What kcli's order says where nothing else does."""

    def needs(self, opened: Opened, text: str) -> dict[str, set[str]]:
        plan = opened(text.replace('VM', 'image: debian12'))
        def called(key: Key) -> str:
            return key[1]
        return {called(key): set(map(called, wanted)) for key, wanted in plan.checked.needs.items()}

    def test_what_follows_a_vm_that_is_waited_for_waits_as_well(self, opened: Opened) -> None:
        assert self.needs(opened, 'a: {VM}\nb: {VM, wait: true}\nc: {VM}\nd: {VM, wait: true}\ne: {VM}') == {
            'a': set(), 'b': set(), 'c': {'b'}, 'd': {'b'}, 'e': {'d'}}

    def test_who_says_what_it_depends_on_waits_for_nothing_else(self, opened: Opened) -> None:
        assert self.needs(opened, 'a: {VM, wait: true}\nb: {VM, depends_on: []}\nc: {VM, depends_on: b}') == {
            'a': set(), 'b': set(), 'c': {'b'}}

    def test_what_is_waited_for_may_need_what_follows(self, opened: Opened) -> None:
        assert self.needs(opened, 'a: {VM, wait: true, depends_on: b}\nb: {VM}\nc: {VM}') == {
            'a': {'b'}, 'b': set(), 'c': {'a'}}

    def test_all_is_deleted_at_the_same_time(self, opened: Opened) -> None:
        checked = opened('a: {image: debian12, wait: true}\nb: {image: debian12, wait: true}').checked
        assert checked.backwards() == {('vm', 'a'): set(), ('vm', 'b'): set()}

    def test_workflows_come_last(self, opened: Opened) -> None:
        text = ('job: {type: workflow, cmds: [true]}\na: {VM}\nfiles: {type: bucket}\n'
                'first: {type: workflow, cmds: [true], depends_on: files}\nb: {VM, depends_on: first}')
        assert self.needs(opened, text) == {
            'job': {'a', 'b', 'files'}, 'first': {'files'}, 'a': set(), 'b': {'first'}, 'files': set()}


class TestTrust:
    """A plan from elsewhere reads nothing of this machine, and runs nothing here."""

    @pytest.fixture
    def elsewhere(self, config: Kconfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Plan]:
        """Return a function that opens a plan as if it had been fetched."""
        texts: dict[str, str] = {}

        def located(what: Any, **more: Any) -> Source:
            return Source(texts[what], what, tmp_path, trusted=False, origin='url')

        def made(text: str, trust: bool = False, **others: str) -> Plan:
            texts.update({'http://x/plan.yml': text, **{f'http://x/{name}.yml': other for name, other in others.items()}})
            monkeypatch.setattr('kvirt.plan.locate.locate', located)
            monkeypatch.setattr('kvirt.plan.expand.locate', located)
            return config.open_plan('shop', 'http://x/plan.yml', trust=trust)
        (tmp_path / 'secret').write_text('mine')
        (tmp_path / 'secret.sh').write_text('mine')
        monkeypatch.chdir(tmp_path)
        return made

    @pytest.mark.parametrize('entry', [
        'a: {image: debian12, files: [{path: /x, origin: secret}]}', 'a: {image: debian12, scripts: [secret.sh]}',
        'a: {image: debian12, extra_files: [secret]}', 'a: {image: debian12, cloudinit_file: secret}',
        'a: {image: debian12, ignition_file: secret}', 'a: {image: debian12, sharedfolders: [/root]}',
        'a: {image: debian12, seriallog: /etc/x}', 'a: {image: debian12, qemuextra: -s}',
        'a: {image: debian12, floppy: /etc/shadow}', 'a: {image: debian12, extra_iso: /etc/shadow}',
        'a: {image: debian12, uefi_firmware: /x}', "a: {image: debian12, pcidevices: ['01:00.0']}",
        'a: {image: debian12, emulator: /tmp/x}', 'a: {image: debian12, kernel: /boot/x}',
        'small: {type: profile, scripts: [secret.sh]}\na: {image: debian12, profile: small}',
        'files: {type: bucket, files: [secret]}', 'all: {type: pool, path: /etc}', 'web: {type: container, image: x}',
        'job: {type: workflow, cmds: [true]}', 'play: {type: ansible, playbook: secret}',
        "a: {image: debian12, owner: '{{ \"secret\" | read_file }}'}", "{% include 'secret' %}",
        "a: {image: debian12, owner: '{{ \"secret\" | exists }}'}", 'more: {type: plan, file: secret}'])
    def test_it_is_refused_unless_trusted(self, elsewhere: Callable[..., Plan], entry: str) -> None:
        with pytest.raises(InvalidInput, match='http://x/plan.yml:[12]: '):
            elsewhere(entry)

    def test_its_plain_vms_are_made(self, elsewhere: Callable[..., Plan], home: Path, config: Kconfig) -> None:
        (home / 'config.yml').write_text('fake:\n  type: fake\n  scripts: [/bin/true]\n')
        assert elsewhere("a: {image: debian12, files: [{path: /x, content: y}], cmds: [date]}").create().ok

    def test_trust_reaches_the_plans_that_it_names(self, elsewhere: Callable[..., Plan], tmp_path: Path) -> None:
        text = 'more: {type: plan, url: "http://x/inner.yml"}'
        inner = 'job: {type: workflow, cmds: [touch done], destdir: .}'
        with pytest.raises(InvalidInput, match='http://x/inner.yml:1'):
            elsewhere(text, inner=inner)
        assert elsewhere(text, trust=True, inner=inner).checked.items['workflow', 'job']

    def test_a_plan_of_ones_own_does_not_vouch_for_one_that_it_names(self, config: Kconfig, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
        def located(what: Any, **more: Any) -> Source:
            return Source('job: {type: workflow, cmds: [true]}', what, tmp_path, trusted=False, origin='url')
        monkeypatch.setattr('kvirt.plan.expand.locate', located)
        text = 'more: {type: plan, url: "http://x/inner.yml"}'
        with pytest.raises(InvalidInput, match='comes from elsewhere'):
            config.open_plan('shop', inputstring=text)
        assert config.open_plan('shop', inputstring=text, trust=True).checked.items


class TestOthers:
    """What is not the plan's own stays."""

    def test_a_vm_of_another_plan_outlives_this_one(self, opened: Opened, config: Kconfig) -> None:
        config.create_vm('a', 'debian12', plan='theirs').expect()
        config.create_vm('b', 'debian12').expect()
        plan = opened('a: {image: debian12}\nb: {image: debian12}\nc: {image: debian12}')
        plan.create()
        assert plan.doomed() == [('vm', 'c')]
        assert plan.delete().changed() == [('vm', 'c')]
        assert [row['name'] for row in config.k.list()] == ['a', 'b']

    def test_so_does_a_load_balancer_that_is_a_vm_of_another_plan(self, opened: Opened, config: Kconfig,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ('_create_loadbalancer', '_delete_loadbalancer', '_list_loadbalancers'):
            monkeypatch.setattr(type(config.k), name, unsupported('none here'))
        config.create_vm('front', 'debian12', plan='theirs').expect()
        assert opened('front: {type: loadbalancer, ports: [80]}').delete().changed() == []
        assert [row['name'] for row in config.k.list()] == ['front']

    def test_a_disk_that_another_vm_has_stays(self, opened: Opened, config: Kconfig) -> None:
        plan = opened('a: {image: debian12}\nshared: {type: disk, size: 5, vms: [a]}')
        assert plan.create().ok
        config.k.detach_disks('a').expect()
        config.create_vm('theirs', 'debian12', {'disks': [10, 'shared']}).expect()
        plan.scope.live(config).forget()
        summary = plan.delete()
        assert 'shared' in config.k.list_disks()
        assert ('disk', 'shared') not in summary.changed()
