"""The fake is the specification by example: it has all, and it is the same each time."""

from __future__ import annotations

import inspect
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kvirt.base import Kbase
from kvirt.base.options import decode_options
from kvirt.errors import InvalidInput, Unavailable
from kvirt.providers import registry
from kvirt.providers.fake import FakeOptions, Kfake

from .conftest import create, ok


def test_every_operation_is_supported() -> None:
    lacking = {each.operation: each.mark for each in Kfake.capabilities() if each.mark != 'supported'}
    assert lacking == {}
    assert len(Kfake.capabilities()) > 90


def test_the_constructor_takes_every_option() -> None:
    taken = set(inspect.signature(Kfake).parameters)
    assert set(FakeOptions.__struct_fields__) <= taken
    assert taken - set(FakeOptions.__struct_fields__) == {'debug', 'clock'}


def test_it_is_in_the_catalog() -> None:
    assert registry.load('fake') is Kfake
    assert registry.find('fake').finished
    assert issubclass(Kfake, Kbase)


def test_options_of_a_file() -> None:
    options = decode_options(FakeOptions, {'faults': ['capacity', 'transient=4'], 'boot_seconds': 2}, client='x')
    assert isinstance(options, FakeOptions)
    assert (options.faults, options.boot_seconds) == (('capacity', 'transient=4'), 2)


@pytest.mark.parametrize(('given', 'said'), [
    ({'location': 'olso'}, "unknown location 'olso', did you mean 'oslo'"),
    ({'faults': ['capacty']}, "unknown fault 'capacty', did you mean 'capacity'"),
    ({'now': 'yesterday'}, "'yesterday' is no date")])
def test_a_wrong_option_is_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Kfake(state=':memory:', **given)  # type: ignore[arg-type]


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    with Kfake(home=str(tmp_path / 'home')) as fake:
        assert not (tmp_path / 'home').exists()
        assert fake.list() == []
    assert (tmp_path / 'home' / 'fake.db').exists()


def test_without_home_it_is_kept_in_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    with Kfake() as fake:
        assert fake.conn.path == str(tmp_path / '.kvirt' / 'fake.db')


def test_the_file_is_its_owners_alone(fake: Kfake, state: Path) -> None:
    ok(create(fake, 'web'))
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700


def test_two_objects_and_two_processes_see_one_world(fake: Kfake, state: Path) -> None:
    ok(create(fake, 'web'))
    assert [row['name'] for row in Kfake(state=str(state)).list()] == ['web']
    code = f"from kvirt.providers.fake import Kfake; print(Kfake(state={str(state)!r}).delete('web'))"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert "'success'" in done.stdout
    assert fake.list() == []


def test_a_world_in_memory_is_gone_with_its_object() -> None:
    with Kfake(state=':memory:') as fake:
        ok(create(fake, 'web'))
        assert fake.exists('web')
    assert Kfake(state=':memory:').list() == []


def test_the_same_calls_give_the_same_world(tmp_path: Path) -> None:
    def world(name: str, seed: str = '') -> list[object]:
        fake = Kfake(state=str(tmp_path / name), seed=seed, now='2030-01-31T12:00:00Z')
        ok(create(fake, 'web', disks=[10, 20]))
        ok(create(fake, 'db', nets=['default', 'default']))
        ok(fake.create_floating_ip('front'))
        infos = [{**fake.info(vm), 'hostkey': None} for vm in ('web', 'db')]
        return [fake.list(), fake.list_floating_ips(), *infos]

    assert world('a') == world('b')
    first, other = world('c')[0], world('d', seed='other')[0]
    assert first != other, 'another seed gives other ids'
    assert Kfake(state=str(tmp_path / 'a')).info('web')['creationdate'] == '2030-01-31T12:00:00Z'


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / 'text'
    path.write_text('no database at all, and long enough to be read as the head of one' * 20)
    with pytest.raises(InvalidInput, match='is not a file of the fake provider'):
        Kfake(state=str(path)).list()
    assert path.read_text().startswith('no database')


def test_a_file_of_another_version_is_told(fake: Kfake, state: Path) -> None:
    with fake.conn.change() as world:
        world.execute('PRAGMA user_version = 99')
    with pytest.raises(InvalidInput, match='another version'):
        Kfake(state=str(state)).list()


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(Unavailable, match='file'):
        Kfake(state=str(tmp_path / 'file' / 'world.db')).list()
    with pytest.raises(Unavailable, match=str(tmp_path)):
        Kfake(state=str(tmp_path)).list()


def test_no_ssh_key_is_needed(fake: Kfake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('SSH_AUTH_SOCK', raising=False)
    ok(fake.create('web', image='debian12'))
    assert 'ssh_authorized_keys' not in fake.user_data('web')


def test_the_class_is_imported_without_any_sdk() -> None:
    code = ('import sys, kvirt.providers.fake; '
            'print([name for name in ("libvirt", "requests", "paramiko", "pycdlib", "click") if name in sys.modules])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_text_that_can_not_be_kept_is_told(fake: Kfake) -> None:
    with pytest.raises(InvalidInput, match='is no text'):
        fake.info('web\udcff')
    assert create(fake, 'web', metadata={'team': '\udcff'})['error'] == 'InvalidInput'
    assert fake.list() == []
    ok(create(fake, 'web'))
    assert fake.update_metadata('web', 'team', '\udcff')['error'] == 'InvalidInput'


def test_a_bug_stays_loud(fake: Kfake) -> None:
    with pytest.raises(sqlite3.OperationalError, match='no such table'), fake.conn.change() as world:
        world.execute('SELECT * FROM absent')
    assert fake.translate(sqlite3.OperationalError('no such table: absent')) is None
    assert isinstance(fake.translate(sqlite3.OperationalError('database is locked')), Unavailable)
    assert fake.translate(KeyError('x')) is None
