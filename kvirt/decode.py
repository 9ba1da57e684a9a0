"""Decode plain mappings into typed structs, key by key, so that every fault is reported at once with its place."""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from kvirt.errors import InvalidInput, Problem
from kvirt.names import did_you_mean

S = TypeVar('S', bound=msgspec.Struct)
Place = Callable[[str], str]

_ODD_WORD = re.compile(r"Invalid enum value '?(.*?)'?(?: - at `.*`)?$", re.DOTALL)
"""What a decoder says of a word that is none of a Literal's."""


def nowhere(key: str) -> str:
    """Say nothing about where *key* stands."""
    return ''


@functools.cache
def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the annotated type of each field of *struct*."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}


@functools.cache
def _required(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(struct) if field.required)


def parser_of(hint: Any) -> Callable[[Any], Any] | None:
    """Return the parsing function that a field's ``Meta(extra={'parse': ...})`` names, None when it has none."""
    for part in getattr(hint, '__metadata__', ()):
        if isinstance(part, msgspec.Meta) and part.extra and 'parse' in part.extra:
            parse: Callable[[Any], Any] = part.extra['parse']
            return parse
    return None


def decode_value(hint: Any, value: Any) -> Any:
    """Return *value* as the type that *hint* annotates. Raises InvalidInput or msgspec.ValidationError."""
    parse = parser_of(hint)
    if parse is None:
        return msgspec.convert(value, hint, strict=False)
    if value is None:
        if type(None) in typing.get_args(hint.__origin__):
            return None
        raise InvalidInput(f'expected {type_name(hint)}, got nothing')
    try:
        return parse(value)
    except ValueError as error:  # a number too long to be written, a text that is no Unicode
        raise InvalidInput(str(error)) from None


def decode(struct: type[S], values: Mapping[str, Any], *, what: str, where: Place = nowhere,
           choices: typing.Iterable[str] | None = None) -> S:
    """Return *values* as a *struct*; raise InvalidInput with every unknown key, wrong type and missing field.

    *what* names a key for people (``keyword``, ``option of client x``); *where* tells the place of a key; *choices* are
    the keys that suggestions are taken from, by default the struct's own.
    """
    hints = field_types(struct)
    good: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        if key not in hints:
            problems.append(Problem(f"unknown {what} '{key}'{did_you_mean(str(key), choices or hints)}", where(key)))
            continue
        try:
            good[key] = decode_value(hints[key], value)
        except InvalidInput as error:
            problems.extend(Problem(f'{what} {key}: {problem.message}' + (f'. {error.hint}' if error.hint else ''),
                                    where(key)) for problem in error.problems)
        except msgspec.ValidationError as error:
            problems.append(Problem(f'{what} {key}: {plain(error, hints[key])}', where(key)))
    missing = [name for name in _required(struct) if name not in values]
    problems.extend(Problem(f'{what} {name} is missing', where('')) for name in missing)
    if problems:
        raise InvalidInput(problems)
    return struct(**good)


@dataclass(frozen=True, eq=False)
class Entries:
    """The parser of a list whose entries are mappings, or a shorthand that becomes one.

    ``aliases`` are other words for keys.
    """

    struct: type[msgspec.Struct]
    kind: str
    shorthand: Callable[[Any], dict[str, Any]]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, value: Any) -> tuple[Any, ...]:
        """Read one entry, or a list of them."""
        entries = value if isinstance(value, (list, tuple)) else [value]
        problems: list[Problem] = []
        decoded = []
        for index, entry in enumerate(entries):
            try:
                mapping = entry if isinstance(entry, Mapping) else self.shorthand(entry)
                decoded.append(decode(self.struct, {self.aliases.get(key, key): item for key, item in mapping.items()},
                                      what=f'key of {self.kind}'))
            except InvalidInput as error:
                problems.extend(Problem(f'entry {index}: {problem.message}') for problem in error.problems)
        if problems:
            raise InvalidInput(problems)
        return tuple(decoded)


def plain(error: msgspec.ValidationError, hint: Any) -> str:
    """Turn a decoder's message about a value that *hint* annotates into words: ``expected a number, got text``."""
    text = str(error)
    odd = _ODD_WORD.match(text)
    if odd:
        words = list(_words(hint))
        return f"'{odd[1]}' is none of {', '.join(words)}{did_you_mean(odd[1], words)}"
    for theirs, ours in (('`int`', 'a whole number'), ('`float`', 'a number'), ('`str`', 'text'),
                         ('`bool`', 'true or false'), ('`array`', 'a list'), ('`object`', 'a mapping'),
                         ('`null`', 'nothing')):
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]


def _words(hint: Any) -> typing.Iterator[str]:
    """Yield the words that a field may have, or the entries of a list in it."""
    if typing.get_origin(hint) is typing.Literal:
        yield from map(str, typing.get_args(hint))
    else:
        for part in typing.get_args(hint):
            yield from _words(part)


def type_name(hint: Any) -> str:
    """Name a field's type for people: ``whole number``, ``list of text``."""
    simple = {int: 'whole number', float: 'number', str: 'text', bool: 'true or false', Any: 'anything',
              bytes: 'bytes', dict: 'mapping', list: 'list', type(None): 'nothing'}
    if typing.is_typeddict(hint) or (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        return 'mapping'
    if hint in simple:
        return simple[hint]
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return type_name(hint.__origin__)
    if origin is typing.Literal:
        return ' or '.join(str(choice) for choice in typing.get_args(hint))
    arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    if origin in (typing.Union, types.UnionType):
        return ' or '.join(dict.fromkeys(type_name(argument) for argument in arguments))
    if origin in (list, tuple):
        return f'list of {type_name(arguments[0])}'
    return 'mapping' if origin is dict else str(hint)
