"""Conversations with a cloud, written down without their secrets, and played back.

A recording is a file with a line of JSON for each exchange. It is made where a real service is spoken to once, and
answers in its place from then on::

    recorder = Recorder(path)
    Wire(Forward('https://api.mycloud.example'), watchers=(recorder,))  # or Api(...).observe(recorder)
    ...
    with Wire(Replay(path)) as wire: ...

What tells who somebody is stays out of the file: credentials, user data, e-mail addresses, account numbers. Ids stay.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from kvirt.redact import MASK, is_secret_key, redact
from kvirt.testing.wire import Answer, Exchange, Request

if TYPE_CHECKING:
    from kvirt.rest import Call

KEPT_HEADERS = re.compile(r'content-type|location|link|retry-after|(x-)?ratelimit-.*|x-amz-target')
"""Everything else that headers say is left out."""

_SECRET = re.compile(r'(user|custom)[-_]?data|cloud[-_]?init|signature|cookie|root_?pass', re.IGNORECASE)
"""Besides what :mod:`kvirt.redact` knows: keys under which everything is secret."""

_PERSONAL = re.compile(r'e-?mail(_?address)?|(account|owner|customer|tenant|billing)[-_]?(id|no|number)?', re.IGNORECASE)
"""Keys whose own value says who somebody is."""

_EMAIL = re.compile(r'[\w.+-]+@[\w-]+(\.[\w-]+)+')
_SSH_KEY = re.compile(r'((?:ssh|ecdsa|sk)-[\w@.-]+ [A-Za-z0-9+/=]{30,})[ \t]+[^\r\n"]*')
_PRIVATE_KEY = re.compile(r'-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----', re.DOTALL)
_ACCOUNT = re.compile(r'(?<=:)\d{12}(?=:)')
"""The account in an ARN."""

_XML_TEXT = re.compile(r'<(?P<name>[\w:-]+)(?P<attributes>[^<>]*)>(?P<text>[^<>]+)</(?P=name)>')
_TEXTUAL = re.compile(r'text/|application/(.*\+)?(json|xml|x-www-form-urlencoded|yaml)|application/x-amz-json')


class Recorder:
    """Writes each exchange that it sees to *file*, anew. Exchanges whose connection broke are left out.

    It is a watcher of a :class:`kvirt.testing.wire.Wire` and an observer of a :class:`kvirt.rest.Api`, which does not
    know the path before all of its paths: that is *base*.
    """

    def __init__(self, file: Path, *, base: str = '') -> None:
        self._file, self._base, self._lock = file, base, threading.Lock()
        file.write_text('')

    def __call__(self, seen: Exchange | Call) -> None:
        """Write an exchange down."""
        exchange = seen if isinstance(seen, Exchange) else _exchange(seen, self._base)
        if exchange.answer is None:
            return
        line = json.dumps({'request': _request(exchange.request), 'answer': _answer(exchange.answer)}, sort_keys=True)
        with self._lock, self._file.open('a', encoding='utf-8') as file:
            file.write(f'{line}\n')


class Replay:
    """An app that answers as a recording does, in order. What is asked otherwise gets a 599, and stands in ``faults``.

    *varies* are patterns of what differs from run to run, such as random names.
    """

    def __init__(self, file: Path, *, varies: Sequence[str] = ()) -> None:
        self._varies = [re.compile(pattern) for pattern in varies]
        self._left = [json.loads(line) for line in file.read_text(encoding='utf-8').splitlines()]
        self._lock = threading.Lock()
        self.faults: list[str] = []

    @property
    def left(self) -> list[str]:
        """The recorded requests that were not made yet, as ``POST /v2/droplets``."""
        return [f"{each['request']['method']} {each['request']['path']}" for each in self._left]

    def __call__(self, request: Request) -> Answer:
        """Return the recorded answer to *request*, which must be the next one."""
        with self._lock:
            asked = _request(request)
            fault = self._difference(asked, self._left[0]['request']) if self._left else 'the recording has come to its end'
            if fault:
                self.faults.append(f'{request}: {fault}')
                return Answer.of({'message': self.faults[-1]}, 599)
            told = self._left.pop(0)['answer']
        return Answer(told['status'], _bytes(told['body']), told['headers'])

    def _difference(self, asked: dict[str, Any], recorded: dict[str, Any]) -> str:
        for part, wanted in recorded.items():
            if self._blurred(asked[part]) != self._blurred(wanted):
                return f'{part} is {json.dumps(asked[part])[:300]} and was {json.dumps(wanted)[:300]}'
        return ''

    def _blurred(self, part: Any) -> str:
        text = json.dumps(part, sort_keys=True)
        for pattern in self._varies:
            text = pattern.sub('*', text)
        return text


def _exchange(call: Call, base: str) -> Exchange:
    """Return what an observer of an Api sees as an exchange."""
    sent = b'' if call.sent is None else json.dumps(call.sent).encode()
    data = call.data if isinstance(call.data, bytes) else b'' if call.data is None else json.dumps(call.data).encode()
    return Exchange(Request(call.method, base + call.path, list(call.query),
                            {'content-type': 'application/json'} if sent else {}, sent),
                    Answer(call.status, data, call.headers))


# what stands in a recording

def _request(request: Request) -> dict[str, Any]:
    headers = _headers(request.headers)
    return {'method': request.method, 'path': _text(request.path), 'headers': headers,
            'query': [[key, _clean(value, key)] for key, value in request.query],
            'body': _body(request.body, headers.get('content-type', ''), whole=False)}


def _answer(answer: Answer) -> dict[str, Any]:
    headers = _headers(answer.headers)
    return {'status': answer.status, 'headers': headers,
            'body': _body(answer.body, headers.get('content-type', ''), whole=True)}


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): _text(value) for key, value in headers.items() if KEPT_HEADERS.fullmatch(key.lower())}


def _body(body: bytes, kind: str, *, whole: bool) -> Any:
    """Return a body as data (``json``), ``text``, or ``base64``; only its ``sha256`` when it is not needed *whole*."""
    if not body:
        return None
    try:
        return {'json': _clean(json.loads(body))}
    except ValueError:
        pass
    if not _TEXTUAL.match(kind):
        return {'base64': base64.b64encode(body).decode()} if whole else {'sha256': hashlib.sha256(body).hexdigest()}
    text = body.decode('utf-8', 'replace')
    if 'form-urlencoded' in kind:
        pairs = parse_qsl(text, keep_blank_values=True)
        return {'text': urlencode([(key, _clean(value, key.rpartition('.')[2])) for key, value in pairs])}
    return {'text': _text(_XML_TEXT.sub(_xml, text))}


def _bytes(body: Any) -> bytes:
    if body is None:
        return b''
    if 'json' in body:
        return json.dumps(body['json']).encode()
    return base64.b64decode(body['base64']) if 'base64' in body else str(body['text']).encode()


def _xml(match: re.Match[str]) -> str:
    name = match['name']
    return f"<{name}{match['attributes']}>{_clean(match['text'], name.rpartition(':')[2])}</{name}>"


def _clean(value: Any, key: str = '', *, secret: bool = False) -> Any:
    """Return a copy of data without what is private: by the name of the key that it stands under, and by its form."""
    secret = secret or is_secret_key(key) or _SECRET.fullmatch(key) is not None
    if isinstance(value, Mapping):
        return {name: _clean(item, str(name), secret=secret) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, key, secret=secret) for item in value]
    private = secret or _PERSONAL.fullmatch(key) is not None
    if isinstance(value, str):
        return MASK if private and value else _text(value)
    return 0 if private and isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _text(text: str) -> str:
    text = _SSH_KEY.sub(r'\1', _PRIVATE_KEY.sub(MASK, redact(text)))
    return _ACCOUNT.sub('0' * 12, _EMAIL.sub('somebody@example.com', text))


__all__ = ['Recorder', 'Replay']
