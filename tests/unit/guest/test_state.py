"""What a guest's answer about its state means."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.guest.state import PATIENT_QUESTION, QUESTION, State, read


def answer(kvirt: str | None = None, cloudinit: str = '') -> str:
    told = '' if kvirt is None else f'expected\n{kvirt}'
    return f'[kvirt]\n{told}\n[cloud-init]\n{cloudinit}\n[end]\n'


def report(*errors: str) -> str:
    return json.dumps({'v1': {'datasource': 'DataSourceNoCloud [seed=/dev/vdb]', 'errors': errors}}, indent=1)


@pytest.mark.parametrize(('text', 'expected'), [
    ('', State(False)), ('[kvirt]\nexpected\n', State(False)),
    (answer(cloudinit='working'), State(False)), (answer('0 command 1', 'working'), State(False)),
    (answer('0 command 1'), State(False)), (answer('finished', 'working'), State(False)),
    (answer(), State(True)), (answer('finished'), State(True)), (answer('finished', report()), State(True)),
    (answer(cloudinit='disabled'), State(True)), (answer(cloudinit=report()), State(True)),
    (answer('0 command 1\n3 script a b.sh\nfinished', report("('scripts-user', RuntimeError('(runcmd)'))", 'other')),
     State(True, ('script a b.sh ended with status 3', 'cloud-init: other'))),
    (answer(cloudinit=report('growpart failed')), State(True, ('cloud-init: growpart failed',))),
    (answer('0 command 1', report()), State(True, ('what was to be done at first boot did not run to its end',))),
    (answer('', report('x')), State(True, ('cloud-init: x', 'what was to be done at first boot did not run to its end'))),
])
def test_answers(text: str, expected: State) -> None:
    assert read(text) == expected


def test_a_failed_command_is_named_by_its_text() -> None:
    text = answer('1 command 1\n2 command 2\n3 command 3\nfinished', report())
    cmds = ['apt-get install nginx\nsecond line', 'reboot', 'x' * 100]
    assert read(text, cmds).failures == (
        'command 1 (apt-get install nginx) ended with status 1', f"command 2 ({'x' * 77}...) ended with status 2",
        'command 3 ended with status 3')


@given(st.text())
@settings(deadline=None)
def test_no_answer_is_a_bug(text: str) -> None:
    read(text)
    read(answer(text, text))


def test_the_question_can_be_asked_on_this_machine() -> None:
    done = subprocess.run(['sh', '-s'], input=QUESTION, capture_output=True, text=True, check=True)
    assert done.stderr == ''
    assert done.stdout.splitlines()[0] == '[kvirt]' and done.stdout.splitlines()[-1] == '[end]'


@pytest.mark.parametrize(('ends_after', 'sleeps'), [(3, 3), (99, 10), (0, 0)])
def test_a_guest_at_work_lets_one_wait_for_a_while(ends_after: int, sleeps: int, tmp_path: Path) -> None:
    folder, program, slept = tmp_path / 'cloud-init', tmp_path / 'bin/sleep', tmp_path / 'slept'
    folder.mkdir()
    program.parent.mkdir()
    slept.touch()
    program.write_text(f'#!/bin/sh\necho >>{slept}\n'
                       f'[ $(wc -l <{slept}) -lt {ends_after} ] || echo "{{}}" >{folder}/result.json\n')
    program.chmod(0o755)
    if not ends_after:
        (folder / 'result.json').write_text('{}')
    asked = PATIENT_QUESTION.replace('/run/cloud-init', str(folder))
    done = subprocess.run(['sh', '-s'], input=asked, capture_output=True, text=True, check=True,
                          env={**os.environ, 'PATH': f"{program.parent}:{os.environ['PATH']}"})
    assert len(slept.read_text().splitlines()) == sleeps
    assert read(done.stdout).done == (ends_after < 99)
