"""The display of a real guest in a browser, or in what speaks as one."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import websockets.sync.client as ws
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from websockets.exceptions import InvalidStatus

from kvirt.providers.kvm import Kvirt

from .browser import browser

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PASSWORD = 's3cr3t-8'
CHROMIUM = shutil.which('chromium')
Opened = Callable[[], tuple[subprocess.Popen[str], str]]


class Browser:
    """What noVNC does: it reads a stream of messages of RFB."""

    def __init__(self, connection: ws.ClientConnection) -> None:
        self._connection, self._came = connection, b''

    def read(self, count: int) -> bytes:
        while len(self._came) < count:
            self._came += bytes(self._connection.recv(20))  # type: ignore[arg-type]
        data, self._came = self._came[:count], self._came[count:]
        return data

    def write(self, data: bytes) -> None:
        self._connection.send(data)

    def log_in(self, password: str) -> bytes:
        """Shake hands as a client of VNC does, and return the name of the display."""
        assert self.read(12) == b'RFB 003.008\n'
        self.write(b'RFB 003.008\n')
        assert 2 in self.read(self.read(1)[0]), 'VNC authentication is offered'
        self.write(b'\x02')
        # DES, with the bits of each byte of the password the other way round.
        key = bytes(int(f'{byte:08b}'[::-1], 2) for byte in password.encode().ljust(8, b'\0'))
        des = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
        self.write(des.update(self.read(16)))
        assert self.read(4) == b'\0\0\0\0', 'the password is right'
        self.write(b'\x01')
        width, height = (int.from_bytes(self.read(2), 'big') for _ in range(2))
        self.read(16)
        assert width >= 320 and height >= 200
        return self.read(int.from_bytes(self.read(4), 'big'))


@pytest.fixture
def machine(kvm: Kvirt, prefix: str) -> Iterator[str]:
    """A VM without an operating system; its firmware has a display all the same."""
    name = f'{prefix}-screen'
    made = kvm.create(name, virttype='qemu', memory=64, numcpus=1, nets=[], disks=[], vncpassword=PASSWORD, start=True)
    assert made.ok, made
    yield name
    assert kvm.delete(name).ok


@pytest.fixture
def opened(home: Path, machine: str) -> Iterator[Opened]:
    """Return a function that runs the command, and returns it with the address that it tells."""
    running: list[subprocess.Popen[str]] = []

    def run() -> tuple[subprocess.Popen[str], str]:
        running.append(subprocess.Popen(
            [sys.executable, '-m', 'kvirt', 'console', '--web', machine, '--debug'], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, 'KVIRT_HOME': str(home), 'PYTHONPATH': str(ROOT)}))
        assert running[-1].stdout is not None
        address = running[-1].stdout.readline().strip()
        assert re.fullmatch(r'http://127\.0\.0\.1:\d+/[\w-]{43}', address), running[-1].communicate(timeout=30)
        return running[-1], address
    yield run
    for each in running:
        if each.poll() is None:
            each.kill()
        each.communicate()


def test_a_browser_sees_the_display(opened: Opened, machine: str) -> None:
    process, address = opened()
    origin = address.rpartition('/')[0]
    with pytest.raises(InvalidStatus), ws.connect(f'{origin.replace("http", "ws")}/guessed', origin=origin, proxy=None):
        pass
    page = urllib.request.urlopen(address, timeout=20).read().decode()
    told = {key: html.unescape(value) for key, value in re.findall(r'data-(\w+)="([^"]*)"', page)}
    assert told['password'] == PASSWORD
    with pytest.raises(InvalidStatus), ws.connect(told['socket'], origin='http://evil.example.com', proxy=None):
        pass
    words = Path(f'/proc/{process.pid}/cmdline').read_text() + Path(f'/proc/{process.pid}/environ').read_text()
    with ws.connect(told['socket'], origin=origin, proxy=None) as connection:  # type: ignore[arg-type]
        assert Browser(connection).log_in(told['password']) == f'QEMU ({machine})'.encode()
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert f'The display of VM {machine} was closed' in err
    assert PASSWORD not in words + out + err + address


INK = """(() => {
    const canvas = document.querySelector('#screen canvas');
    if (!canvas || !canvas.width) return 0;
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.filter((value, index) => index % 4 !== 3 && value > 100).length;
})()"""
"""How much of the display is not black."""


@pytest.mark.skipif(not CHROMIUM, reason='no browser is installed (chromium)')
@pytest.mark.skipif(not Path('/usr/share/novnc/core/rfb.js').exists(), reason='noVNC is not installed (novnc)')
def test_novnc_shows_what_the_firmware_writes(opened: Opened, machine: str, tmp_path: Path) -> None:
    process, address = opened()
    folder = tmp_path / 'browser'
    folder.mkdir()
    with browser(str(CHROMIUM), folder) as page:
        page.ask('Page.navigate', url=address)
        page.until("(document.getElementById('state') || {}).textContent", lambda text: text == f'VM {machine}')
        page.until(INK, lambda ink: ink > 100)
        (tmp_path / 'console.png').write_bytes(page.picture())
        assert page.value('JSON.stringify(document.body.dataset)') == f'{{"shows":"VM {machine}"}}', 'no secret stays'
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
