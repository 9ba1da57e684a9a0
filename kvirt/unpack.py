"""Unpack a file that is packed with gzip, xz, bzip2 or zstd, as far as there is room for what comes out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, BinaryIO

from kvirt.errors import InvalidInput, MissingDependency
from kvirt.space import Space
from kvirt.wait import CANCEL

_CHUNK = 1024**2
_LOOK = 64  # chunks between two looks at the free space
_MODULES: dict[str, tuple[tuple[str, ...], str]] = {
    '.gz': (('gzip',), 'BadGzipFile'), '.xz': (('lzma',), 'LZMAError'), '.bz2': (('bz2',), ''),
    '.zst': (('compression.zstd', 'backports.zstd'), 'ZstdError')}  # the first is there from Python 3.14
"""Modules that unpack a suffix, all with the same ``open``, and the name of the exception by which they find it broken."""


def packing(name: str) -> str:
    """Return the suffix that tells how a file is packed, empty when it is not."""
    return next((suffix for suffix in _MODULES if name.lower().endswith(suffix)), '')


def unpacker(suffix: str) -> Any:
    """Return the module that unpacks *suffix*; MissingDependency where there is none."""
    for name in _MODULES[suffix][0]:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    if suffix == '.zst':
        raise MissingDependency('what is packed with zstd needs the package backports.zstd',
                                hint="Run: pip install 'kvirt[zstd]'")
    raise MissingDependency(f'this Python was built without {_MODULES[suffix][0][0]}, which unpacks {suffix}')


def unpack(source: Path, target: BinaryIO, suffix: str, space: Space, what: str) -> None:
    """Write what is packed in *source* to *target*; errors call it *what*. InvalidInput, OutOfCapacity."""
    import zlib
    module = unpacker(suffix)
    broken = (EOFError, zlib.error, getattr(module, _MODULES[suffix][1], OSError))
    count = 0
    with space.told(what), module.open(source) as packed:
        while True:
            try:
                chunk = packed.read(_CHUNK)
            except (OSError, *broken) as error:
                raise InvalidInput(f'{what} can not be unpacked: {error}', hint=_hint(source)) from None
            if not chunk:
                return
            CANCEL.check()
            if count % _LOOK == 0:
                space.need_more(what, count * _CHUNK)
            target.write(chunk)
            count += 1


def _hint(source: Path) -> str | None:
    with source.open('rb') as file:
        page = file.read(512).lstrip()[:1] == b'<'
    return 'It is a web page: give the URL of the file itself' if page else None
