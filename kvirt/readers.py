"""Reading plain values as users write them: texts, addresses, ports, permissions. Each raises InvalidInput."""

from __future__ import annotations

import re
import shlex
from typing import Any

from kvirt import units
from kvirt.errors import InvalidInput
from kvirt.rules import rules_of
from kvirt.shapes import Rule


def texts(value: Any) -> tuple[str, ...]:
    """Read one text, or a list of texts."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, (str, int, float)) for item in value):
        raise InvalidInput(f'expected a list of texts, got {value!r}')
    return tuple(str(item) for item in value)


def comma_texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts, or one text with commas."""
    return tuple(part.strip() for part in value.split(',')) if isinstance(value, str) else texts(value)


def one_mac(value: Any) -> str:
    """Read a MAC address."""
    return units.mac_address(str(value))


def one_address(value: Any) -> str:
    """Read an IP address."""
    return str(units.address(str(value)))


def addresses(value: Any) -> tuple[str, ...]:
    """Read a list of IP addresses, or one text with commas."""
    return tuple(str(units.address(part)) for part in comma_texts(value))


def huge_pages(value: Any) -> int | None:
    """Read the size of huge pages, in KiB: 0 is the host's own, None none at all."""
    if isinstance(value, bool) or str(value).lower() in ('true', 'false'):
        return 0 if str(value).lower() == 'true' else None
    return units.size_bytes(value, 'M') // 1024


def pci_addresses(value: Any) -> tuple[str, ...]:
    """Read addresses of PCI devices, with or without the domain in front."""
    found = tuple(text.lower() if text.count(':') > 1 else f'0000:{text.lower()}' for text in texts(value))
    for text in found:
        if not re.fullmatch(r'[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]', text):
            raise InvalidInput(f"{text.removeprefix('0000:')!r} is not the address of a PCI device",
                               hint='Write it as lspci does: 01:00.0')
    return found


def words(value: Any) -> tuple[str, ...]:
    """Read a list of texts, or one text that a shell would make words of."""
    return tuple(shlex.split(value)) if isinstance(value, str) else texts(value)


def rules(value: Any) -> tuple[Rule, ...]:
    """Read what is let in: ports, ranges, or rules."""
    return tuple(rules_of(value))


def permissions(value: Any) -> str:
    """Read permissions; the number 644 means what people mean by it."""
    text = str(value)
    if not re.fullmatch(r'0?[0-7]{3,4}', text):
        raise InvalidInput(f'{value!r} are no permissions', hint="Write them as in chmod: '0644'")
    return text.zfill(4)


def content(value: Any) -> str | bytes:
    """Read the content of a file: text or bytes."""
    if isinstance(value, (str, bytes)):
        return value
    raise InvalidInput(f'expected text, got {type(value).__name__}', hint='Quote it, or write it as a block (content: |)')
