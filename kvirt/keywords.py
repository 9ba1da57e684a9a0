"""The table of VM keywords, derived from VmSpec: what `list keyword` shows, and what docs and schemas are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from kvirt.decode import field_types, type_name
from kvirt.spec import DiskSpec, FileSpec, NetSpec, VmSpec, keyword_meta


@dataclass(frozen=True)
class Keyword:
    """A keyword of ``create``: its name, type in words, built-in default, meaning, and group."""

    name: str
    type: str
    default: Any
    meaning: str
    group: str


def table() -> list[Keyword]:
    """Return every keyword, sorted by name."""
    return sorted((_keyword(field) for field in msgspec.structs.fields(VmSpec)), key=lambda keyword: keyword.name)


def entry_keys(name: str) -> list[Keyword]:
    """Return the keys that an entry of ``disks``, ``nets`` or ``files`` may have; empty for other keywords."""
    structs: dict[str, type[msgspec.Struct]] = {'disks': DiskSpec, 'nets': NetSpec, 'files': FileSpec,
                                                'extra_files': FileSpec}
    return keys_of(structs[name]) if name in structs else []


def _keyword(field: msgspec.structs.FieldInfo) -> Keyword:
    meta = keyword_meta(field.name)
    return Keyword(field.name, type_name(field_types(VmSpec)[field.name]), plain_default(field.default),
                   meta.description or '', str((meta.extra or {}).get('group', '')))


def keys_of(struct: type[msgspec.Struct]) -> list[Keyword]:
    """Return what is known of each field of a struct whose fields are described."""
    return list(_fields(struct))


def _fields(struct: type[msgspec.Struct]) -> Iterable[Keyword]:
    for field in msgspec.structs.fields(struct):
        meta = next(part for part in field_types(struct)[field.name].__metadata__ if isinstance(part, msgspec.Meta))
        yield Keyword(field.name, type_name(field_types(struct)[field.name]), plain_default(field.default),
                      meta.description or '', 'entry')


def plain_default(value: Any) -> Any:
    """Return a default as a user would write it."""
    if value is msgspec.NODEFAULT:
        return None
    if isinstance(value, tuple):
        return [plain_default(item) for item in value]
    if isinstance(value, NetSpec):
        return value.name
    if isinstance(value, DiskSpec):
        return 10 if value.size is None else value.size
    return value
