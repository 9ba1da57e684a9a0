"""A web server on the loopback that serves ranges as RFC 9110 has it, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Web:
    """What is served, how, and what was asked for.

    Each item of ``cuts`` ends one answer after that many bytes. ``renewals`` holds further contents of a path: each takes
    the place of the one before when an answer for that path was cut. After ``hold`` bytes an answer waits for ``let_go``.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    renewals: dict[str, list[bytes]] = field(default_factory=dict)
    ranges: bool = True
    tags: str = 'strong'  # or weak, date, none
    lengths: bool = True
    coding: str = ''
    status: int = 0
    hold: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)  # path, Range, If-Range, status of the answer
    url: str = ''

    def paths(self) -> list[str]:
        """Return the paths that were asked for."""
        return [each[0] for each in self.asked]

    def validator(self, path: str) -> dict[str, str]:
        """Return the headers by which the present content of *path* is known again."""
        digest = hashlib.md5(self.files[path]).hexdigest()
        tag, date = f'"{digest[:16]}"', f'Sat, 21 Nov 2026 10:{int(digest[:4], 16) % 60:02}:00 GMT'
        return {'strong': {'ETag': tag, 'Last-Modified': date}, 'weak': {'ETag': f'W/{tag}'}, 'none': {},
                'date': {'Last-Modified': date}, 'weak and date': {'ETag': f'W/{tag}', 'Last-Modified': date}}[self.tags]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for a Web."""

    web: Web

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        web, path = self.web, self.path
        body = web.files.get(path)
        asked, condition = self.headers.get('Range', ''), self.headers.get('If-Range', '')
        if body is None or web.status:
            web.asked.append((path, asked, condition, web.status or 404))
            self.send_error(web.status or 404)
            return
        known = web.validator(path)
        match = re.fullmatch(r'bytes=(\d+)-', asked)
        partly = bool(match and web.ranges and (not condition or condition in known.values()))
        start = int(match[1]) if match and partly else 0
        status = (416 if start >= len(body) else 206) if partly else 200
        web.asked.append((path, asked, condition, status))
        self.send_response(status)
        for name, value in known.items():
            self.send_header(name, value)
        if web.coding:
            self.send_header('Content-Encoding', web.coding)
        if status == 416:
            self.send_header('Content-Range', f'bytes */{len(body)}')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if status == 206:
            self.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        if web.lengths:
            self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        self.close_connection = True
        if self.command == 'HEAD':
            return
        rest = body[start:]
        if web.cuts and not path.endswith('SUMS'):
            rest = rest[:web.cuts.pop(0)]
            if web.renewals.get(path):
                web.files[path] = web.renewals[path].pop(0)
        try:
            if web.hold:
                self.wfile.write(rest[:web.hold])
                web.held.set()
                web.let_go.wait(60)
                rest = rest[web.hold:]
            self.wfile.write(rest)
        except OSError:
            self.log_message('the client went away')

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(context: Any = None) -> Iterator[Web]:
    """Give a server that runs; with *context* (ssl) it speaks https."""
    web = Web()
    handler = type('Handler', (Handler,), {'web': web})
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that does not trust us
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        web.url = f'http{"s" if context else ""}://127.0.0.1:{server.server_port}'
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
