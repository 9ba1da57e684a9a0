"""Free space: what is brought to a place must fit there, and leave something to others."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvirt.errors import OutOfCapacity

_SPARE = 256 * 1024**2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _usage(folder: Path) -> tuple[int, int]:
    """Return the bytes of a file system, and those that are free."""
    import shutil  # which names of files, asked of more often, do not need
    total, _, free = shutil.disk_usage(folder)
    return total, free


class Space:
    """The free space of the file system that *folder* is on; a twentieth of it, 256 MiB at most, is left to others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def need(self, what: str, size: int) -> None:
        """Raise OutOfCapacity when *size* bytes more of *what* do not fit."""
        total, free = _usage(self.folder)
        if free - size < min(_SPARE, total // 20):
            raise OutOfCapacity(f'{what} needs {shown(size)}, and {self.folder} has {shown(free)} free',
                                hint='Make room there')

    def need_more(self, what: str, written: int) -> None:
        """Raise OutOfCapacity when there is no room for more than the *written* bytes of *what*, whose end is not known."""
        total, free = _usage(self.folder)
        if free < min(_SPARE, total // 20):
            raise OutOfCapacity(f'{what} is larger than the room for it: after {shown(written)}, {self.folder} has '
                                f'{shown(free)} free', hint='Make room there')

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn the error of a file system that is full into OutOfCapacity."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise OutOfCapacity(f'{what} does not fit in {self.folder}: {error.strerror}',
                                    hint='Make room there') from None
            raise


def shown(size: int) -> str:
    """Return a number of bytes for people: ``1.5 GiB``."""
    for power, unit in ((3, 'GiB'), (2, 'MiB'), (1, 'KiB')):
        if size >= 1024**power:
            return f'{size / 1024**power:.1f} {unit}'
    return f'{size} bytes'
