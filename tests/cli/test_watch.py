"""Waiting for VMs, and the list that is shown again whenever it changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading

import pytest

from .conftest import ROOT, Run, command


def test_a_vm_that_is_there_is_waited_for_no_longer(web: Run) -> None:
    done = web('wait', 'vm', 'web')
    assert (done.code, done.out, done.err) == (0, '', 'VM web is configured on lab\n')
    done = web('wait', 'vm', '-u', 'running', 'web', '-o', 'json')
    assert (done.code, json.loads(done.out)) == (0, {'name': 'web', 'result': 'success', 'status': 'running'})


def test_it_ends_when_the_last_of_several_is_there(web: Run) -> None:
    assert web('create', 'vm', '-i', 'debian12', '-P', 'insecure=true', 'db').code == 0
    assert web('stop', 'vm', 'web').code == 0
    late = threading.Timer(0.5, lambda: subprocess.run(command('stop', 'vm', 'db'), check=True, capture_output=True,
                                                       env={**os.environ, 'PYTHONPATH': str(ROOT)}))
    late.start()
    done = web('wait', 'vm', '-u', 'stopped', '-t', '60', 'web', 'db')
    late.join()
    assert (done.code, done.errors) == (0, [])
    assert done.err.splitlines()[-2:] == ['VM web is stopped on lab', 'VM db is stopped on lab']


def test_what_will_never_be_is_told(web: Run) -> None:
    done = web('wait', 'vm', '-u', 'stopped', '-t', '1', 'web', 'none')
    assert done.code == 1
    assert done.errors == ['Error: VM web was not stopped within 1 second', 'Error: VM none does not exist on client lab']
    assert web('wait', 'vm', '-u', 'deleted', 'none').code == 0
    assert web('wait', 'vm', '-u', 'stoped', 'web').code == 2


def test_a_wait_reaches_over_clients(web: Run) -> None:
    assert web('-C', 'two', 'create', 'vm', '-i', 'debian12', '-P', 'insecure=true', 'db').code == 0
    done = web('-C', 'both', 'wait', 'vm', '-u', 'running', 'web', 'db')
    assert (done.code, done.err.splitlines()) == (0, ['VM web is running on lab', 'VM db is running on two'])


def watching(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command('list', 'vm', '--watch', *words), text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_a_list_that_is_watched_is_shown_again_when_it_changes(web: Run) -> None:
    process = watching('-o', 'jsoncompact', '-P', 'name=web')
    assert process.stdout is not None
    assert [row['status'] for row in json.loads(process.stdout.readline())] == ['running']
    assert web('stop', 'vm', 'web').code == 0
    assert [row['status'] for row in json.loads(process.stdout.readline())] == ['stopped']
    assert web('delete', 'vm', '-y', 'web').code == 0
    assert json.loads(process.stdout.readline()) == []
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, '', '')


@pytest.mark.parametrize(('words', 'number', 'code', 'told'), [
    ((), signal.SIGTERM, 0, ''), (('-C', 'lab,broken'), signal.SIGINT, 1, 'Error: client broken')],
    ids=['one', 'one that fails'])
def test_a_watch_ends_as_the_list_would_have(words: tuple[str, ...], number: int, code: int, told: str, web: Run) -> None:
    process = watching('-o', 'name', *words)
    assert process.stdout is not None
    assert process.stdout.readline() == 'web\n'
    process.send_signal(number)
    err = process.communicate(timeout=30)[1]
    assert (process.returncode, err.partition(': the')[0]) == (code, told)
