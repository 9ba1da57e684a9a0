"""The display of a VM in a browser: noVNC's files, and a relay between its web socket and the VM's VNC server.

It listens on the loopback of this machine alone. Two secrets guard it, each of use once: one in the address that people
open, and one in the page that they get there, which opens the web socket. A password of the display travels in that page,
and so stands in no address, log, history or list of processes. The relay ends with the connection that it was made for.
"""

from __future__ import annotations

import asyncio
import html
import http
import logging
import re
import secrets
import socket
import string
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Protocol

from kvirt.errors import MissingDependency, TimedOut, Unavailable
from kvirt.names import counted

try:
    import websockets.asyncio.client as ws_client
    import websockets.asyncio.server as ws_server
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed, WebSocketException
    from websockets.http11 import Request, Response
except ModuleNotFoundError as error:
    raise MissingDependency('a display in a browser needs the package websockets',
                            hint="Run: pip install 'kvirt[web]'") from error

NOVNC = '/usr/share/novnc'
"""Where Debian, Ubuntu and Fedora put noVNC's files."""

_CONNECT = 20.0  # seconds for a VNC server to greet
_CHUNK = 1 << 16
_FILE = re.compile(r'/novnc/((?:core|vendor)(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+\.js)')
_SILENT = logging.getLogger(f'{__name__}.wire')
_SILENT.disabled = True  # it would tell addresses, which are secrets
_MARK = b'RFB '  # what every VNC server says first


@dataclass(frozen=True)
class Display:
    """A VNC server: what *shows* its VM, and where. ``url`` is a web socket that stands for it, ``way`` the words of a
    command that connects its standard input and output to it."""

    shows: str
    host: str = ''
    port: int = 0
    password: str = field(default='', repr=False)
    url: str = field(default='', repr=False)
    way: Sequence[str] = ()


def novnc_files(folder: str | Path) -> Path:
    """Return *folder* if noVNC is there. MissingDependency tells how to come by it."""
    path = Path(folder).expanduser()
    if (path / 'core' / 'rfb.js').is_file():
        return path
    raise MissingDependency(f'noVNC is not there: {path} has no core/rfb.js',
                            hint="On Debian: apt install novnc; elsewhere: npm install @novnc/novnc, and "
                                 "--novnc node_modules/@novnc/novnc")


def serve(display: Display, files: Path, ready: Callable[[str], None], *, first: float = 300, idle: float = 1800) -> None:
    """Show *display* to the one who opens the address that *ready* is told, until that connection ends.

    Unavailable when no VNC server answers; TimedOut when nobody comes within *first* seconds, or when nothing moves and
    nothing is typed for *idle* seconds.
    """
    asyncio.run(_serve(display, files, ready, first, idle))


async def _serve(display: Display, files: Path, ready: Callable[[str], None], first: float, idle: float) -> None:
    async with _reached(display) as server:
        greeting = await _greeting(display, server)
        with socket.create_server(('127.0.0.1', 0)) as listener:
            relay = _Relay(display, files, f'127.0.0.1:{listener.getsockname()[1]}')
            async with ws_server.serve(relay.handle, sock=listener, origins=[f'http://{relay.host}'],  # type: ignore[list-item]
                                       process_request=relay.answer, compression=None, logger=_SILENT):
                ready(f'http://{relay.host}/{relay.link}')
                try:
                    browser = await asyncio.wait_for(relay.browser, first)
                except asyncio.TimeoutError:
                    raise TimedOut(f'nobody opened the display of {display.shows} within '
                                   f'{counted(first, "second")}') from None
                await _pass_on(display, server, browser, greeting, idle)


# the VNC server


class _Server(Protocol):
    """The connection to a VNC server."""

    async def receive(self) -> bytes:
        """Return what it sends next; nothing at its end."""

    async def send(self, data: bytes) -> None:
        """Send to it."""


class _Stream:
    """A connection that is a stream of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        return await self._reader.read(_CHUNK)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _Socket:
    """A connection that is a web socket."""

    def __init__(self, connection: ws_client.ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        try:
            return bytes(await self._connection.recv(decode=False))
        except ConnectionClosed:
            return b''

    async def send(self, data: bytes) -> None:
        await self._connection.send(data)


@asynccontextmanager
async def _reached(display: Display) -> AsyncIterator[_Server]:
    """Give the connection to the server of *display*, and end it."""
    where = f'the display of {display.shows}'
    if display.way:
        async with _run(display) as server:
            yield server
        return
    if display.url:
        try:
            connection = await ws_client.connect(display.url, open_timeout=_CONNECT, max_size=None, compression=None,
                                                 proxy=None, logger=_SILENT)
        except (OSError, WebSocketException) as error:
            raise Unavailable(f'{where} can not be reached: {type(error).__name__}') from None  # its address is a secret
        async with connection:
            yield _Socket(connection)
        return
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(display.host, display.port), _CONNECT)
    except (OSError, asyncio.TimeoutError) as error:
        reason = getattr(error, 'strerror', None) or 'no answer'
        raise Unavailable(f'{where} at {display.host}:{display.port} can not be reached: {reason}') from None
    try:
        yield _Stream(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def _run(display: Display) -> AsyncIterator[_Server]:
    """Give a connection over the command that leads to *display*."""
    with tempfile.TemporaryFile() as said:
        try:
            way = await asyncio.create_subprocess_exec(*display.way, stdin=asyncio.subprocess.PIPE,
                                                       stdout=asyncio.subprocess.PIPE, stderr=said)
        except FileNotFoundError:
            raise MissingDependency(f'{display.way[0]} is not installed',
                                    hint='On Debian: apt install openssh-client') from None
        assert way.stdin is not None and way.stdout is not None
        try:
            yield _Stream(way.stdout, way.stdin)
        except Unavailable as error:
            said.seek(0)
            told = said.read().decode(errors='replace').strip().splitlines()
            raise Unavailable(f'{error.reason}{": " if told else ""}{told[-1] if told else ""}') from None
        finally:
            if way.returncode is None:
                way.terminate()
            await way.wait()


async def _greeting(display: Display, server: _Server) -> bytes:
    """Return what the server says first: whoever is told of an address finds a display there."""
    try:
        said = await asyncio.wait_for(server.receive(), _CONNECT)
    except (OSError, asyncio.TimeoutError):
        said = b''
    if not said.startswith(_MARK):
        raise Unavailable(f'what should be the display of {display.shows} '
                          f'{"is no VNC server" if said else "does not answer"}')
    return said


# the browser


class _Relay:
    """One address, one page, one web socket."""

    def __init__(self, display: Display, files: Path, host: str) -> None:
        self.host = host
        self.link, self._ticket = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._display, self._files, self._shown = display, files, False
        self.browser: asyncio.Future[ws_server.ServerConnection] = asyncio.get_running_loop().create_future()

    async def handle(self, browser: ws_server.ServerConnection) -> None:
        """Hand over the web socket of the first one who opens it."""
        if not self.browser.done():
            self.browser.set_result(browser)
            await browser.wait_closed()

    def answer(self, connection: ws_server.ServerConnection, request: Request) -> Response | None:
        """Answer a request of the browser; None lets the web socket be opened."""
        if request.headers.get_all('Host') != [self.host]:
            return _refusal('This address is not served here')  # a name of elsewhere was made to point here
        if secrets.compare_digest(request.path.encode(), f'/{self._ticket}'.encode()) and not self.browser.done():
            return None
        if secrets.compare_digest(request.path.encode(), f'/{self.link}'.encode()) and not self._shown:
            self._shown = True
            return self._page()
        file = _FILE.fullmatch(request.path)
        if file and (self._files / file[1]).is_file():
            return _response(http.HTTPStatus.OK, (self._files / file[1]).read_bytes(), 'text/javascript')
        return _refusal("This link is wrong, or was used: it works once. Run 'kvirt console --web' again")

    def _page(self) -> Response:
        nonce = secrets.token_urlsafe(16)
        page = string.Template((resources.files('kvirt.data') / 'display.html').read_text(encoding='utf-8'))
        facts = {'shows': self._display.shows, 'password': self._display.password, 'nonce': nonce,
                 'socket': f'ws://{self.host}/{self._ticket}'}
        policy = (f"default-src 'none'; script-src 'nonce-{nonce}' http://{self.host}; style-src 'unsafe-inline'; "
                  f"img-src data: blob:; connect-src ws://{self.host}; frame-ancestors 'none'; base-uri 'none'")
        body = page.substitute({key: html.escape(value) for key, value in facts.items()})
        return _response(http.HTTPStatus.OK, body.encode(), 'text/html', policy)


async def _pass_on(display: Display, server: _Server, browser: ws_server.ServerConnection, greeting: bytes,
                   idle: float) -> None:
    """Pass on what comes from either side, until one of them ends. TimedOut when both are silent for too long."""
    now = asyncio.get_running_loop().time
    moved = now()

    async def to_browser() -> None:
        nonlocal moved
        data = greeting
        while data:
            await browser.send(data)
            moved = now()
            data = await server.receive()

    async def to_server() -> None:
        nonlocal moved
        while True:
            await server.send(await browser.recv(decode=False))
            moved = now()

    tasks = [asyncio.create_task(to_browser()), asyncio.create_task(to_server())]
    try:
        while not (await asyncio.wait(tasks, timeout=max(0.0, moved + idle - now()),
                                      return_when=asyncio.FIRST_COMPLETED))[0]:
            if now() - moved >= idle:
                raise TimedOut(f'nothing moved on the display of {display.shows} for {counted(idle, "second")}')
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, (OSError, ConnectionClosed)):
            raise outcome


def _response(status: http.HTTPStatus, body: bytes, kind: str, policy: str = "default-src 'none'") -> Response:
    headers = Headers([('Content-Type', f'{kind}; charset=utf-8'), ('Content-Length', str(len(body))),
                       ('Cache-Control', 'no-store'), ('Connection', 'close'), ('Content-Security-Policy', policy),
                       ('Referrer-Policy', 'no-referrer'), ('X-Content-Type-Options', 'nosniff')])
    return Response(status.value, status.phrase, headers, body)


def _refusal(text: str) -> Response:
    return _response(http.HTTPStatus.FORBIDDEN, f'{text}\n'.encode(), 'text/plain')
