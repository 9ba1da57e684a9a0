"""Fetch files over http(s): retried, resumed where the server can, verified where a checksum is known, unpacked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kvirt.errors import InvalidInput, NotFound, Unauthorized, Unavailable
from kvirt.wait import SYSTEM, Clock

Progress = Callable[[int, int | None], None]

_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_TRIES = 5
_CHUNK = 1024**2
_UNPACK = {'.gz': 'gzip', '.xz': 'lzma', '.bz2': 'bz2'}
"""The module that unpacks each kind of file. Names of files are asked of more often than files are unpacked."""


def file_name(url: str) -> str:
    """Return the name of the file behind *url*, without the suffix of what packs it."""
    name = unquote(urlsplit(url).path.rstrip('/').rpartition('/')[2]) if '://' in url else Path(url).name
    return name.removesuffix(packing(name))


def packing(name: str) -> str:
    """Return the suffix that tells how a file is packed, empty when it is not."""
    return next((suffix for suffix in _UNPACK if name.lower().endswith(suffix)), '')


@contextmanager
def local_copy(url: str, *, folder: Path | None = None, checksums: str | None = None, progress: Progress | None = None,
               clock: Clock = SYSTEM) -> Iterator[Path]:
    """Give the complete, unpacked content of *url* (http, https, file, or a path) as a file for as long as needed.

    *folder* is where temporary files go. *checksums* is the URL of a list such as SHA256SUMS; a content that does not
    match is InvalidInput. NotFound, Unauthorized and Unavailable tell the fate of the request.
    """
    import tempfile
    with tempfile.TemporaryDirectory(prefix='.kvirt-', dir=folder) as temporary:
        if re.match(r'https?://[^/]', url):
            fetched = Path(temporary, 'fetched')
            _fetch(url, fetched, progress, clock)
            if checksums:
                _verify(fetched, url, checksums, clock)
        elif '://' in url and not url.startswith('file://'):
            raise InvalidInput(f"'{url}' can not be downloaded", hint='Use http://, https:// or a path')
        else:
            fetched = Path(unquote(urlsplit(url).path) if url.startswith('file://') else url).expanduser()
            if not fetched.is_file():
                raise NotFound(f'{fetched} does not exist')
        suffix = packing(file_name_packed(url))
        if not suffix:
            yield fetched
            return
        unpacked = Path(temporary, 'unpacked')
        _unpack(url, suffix, fetched, unpacked)
        yield unpacked


def _unpack(url: str, suffix: str, fetched: Path, unpacked: Path) -> None:
    import importlib
    import lzma
    import shutil
    packer: Any = importlib.import_module(_UNPACK[suffix])
    try:
        with packer.open(fetched) as source, unpacked.open('wb') as target:
            shutil.copyfileobj(source, target, _CHUNK)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InvalidInput(f'{url} can not be unpacked: {error}') from None


def file_name_packed(url: str) -> str:
    """Return the name of the file behind *url* as it is."""
    return urlsplit(url).path.rpartition('/')[2] if '://' in url else Path(url).name


def _fetch(url: str, target: Path, progress: Progress | None, clock: Clock) -> None:
    import requests
    import urllib3
    trouble = ''
    for attempt in range(_TRIES):
        if attempt:
            clock.sleep(min(2.0**attempt, 30))
        have = target.stat().st_size if target.exists() else 0
        headers = {'Range': f'bytes={have}-'} if have else {}
        try:
            with requests.get(url, stream=True, timeout=_TIMEOUT, headers=headers) as answer:
                if answer.status_code == 416:
                    target.unlink()
                    continue
                _check(url, answer.status_code)
                resumed = answer.status_code == 206
                length = answer.headers.get('Content-Length')
                total = int(length) + (have if resumed else 0) if length and length.isdigit() else None
                done = have if resumed else 0
                with target.open('ab' if resumed else 'wb') as file:
                    for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                        file.write(chunk)
                        done += len(chunk)
                        if progress:
                            progress(done, total)
                if total is None or done == total:
                    return
                trouble = f'the connection ended after {done} of {total} bytes'
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, Unavailable) as error:
            trouble = str(error)
    raise Unavailable(f'{url} could not be downloaded in {_TRIES} attempts: {trouble}')


def _check(url: str, status: int) -> None:
    if status in (401, 403):
        raise Unauthorized(f'{url} is not for everybody: the server answered {status}')
    if status in (404, 410):
        raise NotFound(f'{url} does not exist: the server answered {status}')
    if status >= 500 or status == 429:
        raise Unavailable(f'the server answered {status}')
    if status >= 400:
        raise InvalidInput(f'{url} can not be downloaded: the server answered {status}')


def _verify(fetched: Path, url: str, checksums: str, clock: Clock) -> None:
    import hashlib
    import tempfile
    with tempfile.TemporaryDirectory(prefix='kvirt-') as temporary:
        listing = Path(temporary, 'sums')
        _fetch(checksums, listing, None, clock)
        text = listing.read_text(errors='replace')
    name = file_name_packed(url)
    pattern = rf'(?:^|\s)(?P<sum>[0-9a-fA-F]{{64}}|[0-9a-fA-F]{{128}})\s+\*?(?:\./)?{re.escape(name)}\s*$'
    match = re.search(pattern, text, re.MULTILINE) or re.search(
        rf'\({re.escape(name)}\)\s*=\s*(?P<sum>[0-9a-fA-F]{{64,128}})', text)
    if not match:
        raise NotFound(f'{checksums} does not list {name}', hint='The image was not verified, so it was not kept')
    digest = hashlib.new('sha256' if len(match['sum']) == 64 else 'sha512')
    with fetched.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != match['sum'].lower():
        raise InvalidInput(f'{url} has another checksum than {checksums} says', hint='It was not kept; try again later')
