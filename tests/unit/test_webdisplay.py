"""The relay between a browser and a VNC server: who is let in, what passes, and how it ends."""

from __future__ import annotations

import contextlib
import html
import queue
import re
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvirt.errors import KvirtError, MissingDependency, TimedOut, Unavailable

pytest.importorskip('websockets', reason="websockets is not installed: pip install 'kvirt[web]'")

import websockets.sync.client as ws
import websockets.sync.server as ws_server
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kvirt.webdisplay import Display, novnc_files, serve

GREETING = b'RFB 003.008\n'
PIPE = """
import os, socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def away():
    while data := os.read(0, 4096):
        there.sendall(data)
threading.Thread(target=away, daemon=True).start()
while data := there.recv(4096):
    os.write(1, data)
"""


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A server that greets as VNC does, and then says each thing again."""
    listener = socket.create_server(('127.0.0.1', 0))

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(GREETING)
                while data := connection.recv(4096):
                    if data == b'bye':
                        return
                    connection.sendall(data.upper())
    thread = threading.Thread(target=answer)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / 'core').mkdir()
    (tmp_path / 'core' / 'rfb.js').write_text('export default 1;\n')
    (tmp_path / 'core' / 'secret.txt').write_text('no program')
    (tmp_path / 'elsewhere.js').write_text('not of noVNC')
    return tmp_path


class Shown:
    """A display that is being served by a thread of its own."""

    def __init__(self, display: Display, files: Path, **limits: float) -> None:
        told: queue.Queue[str | None] = queue.Queue()
        self.outcome: KvirtError | None = None

        def run() -> None:
            try:
                serve(display, files, told.put, **limits)
            except KvirtError as error:
                self.outcome = error
            finally:
                told.put(None)
        self._thread = threading.Thread(target=run)
        self._thread.start()
        address = told.get(timeout=20)
        assert address is not None, self.outcome
        self.address = address
        self.host = self.address.split('/')[2]

    def page(self) -> dict[str, str]:
        """Return what the page tells noVNC."""
        text = urllib.request.urlopen(self.address, timeout=10).read().decode()
        return {key: html.unescape(value) for key, value in re.findall(r'data-(\w+)="([^"]*)"', text)}

    def connect(self, url: str, origin: str | None = None) -> Any:
        return ws.connect(url, origin=origin or f'http://{self.host}', proxy=None)  # type: ignore[arg-type]

    def end(self) -> KvirtError | None:
        self._thread.join(20)
        assert not self._thread.is_alive(), 'it goes on'
        return self.outcome


Show = Callable[..., Shown]


@pytest.fixture
def show(server: tuple[str, int], files: Path) -> Show:
    """Return a function that serves the display of the server."""
    return lambda password='', **limits: Shown(Display('VM <web>', *server, password), files, **limits)


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_either_says_reaches_the_other_until_the_browser_goes(show: Show) -> None:
    shown = show('"&\'<p>')
    page = shown.page()
    assert (page['shows'], page['password']) == ('VM <web>', '"&\'<p>')
    with shown.connect(page['socket']) as browser:
        assert browser.recv() == GREETING
        browser.send(b'hello')
        assert browser.recv() == b'HELLO'
        browser.send(b'x' * 200000)
        came = 0
        while came < 200000:
            came += len(browser.recv())
    assert shown.end() is None
    with pytest.raises(OSError):
        socket.create_connection(tuple(shown.host.split(':')), 5)  # type: ignore[arg-type]


def test_it_ends_with_the_server(show: Show) -> None:
    shown = show()
    with shown.connect(shown.page()['socket']) as browser:
        browser.send(b'bye')
        with pytest.raises(ConnectionClosed):
            while browser.recv(timeout=10):
                pass
    assert shown.end() is None


def test_each_secret_works_once_and_none_other_works(show: Show) -> None:
    shown = show()
    origin = f'http://{shown.host}'
    assert [status(f'{origin}/{path}') for path in ('', 'x', shown.address[-10:], f'{shown.address[-43:]}x')] == [403] * 4
    assert status(shown.address, Host='evil.example.com') == 403, 'a name of elsewhere that leads here'
    socket_of = shown.page()['socket']
    assert status(shown.address) == 403, 'a second time'
    assert not socket_of.endswith(shown.address[-43:])
    for url, come_from in ((f'ws://{shown.host}/guessed', origin), (f'ws://{shown.host}/', origin),
                           (shown.address.replace('http', 'ws'), origin),
                           (socket_of, 'http://evil.example.com'), (socket_of, 'http://127.0.0.1:1'), (socket_of, 'null')):
        with pytest.raises(InvalidStatus) as refused, shown.connect(url, come_from):
            pass
        assert refused.value.response.status_code == 403, (url, come_from)
    with pytest.raises(InvalidStatus), ws.connect(socket_of, proxy=None):
        pass  # a program that tells no origin
    with shown.connect(socket_of) as browser:
        assert browser.recv() == GREETING
        with pytest.raises(InvalidStatus), shown.connect(socket_of):
            pass
    assert shown.end() is None


def test_of_the_files_only_novncs_programs_are_given(show: Show) -> None:
    shown = show()
    origin = f'http://{shown.host}'
    assert status(f'{origin}/novnc/core/rfb.js') == 200
    for path in ('core/secret.txt', 'elsewhere.js', 'core/../elsewhere.js', 'core/%2e%2e/elsewhere.js', 'core//rfb.js',
                 '../../etc/passwd', 'core/none.js'):
        assert status(f'{origin}/novnc/{path}') == 403, path
    with urllib.request.urlopen(shown.address, timeout=10) as answer:
        assert answer.headers['Cache-Control'] == 'no-store'
        assert answer.headers['Referrer-Policy'] == 'no-referrer'
        policy, page = answer.headers['Content-Security-Policy'], answer.read().decode()
    assert f'connect-src ws://{shown.host}' in policy and "default-src 'none'" in policy
    assert re.search(r"script-src 'nonce-(\S+)'", policy)[1] in page  # type: ignore[index]
    with shown.connect(re.search(r'ws://[^"]+', page)[0]):  # type: ignore[index]
        pass
    assert shown.end() is None


@pytest.mark.parametrize(('limits', 'says'), [
    ({'first': 0.2}, 'nobody opened the display of VM <web> within 0.2 seconds'),
    ({'idle': 0.2}, 'nothing moved on the display of VM <web> for 0.2 seconds')], ids=['nobody', 'idle'])
def test_it_does_not_stay_for_ever(limits: dict[str, float], says: str, show: Show) -> None:
    shown = show(**limits)
    if 'idle' in limits:
        with shown.connect(shown.page()['socket']) as browser, pytest.raises(ConnectionClosed):
            while browser.recv(timeout=10):
                pass
    error = shown.end()
    assert isinstance(error, TimedOut) and error.reason == says


def test_a_command_may_lead_to_the_server(server: tuple[str, int], files: Path) -> None:
    way = [sys.executable, '-c', PIPE, *map(str, server)]
    shown = Shown(Display('VM web', way=way), files)
    with shown.connect(shown.page()['socket']) as browser:
        assert browser.recv() == GREETING
        browser.send(b'over there')
        assert browser.recv() == b'OVER THERE'
    assert shown.end() is None


def test_a_web_socket_may_lead_to_the_server(files: Path) -> None:
    def answer(connection: ws_server.ServerConnection) -> None:
        connection.send(GREETING)
        for data in connection:
            connection.send(bytes(data).upper())  # type: ignore[arg-type]
    with ws_server.serve(answer, '127.0.0.1', 0) as far:
        thread = threading.Thread(target=far.serve_forever)
        thread.start()
        url = f'ws://127.0.0.1:{far.socket.getsockname()[1]}/?token=t0p'
        shown = Shown(Display('VM web', url=url, password='p'), files)
        with shown.connect(shown.page()['socket']) as browser:
            assert browser.recv() == GREETING
            browser.send(b'far')
            assert browser.recv() == b'FAR'
        assert shown.end() is None
        far.shutdown()
        thread.join(10)


def refused(display: Display, files: Path) -> str:
    with pytest.raises(Unavailable) as error:
        serve(display, files, lambda address: pytest.fail('an address was told'))
    return str(error.value)


def test_no_address_is_told_where_no_vnc_server_answers(files: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        host, port = listener.getsockname()
        thread = threading.Thread(target=lambda: [(each.sendall(b'SSH-2.0\r\n'), each.close())
                                                  for each in [listener.accept()[0]]])
        thread.start()
        assert refused(Display('VM web', host, port), files) == 'what should be the display of VM web is no VNC server'
        thread.join(10)
    assert f'at 127.0.0.1:{port} can not be reached: ' in refused(Display('VM web', host, port), files)
    secret = refused(Display('VM web', url=f'ws://127.0.0.1:{port}/?token=t0p'), files)
    assert secret == 'the display of VM web can not be reached: ConnectionRefusedError'
    way = (sys.executable, '-c', 'import sys; sys.exit("ssh: connect to host there port 22: No route to host")')
    assert refused(Display('VM web', way=way), files) == (
        'what should be the display of VM web does not answer: ssh: connect to host there port 22: No route to host')


def test_secrets_are_not_in_what_a_display_looks_like() -> None:
    display = Display('VM web', password='hunter2', url='wss://there/?token=t0p')
    assert 'hunter2' not in repr(display) and 't0p' not in repr(display)


def test_where_novnc_is_missing_it_says_how_to_get_it(tmp_path: Path, files: Path) -> None:
    assert novnc_files(files) == files
    with pytest.raises(MissingDependency) as error:
        novnc_files(tmp_path / 'none')
    assert 'apt install novnc' in str(error.value) and 'npm install @novnc/novnc' in str(error.value)
