"""From the schemas of an OpenAPI description (3.0 or 3.1) to validators, strict for requests and forgiving for answers.

A request may bear nothing that is not described, at any depth. An answer may: vendors add fields without a word, and
say null where nothing stands. What an answer bears beyond its description is listed by :meth:`Schemas.unknown`.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from kvirt.names import did_you_mean
from kvirt.testing.openapi import Description, Node

Fault = tuple[str, str]
"""A place (``body.disks[0].size``) and what is wrong there."""

Verdict = tuple[tuple[Fault, ...], tuple[str, ...]]
"""Faults, and places that are not described."""

MOST_VERDICTS = 5000

TYPES = {'int': 'integer', 'float': 'number'}
"""Words for types that vendors use besides those of JSON; the type is not checked where another word stands."""

_JSON_TYPES = frozenset({'string', 'integer', 'number', 'boolean', 'object', 'array', 'null'})
_COPIED = frozenset({'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', 'minLength',
                     'maxLength', 'minItems', 'maxItems', 'uniqueItems', 'minProperties', 'maxProperties', 'format'})
_COMPOSED = ('allOf', 'anyOf', 'oneOf')
_MERGED = ('allOf', 'properties', 'required', 'additionalProperties')


class Schemas:
    """The schemas of a description, translated when they are needed and only once.

    *closed*: for requests. *ignored* are keywords that are not checked, where a vendor does not keep to them.
    """

    def __init__(self, description: Description, *, closed: bool, ignored: Collection[str] = ()) -> None:
        self._description = description
        self._closed, self._ignored = closed, frozenset(ignored)
        self._lock = threading.RLock()
        self._shared: dict[str, Any] = {}
        self._validators: dict[int, tuple[Any, Any]] = {}
        self._verdicts: dict[tuple[int, bytes, str], Verdict] = {}

    def faults(self, schema: Any, value: Any, place: str) -> Iterator[Fault]:
        """Yield what is wrong with a value that stands at *place*."""
        yield from _faults(self.validator(schema).iter_errors(value), place, self._shared)

    def verdict(self, schema: Any, body: bytes, place: str) -> Verdict:
        """Return what is wrong with a JSON text that stands at *place*, and what in it is not described.

        A conversation says the same again and again, so verdicts are remembered.
        """
        key = id(schema), body, place
        known = self._verdicts.get(key)
        if known is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            known = self._verdicts[key] = self._judged(schema, body, place)
        return known

    def _judged(self, schema: Any, body: bytes, place: str) -> Verdict:
        try:
            data = json.loads(body)
        except ValueError as error:
            return ((place, f'is no JSON: {error}'),), ()
        return tuple(self.faults(schema, data, place)), () if self._closed else tuple(self.unknown(schema, data))

    def validator(self, schema: Any) -> Any:
        """Return the validator of a schema of the description."""
        with self._lock:
            # The schema is kept beside its validator, so that no other can get its address.
            if id(schema) not in self._validators:
                kind: Any = Draft202012Validator if self._closed else _Forgiving
                made = kind({'allOf': [self._place(schema)], '$defs': self._shared}, format_checker=FORMATS)
                self._validators[id(schema)] = schema, made
            return self._validators[id(schema)][1]

    def unknown(self, schema: Any, value: Any, place: str = '') -> Iterator[str]:
        """Yield the places in a value that are not described; ``[]`` stands for any entry of a list."""
        return self._unknown([schema], value, place)

    # A schema is translated as part of a place. Only the place itself is closed, so that what its parts describe together
    # may stand there: all of allOf, whatever fits of anyOf, what a reference leads to.

    def _place(self, schema: Any) -> Any:
        part = self._part(schema)
        if self._closed and isinstance(part, dict) and self._describes_properties(schema):
            return {**part, 'unevaluatedProperties': False}
        return part

    def _part(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return bool(schema) if isinstance(schema, bool) else True
        if '$ref' in schema:
            return self._nullable(schema, {'$ref': f"#/$defs/{self._reference(schema['$ref'])}"})
        if schema.get('allOf') and self._closed:
            schema = self._merged(schema)
        part = {key: value for key, value in schema.items() if key in _COPIED and key not in self._ignored}
        for bound, limit in (('exclusiveMinimum', 'minimum'), ('exclusiveMaximum', 'maximum')):
            # OpenAPI 3.0 has a flag where JSON Schema has the limit itself.
            if isinstance(part.get(bound), bool) and part.pop(bound) and limit in part:
                part[bound] = part.pop(limit)
        part.update([*self._kind(schema), *self._members(schema), *self._composition(schema)])
        if 'pattern' in schema and 'pattern' not in self._ignored and _compiles(schema['pattern']):
            part['pattern'] = schema['pattern']
        return self._nullable(schema, part)

    def _reference(self, reference: str) -> str:
        name = re.sub(r'[^\w-]+', '.', reference.removeprefix('#/components/schemas/'))
        if name not in self._shared:
            self._shared[name] = True  # a schema may refer to itself
            self._shared[name] = self._part(self._description.at(reference))
        return name

    def _nullable(self, schema: Node, part: dict[str, Any]) -> dict[str, Any]:
        return {'anyOf': [{'type': 'null'}, part]} if schema.get('nullable') is True else part

    @staticmethod
    def _kind(schema: Node) -> Iterator[tuple[str, Any]]:
        told = schema.get('type')
        words = [TYPES.get(word, word) for word in (told if isinstance(told, list) else [told]) if isinstance(word, str)]
        if words and set(words) <= _JSON_TYPES:
            yield 'type', words
        if isinstance(schema.get('enum'), list):
            yield 'enum', schema['enum']

    def _members(self, schema: Node) -> Iterator[tuple[str, Any]]:
        properties = schema.get('properties') or {}
        if properties:
            yield 'properties', {name: self._property(each) for name, each in properties.items()}
        if isinstance(schema.get('patternProperties'), Mapping):
            yield 'patternProperties', {pattern: self._place(each) for pattern, each in schema['patternProperties'].items()
                                        if _compiles(pattern)}
        others = schema.get('additionalProperties')
        if isinstance(others, Mapping) or others is True or (others is False and self._closed):
            yield 'additionalProperties', self._place(others)
        if isinstance(schema.get('required'), list):
            other_way = 'readOnly' if self._closed else 'writeOnly'
            yield 'required', [name for name in schema['required']
                               if not _flag(self._description.resolve(properties.get(name)), other_way)]
        if 'items' in schema:
            yield 'items', self._place(schema['items'])

    def _property(self, schema: Any) -> Any:
        """Translate what a property may be. A request that sends what only the vendor sets expects what won't be."""
        read_only = self._closed and _flag(self._description.resolve(schema), 'readOnly')
        return {'not': {}} if read_only else self._place(schema)

    def _composition(self, schema: Node) -> Iterator[tuple[str, Any]]:
        parts = [self._part(each) for each in schema.get('allOf') or ()]
        # Vendors write oneOf for alternatives that are told apart by what they do not describe, or not at all.
        for keyword in ('anyOf', 'oneOf'):
            if schema.get(keyword):
                any_of = {'anyOf': [self._alternative(schema, each) for each in schema[keyword]]}
                parts.append(self._chosen(schema.get('discriminator'), any_of))
        if parts:
            yield 'allOf', parts

    def _merged(self, schema: Node) -> Node:
        """Return a schema in which the parts of allOf are one, so that each property stands once, and is closed once."""
        flat = list(self._together([schema], ('allOf',)))
        described: dict[str, list[Any]] = {}
        for each in flat:
            for name, one in (each.get('properties') or {}).items():
                described.setdefault(name, []).append(one)
        merged = {'properties': {name: several[0] if len(several) == 1 else {'allOf': several}
                                 for name, several in described.items()},
                  'required': [name for each in flat for name in each.get('required') or ()],
                  'allOf': [{key: value for key, value in each.items() if key not in _MERGED} for each in flat[1:]]}
        others = [each['additionalProperties'] for each in flat if each.get('additionalProperties')]
        return {**schema, **merged, **({'additionalProperties': others[0]} if others else {})}

    def _alternative(self, schema: Node, alternative: Any) -> Any:
        """Translate one of several alternatives; one that describes no properties at all allows any."""
        part = self._part(alternative)
        free = (self._closed and isinstance(part, dict) and part.get('type') in (None, ['object'])
                and 'required' not in part and not schema.get('properties') and not schema.get('allOf')
                and not self._describes_properties(alternative))
        return {**part, 'additionalProperties': True} if free else part

    def _chosen(self, discriminator: Any, any_of: dict[str, Any]) -> dict[str, Any]:
        """Return the alternatives with the choice among them that a discriminator's mapping makes."""
        mapping = discriminator.get('mapping') if isinstance(discriminator, Mapping) else None
        name = discriminator['propertyName'] if mapping else ''
        known = {word: reference for word, reference in (mapping or {}).items() if self._exists(reference)}
        if not known:
            return any_of
        choices = [{'if': {'properties': {name: {'const': word}}}, 'then': self._part({'$ref': reference})}
                   for word, reference in known.items()]
        return {'if': {'type': 'object', 'required': [name], 'properties': {name: {'enum': list(known)}}},
                'then': {'allOf': choices}, 'else': any_of}

    def _exists(self, reference: str) -> bool:
        try:
            self._description.at(reference)
        except (KeyError, IndexError, ValueError):
            return False
        return True

    def _describes_properties(self, schema: Any) -> bool:
        return any(_flag(each, 'x-closed') or each.get('properties') or each.get('additionalProperties') is False
                   for each in self._together([schema]))

    def _together(self, schemas: Sequence[Any], keywords: Sequence[str] = _COMPOSED) -> Iterator[Node]:
        """Yield the schemas that may apply at one place: what is referred to, and what is composed by *keywords*."""
        waiting, seen = list(schemas), set()
        while waiting:
            schema = self._description.resolve(waiting.pop(0))
            if isinstance(schema, Mapping) and id(schema) not in seen:
                seen.add(id(schema))
                yield schema
                waiting.extend(part for keyword in keywords for part in schema.get(keyword) or ())

    def _unknown(self, schemas: Sequence[Any], value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, (Mapping, list)) or not value:
            return
        here = list(self._together(schemas))
        if isinstance(value, list):
            items = [schema['items'] for schema in here if 'items' in schema]
            for item in value if items else ():
                yield from self._unknown(items, item, f'{place}[]')
            return
        others = [schema['additionalProperties'] for schema in here if schema.get('additionalProperties')]
        for name, member in value.items():
            where = f'{place}.{name}' if place else name
            described = [schema['properties'][name] for schema in here if name in (schema.get('properties') or {})]
            if described or others:
                yield from self._unknown(described or others, member, where)
            elif any(schema.get('properties') or _flag(schema, 'x-closed') for schema in here):
                yield where


def _flag(schema: Any, name: str) -> bool:
    return isinstance(schema, Mapping) and schema.get(name) is True


def _compiles(pattern: Any) -> bool:
    try:
        re.compile(pattern)
    except (re.error, TypeError):  # a dialect that Python does not speak
        return False
    return True


# from errors to faults

def _faults(errors: Iterable[ValidationError], place: str, shared: Node) -> Iterator[Fault]:
    """Yield the places and messages of errors: one per unknown property; of alternatives, what the nearest one wants."""
    found = list(errors)
    for error in found:
        where = place + ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in error.path)
        if error.validator == 'unevaluatedProperties':
            if not _follows(error, found):
                for name in (name for name in cast(Node, error.instance) if repr(name) in error.message):
                    yield f'{where}.{name}', f'is not described{did_you_mean(name, _names(error.schema, shared))}'
        elif error.validator == 'anyOf' and error.context:
            alternatives: dict[Any, list[ValidationError]] = {}
            for each in error.context or ():
                alternatives.setdefault(each.schema_path[0], []).append(each)
            nearest: Sequence[ValidationError] = min(alternatives.values(), key=_distance)
            yield from _faults(nearest, where, shared)
        else:
            message = 'is read-only' if error.validator == 'not' else error.message
            yield where, message if len(message) <= 300 else f'{message[:200]} ... {message[-90:]}'


def _follows(error: ValidationError, errors: Sequence[ValidationError]) -> bool:
    """Tell if properties only count as unknown because the part of the schema that describes them has another fault."""
    if not isinstance(error.schema, Mapping) or not {'allOf', 'anyOf', '$ref'} & set(error.schema):
        return False
    depth = len(error.path)
    return any(list(other.path)[:depth] == list(error.path) and other is not error
               and (len(other.path) > depth or other.validator != error.validator) for other in errors)


def _distance(errors: Sequence[ValidationError]) -> tuple[bool, int, int]:
    """Rank an alternative that failed: the nearest has the right type, and its faults lie deep and are few."""
    wrong_type = any(error.validator == 'type' and not error.path for error in errors)
    return wrong_type, -min(len(error.path) for error in errors), len(errors)


def _names(schema: Any, shared: Node) -> Iterator[str]:
    """Yield the properties that a translated schema describes, in all of its parts."""
    if isinstance(schema, Mapping):
        yield from schema.get('properties', ())
        parts = [*schema.get('allOf', ()), *schema.get('anyOf', ()), schema.get('then')]
        parts += [shared.get(schema['$ref'].removeprefix('#/$defs/'))] if '$ref' in schema else []
        for part in parts:
            yield from _names(part, shared)


# answers: null stands for "nothing here", whatever the description says

Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def _without_nulls(check: Check) -> Check:
    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(instance, dict) and None in instance.values():
            instance = {key: member for key, member in instance.items() if member is not None}
        return check(validator, value, instance, schema)
    return checked


_CHECKS: Mapping[str, Any] = Draft202012Validator.VALIDATORS
_Forgiving: Any = extend(Draft202012Validator, {  # type: ignore[no-untyped-call]
    keyword: _without_nulls(_CHECKS[keyword]) for keyword in ('properties', 'patternProperties', 'additionalProperties')})


# formats

FORMATS = FormatChecker(formats=())
"""The formats that are checked; every other one is only a remark."""

_TEXTS: Mapping[str, Callable[[str], object]] = {
    'uuid': UUID,
    'ipv4': ipaddress.IPv4Address, 'ipv6': ipaddress.IPv6Address,
    'cidr': lambda text: ipaddress.ip_network(text, strict=False),
    'ipv4network': lambda text: ipaddress.IPv4Network(text, strict=False),
    'date-time': re.compile(r'\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?').fullmatch,
    'date': re.compile(r'\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])').fullmatch,
    'uri': re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:\S+').fullmatch,
    'email': re.compile(r'[^@\s]+@[^@\s]+').fullmatch,
    'byte': lambda text: base64.b64decode(text, validate=True)}
"""By format, what returns None or raises ValueError for a text that has not got it."""

_NUMBERS = {'int32': range(-2**31, 2**31), 'uint32': range(2**32), 'int64': range(-2**63, 2**63), 'uint64': range(2**64)}


def _learn_text(name: str, right: Callable[[str], object]) -> None:
    def check(value: object) -> bool:
        return not isinstance(value, str) or right(value) is not None
    FORMATS.checks(name, raises=ValueError)(check)


def _learn_number(name: str, allowed: range) -> None:
    def check(value: object) -> bool:
        # Some vendors send long numbers as text, and say so with the same format.
        return isinstance(value, bool) or not isinstance(value, (int, str)) or int(value) in allowed
    FORMATS.checks(name, raises=ValueError)(check)


for _name, _right in _TEXTS.items():
    _learn_text(_name, _right)
for _name, _allowed in _NUMBERS.items():
    _learn_number(_name, _allowed)
