"""JSON over http, for the clouds that we speak to without a library of theirs.

One session per provider: pooled, always with deadlines, retried where that is safe, throttled where a cloud states its
limits. A POST is sent again only when the platform says that it did nothing (429, or 503 with Retry-After) or when it was
never sent; everything else that fails may have been done.
"""

from __future__ import annotations

import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from kvirt.errors import (
    Conflict,
    InvalidInput,
    KvirtError,
    NotFound,
    NotSupported,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from kvirt.names import counted
from kvirt.redact import redact, redact_mapping, remember
from kvirt.wait import SYSTEM, Clock

log = logging.getLogger(__name__)

SAFE_TO_REPEAT = frozenset({'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'})
LONGEST_PAUSE = 60.0
"""Seconds: who is told to come back later than that gets RateLimited."""

_BROKEN = frozenset({500, 502, 503, 504})
_MEANINGS: Mapping[int, type[KvirtError]] = {
    400: InvalidInput, 401: Unauthorized, 403: Unauthorized, 404: NotFound, 405: NotSupported, 408: TimedOut,
    409: Conflict, 410: NotFound, 412: Conflict, 413: InvalidInput, 422: InvalidInput, 423: Conflict, 429: RateLimited,
    501: NotSupported}


@dataclass(frozen=True)
class Call:
    """A request as it was sent, and what came back. ``data`` is the decoded body, None when there was none."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    sent: Any
    status: int
    data: Any
    headers: Mapping[str, str]
    seconds: float

    @property
    def message(self) -> str:
        """What the platform says, as far as it can be found; the usual places of an error's text."""
        found = _message(self.data)
        return found or f'status {self.status}'


Meaning = Callable[[Call], KvirtError | None]
"""From an answer that says no to what it means; None leaves it to the status."""


class Pause(Retry):
    """urllib3's Retry, with our clock, and with the rule of when a request may be sent twice."""

    def __init__(self, *args: Any, clock: Clock = SYSTEM, refills: bool = False, **kwargs: Any) -> None:
        self._clock, self._refills = clock, refills
        super().__init__(*args, **kwargs)

    def new(self, **changes: Any) -> Pause:
        """Return a copy, as urllib3 makes after each attempt."""
        return super().new(clock=self._clock, refills=self._refills, **changes)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Tell if an answer with this status may be asked for again."""
        if not self.total:
            return False
        if status_code == 429 or (status_code == 503 and has_retry_after):
            return True
        return status_code in _BROKEN and method.upper() in SAFE_TO_REPEAT

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return the seconds that the platform asks for: by Retry-After, or by when its limit is lifted."""
        told = super().get_retry_after(response)
        if told is None and response.status == 429 and not self._refills:
            told = _until_reset(response.headers)
        return told

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        """Sleep as long as the platform asks for. RateLimited when that is too long to sit out."""
        pause = self.get_retry_after(response)
        if pause is None:
            return False
        if pause > LONGEST_PAUSE:
            raise RateLimited(f'the platform wants no more requests for {counted(round(pause), "second")}',
                              retry_after=pause)
        self._clock.sleep(pause)
        return True

    def _sleep_backoff(self) -> None:
        pause = self.get_backoff_time()
        if pause > 0:
            self._clock.sleep(pause)


class Throttle:
    """Lets through so many calls a second, in bursts of that many; the others wait for their turn."""

    def __init__(self, per_second: float, *, clock: Clock = SYSTEM) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._gap, self._burst = 1 / per_second, max(1.0, per_second) / per_second
        self._free_at = 0.0

    def wait(self) -> None:
        """Return when the next call may be sent."""
        with self._lock:
            now = self._clock.now()
            self._free_at = max(self._free_at, now - self._burst) + self._gap
            pause = self._free_at - now
        if pause > 0:
            self._clock.sleep(pause)


class Api:
    """An API that speaks JSON, at *base*.

    *name* is the platform's, for messages. *meaning* tells what an error answer means. *per_second* is the rate that the
    platform allows. *timeout* is in seconds, to connect and between bytes. *next_page* finds the query of the page that
    follows (see :func:`by_link`, :func:`by_cursor`, :func:`by_number`). May be used by several threads.
    """

    def __init__(self, base: str, *, name: str, token: str | None = None, headers: Mapping[str, str] | None = None,
                 insecure: bool = False, meaning: Meaning = lambda call: None, per_second: float | None = None,
                 next_page: Callable[[Any], Mapping[str, str] | None] | None = None, retries: int = 5,
                 backoff: float = 0.5, timeout: tuple[float, float] = (10, 60), clock: Clock = SYSTEM) -> None:
        self.base, self.name = base.rstrip('/'), name
        self._meaning, self._next_page, self._timeout, self._verify = meaning, next_page, timeout, not insecure
        self._throttle = Throttle(per_second, clock=clock) if per_second else None
        self._observers: list[Callable[[Call], None]] = []
        self._session = requests.Session()
        self._session.headers.update({'Accept': 'application/json', 'User-Agent': 'kvirt', **(headers or {})})
        # Else a .netrc would be read at each call, and take the place of the token.
        self._session.auth = lambda request: request
        if token:
            remember(token)
            self._session.headers['Authorization'] = f'Bearer {token}'
        mount(self._session, retries=retries, backoff=backoff, clock=clock)

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def observe(self, observer: Callable[[Call], None]) -> None:
        """Let *observer* see every call, the refused ones included: for recorders, judges and counters."""
        self._observers.append(observer)

    def get(self, path: str, **query: Any) -> Any:
        """Return what is at *path*."""
        return self.call('GET', path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Send *body* to *path*, once."""
        return self.call('POST', path, body, query)

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        """Replace what is at *path* by *body*."""
        return self.call('PUT', path, body, query)

    def patch(self, path: str, body: Any = None, **query: Any) -> Any:
        """Change what is at *path* as *body* says, once."""
        return self.call('PATCH', path, body, query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Any:
        """Delete what is at *path*. One that is gone because an earlier try succeeded counts as deleted."""
        return self.call('DELETE', path, body, query)

    def pages(self, path: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the items under *key* of all pages."""
        further: Mapping[str, str] | None = {}
        seen: list[Mapping[str, str]] = []
        while further is not None:
            seen.append(further)
            data = self.get(path, **{**query, **further})
            yield from data.get(key) or ()
            further = self._next_page(data) if self._next_page else None
            if further in seen:  # a platform that names the same page again would never come to an end
                raise Unavailable(f'{self.name} says that {path} has no last page')

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the decoded answer, None for an empty one. Raises what the answer means."""
        pairs = _pairs(query or {})
        if self._throttle:
            self._throttle.wait()
        begun = time.monotonic()
        response = self._send(method, path, body, pairs)
        call = Call(method, path, pairs, body, response.status_code, _decoded(response), response.headers,
                    time.monotonic() - begun)
        log.debug('%s %s%s %s -> %d in %.0f ms', method, path, f'?{urlencode(pairs)}' if pairs else '', _shown(body),
                  call.status, call.seconds * 1000)
        for observer in self._observers:
            observer(call)
        if call.status < 400:
            return self._expected(call)
        if method == 'DELETE' and call.status in (404, 410) and response.raw.retries and response.raw.retries.history:
            return None
        raise self._error(call)

    def _send(self, method: str, path: str, body: Any, pairs: Sequence[tuple[str, str]]) -> requests.Response:
        try:
            asked = requests.Request(method, f'{self.base}{path}', params=list(pairs), json=body)
            return self._session.send(self._session.prepare_request(asked), allow_redirects=False, timeout=self._timeout,
                                      **self._surroundings)
        except requests.exceptions.RequestException as error:
            raise trouble(error, self._host, f'{method} {path}') from error

    @functools.cached_property
    def _surroundings(self) -> dict[str, Any]:
        """The proxy and the certificates that the environment names: looked up once, since that takes a while."""
        return dict(self._session.merge_environment_settings(self.base, {}, False, self._verify, None))

    @property
    def _host(self) -> str:
        return f'{self.name} ({urlsplit(self.base).netloc})'

    def _expected(self, call: Call) -> Any:
        if call.status >= 300:
            raise Unavailable(f'{self._host} answers {call.method} {call.path} by sending us elsewhere',
                              hint='Check the address of the API in the client')
        if isinstance(call.data, bytes):
            raise Unavailable(f'{self._host} answers {call.method} {call.path} with what is no JSON')
        return call.data

    def _error(self, call: Call) -> KvirtError:
        known = self._meaning(call)
        if known is not None:
            return known
        said = f'{self.name} refuses {call.method} {call.path}: {redact(call.message)}'
        kind = _MEANINGS.get(call.status, Unavailable if call.status >= 500 else KvirtError)
        if kind is RateLimited:
            return RateLimited(said, retry_after=_until_reset(call.headers))
        if kind is Unauthorized:
            return Unauthorized(said, hint=f'Check the credentials of the client for {self.name}')
        return kind(said)


def mount(session: requests.Session, *, retries: int = 5, backoff: float = 0.5, refills: bool = False,
          clock: Clock = SYSTEM) -> None:
    """Let *session* pool its connections, and send again what may be sent twice. For sessions of SDKs as well.

    *refills* is for a platform that lets some more calls through all the time, and whose headers tell when its limit is
    full again: nobody needs to wait that long.
    """
    pause = Pause(total=retries, connect=retries, read=retries, redirect=0, backoff_factor=backoff, backoff_max=20,
                  allowed_methods=SAFE_TO_REPEAT, raise_on_status=False, refills=refills, clock=clock)
    adapter = HTTPAdapter(max_retries=pause, pool_maxsize=32)
    for scheme in ('https://', 'http://'):
        session.mount(scheme, adapter)


def trouble(error: requests.exceptions.RequestException, host: str, doing: str) -> KvirtError:
    """Return what it means that *host* could not be asked for what we were *doing*."""
    if isinstance(error, requests.exceptions.SSLError):
        return Unavailable(f'{host} can not be trusted: {_cause(error)}',
                           hint='insecure: true in the client turns the check off')
    if isinstance(error, (requests.exceptions.ReadTimeout, requests.exceptions.ConnectTimeout)):
        return TimedOut(f'{host} did not answer {doing} in time')
    return Unavailable(f'{host} can not be reached: {_cause(error)}')


def by_link(data: Any) -> Mapping[str, str] | None:
    """Find the next page by the link to it: ``{'links': {'pages': {'next': URL}}}``, or nearer to the top."""
    found = data
    for key in ('links', 'pages', 'next'):
        if isinstance(found, Mapping):
            found = found.get(key, found)
    return dict(parse_qsl(urlsplit(found).query)) if isinstance(found, str) and found else None


def by_cursor(*path: str, query: str = 'cursor') -> Callable[[Any], Mapping[str, str] | None]:
    """Find the next page by a cursor that stands at *path* of the answer and goes into *query*."""
    def find(data: Any) -> Mapping[str, str] | None:
        for key in path:
            data = data.get(key) if isinstance(data, Mapping) else None
        return {query: str(data)} if data else None
    return find


def by_number(*path: str, of: Sequence[str] = (), query: str = 'page') -> Callable[[Any], Mapping[str, str] | None]:
    """Find the next page by number.

    At *path* stands the number of the next page or, when *of* is where the number of the last page stands, of this one.
    """
    def at(data: Any, keys: Sequence[str]) -> Any:
        for key in keys:
            data = data.get(key) if isinstance(data, Mapping) else None
        return data

    def find(data: Any) -> Mapping[str, str] | None:
        number, last = at(data, path), at(data, of) if of else None
        if not number or (of and (not last or number >= last)):
            return None
        return {query: str(number + 1 if of else number)}
    return find


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a query in the order given: lists repeat their key, None is left out, truth is in lower case."""
    pairs = []
    for key, value in query.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None:
                pairs.append((key, str(item).lower() if isinstance(item, bool) else str(item)))
    return pairs


def _decoded(response: requests.Response) -> Any:
    """Return the body as data; as bytes where it is no JSON; None when there is none."""
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError:
        return response.content


def _message(data: Any) -> str:
    """Return the text of an error, wherever clouds put it."""
    if isinstance(data, Mapping):
        for key in ('message', 'error', 'errors', 'reason', 'detail', 'description'):
            found = _message(data[key]) if key in data else ''
            if found:
                field = data.get('field')
                return f'{field}: {found}' if isinstance(field, str) and field else found
        return ''
    if isinstance(data, list):
        return ', '.join(filter(None, map(_message, data)))
    return data.strip()[:500] if isinstance(data, str) else ''


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a limit is lifted, by the headers that clouds tell it with; None when they don't."""
    for key in ('Retry-After', 'RateLimit-Reset', 'X-RateLimit-Reset'):
        try:
            told = float(headers.get(key, ''))
        except ValueError:
            continue
        # Some say when, in seconds since 1970, and some how long.
        return max(0.0, told - time.time() if told > 1e9 else told)
    return None


def _shown(body: Any) -> str:
    """Return a body for the log: secrets masked, and no user data, which is full of them."""
    if not isinstance(body, Mapping):
        return ''
    plain = {key: f'({len(value)} characters)' if key in ('user_data', 'userdata') and isinstance(value, str) else value
             for key, value in body.items()}
    return redact(json.dumps(redact_mapping(plain), default=str))


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, without the layers of the libraries."""
    while True:
        inner = getattr(error, 'reason', None) or error.__cause__ or next(
            (arg for arg in error.args if isinstance(arg, BaseException)), None)
        if not isinstance(inner, BaseException):
            return redact(str(error))
        error = inner
