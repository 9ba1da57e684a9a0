from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kvirt import edit
from kvirt.settings import Settings

from .conftest import Run

LAB = ('-P', 'ips=192.168.122.32/28', '-P', 'netmask=24', '-P', 'names=[ada,grace]')


def read(kvirt: Run, *words: str) -> Any:
    done = kvirt(*words, '-o', 'json')
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_pool_from_its_making_to_its_end(kvirt: Run) -> None:
    assert kvirt('create', 'confpool', *LAB, 'lab').code == 0
    assert read(kvirt, 'info', 'confpool', 'lab') == {'name': 'lab', 'ips': '192.168.122.32/28', 'netmask': 24,
                                                     'names': ['ada', 'grace']}
    assert kvirt('create', 'vm', '-i', 'debian12', '-P', 'insecure=true', '-P', 'confpool=lab', '-P', 'nokeys=true',
                 'web').code == 0
    assert [(row['name'], row['taken']) for row in read(kvirt, 'list', 'confpools', '--sort', 'taken')] == [('lab', 1)]
    assert kvirt('update', 'confpool', '-P', 'gateway=192.168.122.1', '-P', 'names=None', 'lab').code == 0
    known = read(kvirt, 'info', 'confpool', 'lab')
    assert known['gateway'] == '192.168.122.1' and 'names' not in known and list(known['ip_reservations']) == ['web']
    refused = kvirt('delete', 'confpool', '-y', 'lab')
    assert refused.code == 1 and 'in use by web' in refused.errors[0]
    assert kvirt('delete', 'vm', '-y', 'web').code == 0
    assert kvirt('delete', 'confpool', '-y', 'lab').code == 0
    assert kvirt('list', 'confpool', '-o', 'name').out == ''


@pytest.mark.parametrize(('words', 'said'), [
    (('create', 'confpool', 'lab'), 'nothing was given'),
    (('create', 'confpool', '-P', 'netmask=24', 'lab'), 'neither addresses (ips) nor names'),
    (('create', 'confpool', '-P', 'ips=10.0.0.0/99', 'lab'), 'pool lab'),
    (('create', 'confpool', '-P', 'ips=7', 'lab'), 'must be a network or a list'),
    (('create', 'confpool', '-P', 'names=ada', 'lab'), 'must be a list'),
    (('create', 'confpool', '-P', 'ip=10.0.0.0/24', 'lab'), "did you mean 'ips'?"),
    (('create', 'confpool', *LAB, '-P', 'name_reservations=[ada]', 'lab'), 'can not be given'),
    (('create', 'confpool', *LAB, '../lab'), '../lab'),
])
def test_what_can_not_be(words: tuple[str, ...], said: str, home: Path, kvirt: Run) -> None:
    done = kvirt(*words)
    assert done.code == 2 and said in done.err
    assert not (home / 'confpools.yml').exists()


def test_pools_that_are_not_there_or_there_already(kvirt: Run) -> None:
    for verb in ('info', 'delete', 'update'):
        given = ('-P', 'netmask=24') if verb == 'update' else ()
        assert 'there is no pool' in kvirt(verb, 'confpool', *given, 'lab').err
    assert kvirt('create', 'confpool', *LAB, 'lab').code == 0
    assert 'pool lab exists' in kvirt('create', 'confpool', *LAB, 'lab').err


def test_pools_of_kcli_come_along_when_its_files_are_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    theirs = tmp_path / '.kcli'
    theirs.mkdir()
    (theirs / 'config.yml').write_text('lab:\n  type: fake\n')
    (theirs / 'confpools.yml').write_text('lab:\n  ips: 10.0.0.0/24\n')
    edit.switch_client(Settings(environ={}), 'lab')
    assert (tmp_path / '.kvirt' / 'confpools.yml').read_text() == 'lab:\n  ips: 10.0.0.0/24\n'
