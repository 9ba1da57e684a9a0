"""Marks: how what kvirt makes on a cloud is told from all else, and what is remembered there.

What was made bears ``kvirt``, whose value is the request that made it; VMs bear their fields as well (plan, profile,
image, ...). Where a platform has labels, a field is a label; where it has flat tags, it is ``kvirt:<field>:<value>``. Some
platforms allow few characters and short values, so values are encoded, reversibly, and long ones are spread.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from kvirt.errors import InvalidInput
from kvirt.guest.guest import Guest
from kvirt.providers.families.makers import Maker, boot_id, me
from kvirt.shapes import VmInfo
from kvirt.spec import SPECIAL, VmSpec

MARK = 'kvirt'
"""The field whose value is the request that made a thing."""

MAKER = 'maker'
"""The field that tells which process is making the VM that a thing is for."""

RECORDS = 'dnsrecords'
"""The field that names the DNS records which were made for a thing: ``<type>/<name>@<zone>``, with commas between."""

COMPUTED = frozenset({*VmInfo.__annotations__, *SPECIAL, 'iso', MARK, MAKER, RECORDS}
                     - {'image', 'plan', 'profile', 'user', 'owner', 'hostkey'})
"""What a platform tells of a VM by itself; a field can't take its place."""

_PLAIN = re.compile(rb'[A-Za-z0-9.-]')
_EDGE = re.compile(r'[A-Za-z0-9](?:.*[A-Za-z0-9])?', re.DOTALL)
_ESCAPED = re.compile(r'_([0-9a-f]{2})')
_FIELD = re.compile(r'[A-Za-z0-9](?:[A-Za-z0-9_-]{0,50}[A-Za-z0-9])?')
_OPEN, _CLOSE = '0__', '__0'
_PART = '.'


def fields_of(spec: VmSpec, guest: Guest) -> dict[str, str]:
    """Return what is remembered on a VM. InvalidInput for metadata that would hide what the platform tells."""
    for key in spec.metadata:
        check_field(key)
    values: dict[str, Any] = {
        'plan': spec.plan, 'profile': spec.profile, 'image': spec.image, 'owner': spec.owner, 'domain': spec.domain,
        'tags': ','.join(spec.tags), 'user': guest.user if guest.kind else None, 'userport': spec.vmport,
        'hostkey': guest.host_key.fingerprint if guest.host_key else None,
        'insecure': 'true' if spec.insecure else None, **spec.metadata}
    return {key: str(value) for key, value in values.items() if value}


def check_field(key: str) -> str:
    """Return *key* if it can name a field of a VM. InvalidInput."""
    if key in COMPUTED:
        raise InvalidInput(f"'{key}' is what the platform tells of a VM, and can not be set as metadata")
    if not _FIELD.fullmatch(key):
        raise InvalidInput(f"'{key}' can not name a field of a VM",
                           hint='Use up to 52 letters, digits, dashes, underscores')
    return key


# requests

def new_request() -> str:
    """Return a fresh name for a request: 8 hexadecimal digits."""
    return os.urandom(4).hex()


def maker(now: float) -> str:
    """Return this process as text of letters, digits and dashes, for the field ``maker``."""
    this = me(now)
    return f'{_host()}-{this.pid}-{this.started}-{int(now)}'


def making(request: str) -> dict[str, str]:
    """Return the marks of what this process is making for a *request*: its maker is taken off when it is complete."""
    return {MARK: request, MAKER: maker(time.time())}


def abandoned(text: str | None, now: float) -> bool:
    """Tell if the process that ``maker`` names will never finish what it began. What can't be read is abandoned."""
    try:
        host, pid, started, since = (text or '').split('-')
        known = Maker(host=boot_id() if host == _host() else host, pid=int(pid), started=started, since=float(since))
    except ValueError:
        return True
    return known.gone(now)


def _host() -> str:
    return re.sub(r'[^0-9A-Za-z]', '', boot_id())[:12]


# labels: a key and a value each

def to_labels(fields: Mapping[str, str], *, longest: int = 63) -> dict[str, str]:
    """Return *fields* as labels whose values have at most *longest* letters, digits, dots, dashes, underscores.

    They begin and end with a letter or digit, as Kubernetes and Hetzner want it. A long value goes on in ``key.1`` and
    so on.
    """
    labels = {}
    for key, value in fields.items():
        for number, part in enumerate(_parts(value, longest)):
            labels[f'{key}{_PART}{number}' if number else key] = part
    return labels


def from_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that :func:`to_labels` made *labels* of. Labels of others come along as they are."""
    fields = {}
    for key, value in labels.items():
        if _is_continued(key, labels):
            continue
        number, text = 1, decode(value)
        while f'{key}{_PART}{number}' in labels:
            text += decode(labels[f'{key}{_PART}{number}'])
            number += 1
        fields[key] = text
    return fields


def relabelled(labels: Mapping[str, str], fields: Mapping[str, str | None]) -> dict[str, str]:
    """Return *labels* with these fields in place of what they have, without those that are None. Labels of others stay."""
    kept = {key: value for key, value in labels.items() if re.sub(rf'{re.escape(_PART)}\d+$', '', key) not in fields}
    return {**kept, **to_labels({key: text for key, text in fields.items() if text is not None})}


def _is_continued(key: str, labels: Mapping[str, str]) -> bool:
    name, _, number = key.rpartition(_PART)
    return bool(name) and number.isdigit() and name in labels


# tags: texts

def to_tags(fields: Mapping[str, str], *, longest: int = 255) -> list[str]:
    """Return *fields* as tags of at most *longest* letters, digits, dashes, underscores and colons.

    ``kvirt:<request>`` stands for the mark, ``kvirt:<field>:<value>`` for the others. A dot is escaped as well.
    """
    tags = []
    for key, value in fields.items():
        prefix = f'{MARK}:' if key == MARK else f'{MARK}:{encode(key).replace(".", "_2e")}'
        for number, part in enumerate(_parts(value, longest - len(prefix) - 4, dots=False)):
            tags.append(prefix + part if key == MARK else f'{prefix}{f":{number}" if number else ""}:{part}')
    return tags


def from_tags(tags: Iterable[str]) -> dict[str, str]:
    """Return the fields that :func:`to_tags` made *tags* of. Tags of others are left out."""
    found: dict[str, dict[int, str]] = {}
    for tag in tags:
        prefix, *rest = tag.split(':')
        if prefix != MARK or not 1 <= len(rest) <= 3:
            continue
        key, number, value = {1: [MARK, '0', *rest], 2: [rest[0], '0', *rest[1:]]}.get(len(rest), rest)
        if number.isdigit():
            found.setdefault(decode(key), {})[int(number)] = decode(value)
    return {key: ''.join(parts[number] for number in sorted(parts)) for key, parts in found.items()}


# the encoding

def encode(text: str, *, dots: bool = True) -> str:
    """Return *text* in letters, digits, dots, dashes and underscores, with a letter or digit at each end."""
    plain = ''.join(chr(byte) if _PLAIN.match(bytes([byte])) and (dots or byte != ord('.')) else f'_{byte:02x}'
                    for byte in text.encode('utf-8', 'surrogatepass'))
    if not plain or (_EDGE.fullmatch(plain) and not plain.startswith(_OPEN)):
        return plain
    return f'{_OPEN}{plain}{_CLOSE}'


def decode(text: str) -> str:
    """Return the text that :func:`encode` made *text* of. What nobody encoded stays as it is."""
    if text.startswith(_OPEN) and text.endswith(_CLOSE):
        text = text[len(_OPEN):-len(_CLOSE)]
    data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return data.encode('latin-1').decode('utf-8', 'surrogatepass')
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def _parts(value: str, longest: int, *, dots: bool = True) -> list[str]:
    """Return *value* encoded, in as many parts as it takes."""
    whole = encode(value, dots=dots)
    if len(whole) <= longest:
        return [whole]
    parts, start = [], 0
    while start < len(value):
        end = start + 1
        # One more character at a time: how long the encoded part gets depends on each.
        while end < len(value) and len(encode(value[start:end + 1], dots=dots)) <= longest:
            end += 1
        parts.append(encode(value[start:end], dots=dots))
        start = end
    return parts


def iso_date(date: datetime | str) -> str:
    """Return a date of a platform as ISO 8601 in UTC, to the second."""
    moment = datetime.fromisoformat(date.replace('Z', '+00:00')) if isinstance(date, str) else date
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def unshown(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a VM that are shown: all but the marks themselves."""
    return {key: value for key, value in fields.items() if key not in (MARK, MAKER, RECORDS)}


__all__ = ['COMPUTED', 'MAKER', 'MARK', 'RECORDS', 'abandoned', 'check_field', 'decode', 'encode', 'fields_of',
           'from_labels', 'from_tags', 'iso_date', 'maker', 'making', 'new_request',
           'relabelled', 'to_labels', 'to_tags', 'unshown']
