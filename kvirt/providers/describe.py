"""What a provider says of itself: its operations, options and keywords, as plain data for pages and programs."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from kvirt.base import Area, Options
from kvirt.base.options import meta_of
from kvirt.decode import field_types, type_name
from kvirt.providers import registry


def describe(name: str) -> dict[str, Any]:
    """Return all that is known of provider *name* without connecting. MissingDependency, InvalidInput."""
    entry = registry.find(name)
    provider = registry.load(name)
    marks = [capability.mark for capability in provider.capabilities()] if issubclass(provider, Area) else []
    return {'name': entry.name, 'title': entry.title, 'aliases': list(entry.aliases),
            'requires': list(entry.requires),
            'summary': ', '.join(f'{marks.count(mark)} {mark}' for mark in dict.fromkeys(marks)),
            'honours': sorted(getattr(provider, 'honours', ())),
            'permissions': dict(getattr(provider, 'permissions', {})), 'prices': getattr(provider, 'prices', ''),
            'security': list(getattr(provider, 'security', ())), 'options': options_of(provider),
            'operations': operations_of(provider)}


def operations_of(provider: type[Any]) -> list[dict[str, Any]]:
    """Return a row per operation of the contract: ``operation area mark reason waits``."""
    if not issubclass(provider, Area):
        return []
    return [{'operation': capability.operation, 'area': capability.area, 'mark': capability.mark,
             'reason': capability.reason, 'waits': capability.waits} for capability in provider.capabilities()]


def options_of(provider: type[Any]) -> list[dict[str, Any]]:
    """Return a row per key that a client of *provider* may have: ``option type default meaning environment secret``."""
    struct = getattr(provider, 'Options', None)
    if struct is None:
        return [{'option': name, 'type': 'anything', 'default': None, 'meaning': '', 'environment': [], 'secret': False}
                for name in inspect.signature(provider).parameters]
    return [_option(struct, field) for field in msgspec.structs.fields(struct)
            if field.name not in Options.__struct_fields__]


def _option(struct: type[Options], field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    meta = meta_of(struct, field.name)
    extra = meta.extra or {}
    return {'option': field.name, 'type': type_name(field_types(struct)[field.name]),
            'default': None if field.default is msgspec.NODEFAULT else field.default, 'meaning': meta.description or '',
            'environment': list(extra.get('env', ())), 'secret': bool(extra.get('secret')),
            'required': bool(field.required)}
