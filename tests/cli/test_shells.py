"""Completion as it is met: real shells load what ``kvirt completion`` prints, and the Tab key is pressed in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Run
from .test_terminal import Terminal

ODD = 'odd; one\'s $5 *'
KVIRT = f"""\
#!{sys.executable}
from kvirt.providers.fake import Kfake
rows = Kfake._list
more = [{{'name': {ODD!r}, 'status': 'running'}}, {{'name': 'one,two', 'status': 'running'}}]
Kfake._list = lambda self: [*rows(self), *more]
from kvirt.cli.main import main
raise SystemExit(main())
"""
START = {
    'bash': (['bash', '--norc', '--noprofile', '-i'],
             'bind "set enable-bracketed-paste off"; source <(kvirt completion bash)'),
    'zsh': (['zsh', '-f', '-i'], 'bindkey -e; unset zle_bracketed_paste; autoload -U compinit; compinit -D -u; '
                                 'source <(kvirt completion zsh)'),
}
SHOW = 'show() { printf "<%s>" "$@"; printf " %s\\n" end; }'
Press = Callable[..., list[str]]


@pytest.fixture
def kvirt_on_path(web: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``kvirt`` is a command, and there are VMs web, another with an odd name, and one with a comma."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'kvirt').write_text(KVIRT)
    (tmp_path / 'bin' / 'kvirt').chmod(0o755)
    for name, value in (('PATH', f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"), ('HOME', str(tmp_path)),
                        ('XDG_CONFIG_HOME', str(tmp_path)), ('PS1', '> '), ('PYTHONPATH', str(ROOT))):
        monkeypatch.setenv(name, value)


def needs(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f'{shell} is not installed')


@pytest.fixture(params=START)
def press(request: pytest.FixtureRequest, kvirt_on_path: None) -> Press:
    """Return a function that types a beginning and Tab, and returns the words that the shell then has."""
    needs(request.param)
    words, start = START[request.param]
    terminal = Terminal(words, 200, 50)
    request.addfinalizer(terminal.close)
    terminal.press(f'{SHOW}; {start}; echo rea""dy\n'.encode())
    terminal.until(lambda text: re.search(r'ready\n[%# ]*> *$', text) is not None)

    def pressed(line: str, then: str = '') -> list[str]:
        seen = len(terminal.text)
        terminal.press(f'{line}\t{then}\x01show \n'.encode())  # to the front of the line
        shown = terminal.until(lambda text: re.search(r'> end\n[%# ]*> *$', text[seen:]) is not None)[seen:]
        said = next(row for row in shown.splitlines() if row.endswith('> end'))
        return said[said.index('<kvirt>') + 1:-len('> end')].split('><')
    return pressed


@pytest.mark.slow
def test_tab_completes_words_and_quotes_names(press: Press) -> None:
    assert press('kvirt cre') == ['kvirt', 'create']
    assert press('kvirt create vm --dry') == ['kvirt', 'create', 'vm', '--dry-run']
    assert press('kvirt start vm we', 'db') == ['kvirt', 'start', 'vm', 'web', 'db']
    assert press('kvirt start vm one') == ['kvirt', 'start', 'vm', 'one,two']
    assert press('kvirt start vm odd', 'db') == ['kvirt', 'start', 'vm', ODD, 'db']
    assert press("kvirt start vm 'we", 'db') == ['kvirt', 'start', 'vm', 'web', 'db']


@pytest.mark.slow
def test_what_was_quoted_once_is_completed_further(press: Press) -> None:
    assert press(r'kvirt start vm odd\;\ o') == ['kvirt', 'start', 'vm', ODD]
    assert press('kvirt -C two start vm we') == ['kvirt', '-C', 'two', 'start', 'vm', 'we']


def test_bash_leaves_a_path_in_a_vm_to_be_written(kvirt_on_path: None) -> None:
    script = ('source <(kvirt completion bash); compopt() { echo "$@"; }; COMP_WORDS=(kvirt scp we) COMP_CWORD=2; '
              '_kvirt_completion kvirt; printf "<%s>" "${COMPREPLY[@]}"')
    assert subprocess.run(['bash', '-c', script], capture_output=True, text=True).stdout == '-o nospace\n<web:>'


@pytest.mark.slow
def test_fish_completes_words_and_quotes_names(kvirt_on_path: None) -> None:
    needs('fish')
    lines = ['kvirt cre', 'kvirt create vm --dry', 'kvirt start vm ', 'kvirt start vm odd']
    script = 'kvirt completion fish | source\n' + ''.join(f"complete --escape -C '{line}'; echo\n" for line in lines)
    done = subprocess.run(['fish', '--no-config', '-c', script], capture_output=True, text=True)
    assert done.stderr == ''
    create, option, names, odd = done.stdout.strip().split('\n\n')
    assert create.partition('\t')[0] == 'create'
    assert option.partition('\t')[0] == '--dry-run'
    assert sorted(names.splitlines()) == [r"odd\;\ one\'s\ \$5\ \*", 'one,two', 'web']
    assert odd == r"odd\;\ one\'s\ \$5\ \*"
