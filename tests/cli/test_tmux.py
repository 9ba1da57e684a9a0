"""The command line as it is met in a terminal: windows that are narrow, change their size, and are typed into."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Run
from .tmux import Window

pytestmark = pytest.mark.skipif(not shutil.which('tmux'), reason='tmux is not installed')

LONG = 'a-name-that-is-rather-long'
PLAN = f"""\
net: {{type: network, cidr: 10.77.0.0/24}}
slow: {{image: debian12, nets: [net], wait: true, insecure: true}}
{LONG}: {{image: debian12, insecure: true, depends_on: slow}}
"""
Golden = Callable[[str, str], None]
Open = Callable[..., Window]


@pytest.fixture
def window(home: Path) -> Iterator[Open]:
    """Return a function that opens a window of some columns; VMs of lab take *boot* seconds to start."""
    opened: list[Window] = []

    def open_window(columns: int, lines: int = 24, boot: int = 0, **env: str) -> Window:
        if boot:
            config = home / 'config.yml'
            text = config.read_text().replace("  now: '2026-01-02T03:04:05Z'\n", '', 1)
            config.write_text(text.replace('type: fake', f'type: fake\n  faults: [slowboot={boot}]', 1))
        opened.append(Window(columns, lines, KVIRT_HOME=str(home), **env))
        return opened[-1]
    yield open_window
    for each in opened:
        each.close()


@pytest.fixture
def several(web: Run) -> Run:
    for name in (LONG, 'db'):
        done = web('create', 'vm', '-i', 'ubuntu2404', '-P', 'insecure=true', '-P', 'plan=shop', '-P', 'numcpus=4', name)
        assert done.code == 0, done.err
    return web


@pytest.mark.slow
@pytest.mark.parametrize('columns', [40, 80])
def test_what_is_listed_and_shown(columns: int, several: Run, window: Open, golden: Golden) -> None:
    opened = window(columns, 60)
    screens = []  # a line as wide as the window that goes on in the next one would have been folded by the terminal
    for line in ('kvirt list vm; kvirt list plan', 'kvirt list offer --numcpus 2 --memory 4g', 'kvirt info vm web'):
        screen = opened.run(line)
        assert max(map(len, screen.splitlines())) <= columns
        screens.append(f'> {line}\n{screen}\n')
    golden(f'window-of-{columns}.txt', '\n'.join(screens))


@pytest.mark.slow
def test_colours_unless_they_are_not_wanted(several: Run, window: Open) -> None:
    opened = window(80)
    opened.run('kvirt list vm')
    assert '\x1b[32mrunning' in opened.screen(colours=True)
    opened.run('NO_COLOR=1 kvirt list vm')
    assert 'running' in opened.screen() and not re.search('\x1b\\[3[0-7]m', opened.screen(colours=True))


@pytest.mark.slow
class TestPlans:
    """The live table."""

    def test_it_fits_a_narrow_window(self, window: Open, golden: Golden) -> None:
        Path('kvirt_plan.yml').write_text(PLAN)
        opened = window(40, boot=4)
        opened.type('clear; kvirt create plan shop')
        screen = opened.until(lambda text: re.search(r'^. vm slow: waiting for its status,… 0:0[1-9]$', text, re.MULTILINE))
        assert re.search(r'^  vm a-name-that-is-rather-long wa\S*…$', screen, re.MULTILINE), screen
        assert max(map(len, screen.splitlines())) <= 40
        done = opened.until(lambda text: text.endswith('\n$'))
        golden('window-plan.txt', re.sub(r'\d\.\ds', 'N.Ns', done) + '\n')

    def test_it_follows_the_window(self, window: Open) -> None:
        Path('kvirt_plan.yml').write_text(PLAN)
        opened = window(100, boot=7)
        opened.type('clear; kvirt create plan shop')
        opened.until(lambda text: re.search(r'vm slow: waiting for its status, \d s +0:0\d$', text, re.MULTILINE))
        opened.resize(40)
        screen = opened.until(lambda text: re.search(r'^. vm slow: waiting for its status,… 0:0\d$', text, re.MULTILINE))
        assert max(map(len, screen.splitlines())) <= 40
        opened.resize(90)
        opened.until(lambda text: re.search(r'^. vm slow: waiting for its status, \d s +0:0\d$', text, re.MULTILINE))
        opened.until(lambda text: text.endswith('Plan shop: 1 network, 2 VMs done\n$'))
        told = opened.screen(history=True)
        for line in ('network net created', 'vm slow created', f'vm {LONG} created'):
            assert len(re.findall(rf'^ +\d\.\ds  {line}$', told, re.MULTILINE)) == 1, told

    def test_ctrl_c(self, window: Open, kvirt: Run) -> None:
        Path('kvirt_plan.yml').write_text(PLAN)
        opened = window(60, boot=600)
        opened.type('clear; kvirt create plan shop')
        opened.until(lambda text: 'vm slow: waiting for its status' in text)
        opened.press('C-c')
        screen = opened.until(lambda text: text.endswith('\n$'))
        assert 'Plan shop: 1 network done, 1 failed, 1 left out' in ' '.join(screen.split())
        assert 'Traceback' not in screen
        opened.type('echo $?')
        opened.until(lambda text: text.endswith('130\n$'))
        assert kvirt('list', 'orphans', '-o', 'json').out == '[]\n'


@pytest.mark.slow
def test_the_wait_for_a_vm_fits_a_narrow_window(window: Open) -> None:
    opened = window(40, boot=4)
    opened.type(f'clear; kvirt create vm -i debian12 --wait -P insecure=true {LONG}')
    screen = opened.until(lambda text: re.search(r'^. a-name-that-is-rather-long: \S*… 0:00:0[1-9]$', text, re.MULTILINE))
    assert max(map(len, screen.splitlines())) == 40
    screen = opened.until(lambda text: text.endswith('\n$'))
    assert f'VM {LONG} created on lab at' in screen.replace('\n', '') and 'waiting' not in screen


@pytest.mark.slow
def test_questions_are_asked_and_answered(web: Run, window: Open) -> None:
    opened = window(60)
    for answer, said, left in (('n', 'Error: nothing was done', 'web\n'), ('y', 'VM web deleted on lab', '')):
        opened.type('clear; kvirt delete vm web')
        opened.until(lambda text: text.endswith('Delete VM web on lab? [y/N]:'))
        opened.type(answer)
        screen = opened.until(lambda text: text.endswith('\n$'))
        assert screen == f'Delete VM web on lab? [y/N]: {answer}\n{said}\n$'
        assert web('list', 'vm', '-o', 'name').out == left


@pytest.mark.slow
def test_the_first_configuration_is_asked_for(window: Open, tmp_path: Path, golden: Golden) -> None:
    opened = window(40, HOME=str(tmp_path))
    opened.type('clear; KVIRT_HOME=~/n kvirt init')
    opened.until(lambda text: re.search(r'Where do VMs run \[\w+\]:$', text))
    opened.type('fake')
    opened.until(lambda text: text.endswith('Name of the client [fake]:'))
    opened.type('play')
    opened.until(lambda text: text.endswith('[lisbon]:'))
    opened.type('')
    screen = opened.until(lambda text: text.endswith('\n$'))
    asked = screen.partition(f'\n{str(tmp_path)[:9]}')[0]  # what follows names the folder
    golden('window-init.txt', re.sub(r'run \[\w+\]', 'run [NAME]', asked) + '\n')
    assert (tmp_path / 'n' / 'config.yml').read_text() == 'play:\n  type: fake\ndefault:\n  client: play\n'


@pytest.mark.slow
def test_a_watched_list_changes_in_place_and_its_last_state_stays(web: Run, window: Open) -> None:
    opened = window(60)
    opened.type('clear; echo before; kvirt list vm --watch')
    opened.until(lambda text: re.search(r'^web\s+running', text, re.MULTILINE) and 'before' not in text)
    assert web('stop', 'vm', 'web').code == 0
    opened.until(lambda text: re.search(r'^web\s+stopped', text, re.MULTILINE) and text.count('web') == 1)
    opened.press('C-c')
    screen = opened.until(lambda text: text.endswith('\n$'))
    assert screen.startswith('before\n') and screen.count('web') == 1 and 'stopped' in screen, screen
    opened.type('echo code $?')
    opened.until(lambda text: 'code 0' in text.splitlines())
