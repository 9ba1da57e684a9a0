"""Fetch files over http(s): taken up again where the connection ended, verified where a checksum is known, unpacked.

What has arrived of a file is kept in a folder when the caller gives one, so that the next attempt, of this process or of
another one days later, asks for the rest only. The server is asked for it on the condition that the file is still the
same one (``If-Range``, with its ETag or its date); without either, what has arrived is of use within one call only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kvirt import checksums as sums
from kvirt.errors import InvalidInput, NotFound, Unauthorized, Unavailable
from kvirt.space import Space, shown
from kvirt.unpack import packing, unpack, unpacker
from kvirt.wait import CANCEL, SYSTEM, Clock

if TYPE_CHECKING:
    from kvirt.partial import Partial

Progress = Callable[[int, int | None], None]

_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_TRIES = 5  # attempts in a row that bring nothing new
_CHUNK = 1024**2
_LARGEST_LIST = 4 * 1024**2


def file_name(url: str) -> str:
    """Return the name of the file behind *url*, without the suffix of what packs it."""
    name = unquote(file_name_packed(url))
    return name.removesuffix(name[len(name) - len(packing(name)):])


def file_name_packed(url: str) -> str:
    """Return the name of the file behind *url* as it is."""
    return urlsplit(url).path.rstrip('/').rpartition('/')[2] if '://' in url else Path(url).name


@contextmanager
def local_copy(url: str, *, folder: Path | None = None, keep: Path | None = None, checksums: str | None = None,
               progress: Progress | None = None, clock: Clock = SYSTEM) -> Iterator[Path]:
    """Give the complete, unpacked content of *url* as a file for as long as needed; see ``downloaded``."""
    with downloaded(url, folder=folder, keep=keep, checksums=checksums, progress=progress, clock=clock) as fetched:
        suffix = packing(file_name_packed(url))
        if not suffix:
            yield fetched
            return
        import tempfile
        with tempfile.TemporaryDirectory(prefix='.kvirt-', dir=folder or keep) as temporary:
            unpacked = Path(temporary, 'unpacked')
            with unpacked.open('wb') as target:
                unpack(fetched, target, suffix, Space(Path(temporary)), url)
            yield unpacked


@contextmanager
def downloaded(url: str, *, folder: Path | None = None, keep: Path | None = None, checksums: str | None = None,
               progress: Progress | None = None, clock: Clock = SYSTEM,
               admit: Callable[[int], None] | None = None) -> Iterator[Path]:
    """Give the complete file at *url* (http, https, file, or a path) as it is, for as long as needed.

    *folder* is where temporary files go. In *keep* remains what has arrived when the connection ends for good. *checksums*
    is ``sha256:...``, ``sha512:...``, or the URL of a list such as SHA256SUMS; a file that does not match is InvalidInput,
    and nothing of it is kept. *admit* may refuse a length: it is told that of the file before anything is fetched, and of
    what has arrived where the server does not tell. NotFound, Unauthorized and Unavailable tell the fate of the request,
    OutOfCapacity that there is no room.
    """
    suffix = packing(file_name_packed(url))
    if suffix:
        unpacker(suffix)  # a missing package is told before the download, not after it
    wanted = _Wanted(url, checksums, clock) if checksums else None
    if not re.match(r'https?://[^/]', url):
        if '://' in url and not url.startswith('file://'):
            raise InvalidInput(f"'{url}' can not be downloaded", hint='Use http://, https:// or a path')
        path = Path(unquote(urlsplit(url).path) if url.startswith('file://') else url).expanduser()
        if not path.is_file():
            raise NotFound(f'{path} does not exist')
        if admit:
            admit(path.stat().st_size)
        if wanted:
            wanted.check(path)
        yield path
        return
    from kvirt.partial import Partial  # what only a download needs is not for every command to load
    with Partial.of(url, keep, folder) as partial:
        _fetch(url, partial, progress, clock, admit)
        if wanted:
            wanted.check(partial.path)
        yield partial.path


def checksum_of(url: str, checksums: str, clock: Clock = SYSTEM) -> sums.Checksum:
    """Return the checksum that the file at *url* must have, which *checksums* is or lists. NotFound, InvalidInput."""
    if not sums.is_url(checksums):
        return sums.parse(checksums)
    from kvirt.partial import Partial
    with Partial.of(checksums) as listing:
        _fetch(checksums, listing, None, clock, _only_lists)
        text = listing.path.read_text(errors='replace')
    return sums.find(text, file_name_packed(url), checksums, alone=checksums.startswith(f'{url}.'))


class _Wanted:
    """The checksum that a file must have, known before it is fetched."""

    def __init__(self, url: str, text: str, clock: Clock) -> None:
        self.url, self.text, self.clock = url, text, clock
        self.checksum = self._read()

    def _read(self) -> sums.Checksum:
        return checksum_of(self.url, self.text, self.clock)

    def check(self, path: Path) -> None:
        """Raise InvalidInput when the file at *path* is another one.

        A list is read once more before: what is always called *latest* may have been renewed meanwhile.
        """
        if self.checksum.matches(path):
            return
        if sums.is_url(self.text):
            before, self.checksum = self.checksum, self._read()
            if self.checksum != before and self.checksum.matches(path):
                return
        said = f'{self.text} says' if sums.is_url(self.text) else f'{self.checksum.kind}:{self.checksum.digits}'
        raise InvalidInput(f'{self.url} has another checksum than {said}', hint='It was not kept; try again later')


def _only_lists(length: int) -> None:
    if length > _LARGEST_LIST:
        raise InvalidInput(f'a list of checksums has no {shown(length)}', hint='Is it the URL of the image itself?')


def _fetch(url: str, partial: Partial, progress: Progress | None, clock: Clock,
           admit: Callable[[int], None] | None) -> None:
    """Bring the whole of *url* to *partial*. As long as each attempt brings something, any number of them is made."""
    import requests
    import urllib3
    furthest, failed = partial.size, 0
    while True:
        try:
            trouble = _go_on(url, partial, progress, admit)
        except requests.exceptions.InvalidURL as error:
            raise InvalidInput(f"'{url}' can not be downloaded: {error}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, Unavailable) as error:
            if 'CERTIFICATE_VERIFY_FAILED' in str(error):
                raise Unavailable(f'{url} can not be trusted: {cause(error)}') from None
            cut = partial.size and partial.total and partial.size < partial.total
            trouble = _ended(partial) if cut and not isinstance(error, Unavailable) else cause(error)
        if not trouble:
            return
        failed = 0 if partial.size > furthest else failed + 1
        furthest = max(furthest, partial.size)
        if failed == _TRIES:
            break
        clock.sleep(min(2.0**failed, 30))
    hint = f'{shown(partial.size)} of it are kept for a week: the same command goes on from there' if partial.kept else None
    raise Unavailable(f'{url} could not be downloaded in {_TRIES} attempts: {trouble}', hint=hint)


def _go_on(url: str, partial: Partial, progress: Progress | None, admit: Callable[[int], None] | None) -> str:
    """Ask for what is missing and write it; return what went wrong, empty when the file is complete."""
    import requests
    headers = {'Accept-Encoding': 'identity', **partial.condition()}
    with requests.get(url, stream=True, timeout=_TIMEOUT, headers=headers) as answer:
        if answer.status_code == 416:
            return '' if partial.ends(answer.headers) else 'the server has less of it than before'
        _check(url, answer.status_code)
        coding = answer.headers.get('Content-Encoding', 'identity')
        if coding != 'identity' and not packing(file_name_packed(url)):  # of file.gz it may well be said that it is gzip
            raise InvalidInput(f'the server sends {url} as {coding}, though it was asked for the file as it is')
        if answer.status_code != 206:
            partial.begin(answer.headers)
        elif not partial.continues(answer.headers):
            return 'the server sent another part of it than the one that is missing'
        space, done = Space(partial.path.parent), partial.size
        space.need(url, (partial.total or 0) - done)
        if admit:
            admit(partial.total or 0)
        with space.told(url), partial.path.open('ab') as file:
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                CANCEL.check()
                file.write(chunk)
                done += len(chunk)
                if partial.total is None:
                    space.need_more(url, done)
                    if admit:
                        admit(done)
                if progress:
                    progress(done, partial.total)
    return _ended(partial) if partial.total not in (None, done) else ''


def _ended(partial: Partial) -> str:
    return f'the connection ended after {partial.size} of {partial.total} bytes'


def cause(error: Exception) -> str:
    """Return what an exception of requests or urllib3 says at its innermost, which is what people need to know."""
    inner: object = error
    while isinstance(inner, Exception):
        error, inner = inner, getattr(inner, 'reason', None) or (inner.args[0] if inner.args else None)
    return re.sub(r'^<[^>]*>: |^HTTPS?Connection(Pool)?\([^)]*\): ', '', str(error))


def _check(url: str, status: int) -> None:
    if status in (401, 403):
        raise Unauthorized(f'{url} is not for everybody: the server answered {status}')
    if status in (404, 410):
        raise NotFound(f'{url} does not exist: the server answered {status}')
    if status >= 500 or status == 429:
        raise Unavailable(f'the server answered {status}')
    if status >= 400:
        raise InvalidInput(f'{url} can not be downloaded: the server answered {status}')
