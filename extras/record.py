#!/usr/bin/env python3
"""Record what kvirt shows in a terminal, as the pictures of docs/images: real commands, on this machine's libvirt.

    extras/record.py [--emulated] [FOLDER]

It makes VMs web and db and network shop, and deletes them; it refuses to begin where things of these names are there. Image
debian12 must be in pool default (make quickstart sees to that). tmux is the terminal. Nothing is added to what was
shown, and nothing left out. The live table of the plan is a picture of one moment: it is ended with Ctrl-C then, and the
plan made anew without waiting for its guest.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 92, 40
PATIENCE = 1800.0  # seconds that a guest may take to boot; without KVM it is slow

CONFIG = 'default:\n  client: lab\nlab:\n  type: kvm\n  memory: 512\n  numcpus: 1\n'
PLAN = """\
parameters:
  wait: true
shop:
  type: network
  cidr: 10.77.0.0/24
db:
  image: debian12
  nets: [shop]
  wait: {{ wait }}
web:
  image: debian12
  nets: [shop]
  depends_on: db
  cmds: [echo open > /etc/motd]
"""
FIRST = ('kvirt create vm web -i debian12 --wait', 'kvirt list vm', 'kvirt ssh web -- uname -sm',
         'kvirt create snapshot -n web before', 'kvirt list snapshot web', 'kvirt delete vm -y -f web')
LIVE = 'kvirt create plan -f shop.yml shop'
QUICK = 'kvirt create plan -f shop.yml -P wait=false shop'
AFTER = ('kvirt list plan', 'kvirt list vm', 'kvirt diff plan -f shop.yml -P wait=false shop', 'kvirt delete plan -y shop')


class Terminal:
    """A shell in a tmux of its own, with nothing of this user in it."""

    def __init__(self, folder: Path, config: str) -> None:
        self._socket = folder / 'tmux'
        home = folder / 'home'
        (home / '.kvirt').mkdir(parents=True)
        (home / '.kvirt' / 'config.yml').write_text(config)
        (home / 'shop.yml').write_text(PLAN)
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'kvirt', '-f', home / '.kvirt' / 'id_ed25519'],
                       check=True)
        given = {'HOME': str(home), 'KVIRT_HOME': str(home / '.kvirt'), 'PYTHONPATH': str(ROOT), 'LANG': 'C.UTF-8'}
        env = [word for name, value in given.items() for word in ('-e', f'{name}={value}')]
        self._tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(WIDTH), '-y', str(HEIGHT), '-c', str(home), *env,
                   'bash --norc --noprofile')
        self._status = folder / 'status'
        self._type(f"PATH={Path(sys.executable).parent}:$PATH PS1='$ ' PROMPT_COMMAND='echo $? >> {self._status}'; clear")
        self.until(lambda screen: screen == '$')

    def _tmux(self, *words: str) -> str:
        return subprocess.run(['tmux', '-S', str(self._socket), *words], check=True, capture_output=True, text=True).stdout

    def _type(self, line: str) -> None:
        self._tmux('send-keys', '-l', line)
        self._tmux('send-keys', 'Enter')

    def screen(self, *more: str) -> str:
        """Return what is seen."""
        return '\n'.join(line.rstrip() for line in self._tmux('capture-pane', '-p', *more).splitlines()).rstrip()

    def until(self, seen: Callable[[str], bool]) -> None:
        """Wait until the screen fulfils *seen*."""
        end = time.monotonic() + PATIENCE
        while not seen(self.screen()):
            if time.monotonic() > end:
                raise SystemExit(f'this took too long:\n{self.screen()}')
            threading.Event().wait(0.2)

    def begin(self, line: str) -> None:
        """Type *line* and do not wait for its end."""
        self._done = len(self._status.read_text().split())
        self._type(line)
        self.until(lambda screen: f'$ {line}' in screen)

    def run(self, line: str) -> None:
        """Type *line*, and wait for its end."""
        self.begin(line)
        self.end()

    def end(self) -> None:
        """Wait for the end of what runs. What fails is no picture."""
        self.until(lambda screen: len(self._status.read_text().split()) > self._done and screen.endswith('\n$'))
        if self._status.read_text().split()[-1] != '0':
            raise SystemExit(f'that failed:\n{self.screen()}')

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end of what runs."""
        self._tmux('send-keys', 'C-c')
        self.until(lambda screen: len(self._status.read_text().split()) > self._done and screen.endswith('\n$'))

    def clear(self) -> None:
        self._type('clear')
        self.until(lambda screen: screen == '$')

    def picture(self, file: Path, title: str) -> None:
        """Write what is seen as SVG."""
        file.write_text(drawn(self.screen('-e').removesuffix('$').rstrip(), title, file.stem))
        print(f'{file}: {file.stat().st_size} bytes', file=sys.stderr)

    def close(self) -> None:
        self._tmux('kill-server')


def drawn(seen: str, title: str, name: str) -> str:
    """Return a screen as SVG, which fetches nothing: its font is one that the reader has."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system='truecolor')
    console.print(Text.from_ansi(seen), soft_wrap=True)
    picture = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    picture = re.sub(r'@font-face \{.*?\}\s*', '', picture, flags=re.DOTALL).replace('Fira Code, monospace', 'monospace')
    return re.sub(r'[ \t]+$', '', picture, flags=re.MULTILINE)


def refuse_strangers() -> None:
    """End where something of the names that are used is there already."""
    for kind, names in (('list', {'web', 'db'}), ('net-list', {'shop'})):
        words = ['virsh', '--quiet', '--connect', 'qemu:///system', kind, '--all', '--name']
        there = names & set(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split())
        if there:
            raise SystemExit(f"{', '.join(sorted(there))}: there already, and the recording would delete it")


def main() -> None:
    """Record all pictures."""
    parser = argparse.ArgumentParser(description='Record what kvirt shows in a terminal.')
    parser.add_argument('folder', nargs='?', type=Path, default=ROOT / 'docs' / 'images', help='where the pictures go')
    parser.add_argument('--emulated', action='store_true', help='do without KVM, where it does not work')
    asked = parser.parse_args()
    target: Path = asked.folder
    target.mkdir(parents=True, exist_ok=True)
    refuse_strangers()
    folder = Path(tempfile.mkdtemp(prefix='kvirt-record-'))
    terminal = Terminal(folder, CONFIG + ('  virttype: qemu\n' if asked.emulated else ''))
    try:
        terminal.run('cat shop.yml')
        terminal.begin(LIVE)
        terminal.until(lambda screen: 'waits for vm db' in screen and 'vm db: waiting for' in screen)
        threading.Event().wait(3)
        terminal.picture(target / 'plan-live.svg', 'A plan, while it is made')
        terminal.interrupt()
        for line in ('kvirt delete plan -y shop', QUICK):
            terminal.run(line)
        terminal.clear()
        for line in AFTER:
            terminal.run(line)
        terminal.picture(target / 'plan.svg', 'A plan: what there is, what differs, all of it deleted')
        terminal.clear()
        for line in FIRST:
            terminal.run(line)
        terminal.picture(target / 'first-vm.svg', 'A first VM')
    finally:
        terminal.close()
        # What a failure left.
        for words in (('delete', 'vm', '-y', '-f', 'web', 'db'), ('delete', 'network', '-y', 'shop')):
            subprocess.run([sys.executable, '-m', 'kvirt', '-C', 'local', '-q', *words], cwd=ROOT, capture_output=True)
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
