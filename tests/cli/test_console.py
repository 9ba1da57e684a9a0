"""``kvirt console --web``: which displays are shown, how they are reached, and what is said where something is missing."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvirt.providers.fake import Kfake

from .conftest import ROOT, Run

VNC = {'protocol': 'vnc', 'host': '127.0.0.1', 'port': 1, 'url': 'vnc://127.0.0.1:1'}
REMOTE = """\
import sys
from kvirt.config import Kconfig
from kvirt.providers.fake import Kfake
port = int(sys.argv.pop(1))
Kfake._console = lambda self, name, *more: {
    'protocol': 'vnc', 'host': '127.0.0.1', 'port': port, 'tunnel': 'hypervisor', 'password': 'hunter2'}
Kconfig.host_words = lambda self: ['ssh', '-T', '-o', 'BatchMode=yes', '--', 'root@hypervisor']
from kvirt.cli.main import main
sys.exit(main())
"""
SSH = """\
#!/bin/sh
echo "$@" > "$0.words"
exec busybox nc "${2%:*}" "${2#*:}"
"""


@pytest.fixture
def novnc(tmp_path: Path) -> Path:
    (tmp_path / 'novnc' / 'core').mkdir(parents=True)
    (tmp_path / 'novnc' / 'core' / 'rfb.js').touch()
    return tmp_path / 'novnc'


def shows(monkeypatch: pytest.MonkeyPatch, **known: Any) -> None:
    monkeypatch.setattr(Kfake, '_console', lambda self, name, *more: {**VNC, **known})


def test_a_platform_with_pages_of_its_own_needs_no_relay(web: Run) -> None:
    done = web('console', '--web', 'web')
    assert (done.code, done.err) == (0, '')
    assert re.fullmatch(r'https://console\.fake\.invalid/\S+\n', done.out)
    assert json.loads(web('console', '-w', 'web', '-o', 'json').out) == {'url': done.out.strip()}


def test_what_can_not_be_shown_is_refused(web: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = web('console', '--web', '--serial', 'web')
    assert (done.code, done.out) == (2, '') and 'choose one' in done.errors[0]
    shows(monkeypatch, protocol='spice', url='spice://127.0.0.1:1')
    assert web('console', '--web', 'web').errors == [
        "Error: VM web has a SPICE display, and browsers are shown VNC only. 'kvirt console web' opens it in a viewer"]


def test_what_is_missing_is_told_with_what_installs_it(web: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                       novnc: Path) -> None:
    shows(monkeypatch)
    done = web('console', '--web', '--novnc', str(tmp_path), 'web')
    assert (done.code, done.out) == (1, '')
    assert f'noVNC is not there: {tmp_path} has no core/rfb.js. On Debian: apt install novnc' in done.errors[0]
    monkeypatch.setenv('KVIRT_NOVNC', str(novnc))
    assert 'VM web at 127.0.0.1:1 can not be reached: ' in web('console', '--web', 'web').errors[0]
    monkeypatch.delitem(sys.modules, 'kvirt.webdisplay')
    monkeypatch.setitem(sys.modules, 'websockets.asyncio.client', None)
    assert web('console', '--web', 'web').errors == [
        "Error: a display in a browser needs the package websockets. Run: pip install 'kvirt[web]'"]


@pytest.fixture
def far(web: Run, novnc: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The command for a display on another host: its process, the address that it told, and the port over there."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'ssh').write_text(SSH)
    (tmp_path / 'bin' / 'ssh').chmod(0o755)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b'RFB 003.008\n')
                while connection.recv(100):
                    pass
        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        words = ['console', '--web', 'web', '--novnc', str(novnc), '-o', 'jsoncompact']
        env = {**os.environ, 'PYTHONPATH': str(ROOT), 'PATH': f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        with subprocess.Popen([sys.executable, '-c', REMOTE, str(port), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield process, json.loads(line)['url'], port
            assert process.poll() is not None
        thread.join(10)


needs_busybox = pytest.mark.skipif(not shutil.which('busybox'), reason='busybox is not installed')


@needs_busybox
def test_a_display_on_another_host_is_reached_by_ssh(far: tuple[subprocess.Popen[str], str, int], tmp_path: Path) -> None:
    ws = pytest.importorskip('websockets.sync.client', reason="websockets is not installed: pip install 'kvirt[web]'")
    process, address, port = far
    page = urllib.request.urlopen(address, timeout=10).read().decode()
    told = {key: html.unescape(value) for key, value in re.findall(r'data-(\w+)="([^"]*)"', page)}
    assert told['password'] == 'hunter2'
    with ws.connect(told['socket'], origin=address.rpartition('/')[0], proxy=None) as browser:
        assert browser.recv() == b'RFB 003.008\n'
    assert process.wait(20) == 0
    said = (tmp_path / 'bin' / 'ssh.words').read_text()
    assert said == f'-W 127.0.0.1:{port} -T -o BatchMode=yes -- root@hypervisor\n'


@needs_busybox
def test_ctrl_c_ends_it(far: tuple[subprocess.Popen[str], str, int]) -> None:
    process, address, _ = far
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ('', 'Cancelled\n')
    assert process.returncode == 130
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=5)
