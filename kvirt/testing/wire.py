"""A loopback server between a provider and a cloud: it counts, records, judges, delays and breaks calls.

The cloud is an *app*: a stateful fake (:class:`kvirt.testing.cloud.FakeCloud`), or :class:`Forward`, which passes on to
another server. Since it speaks http, any client can be on the other side: ours, an SDK, a process of its own::

    with Wire(MyCloud(), judge=Judge.of('mycloud/openapi.json')) as wire:
        provider = Kmycloud(api=wire.url, token='...')
        wire.fail(3, 'lost')        # the third call from now is done, and its answer is lost
        provider.create('web')
        assert wire.verdicts == []  # no request or answer that the vendor would not accept
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Protocol, get_args
from urllib.parse import parse_qsl, urlsplit

Breakage = Literal['refused', 'error', 'unavailable', 'limited', 'unsent', 'lost', 'killed before', 'killed after']
"""What happens to a call. refused: 422. error: 500. unavailable: 503 with Retry-After. limited: 429 with Retry-After. These
four are not done. unsent: the connection ends before it is done. lost: it is done, and the connection ends instead of the
answer. killed before, after: the process that sent it is killed before it is done, or after."""

BREAKAGES: tuple[str, ...] = get_args(Breakage)

_STATUS = {'refused': 422, 'error': 500, 'unavailable': 503, 'limited': 429}
_REFUSAL = {'error': {'code': 'broken', 'message': 'broken by a test'}}
_NOT_PASSED_ON = frozenset({'connection', 'content-length', 'transfer-encoding', 'content-encoding', 'keep-alive', 'date',
                            'server'})


@dataclass(frozen=True)
class Request:
    """A request: ``path`` as it was sent (not decoded), ``headers`` with keys in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b''

    @property
    def json(self) -> Any:
        """The body as data, None when there is none."""
        return json.loads(self.body) if self.body else None

    def asked(self, key: str, default: str | None = None) -> str | None:
        """Return the first value of *key* in the query."""
        return next((value for name, value in self.query if name == key), default)

    def __str__(self) -> str:
        return f'{self.method} {self.path}'


@dataclass(frozen=True)
class Answer:
    """What comes back."""

    status: int = 200
    body: bytes = b''
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any, status: int = 200, **headers: str) -> Answer:
        """Return *data* as JSON; with None, an answer without a body."""
        if data is None:
            return cls(204 if status == 200 else status, b'', headers)
        return cls(status, json.dumps(data).encode(), {'Content-Type': 'application/json', **headers})

    @property
    def json(self) -> Any:
        """The body as data, None when there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Exchange:
    """A request and its answer; None when the connection ended instead."""

    request: Request
    answer: Answer | None


App = Callable[[Request], Answer]


class Referee(Protocol):
    """What a :class:`Wire` needs of a judge. An empty text is a clean request, or a clean answer."""

    def fault_of_request(self, request: Request) -> str: ...

    def fault_of_answer(self, request: Request, answer: Answer) -> str: ...


@dataclass
class _Trap:
    """One breakage to come: at the call whose number, among those that match, comes down to 0."""

    countdown: int
    breakage: str
    matches: Callable[[Request], bool]
    repeat: int


class Wire:
    """A server on loopback in front of *app*.

    *latency* is added to each call, in seconds. *judge* looks at every request and answer: what it finds stands in
    ``verdicts``, and the caller gets a 599 that names it. *watchers* see every exchange. *refusal* makes the body of an
    answer that a breakage gives, from its status, as the cloud would write it.
    """

    def __init__(self, app: App, *, latency: float = 0, judge: Referee | None = None,
                 watchers: tuple[Callable[[Exchange], None], ...] = (),
                 refusal: Callable[[int], Any] = lambda status: _REFUSAL) -> None:
        self.app, self.latency, self.judge, self.watchers, self.refusal = app, latency, judge, watchers, refusal
        self.exchanges: list[Exchange] = []
        self.verdicts: list[str] = []
        self.victim: int | None = None
        """The process that a kill is for."""
        self._traps: list[_Trap] = []
        self._lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None

    # the server

    def __enter__(self) -> Wire:
        self._server = _Server(('127.0.0.1', 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server, 'the wire is not open'
        return f'http://127.0.0.1:{self._server.server_address[1]}'

    # what tests ask for

    @property
    def calls(self) -> list[str]:
        """The calls so far, as ``POST /v2/droplets``."""
        return [str(exchange.request) for exchange in list(self.exchanges)]

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """Give the calls that the block makes; the list is complete when the block ends."""
        made: list[str] = []
        before = len(self.exchanges)
        yield made
        made += self.calls[before:]

    def fail(self, nth: int, breakage: str, *, times: int = 1,
             matches: Callable[[Request], bool] = lambda request: True) -> None:
        """Break the *nth* call from now (1 is the next) that *matches*, and the *times* - 1 that follow it."""
        assert breakage in BREAKAGES, breakage
        with self._lock:
            self._traps.append(_Trap(nth, breakage, matches, times))

    def storm(self, breakage: str, every: int) -> None:
        """Break every *every*-th call from now, until :meth:`calm`."""
        assert breakage in BREAKAGES, breakage
        with self._lock:
            self._traps.append(_Trap(every, breakage, lambda request: True, -every))

    def calm(self) -> None:
        """Break nothing more."""
        with self._lock:
            self._traps.clear()

    # a call

    def handle(self, request: Request) -> Answer | None:
        """Answer *request*; None is for a connection that ends instead."""
        if self.latency:
            threading.Event().wait(self.latency)
        breakage = self._breakage(request)
        answer = self._judged(request, breakage)
        with self._lock:
            exchange = Exchange(request, answer)
            self.exchanges.append(exchange)
        for watcher in self.watchers:
            watcher(exchange)
        return answer

    def _judged(self, request: Request, breakage: str | None) -> Answer | None:
        fault = self.judge.fault_of_request(request) if self.judge else ''
        if fault:
            return self._verdict(fault)
        answer = self._answered(request, breakage)
        if answer is not None and self.judge and not breakage:
            fault = self.judge.fault_of_answer(request, answer)
            if fault:
                return self._verdict(fault)
        return answer

    def _answered(self, request: Request, breakage: str | None) -> Answer | None:
        if breakage in _STATUS:
            return self.refused(_STATUS[breakage])
        if breakage == 'killed before':
            self._kill()
        if breakage in ('unsent', 'killed before'):
            return None
        answer = self.app(request)
        if breakage == 'killed after':
            self._kill()
        return None if breakage in ('lost', 'killed after') else answer

    def refused(self, status: int) -> Answer:
        """Return the answer of the cloud to a call that it refuses with *status*."""
        said, headers = self.refusal(status), {'Retry-After': '0'} if status in (429, 503) else {}
        return Answer(status, said, headers) if isinstance(said, bytes) else Answer.of(said, status, **headers)

    def _kill(self) -> None:
        assert self.victim, 'nobody to kill: set victim to the process that calls'
        os.kill(self.victim, signal.SIGKILL)

    def _verdict(self, fault: str) -> Answer:
        with self._lock:
            self.verdicts.append(fault)
        return Answer.of({'error': {'code': 'judge', 'message': fault}, 'message': fault}, 599)

    def _breakage(self, request: Request) -> str | None:
        with self._lock:
            for trap in list(self._traps):
                if not trap.matches(request):
                    continue
                trap.countdown -= 1
                if trap.countdown > 0:
                    continue
                if trap.repeat < 0:
                    trap.countdown = -trap.repeat
                else:
                    trap.repeat -= 1
                    if trap.repeat <= 0:
                        self._traps.remove(trap)
                return trap.breakage
        return None


class Forward:
    """An app that passes requests on to the server at *url*."""

    def __init__(self, url: str) -> None:
        import requests
        self._url = url.rstrip('/')
        self._session = requests.Session()
        self._session.trust_env = False

    def __call__(self, request: Request) -> Answer:
        headers = {key: value for key, value in request.headers.items() if key not in _NOT_PASSED_ON}
        response = self._session.request(request.method, self._url + request.path, params=request.query,
                                         data=request.body or None, headers=headers, allow_redirects=False, timeout=60)
        kept = {key: value for key, value in response.headers.items() if key.lower() not in _NOT_PASSED_ON}
        return Answer(response.status_code, response.content, kept)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: some are killed here on purpose."""


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        disable_nagle_algorithm = True

        def serve(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get('Content-Length') or 0)
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = _chunks(self.rfile) if headers.get('transfer-encoding') == 'chunked' else self.rfile.read(length)
            cut_off = len(body) < length  # its client was interrupted, or killed, while it sent
            answer = None if cut_off else wire.handle(
                Request(self.command, split.path, parse_qsl(split.query, keep_blank_values=True), headers, body))
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            if 'content-length' not in map(str.lower, answer.headers):
                self.send_header('Content-Length', str(len(answer.body)))
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""
    return Handler


def _chunks(stream: Any) -> bytes:
    """Read a body that is sent in chunks."""
    body = b''
    while size := int(stream.readline().split(b';')[0], 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def patient(check: Callable[[], bool], seconds: float = 5) -> bool:
    """Return True as soon as *check* does; False when it has not within *seconds*."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True
