"""An image on its way into a pool: fetched, looked at, unpacked, and given its name when it is complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from kvirt.base.images import Progress
from kvirt.download import downloaded, file_name, file_name_packed
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, Unavailable
from kvirt.names import safe_name
from kvirt.partial import lock
from kvirt.providers.families import diskfile
from kvirt.providers.kvm.volumes import GIB
from kvirt.space import Space, shown
from kvirt.unpack import packing, unpack

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK)


class Arrival:
    """What comes from *url* and will be called ``name``, with *size* GiB where given."""

    def __init__(self, url: str, name: str | None, size: int | None) -> None:
        self.url, self.size = url, size
        self.name = safe_name('image', name or file_name(url))
        self._packing = packing(file_name_packed(url))
        self._file = self._folder = Path()

    def admission(self, pool: Path, kept: Path | None) -> Callable[[int], None] | None:
        """Return what refuses a file that is too large for the folder of a pool; None where it goes there at once."""
        if kept is None:
            return None
        above = next(folder for folder in (kept, *kept.parents) if folder.exists())
        apart = above.stat().st_dev != pool.stat().st_dev
        return (lambda length: Space(pool).need(self.url, length)) if apart else None

    @contextmanager
    def fetched(self, checksums: str | None, kept: Path | None, folder: Path | None, progress: Progress | None,
                admit: Callable[[int], None] | None) -> Iterator[None]:
        """Have the file as it comes, verified, for as long as needed."""
        with downloaded(self.url, folder=folder, keep=kept, checksums=checksums, progress=progress, admit=admit) as file:
            self._file, self._folder = file, kept or folder or file.parent
            if not self._packing:
                self._check(file)
            yield

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Give the image as a file of this host."""
        if not self._packing:
            yield self._file
            return
        with TemporaryDirectory(prefix='.kvirt-', dir=self._folder) as temporary:
            path = Path(temporary, 'unpacked')
            with path.open('wb') as target:
                unpack(self._file, target, self._packing, Space(path.parent), self.url)
            self._check(path)
            yield path

    def place(self, folder: Path) -> None:
        """Put the image into a folder, under its name only when it is complete. AlreadyExists, Conflict, Unavailable."""
        try:
            self._place(folder, folder / self.name)
        except OSError as error:
            raise Unavailable(f'{folder / self.name} can not be written: {error.strerror}') from None

    def _place(self, folder: Path, target: Path) -> None:
        if not self._packing and '://' in self.url and not self.url.startswith('file://'):
            os.chmod(self._file, 0o644)
            if _linked(self._file, target):
                return
        part = folder / f'.{self.name}.part'
        with _alone(part) as file, Space(folder).told(self.url):
            if self._packing:
                unpack(self._file, file, self._packing, Space(folder), self.url)
            else:
                Space(folder).need(self.url, self._file.stat().st_size)
                with self._file.open('rb') as source:
                    shutil.copyfileobj(source, file, 1024**2)
            file.flush()
            self._check(part)
            os.fchmod(file.fileno(), 0o644)
            if not _linked(part, target):
                os.rename(part, target)  # a file system without links

    def _check(self, path: Path) -> None:
        """Raise InvalidInput for what is no image, or not the one that its name and *size* say."""
        disk = diskfile.read(path, self.url)
        if self.name.endswith('.qcow2') and disk.form != 'qcow2':
            raise InvalidInput(f'{self.url} is called qcow2, but is not in that format')
        if self.size and self.size * GIB < disk.size:
            raise InvalidInput(f'{self.url} is a disk of {shown(disk.size)}, which can not be made one of {self.size} GiB')


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Give *part*, empty, to the one process that may write it, and remove it in the end."""
    file = lock(part)
    if file is None:
        raise Conflict(f'{part} is being written by another process')
    with file:
        try:
            file.truncate(0)
            yield file
        finally:
            part.unlink(missing_ok=True)


def _linked(source: Path, target: Path) -> bool:
    """Give the file *source* the name *target* as well; False where that can't be done. AlreadyExists."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise AlreadyExists(f'{target} exists') from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise AlreadyExists(f'{target} exists') from None
        return False
    return True
