"""Images of disks as raw bytes, for platforms that are given them block by block."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kvirt.errors import InvalidInput, MissingDependency
from kvirt.providers.families import diskfile

GIB = 1024**3
_BATCH = 256  # blocks that are read ahead, so that a large file is never held in memory


@contextmanager
def as_raw(content: Path) -> Iterator[Path]:
    """Give the image in the file *content* as raw bytes; qcow2 and the like are converted, with qemu-img.

    InvalidInput for what is no image, MissingDependency without qemu-img.
    """
    diskfile.read(content, content.name)
    with content.open('rb') as file:
        head = file.read(512)
    if not head.startswith((b'QFI\xfb', b'KDMV', b'vhdxfile')):
        yield content
        return
    tool = shutil.which('qemu-img')
    if tool is None:
        raise MissingDependency(f'{content.name} is not raw, and qemu-img, which converts it, is not installed',
                                hint='Install qemu-utils, or give a raw image')
    with TemporaryDirectory(dir=content.parent) as folder:
        raw = Path(folder) / 'disk.raw'
        done = subprocess.run([tool, 'convert', '-O', 'raw', str(content), str(raw)], capture_output=True, text=True)
        if done.returncode:
            raise InvalidInput(f'{content.name} can not be converted: {done.stderr.strip()}')
        yield raw


def gib_of(raw: Path) -> int:
    """Return the size of a disk in whole GiB."""
    return -(-raw.stat().st_size // GIB)


def blocks_of(raw: Path, size: int) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the blocks of *size* bytes that hold something, numbered, some at a time; the last one is filled up."""
    batch: list[tuple[int, bytes]] = []
    number = 0
    with raw.open('rb') as file:
        while data := file.read(size):
            if data.strip(b'\0'):
                batch.append((number, data.ljust(size, b'\0')))
            if len(batch) == _BATCH:
                yield batch
                batch = []
            number += 1
    if batch:
        yield batch
