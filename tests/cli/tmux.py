"""Windows of a real terminal: tmux, by a socket of its own, whose screen is read as a person sees it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable

from .conftest import ROOT, command


class Window:
    """A window of *columns* and *lines* with a shell in it, where ``kvirt`` is the command."""

    def __init__(self, columns: int, lines: int = 24, **env: str) -> None:
        self._folder = tempfile.mkdtemp(prefix='kvirt-tmux-')  # of a test's own it may be too long for a socket
        given = {'PYTHONPATH': str(ROOT), 'LANG': 'C.UTF-8', **env}
        words = [word for name, value in given.items() for word in ('-e', f'{name}={value}')]
        without = {key: value for key, value in os.environ.items()
                   if key not in ('NO_COLOR', 'COLUMNS', 'LINES', 'TMUX', 'FORCE_COLOR')}
        self._tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(columns), '-y', str(lines), *words,
                   'bash --norc --noprofile', env=without)
        self._tmux('set-option', '-g', 'escape-time', '0')
        self.type(f"PS1='$ '; kvirt() {{ {shlex.join(command())} \"$@\"; }}; clear")
        self.until(lambda screen: screen == '$')

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(['tmux', '-S', f'{self._folder}/socket', *words], env=env, capture_output=True, text=True,
                              check=True, timeout=30)
        return done.stdout

    def type(self, line: str) -> None:
        """Type *line*, and Enter."""
        self._tmux('send-keys', '-l', line)
        self.press('Enter')

    def press(self, *keys: str) -> None:
        """Press keys by the names that tmux has for them."""
        self._tmux('send-keys', *keys)

    def resize(self, columns: int, lines: int = 24) -> None:
        self._tmux('resize-window', '-x', str(columns), '-y', str(lines))

    def screen(self, *, colours: bool = False, history: bool = False) -> str:
        """Return what is seen, without the empty lines at the end."""
        shown = self._tmux('capture-pane', '-p', *(['-e'] if colours else []), *(['-S', '-'] if history else []))
        return '\n'.join(line.rstrip() for line in shown.splitlines()).rstrip()

    def until(self, seen: Callable[[str], object], seconds: float = 60, *, history: bool = False) -> str:
        """Return the screen as soon as it fulfils *seen*."""
        end = time.monotonic() + seconds
        while not seen(screen := self.screen(history=history)):
            assert time.monotonic() < end, screen
            threading.Event().wait(0.05)
        return screen

    def run(self, line: str) -> str:
        """Type *line* on an empty screen, and return the screen once it is done."""
        self.type(f'clear; {line}')
        return self.until(lambda screen: screen.endswith('\n$') and not re.search(r'^\$ clear', screen, re.MULTILINE))

    def close(self) -> None:
        """End this tmux, and no other."""
        with contextlib.suppress(subprocess.CalledProcessError):  # it is gone already
            self._tmux('kill-server')
        shutil.rmtree(self._folder)
