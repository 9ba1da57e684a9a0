"""Key pairs: the one that VMs of a plan share, one's own in a guest, and one for the time of a wait."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.config import Kconfig
from kvirt.errors import InvalidInput
from kvirt.guest import ssh
from kvirt.guest.guest import Guest
from kvirt.guest.keys import HostKey
from kvirt.parallel import in_parallel
from kvirt.plan.engine import Plan
from kvirt.plan.events import Event, as_json
from kvirt.plan.locate import Source
from kvirt.redact import redact

Opened = Callable[..., Plan]

TWO = 'a: {image: debian12, sharedkey: true}\nb: {image: debian12, sharedkey: true}\nc: {image: debian12}\n'


@pytest.fixture
def guests(config: Kconfig, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Guest]:
    """What each guest is told, by its name. The user has a key."""
    own = HostKey.generate()
    (home / 'id_ed25519').write_text(own.private)
    (home / 'id_ed25519.pub').write_text(own.public)
    told: dict[str, Guest] = {}
    create = type(config.k)._create

    def seen(self: Any, name: str, spec: Any, guest: Guest) -> Any:
        told[name] = guest
        return create(self, name, spec, guest)
    monkeypatch.setattr(type(config.k), '_create', seen)
    return told


def private(guest: Guest) -> str | None:
    return next((file.content.decode() for file in guest.files if file.path == '/root/.ssh/id_ed25519'), None)


class TestSharedKey:
    """``sharedkey``."""

    def test_vms_that_say_so_log_in_to_each_other(self, opened: Opened, guests: dict[str, Guest], home: Path) -> None:
        assert opened(TWO).create().ok
        pair = HostKey.read(private(guests['a']) or '')
        assert private(guests['b']) == pair.private
        assert all(guests[name].keys == ((home / 'id_ed25519.pub').read_text(), pair.public) for name in 'ab')
        assert (private(guests['c']), len(guests['c'].keys)) == (None, 1)
        modes = {file.path: file.mode for file in guests['a'].files}
        assert (modes['/root/.ssh/id_ed25519'], modes['/root/.ssh/id_ed25519.pub']) == ('0600', '0644')

    def test_it_is_kept_in_the_home_survives_a_run_and_goes_with_the_plan(
            self, opened: Opened, guests: dict[str, Guest], home: Path, config: Kconfig, tmp_path: Path,
            monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / 'here').mkdir()
        monkeypatch.chdir(tmp_path / 'here')
        assert opened(TWO).create().ok
        path = home / 'plans' / 'shop.key'
        assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
        assert list(Path().iterdir()) == []
        kept = path.read_text()
        config.delete_vm('b').expect()
        assert opened(TWO).create().ok
        assert private(guests['b']) == private(guests['a']) == path.read_text() == kept
        assert opened(TWO).delete().ok
        assert not path.exists()
        assert opened(TWO).create().ok
        assert path.read_text() != kept
        config.delete_plan('shop').expect()
        assert not path.exists()

    def test_looking_makes_none(self, opened: Opened, guests: dict[str, Guest], home: Path, config: Kconfig) -> None:
        plan = opened(TWO)
        plan.costs(plan.diff())
        config.preview_vms({'x': {'image': 'debian12', 'sharedkey': True, 'plan': 'shop'}})
        for item in plan.checked.items.values():
            config.guest_data(item.name, item.spec, {})  # type: ignore[attr-defined]
        assert not (home / 'plans').exists()

    def test_what_guests_would_be_told_is_shown_without_private_keys(self, guests: dict[str, Guest], home: Path,
                                                                     config: Kconfig) -> None:
        own = (home / 'id_ed25519').read_text()
        for keyword in ('privatekey', 'sharedkey'):
            told = config.vm_data('x', 'debian12', {keyword: True, 'plan': 'shop', 'keys': [str(home / 'id_ed25519.pub')]})
            assert 'PRIVATE KEY' not in told['userdata']
            assert own.splitlines()[1] not in told['userdata']

    def test_of_many_at_once_all_have_the_same(self, opened: Opened, guests: dict[str, Guest]) -> None:
        text = '{% for i in range(20) %}\nvm-{{ i }}: {image: debian12, sharedkey: true}\n{% endfor %}\n'
        assert opened(text).create(parallel=20).ok
        assert len({private(guest) for guest in guests.values()}) == 1

    def test_two_plans_have_two(self, guests: dict[str, Guest], config: Kconfig) -> None:
        def made(name: str) -> bool:
            return config.open_plan(name, inputstring=f'{name}: {{image: debian12, sharedkey: true}}').create().ok
        assert list(in_parallel(['one', 'two'], made)) == [True, True]
        assert private(guests['one']) != private(guests['two'])

    def test_it_is_told_nowhere(self, opened: Opened, guests: dict[str, Guest], config: Kconfig,
                                caplog: pytest.LogCaptureFixture) -> None:
        seen: list[Event] = []
        with caplog.at_level(logging.DEBUG):
            assert opened(TWO.replace('true', 'true, storemetadata: true')).create(seen.append).ok
            rows = [*config.k.list(), config.k.info('a'), *map(as_json, seen), *config.check_vm('a', 'debian12')]
        secret = private(guests['a']) or ''
        inner = secret.splitlines()[2]
        assert inner not in json.dumps(rows, default=str) + caplog.text + repr(guests['a'])
        assert secret not in redact(f'it is {secret}')
        [metadata] = [file.content.decode() for file in guests['a'].files if file.path == '/root/.metadata']
        assert inner not in metadata

    def test_without_a_plan_nobody_shares_it(self, config: Kconfig) -> None:
        outcome = config.create_vm('a', 'debian12', {'sharedkey': True})
        assert 'sharedkey is for the VMs of a plan' in outcome['reason']

    def test_a_key_that_was_spoilt_is_told_and_kept(self, opened: Opened, guests: dict[str, Guest], home: Path) -> None:
        (home / 'plans').mkdir()
        (home / 'plans' / 'shop.key').write_text('mine')
        failed = opened(TWO).create().failed
        assert 'shop.key is no private ssh key' in failed['vm', 'a']['reason']
        assert (home / 'plans' / 'shop.key').read_text() == 'mine'


class TestPrivateKey:
    """``privatekey``."""

    def test_ones_own_key_is_in_the_guest(self, opened: Opened, guests: dict[str, Guest], home: Path) -> None:
        assert opened('a: {image: debian12, privatekey: true}').create().ok
        assert private(guests['a']) == (home / 'id_ed25519').read_text()
        assert guests['a'].keys == ((home / 'id_ed25519.pub').read_text(),)

    def test_a_plan_from_elsewhere_does_not_get_it(self, config: Kconfig, guests: dict[str, Guest]) -> None:
        source = Source('a: {image: debian12, privatekey: true}', 'http://x/plan.yml', Path('.'), trusted=False,
                        origin='url')
        with pytest.raises(InvalidInput, match='http://x/plan.yml:1: .*privatekey.*comes from elsewhere'):
            Plan.of(source, 'shop', config)
        assert Plan.of(source, 'shop', config, trust=True).create().ok

    def test_not_both(self, opened: Opened) -> None:
        with pytest.raises(InvalidInput, match='a guest has one private key'):
            opened('a: {image: debian12, privatekey: true, sharedkey: true}')

    def test_without_one_it_is_told(self, opened: Opened, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('HOME', str(home))
        assert 'no private ssh key of yours' in opened('a: {image: debian12, privatekey: true}').create().failed[
            'vm', 'a']['reason']


class TestTempKey:
    """``tempkey``."""

    def test_the_wait_logs_in_with_it_and_then_it_is_gone(self, opened: Opened, guests: dict[str, Guest], config: Kconfig,
                                                          monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        used: list[tuple[Path, str, int]] = []

        def waited(target: ssh.Target, *args: Any, **kwargs: Any) -> None:
            path = Path(target.identity or '')
            used.append((path, path.read_text(), stat.S_IMODE(path.stat().st_mode)))
        monkeypatch.setattr(type(config.k), 'pretends', False)
        monkeypatch.setattr(ssh, 'wait_configured', waited)
        summary = opened('a: {image: debian12, tempkey: true, wait: true}\nb: {image: debian12}').create()
        assert summary.ok, summary.failed
        [(path, text, mode)] = used
        pair = HostKey.read(text)
        assert guests['a'].keys == ((home / 'id_ed25519.pub').read_text(), f'{pair.public} temporary')
        assert private(guests['a']) is None
        assert (mode, path.exists(), path.parent.exists()) == (0o600, False, False)
        assert len(guests['b'].keys) == 1
        assert not any(pair.private in file.read_text(errors='replace') for file in home.rglob('*') if file.is_file())
