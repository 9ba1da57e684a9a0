"""Bringing a disk image to EBS: its blocks are written into a snapshot, those that hold nothing are left out."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kvirt.errors import InvalidInput, MissingDependency
from kvirt.parallel import in_parallel
from kvirt.providers.families import diskfile

BLOCK = 512 * 1024
GIB = 1024**3
_WORKERS = 16
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


def to_snapshot(ebs: Any, raw: Path, tags: Sequence[Mapping[str, str]], size: int | None = None) -> str:
    """Write *raw* into a new snapshot for a disk of *size* GiB (that of the file when absent), and return its id."""
    gib = max(size or 1, -(-raw.stat().st_size // GIB))
    snapshot = str(ebs.start_snapshot(VolumeSize=gib, Tags=list(tags), Timeout=60)['SnapshotId'])

    def put(block: tuple[int, bytes]) -> None:
        number, data = block
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=number, BlockData=data, DataLength=BLOCK, Checksum=digest,
                               ChecksumAlgorithm='SHA256')

    written = 0
    with raw.open('rb') as file:
        for batch in _batches(file):
            in_parallel(batch, put, workers=_WORKERS)
            written += len(batch)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=written)
    return snapshot


def _batches(file: Any) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the blocks with content, numbered, some at a time."""
    batch: list[tuple[int, bytes]] = []
    number = 0
    while data := file.read(BLOCK):
        if data.strip(b'\0'):
            batch.append((number, data.ljust(BLOCK, b'\0')))
        if len(batch) == _BATCH:
            yield batch
            batch = []
        number += 1
    if batch:
        yield batch
