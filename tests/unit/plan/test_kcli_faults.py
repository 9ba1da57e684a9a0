"""Faults that kcli has with plans, and that are not to come back here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.config import Kconfig
from kvirt.errors import Conflict, Unavailable
from kvirt.guest.guest import Guest
from kvirt.plan.engine import Plan
from kvirt.settings import Settings

Opened = Callable[..., Plan]


@pytest.fixture
def guests(config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> dict[str, Guest]:
    """What each guest is told, by its name."""
    told: dict[str, Guest] = {}
    create = type(config.k)._create

    def seen(self: Any, name: str, spec: Any, guest: Guest) -> Any:
        told[name] = guest
        return create(self, name, spec, guest)
    monkeypatch.setattr(type(config.k), '_create', seen)
    return told


def breaking(config: Kconfig, hook: str, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a hook of the provider raise *error* for VM *name*."""
    whole = getattr(type(config.k), hook)

    def broken(self: Any, called: str, *args: Any, **kwargs: Any) -> Any:
        if called == name:
            raise error
        return whole(self, called, *args, **kwargs)
    monkeypatch.setattr(type(config.k), hook, broken)


@pytest.mark.parametrize('parallel', [1, 10])
def test_what_a_provider_raises_fails_one_entry_and_the_plan(parallel: int, config: Kconfig, opened: Opened,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(config, '_create', 'b', Unavailable('the cloud is gone'), monkeypatch)
    text = 'a: {image: debian12}\nb: {image: debian12}\nc: {image: debian12}\n'
    outcome = config.plan('shop', inputstring=text, parallel=parallel)
    assert (outcome['result'], outcome['failedvms'], sorted(outcome['newvms'])) == ('failure', ['b'], ['a', 'c'])
    assert 'the cloud is gone' in outcome['reason']


def test_a_plan_changes_no_folder_and_leaves_no_file_there(config: Kconfig, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    for text in ('a: {image: debian12, sharedkey: true, tempkey: true}', 'b: {image: nothing}', 'c: {type: vmm}',
                 'd: {type: dns, domain: example.com}'):
        config.plan('shop', inputstring=text)
    assert (Path.cwd(), list(Path().iterdir())) == (tmp_path / 'here', [])


def test_a_deletion_that_fails_is_a_failure(config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config.plan('shop', inputstring='a: {image: debian12}\nb: {image: debian12}').expect()
    breaking(config, '_delete', 'a', Conflict('it is locked'), monkeypatch)
    outcome = config.delete_plan('shop')
    assert (outcome['result'], outcome['deletedvms'], outcome['failedvms']) == ('failure', ['b'], ['a'])
    assert 'it is locked' in outcome['reason']


def test_a_network_that_vms_of_a_plan_used_outlives_it(config: Kconfig, opened: Opened) -> None:
    config.k.create_network('theirs', cidr='10.9.0.0/24').expect()
    text = 'lab: {type: network, cidr: 10.8.0.0/24}\na: {image: debian12, nets: [lab, theirs, default]}'
    assert opened(text).create().ok
    config.delete_plan('shop').expect()
    assert set(config.k.list_networks()) >= {'theirs', 'default'}
    assert 'lab' not in config.k.list_networks()


def test_vms_with_snapshots_go_with_their_plan(config: Kconfig, opened: Opened) -> None:
    assert opened('a: {image: debian12}').create().ok
    config.k.create_snapshot('before', 'a').expect()
    assert opened('a: {image: debian12}').delete().ok
    assert config.k.list() == []


def test_what_is_made_smaller_loses_the_last_disks_and_cards(config: Kconfig, opened: Opened) -> None:
    text = ('n: {type: network, cidr: 10.8.0.0/24}\n'
            'a: {image: debian12, disks: [10, 20, 30, 40], nets: [default, n, n, n]}')
    assert opened(text).create().ok
    config.k.stop('a')
    less = text.replace(', 30, 40]', ']').replace(', n, n, n]', ', n]')
    plan = opened(less)
    assert plan.update(plan.diff()).ok
    info = config.k.info('a')
    assert [disk['size'] for disk in info['disks']] == [10, 20]
    assert [net['net'] for net in info['nets']] == ['default', 'n']
    assert {change.action for change in opened(less).diff().values()} == {'nothing'}


def test_files_are_those_beside_the_plan_wherever_one_stands(config: Kconfig, opened: Opened, guests: dict[str, Guest],
                                                             tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'plan' / 'conf' / 'inner').mkdir(parents=True)
    (tmp_path / 'plan' / 'conf' / 'inner' / 'x.txt').write_text('mine\n')
    (tmp_path / 'plan' / 'do.sh').write_text("cat <<'EOF'\n  indented: {{ colour }}\nEOF\n")
    (tmp_path / 'plan' / 'plan.yml').write_text(
        'parameters: {colour: red}\na: {image: debian12, scripts: [do.sh], files: [{path: /etc/conf, origin: conf},'
        ' {path: /etc/x, origin: conf/inner/x.txt}]}\n')
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert opened(tmp_path / 'plan' / 'plan.yml').create().ok
    files = {file.path: file.content for file in guests['a'].files}
    assert files['/etc/conf/inner/x.txt'] == files['/etc/x'] == b'mine\n'
    assert guests['a'].scripts[0].content == b"cat <<'EOF'\n  indented: red\nEOF\n"


def test_nothing_of_one_guest_is_in_the_next(opened: Opened, guests: dict[str, Guest]) -> None:
    text = ('a: {image: debian12, SECRET: x, files: [{path: /root/x, content: y}], cmds: [one], tags: [t]}\n'
            'b: {image: debian12}\n')
    assert opened(text).create(parallel=1).ok
    guest = guests['b']
    assert (guest.files, guest.cmds, guest.spec.env, guest.spec.tags) == ((), (), {}, ())


@pytest.mark.parametrize('ips', ['10.5.0.0/29', '[10.5.0.2, 10.5.0.3]'])
def test_addresses_of_pools_reach_the_cards(ips: str, home: Path, config: Kconfig, guests: dict[str, Guest]) -> None:
    (home / 'confpools.yml').write_text(f'lab: {{ips: {ips}, netmask: 24, gateway: 10.5.0.1}}\n')
    text = 'lan: {type: network, cidr: 10.5.0.0/24}\n' + ''.join(
        f'{name}: {{image: debian12, nets: [{{name: lan, ippool: lab}}]}}\n' for name in 'ab')
    assert config.open_plan('shop', inputstring=text).create().ok
    assert sorted(str(guests[name].spec.nets[0].ip) for name in 'ab') == ['10.5.0.2', '10.5.0.3']
    assert guests['a'].spec.nets[0].gateway == '10.5.0.1'


def test_a_group_keeps_the_defaults(home: Path) -> None:
    text = (home / 'config.yml').read_text()
    (home / 'config.yml').write_text(
        f'default: {{memory: 1234, numcpus: 3}}\n{text}all: {{type: group, members: [fake]}}\n')
    with Kconfig('all', settings=Settings(home)) as config:
        assert config.open_plan('shop', inputstring='a: {image: debian12}').create().ok
        assert (config.k.info('a')['memory'], config.k.info('a')['numcpus']) == (1234, 3)


def test_a_wait_is_on_the_client_of_the_vm(config: Kconfig, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    wait = Kconfig.wait_vm

    def noted(self: Kconfig, name: str, *args: Any, **kwargs: Any) -> Any:
        asked.append((self.client, name))
        return wait(self, name, *args, **kwargs)
    monkeypatch.setattr(Kconfig, 'wait_vm', noted)
    assert opened('a: {image: debian12, wait: true}\nb: {image: debian12, client: other, wait: true}').create().ok
    assert sorted(asked) == [('fake', 'a'), ('other', 'b')]


def test_what_is_known_of_a_vm_can_be_asked_whole(opened: Opened, config: Kconfig) -> None:
    config.create_vm('known', 'debian12', {'memory': 777}).expect()
    plan = opened("a:\n  image: debian12\n  memory: {{ ('known' | kcli_info).memory }}\n"
                  "  owner: {{ 'known' | kcli_info('image') }}\n")
    assert plan.create().ok
    assert (config.k.info('a')['memory'], config.k.info('a')['owner']) == (777, 'debian12')


def test_a_profile_may_be_called_anything_and_say_its_type(opened: Opened, config: Kconfig) -> None:
    assert opened('file: {type: profile, image: debian12, memory: 640}\nvm: {type: profile, base: file}\n'
                  'a: {profile: vm}').create().ok
    assert config.k.info('a')['memory'] == 640
