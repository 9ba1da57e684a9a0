"""What a file that shall become an image says of itself: it may come from anywhere."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from kvirt.errors import InvalidInput

_HEADER = 512
_BACKING, _SIZE, _FEATURES = 8, 24, 72  # where they stand in the header of qcow2
_EXTERNAL_DATA = 1 << 2


@dataclass(frozen=True)
class DiskFile:
    """A disk image. ``size`` is that of the disk in bytes, which of a qcow2 file is not its own."""

    form: str
    size: int


def read(path: Path, what: str) -> DiskFile:
    """Return what the image at *path* is; errors call it *what*.

    InvalidInput for what is none (an error page, an end that came too soon) and for one whose content is in other files:
    it would be read from this host, where it may be anybody's.
    """
    with path.open('rb') as file:
        head = file.read(_HEADER)
    if head.startswith(b'# Disk DescriptorFile'):
        raise InvalidInput(f'{what} only describes an image, whose content is in other files', hint=_WHOLE)
    if len(head) < _HEADER or head.lstrip()[:1] == b'<':
        raise InvalidInput(f'{what} is not an image of a disk', hint='Is it a web page? Give the URL of the file itself')
    if not head.startswith(b'QFI\xfb'):
        return DiskFile('raw', path.stat().st_size)
    (version,), (backing,), (size,), (features,) = (struct.unpack_from(form, head, at) for form, at in (
        ('>I', 4), ('>Q', _BACKING), ('>Q', _SIZE), ('>Q', _FEATURES)))
    if backing or (version >= 3 and features & _EXTERNAL_DATA):
        raise InvalidInput(f'{what} is an image that stands on another file', hint=_WHOLE)
    return DiskFile('qcow2', size)


_WHOLE = 'qemu-img convert makes a whole one, where the other file is'
