"""What a file that shall become an image says of itself: it may come from anywhere."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kvirt.errors import InvalidInput

_HEADER = 512
_TEXT = 32  # bytes by which a page is told from a boot sector that happens to begin like one
_QCOW2 = struct.Struct('>4sIQIIQIIQ')  # up to where its first table stands; see docs/interop/qcow2 of QEMU
_FEATURES = 72
_EXTERNAL_DATA, _WIDE_ENTRIES = 1 << 2, 1 << 4
_OFFSET = 0x00fffffffffffe00
_COMPRESSED = 1 << 62
_WHOLE = 'qemu-img convert makes a whole one, where the other file is'


@dataclass(frozen=True)
class DiskFile:
    """A disk image. ``size`` is that of the disk in bytes, which of a qcow2 file is not its own."""

    form: str
    size: int


def read(path: Path, what: str) -> DiskFile:
    """Return what the image at *path* is; errors call it *what*.

    InvalidInput for what is none (an error page, a file that was cut) and for one whose content is in other files: it would
    be read from this host, where it may be anybody's.
    """
    length = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(_HEADER)
        if head.startswith(b'# Disk DescriptorFile'):
            raise InvalidInput(f'{what} only describes an image, whose content is in other files', hint=_WHOLE)
        if len(head) < _HEADER or (head.lstrip()[:1] == b'<' and head[:_TEXT].isascii()):
            raise InvalidInput(f'{what} is not an image of a disk',
                               hint='Is it a web page? Give the URL of the file itself')
        if not head.startswith(b'QFI\xfb'):
            return DiskFile('raw', length)
        _, version, backing, _, bits, size, _, entries, table = _QCOW2.unpack_from(head)
        features = struct.unpack_from('>Q', head, _FEATURES)[0] if version >= 3 else 0
        if backing or features & _EXTERNAL_DATA:
            raise InvalidInput(f'{what} is an image that stands on another file', hint=_WHOLE)
        if version in (2, 3) and not _is_whole(file, length, bits, entries, table, bool(features & _WIDE_ENTRIES)):
            raise InvalidInput(f'{what} is an image of which a part is missing',
                               hint='It was cut where it comes from; try again later')
    return DiskFile('qcow2', size)


def _is_whole(file: BinaryIO, length: int, bits: int, entries: int, table: int, wide: bool) -> bool:
    """Tell if everything that the two levels of tables of a qcow2 file point to is within its *length*."""
    if not 9 <= bits <= 21 or table + 8 * entries > length:
        return False
    place = (1 << (62 - (bits - 8))) - 1  # of a compressed cluster; what is above says how long it is
    for second in {entry & _OFFSET for entry in _numbers(file, table, 8 * entries)} - {0}:
        if second % (1 << bits) or second >= length:
            return False
        found = _numbers(file, second, 1 << bits)[::2 if wide else 1]
        if max((entry & (place if entry & _COMPRESSED else _OFFSET) for entry in found), default=0) >= length:
            return False
    return True


def _numbers(file: BinaryIO, place: int, size: int) -> array[int]:
    file.seek(place)
    content = file.read(size)
    numbers = array('Q', content[:len(content) // 8 * 8])
    if sys.byteorder == 'little':
        numbers.byteswap()
    return numbers
