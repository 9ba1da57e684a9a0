"""What a file must be: a checksum that is given, or that a list such as SHA256SUMS gives for its name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from kvirt.errors import InvalidInput, NotFound

_CHUNK = 1024**2
_KINDS = {64: 'sha256', 128: 'sha512'}
_HEX = r'(?P<sum>[0-9a-fA-F]{128}|[0-9a-fA-F]{64})'
_LINE = re.compile(rf'(?:SHA(?:256|512) \((?P<tagged>.+)\) = )?{_HEX}(?:[ \t]+\*?(?P<name>\S.*))?')


class Checksum(NamedTuple):
    """A checksum: ``sha256`` or ``sha512``, and its digits."""

    kind: str
    digits: str

    def matches(self, path: Path) -> bool:
        """Tell if the file at *path* has this checksum."""
        import hashlib
        digest = hashlib.new(self.kind)
        with path.open('rb') as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest() == self.digits


def parse(text: str) -> Checksum:
    """Return the checksum that *text* is: ``sha256:`` or ``sha512:`` and digits, or the digits alone. InvalidInput."""
    kind, colon, digits = text.strip().rpartition(':')
    known = _KINDS.get(len(digits))
    if known is None or not re.fullmatch(_HEX, digits) or (colon and kind.lower() != known):
        raise InvalidInput(f"'{text}' is no checksum",
                           hint='Give sha256:DIGITS, sha512:DIGITS, or the URL of a list of them')
    return Checksum(known, digits.lower())


def is_url(text: str) -> bool:
    """Tell if *text* is the place of a list, and not a checksum itself."""
    return '://' in text


def find(text: str, name: str, place: str, *, alone: bool = False) -> Checksum:
    """Return the checksum of the file *name* in the list *text*, which is at *place*. NotFound, InvalidInput.

    Lines are as ``sha256sum`` writes them, with or without ``--tag``. With *alone* the list is about one file only, which
    may bear another name in it, or none: vendors call it by its build. The strongest kind counts.
    """
    lines = [match for line in text.splitlines() if (match := _LINE.fullmatch(line.strip()))]
    listed = [((match['tagged'] or match['name'] or '').removeprefix('./'), parse(match['sum'])) for match in lines]
    found = {checksum for own, checksum in listed if own == name} or {checksum for _, checksum in listed if alone}
    if not found:
        raise NotFound(f'{place} does not list {name}', hint='The file was not verified, so it was not kept')
    strongest = {each for each in found if each.kind == max(found).kind}
    if len(strongest) > 1:
        raise InvalidInput(f'{place} lists {name} with {len(strongest)} different checksums')
    return strongest.pop()
