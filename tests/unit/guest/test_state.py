"""What a guest's answer about its state means."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.guest.state import QUESTION, State, read


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
