from __future__ import annotations

from pathlib import Path

import pytest

from kvirt.cli.context import Session
from kvirt.cli.progress import transfer, waits

from .conftest import Run
from .test_output import on_a_terminal

MIB = 1024**2


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer(Session(), 'debian12') as told:
        for done in range(0, 201):
            told(done * MIB, 200 * MIB)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert (lines[0], lines[-1]) == ('debian12: 0% of 200 MiB', 'debian12: 100% of 200 MiB')
    with transfer(Session(), 'x') as told:
        for done in range(0, 1025):
            told(done * MIB, None)
    assert capsys.readouterr().err.splitlines() == [f'x: {mib} MiB' for mib in (0, 256, 512, 768, 1024)]


def test_waits_tell_what_they_wait_for_and_again_after_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    with waits(Session()) as tick_for:
        tick = tick_for('web')
        for second in range(0, 61, 2):
            tick('address', float(second))
        tick('configuration', 62.0)
    assert capsys.readouterr().err.splitlines() == [
        'web: waiting for address', 'web: still waiting for address after 30 seconds',
        'web: still waiting for address after 60 seconds', 'web: waiting for configuration']


def test_the_quiet_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with waits(Session(quiet=True)) as tick_for, transfer(Session(quiet=True), 'x') as told:
        tick_for('web')('address', 0.0)
        told(1, 1)
    assert capsys.readouterr() == ('', '')


def test_people_see_what_goes_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt.cli import progress
    monkeypatch.setattr(progress, 'is_terminal', lambda name: True)
    monkeypatch.setenv('FORCE_COLOR', '1')
    with waits(Session()) as tick_for:
        tick_for('we[b]')('address', 0.0)
    assert 'we[b]: waiting for address' in capsys.readouterr().err
    with transfer(Session(), 'debian12') as told:
        told(5 * MIB, 10 * MIB)
    shown = capsys.readouterr()
    assert 'debian12' in shown.err and '5.2/10.5 MB' in shown.err
    assert shown.out == ''


def test_programs_get_data_alone(spawn: Run, home: Path, tmp_path: Path) -> None:
    image = tmp_path / 'tiny.qcow2'
    image.write_bytes(b'QFI\xfb' + bytes(MIB))
    code, shown = on_a_terminal('download', 'image', '-u', str(image), env={'NO_COLOR': '1'})
    assert (code, 'Image tiny.qcow2 downloaded on lab' in shown) == (0, True)
    done = spawn('create', 'vm', '-i', 'tiny.qcow2', '--wait', '-o', 'name', 'web')
    assert (done.code, done.out, done.err) == (0, 'web\n', '')
    code, shown = on_a_terminal('create', 'vm', '-i', 'tiny.qcow2', '--wait', 'web2')
    assert (code, 'VM web2 created on lab at ' in shown) == (0, True)
