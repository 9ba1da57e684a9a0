from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt import redact
from kvirt.cli import output, text
from kvirt.cli.context import FORMATS, Session
from kvirt.cli.text import cell, plain
from kvirt.providers.fake import Kfake

from .conftest import KEY, ROOT, Run, command

READS = [('list', 'vm'), ('info', 'vm', 'web'), ('list', 'network'), ('info', 'network', 'default'), ('list', 'pool'),
         ('info', 'pool', 'fast'), ('list', 'image'), ('list', 'iso'), ('list', 'disk'), ('list', 'nic', 'web'),
         ('list', 'flavor'), ('info', 'flavor', 'small'), ('list', 'client'), ('list', 'profile'), ('list', 'orphans'),
         ('info', 'keyword', 'disks'), ('info', 'keyword', 'memory'), ('info', 'profile', 'small'), ('list', 'provider'),
         ('info', 'vm-config', '-p', 'small', '-P', 'memory=4g', 'new'),
         ('create', 'vm', '--dry-run', '-i', 'debian12', '-P', 'flavor=medium', '-P', 'disks=[40,100]', 'new')]

CLOUD_READS = [('list', 'location'), ('list', 'quota'), ('list', 'key'), ('list', 'floating-ip'),
               ('list', 'security-group'),
               ('info', 'security-group', 'front'), ('list', 'subnet'), ('info', 'subnet', 'near'), ('list', 'bucket'),
               ('list', 'bucket-file', 'backups'), ('list', 'dns-zone'), ('list', 'dns', 'example.com'),
               ('list', 'loadbalancer'), ('list', 'snapshot', 'web'),
               ('list', 'offer', '--numcpus', '2', '--memory', '4g', '-C', 'lab,two')]

GROWING = ('image', 'iso', 'provider')
"""What is read from tables that grow by themselves."""


@pytest.fixture
def furnished(web: Run, home: Path) -> Run:
    (home / 'profiles.yml').write_text('tiny:\n  image: debian12\n  memory: 256\nsmall:\n  base: tiny\n  numcpus: 1\n')
    assert web('create', 'vm', '-i', 'ubuntu2404', '-P', 'start=false', '-P', 'insecure=true', 'db').code == 0
    return web


@pytest.fixture
def clouded(furnished: Run) -> Run:
    """A world where every kind of thing that clouds have is there once."""
    Path('db.sql').write_text('')
    for words in (('create', 'key', '-k', KEY, 'laptop'), ('create', 'floating-ip', 'front'),
                  ('attach', 'floating-ip', 'front', 'web'), ('create', 'sg', '-P', 'ports=[443,53/udp]', 'front'),
                  ('create', 'network', '-c', '10.7.0.0/16', 'lab'),
                  ('create', 'subnet', '-c', '10.7.1.0/24', '--network', 'lab', 'near'), ('create', 'bucket', 'backups'),
                  ('create', 'bucket-file', 'backups', 'db.sql'),
                  ('create', 'dns', '-d', 'example.com', '-i', '10.0.0.5', 'www'),
                  ('create', 'lb', '-P', 'ports=[80,443]', '-P', 'vms=[web]', 'front'),
                  ('create', 'snapshot', '-n', 'web', 'before')):
        done = furnished(*words)
        assert done.code == 0, (words, done.err)
    return furnished


def shown_in_every_format(run: Run, words: tuple[str, ...]) -> str:
    shown = ''
    for form in FORMATS:
        done = run(*words, '-o', form)
        assert done.code == 0, done.err
        shown += f"$ kvirt {' '.join(words)} -o {form}\n{done.out}\n"
    return shown


@pytest.mark.parametrize('words', [words for words in READS if words[1] not in GROWING], ids=' '.join)
def test_what_reads_print(words: tuple[str, ...], furnished: Run, golden: Callable[[str, str], None], home: Path) -> None:
    name = '-'.join(word for word in words if not word.startswith('-') and '=' not in word)
    golden(f'{name}.txt', shown_in_every_format(furnished, words).replace(str(home), '/home'))


def test_what_reads_of_clouds_print(clouded: Run, golden: Callable[[str, str], None]) -> None:
    for words in CLOUD_READS:
        golden(f"{'-'.join(words[:2])}.txt", shown_in_every_format(clouded, words))


def check_that_formats_agree(run: Run, words: tuple[str, ...]) -> None:
    data = json.loads(run(*words, '-o', 'json').out)
    compact = run(*words, '-o', 'jsoncompact').out
    assert json.loads(compact) == data
    assert compact.count('\n') == 1
    assert yaml.safe_load(run(*words, '-o', 'yaml').out) == data
    rows = data if isinstance(data, list) else [data]
    assert len(run(*words, '-o', 'name').out.splitlines()) == len(rows) > 0


@pytest.mark.parametrize('words', [words for words in READS if words[1] != 'orphans'], ids=' '.join)
def test_formats_say_the_same(words: tuple[str, ...], furnished: Run) -> None:
    check_that_formats_agree(furnished, words)


def test_formats_say_the_same_of_clouds(clouded: Run) -> None:
    for words in CLOUD_READS:
        check_that_formats_agree(clouded, words)


def test_an_empty_list_is_told_to_people_and_is_empty_for_programs(kvirt: Run) -> None:
    assert (kvirt('list', 'vm').out, kvirt('list', 'vm').err) == ('', 'There are no VMs\n')
    assert kvirt('list', 'vm', '-q').err == ''
    assert (kvirt('list', 'vm', '-o', 'json').out, kvirt('list', 'vm', '-o', 'json').err) == ('[]\n', '')
    assert kvirt('list', 'vm', '-o', 'yaml').out == '[]\n'
    assert kvirt('list', 'vm', '-o', 'name').out == ''


def test_a_name_from_elsewhere_can_not_play_with_the_terminal(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{'name': 'a\x1b[2J\nb', 'status': 'running', 'ip': None}]
    monkeypatch.setattr(Kfake, '_list', lambda self: rows)
    for words in (('list', 'vm'), ('list', 'vm', '-o', 'name'), ('list', 'vm', '-o', 'json')):
        out = kvirt(*words).out
        assert '\x1b' not in out
        assert r'a\x1b[2J\nb' in out or '\\u001b' in out
    assert json.loads(kvirt('list', 'vm', '-o', 'json').out)[0]['name'] == 'a\x1b[2J\nb'


def test_secrets_are_masked_in_every_format(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    redact.remember('the-token-itself')
    known = {'name': 'web', 'status': 'running', 'password': 'hunter2', 'note': 'call with the-token-itself'}
    monkeypatch.setattr(Kfake, '_info', lambda self, name: known)
    for form in FORMATS:
        done = kvirt('info', 'vm', 'web', '-o', form)
        assert done.code == 0
        assert 'hunter2' not in done.out + done.err
        assert 'the-token-itself' not in done.out + done.err
    assert kvirt('info', 'vm', 'web', '-f', 'password', '-v').out == f'{redact.MASK}\n'


def test_the_dry_run_masks_secrets(kvirt: Run) -> None:
    for form in FORMATS:
        for words in (('create', 'vm', '--dry-run'), ('info', 'vm-config')):
            done = kvirt(*words, '-i', 'debian12', '-P', 'rootpassword=hunter2', 'web', '-o', form)
            assert done.code == 0
            assert 'hunter2' not in done.out + done.err


@pytest.mark.parametrize(('value', 'text'), [
    (None, ''), (True, 'yes'), (False, 'no'), (0, '0'), (1.5, '1.5'), (0.0125, '0.0125'), (2.0, '2'), ([1, 'a'], '1, a'),
    ({'a': 1, 'b': [True]}, 'a=1 b=yes'), ('tab\there', r'tab\there'), ('grün', 'grün'),
])
def test_cells(value: Any, text: str) -> None:
    assert cell(value) == text


def test_plain_keeps_what_can_be_printed() -> None:
    assert plain('naïve 雪 \u202e\x07') == 'naïve 雪 \\u202e\\x07'


def on_a_terminal(*arguments: str, env: dict[str, str] | None = None, typed: str = '') -> tuple[int, str]:
    """Run a command on a terminal of its own, type something, and return its exit code and what it showed."""
    front, back = pty.openpty()
    process = subprocess.Popen(command(*arguments), stdin=back, stdout=back, stderr=back, start_new_session=True,
                               env={**os.environ, 'PYTHONPATH': str(ROOT), 'TERM': 'xterm-256color', 'COLUMNS': '100',
                                    **(env or {})})
    os.close(back)
    if typed:
        os.write(front, typed.encode())
    shown = b''
    while True:
        try:
            chunk = os.read(front, 4096)
        except OSError:
            break  # the other side is closed
        if not chunk:
            break
        shown += chunk
    os.close(front)
    return process.wait(timeout=60), shown.decode()


def test_people_get_a_table_with_colours_unless_they_say_no(web: Run) -> None:
    code, shown = on_a_terminal('list', 'vm')
    assert code == 0
    assert '\x1b[32mrunning' in shown
    assert '─' in shown
    code, shown = on_a_terminal('list', 'vm', env={'NO_COLOR': '1'})
    assert code == 0
    assert 'running' in shown and '\x1b[32m' not in shown


def test_a_narrow_terminal_loses_no_name(kvirt: Run) -> None:
    long = 'a-rather-long-name-for-a-machine-that-does-little'
    assert kvirt('create', 'vm', '-i', 'debian12', long).code == 0
    _, shown = on_a_terminal('list', 'vm', env={'COLUMNS': '50', 'NO_COLOR': '1'})
    first = ''.join(line.split(' ')[0].strip('\r') for line in shown.splitlines())
    assert long in first


def test_people_are_asked(web: Run) -> None:
    code, shown = on_a_terminal('delete', 'vm', 'web', typed='n\n')
    assert (code, 'Delete VM web on lab?' in shown) == (1, True)
    assert web('list', 'vm', '-o', 'name').out == 'web\n'
    code, shown = on_a_terminal('delete', 'vm', 'web', typed='y\n')
    assert code == 0
    assert web('list', 'vm', '-o', 'name').out == ''


@pytest.mark.parametrize(('filters', 'names'), [
    (['type=fake'], ['lab', 'two', 'broken']), (['name=t*'], ['two']), (['enabled=false'], ['broken']),
    (['type=group', 'name=b*'], ['both']), (['members=two'], ['both']), (['members=None', 'name=?a?'], ['lab']),
    (['name=nobody'], []),
])
def test_rows_are_chosen_by_what_they_have(filters: list[str], names: list[str], kvirt: Run) -> None:
    words = [word for each in filters for word in ('-P', each)]
    assert kvirt('list', 'client', *words, '-o', 'name').out.split() == names


def test_a_field_that_no_row_has_is_told(kvirt: Run) -> None:
    done = kvirt('list', 'client', '-P', 'nmae=lab')
    assert done.code == 2 and "did you mean 'name'?" in done.errors[0]


def test_all_that_is_known_of_an_image_can_be_chosen_by(kvirt: Run) -> None:
    assert kvirt('list', 'image', '-P', 'short=debian12', '--sort', 'size', '--short').out.count('\n') == 1


def test_rows_of_a_narrow_window_begin_with_what_they_have(monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{'client': None, 'check': 'configuration', 'detail': 'all of it can be used by any client'}, {},
            {'client': 'lab', 'check': 'credentials', 'detail': None}]
    monkeypatch.setattr(output, 'is_terminal', lambda name: True)
    monkeypatch.setattr(text, 'is_terminal', lambda name: True)
    monkeypatch.setenv('COLUMNS', '30')
    output.rows(Session(), rows, ['client', 'check', 'detail'])
    assert capsys.readouterr().out == (
        'configuration\n  Detail  all of it can be\n          used by any client\n\n\n\nlab\n  Check  credentials\n')
