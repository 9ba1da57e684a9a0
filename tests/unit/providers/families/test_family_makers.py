"""Who is making a VM, and whether they still live."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from kvirt.providers.families import makers
from kvirt.providers.families.makers import FOREIGN_PATIENCE, Maker, me

NOW = 1_900_000_000.0


def test_this_process_lives() -> None:
    assert not me(NOW).gone(NOW)
    assert not me(NOW).gone(NOW + 10 * FOREIGN_PATIENCE), 'however long it takes'


def test_a_process_that_ended_is_gone() -> None:
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    maker = Maker(host=makers.boot_id(), pid=child.pid, started=makers.start_time(child.pid), since=NOW)
    assert maker.started
    assert not maker.gone(NOW)
    child.communicate(b'\n')
    assert maker.gone(NOW)


def test_a_number_that_another_process_has_now_is_not_the_maker() -> None:
    assert msgspec.structs.replace(me(NOW), started='12').gone(NOW)


def test_another_machine_is_trusted_for_an_hour() -> None:
    away = msgspec.structs.replace(me(NOW), host='another', pid=2**22 + 1)
    assert not away.gone(NOW + FOREIGN_PATIENCE)
    assert away.gone(NOW + FOREIGN_PATIENCE + 1)


def test_where_the_system_tells_no_start_times_the_number_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers, 'start_time', lambda pid: '')
    assert me(NOW).started == ''
    assert not me(NOW).gone(NOW)
    child = subprocess.Popen([sys.executable, '-c', ''])
    child.wait()
    assert msgspec.structs.replace(me(NOW), pid=child.pid).gone(NOW)
    monkeypatch.setattr(os, 'kill', _forbidden)
    assert not me(NOW).gone(NOW), 'it is somebody else\'s, and lives'


def _forbidden(pid: int, number: int) -> None:
    raise PermissionError
