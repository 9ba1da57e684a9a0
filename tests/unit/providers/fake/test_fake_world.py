"""The file that the world is kept in."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kvirt.errors import AlreadyExists, NotFound
from kvirt.providers.fake.mapping import STATUS, next_device
from kvirt.providers.fake.records import Disk, Group, Key, Record, Seed, Zone
from kvirt.providers.fake.world import World
from kvirt.shapes import STATUSES


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(str(tmp_path / 'world.db'))


def key(name: str, owner: str = '') -> Key:
    return Key(name=name, owner=owner, public_key='ssh-ed25519 x')


def test_things_come_back_as_they_were(world: World) -> None:
    group = Group(name='g', rules=[{'protocol': 'tcp', 'from_port': 1, 'to_port': 2, 'cidr': '::/0'}], managed=True)
    with world.change() as now:
        now.add(group)
    with world.read() as now:
        assert now.get(Group, 'g') == group
        assert now.get(Key, 'g') is None, 'another kind'


def test_a_key_is_taken_once(world: World) -> None:
    with world.change() as now:
        now.add(key('a'))
        with pytest.raises(AlreadyExists, match='key a exists'):
            now.add(key('a'))
        now.put(key('a', owner='x'))
        assert [each.owner for each in now.named(Key, 'a')] == ['x']


def test_what_is_needed_and_absent_is_told(world: World) -> None:
    with world.change() as now:
        now.add(key('alpha'))
        with pytest.raises(NotFound, match="key 'alhpa' does not exist, did you mean 'alpha'"):
            now.need(Key, 'alhpa')


def test_all_that_bears_a_mark_goes_at_once(world: World) -> None:
    with world.change() as now:
        for record in (key('a', 'vm1'), key('b', 'vm2'), key('c'), Seed(name='s', owner='vm1', user_data='x')):
            now.add(record)
        now.drop_of('vm1')
        assert (now.names(Key), now.of(Seed, 'vm1')) == (['b', 'c'], [])
        now.drop_of('')
        assert now.names(Key) == ['b', 'c'], 'no mark is not a mark'


def test_lists_are_sorted_and_counted(world: World) -> None:
    with world.change() as now:
        for name in ('c', 'a', 'b'):
            now.add(key(name))
        assert [each.name for each in now.all(Key)] == now.names(Key) == ['a', 'b', 'c']
        assert (now.count(Key), [now.number('x'), now.number('x'), now.number('y')]) == (3, [1, 2, 1])


def test_a_change_is_kept_whole_or_not_at_all(world: World) -> None:
    with pytest.raises(KeyboardInterrupt), world.change() as now:
        now.add(key('a'))
        raise KeyboardInterrupt
    with world.read() as now:
        assert now.names(Key) == []


def test_a_killed_process_leaves_its_change_undone(world: World) -> None:
    with world.read() as now:
        before = now.names(Zone)
    code = ('import os, signal\nfrom kvirt.providers.fake.world import World\n'
            'from kvirt.providers.fake.records import Zone\n'
            f'with World({world.path!r}).change() as now:\n'
            f'    for n in range(20000): now.add(Zone(name=f"zone{{n:05}}" + "x" * 500))\n'
            f'    os.kill(os.getpid(), signal.SIGKILL)')
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == -9
    with world.change() as now:
        assert now.names(Zone) == before
        now.add(Zone(name='new.test'))


def test_a_change_within_a_change_is_a_bug_that_is_told(world: World) -> None:
    with world.change(), pytest.raises(RuntimeError, match='within another'), world.change():
        pass
    with world.change() as now:
        now.add(key('a'))


def test_a_change_keeps_others_out_from_its_begin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.read():
        pass
    monkeypatch.setattr('kvirt.providers.fake.world._PATIENCE', 0)
    other = World(world.path)
    with other.read():
        pass
    with world.change():
        with pytest.raises(sqlite3.OperationalError, match='locked'), other.change():
            pass
        with other.read() as now:
            assert now.names(Zone), 'reads go on'
    with other.change() as now:
        now.add(key('a'))


def test_changes_of_two_connections_wait_for_each_other(world: World) -> None:
    other = World(world.path)
    began = threading.Event()
    seen: list[list[str]] = []

    def later() -> None:
        began.set()
        with other.change() as now:
            seen.append(now.names(Key))
    with world.change() as now:
        thread = threading.Thread(target=later)
        thread.start()
        began.wait(10)
        now.add(key('a'))
    thread.join(10)
    assert seen == [['a']]


def test_a_closed_world_opens_again(world: World) -> None:
    with world.change() as now:
        now.add(key('a'))
    world.close()
    world.close()
    with world.read() as now:
        assert now.names(Key) == ['a']


def test_each_kind_has_a_word_for_people_and_a_table_name_of_its_own() -> None:
    def kinds(base: type[Record]) -> list[type[Record]]:
        return [base, *(kind for each in base.__subclasses__() for kind in kinds(each))]
    names = [kind.__name__ for kind in kinds(Record)]
    assert len(set(names)) == len(names) >= 18


def test_the_file_is_a_plain_database(world: World) -> None:
    with world.read():
        pass
    connection = sqlite3.connect(world.path)
    assert connection.execute('PRAGMA integrity_check').fetchone() == ('ok',)
    connection.close()


def test_every_native_status_has_a_word_of_the_contract() -> None:
    assert set(STATUS.values()) <= set(STATUSES)


@pytest.mark.parametrize(('bus', 'taken', 'free'), [
    ('virtio', [], 'vda'), ('virtio', ['vda', 'vdc'], 'vdb'), ('sata', ['vda', 'sda'], 'sdb'), ('ide', [], 'hda'),
    ('nvme', ['nvme0n1'], 'nvme1n1'), ('scsi', [f'sd{letter}' for letter in 'abcdefghijklmnopqrstuvwxyz'], 'sdaa')])
def test_names_of_devices(bus: str, taken: list[str], free: str) -> None:
    assert next_device(bus, [Disk(device=device, volume='x') for device in taken]) == free
