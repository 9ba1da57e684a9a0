"""Chromium without a window, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websockets.sync.client as ws
from websockets.exceptions import ConnectionClosed


class Page:
    """One page of the browser."""

    def __init__(self, connection: ws.ClientConnection) -> None:
        self._connection, self._numbers = connection, itertools.count(1)
        target = self.ask('Target.createTarget', url='about:blank')['targetId']
        self._session = self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']

    def ask(self, method: str, **parameters: Any) -> Any:
        """Ask for *method*, and return the answer."""
        number = next(self._numbers)
        session = {'sessionId': self._session} if hasattr(self, '_session') else {}
        self._connection.send(json.dumps({'id': number, 'method': method, 'params': parameters, **session}))
        while True:
            answer = json.loads(self._connection.recv(30))
            if answer.get('id') == number:
                assert 'error' not in answer, (method, answer)
                return answer['result']

    def value(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        result = self.ask('Runtime.evaluate', expression=script, returnByValue=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    def until(self, script: str, seen: Callable[[Any], bool], seconds: float = 20) -> Any:
        """Return the value of an expression as soon as it fulfils *seen*."""
        end = time.monotonic() + seconds
        while not seen(value := self.value(script)):
            assert time.monotonic() < end, f'{script} is still {value!r}'
        return value

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.ask('Page.captureScreenshot')['data'])


@contextmanager
def browser(program: str, folder: Path, *, width: int = 1000, height: int = 700) -> Iterator[Page]:
    """Give a page of a browser that keeps all it writes in *folder*."""
    words = [program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-extensions', '--no-proxy-server',
             f'--user-data-dir={folder}', f'--window-size={width},{height}', '--remote-debugging-port=0']
    with (folder / 'log').open('w') as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            port, path = _where(folder, process)
            with ws.connect(f'ws://127.0.0.1:{port}{path}', max_size=None, proxy=None) as connection:
                page = Page(connection)
                yield page
                del page._session
                with suppress(ConnectionClosed):
                    page.ask('Browser.close')
        finally:
            if process.poll() is None:
                process.terminate()


def _where(folder: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Return the port and the path that the browser listens on."""
    said, end = folder / 'DevToolsActivePort', time.monotonic() + 30
    while not (said.exists() and said.read_text().count('\n')):
        assert process.poll() is None and time.monotonic() < end, (folder / 'log').read_text()[-2000:]
    port, path = said.read_text().split('\n')[:2]
    return port, path
