"""JSON schemas of plans, profiles and the configuration, for editors; made of the tables that kvirt itself reads with.

https://json-schema.org/draft/2020-12. What kvirt reads leniently (``4g``, a list or one text) the schemas accept as well,
and a template wherever something else than text is expected.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from kvirt import readers, spec, units
from kvirt.base import Options
from kvirt.base.options import meta_of
from kvirt.confpools import FILE, KEYS
from kvirt.decode import Entries, field_types, parser_of
from kvirt.plan.check import ITEMS
from kvirt.plan.kinds import containers, infrastructure, services
from kvirt.plan.kinds.item import Item
from kvirt.plan.parse import OTHER_WORDS
from kvirt.providers import registry
from kvirt.providers.catalog import CATALOG
from kvirt.settings import BUILT_IN, GENERIC

Schema = dict[str, Any]

DIALECT = 'https://json-schema.org/draft/2020-12/schema'

_TEMPLATE = r'\{\{'
_STANDS_FOR = r'\{\{|\$\{|^\?(secret$|command:|file:)'
"""In the configuration variables and secrets may stand for any value as well."""

_ENVIRONMENT = '^[^a-z]*[A-Z][^a-z]*$'
_NUMBERED = r'^(ip|netmask)\d$'
_NUMBER = r'^-?\d+(\.\d+)?([eE][+-]?\d+)?$'
_SIZE = r'^\s*\d+(\.\d+)?\s*[KMGTkmgt]?([Ii]?[Bb])?\s*$'


def _short(*options: Schema) -> Schema:
    """Return what is one of *options*, or a template for it."""
    return {'anyOf': [*options, {'$ref': '#/$defs/template'}]}


def _text_like(pattern: str) -> Schema:
    return {'type': 'string', 'pattern': pattern}


def _one_or_more(entry: Schema, single: Schema | None = None) -> Schema:
    """Return what is an *entry* (written alone: *single*), or a list of them."""
    return {'anyOf': [single or entry, {'type': 'array', 'items': entry}]}


_KNOWN: Mapping[str, Schema] = {
    'template': _text_like(_TEMPLATE),
    'text': {'type': 'string'},
    'texts': _one_or_more({'type': ['string', 'number', 'boolean']}, {'type': ['string', 'integer']}),
    'anything_short': {'type': ['string', 'number', 'boolean']},
    'whole_number': _short({'type': 'integer'}, _text_like(_NUMBER)),
    'number': _short({'type': 'number'}, _text_like(_NUMBER)),
    'truth': _short({'type': 'boolean'}, {'enum': [0, 1]}, _text_like('^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|0|1)$')),
    'size': _short({'type': 'number', 'exclusiveMinimum': 0}, _text_like(_SIZE)),
    'huge_pages': _short({'type': 'boolean'}, {'type': 'number', 'exclusiveMinimum': 0}, _text_like(_SIZE),
                         _text_like('^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$')),
    'address': _short(_text_like(r'^[0-9A-Fa-f:.]+(%.+)?$')),
    'network_address': _short(_text_like(r'^[0-9A-Fa-f:.]+(%.+)?(/[0-9.]+)?$')),
    'mac_address': _short(_text_like(r'^\s*[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\s*$')),
    'permissions': _short({'type': 'integer'}, _text_like('^0?[0-7]{3,4}$')),
    'rule': {'anyOf': [{'type': ['integer', 'string']}, {
        'type': 'object', 'additionalProperties': False, 'properties': {
            'protocol': {'enum': ['tcp', 'udp', 'icmp']}, 'cidr': {'type': 'string'},
            'from_port': {'$ref': '#/$defs/whole_number'}, 'to_port': {'$ref': '#/$defs/whole_number'}}}]},
    'rules': _one_or_more({'$ref': '#/$defs/rule'}),
    'ports': _one_or_more({'type': ['integer', 'string']}),
    'variables': _one_or_more({'type': ['object', 'string']}, {'type': 'object'}),
    'volume': {'anyOf': [{'type': 'string'}, {
        'type': 'object', 'additionalProperties': False, 'required': ['path'],
        'properties': {name: {'type': 'string'} for name in ('path', 'origin', 'mode')}}]},
    'volumes': _one_or_more({'$ref': '#/$defs/volume'}),
}
"""What several keys share, by the name that it has in the schemas."""

_PARSED: Mapping[Callable[[Any], Any], str] = {
    readers.texts: 'texts', readers.comma_texts: 'texts', readers.addresses: 'texts', readers.one_mac: 'mac_address',
    readers.one_address: 'address', readers.rules: 'rules', readers.permissions: 'permissions', readers.content: 'text',
    readers.huge_pages: 'huge_pages', readers.pci_addresses: 'texts', readers.words: 'texts',
    units.memory_mib: 'size', units.disk_gib: 'size', str: 'anything_short', infrastructure.one_cidr: 'network_address',
    services.ports: 'ports', containers.variables: 'variables', containers.volumes: 'volumes'}
"""What the functions accept that read single keys."""

_PLAIN: Mapping[Any, str] = {int: 'whole_number', bool: 'truth', float: 'number', str: 'text'}
_SHORTHANDS: Mapping[str, Schema] = {'a disk': {'type': ['number', 'string', 'null']}, 'a net': {'type': 'string'},
                                     'a file': {'type': 'string'}, 'a file of the guest': {'type': 'string'},
                                     'a cpu flag': {'type': 'string'}}
"""What may stand in place of a mapping."""


_POOLS: Mapping[str, Schema] = {key: {'type': ['string', 'null'], 'description': f'Pool of {FILE}'} for key in KEYS}


class _Maker:
    """Makes the schemas of values, and gathers the definitions that they refer to."""

    def __init__(self, template: str = _TEMPLATE) -> None:
        self.definitions: dict[str, Schema] = {}
        self._template = template

    def ref(self, name: str) -> Schema:
        """Return a reference to one of the known definitions."""
        if name not in self.definitions:
            self.definitions[name] = known = dict(_KNOWN[name])
            if name == 'template':
                known['pattern'] = self._template
            for other in _references(known):
                self.ref(other)
        return {'$ref': f'#/$defs/{name}'}

    def define(self, name: str, make: Callable[[], Schema]) -> Schema:
        """Return a reference to what *make* returns, which is made once."""
        if name not in self.definitions:
            self.definitions[name] = {}  # keeps the place, so that definitions stand in the order of their first use
            self.definitions[name] = make()
        return {'$ref': f'#/$defs/{name}'}

    def value(self, hint: Any) -> Schema:
        """Return the schema of what may be written for a field with this annotation."""
        described = next((part for part in getattr(hint, '__metadata__', ()) if isinstance(part, msgspec.Meta)), None)
        if described is None:
            return self._plain(hint)
        parse = parser_of(hint)
        found = self._plain(hint.__origin__) if parse is None else self._parsed(parse)
        if parse is not None and type(None) in typing.get_args(hint.__origin__):
            found = _or_nothing(found)
        limits: Schema = {name: limit for name, limit in (('minimum', described.ge), ('maximum', described.le))
                          if limit is not None}
        told: Schema = {'description': described.description} if described.description else {}
        return {**told, **found, **limits}

    def _parsed(self, parse: Callable[[Any], Any]) -> Schema:
        if not isinstance(parse, Entries):
            return self.ref(_PARSED[parse])
        name = parse.kind.partition(' ')[2].replace(' ', '_')
        entry = self.define(name, lambda: self._entry(parse))
        either = {'anyOf': [_SHORTHANDS[parse.kind], entry]} if parse.kind in _SHORTHANDS else entry
        return _one_or_more(either)

    def _entry(self, parse: Entries) -> Schema:
        found = self.struct(parse.struct, parse.aliases)
        return {**found, 'properties': {**found['properties'], **_POOLS}} if parse.struct is spec.NetSpec else found

    def _plain(self, hint: Any) -> Schema:
        if hint in _PLAIN:
            return self.ref(_PLAIN[hint])
        if hint is type(None):
            return {'type': 'null'}
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return {'anyOf': [self.value(argument) for argument in arguments]}
        if origin is typing.Literal:
            return {'anyOf': [{'enum': list(arguments)}, self.ref('template')]}
        if origin is typing.Annotated:
            return self.value(hint)
        if origin in (tuple, list):
            return {'type': 'array', 'items': self.value(arguments[0])}
        if origin is dict:
            return {'type': 'object', **({'additionalProperties': self.value(arguments[1])} if arguments[1] is str else {})}
        if hint is bytes:
            return {'type': 'string'}
        return {}

    def properties(self, struct: type[msgspec.Struct], aliases: Mapping[str, str] = {}) -> dict[str, Schema]:
        """Return the schema of each field of a struct, by every word for it."""
        hints = field_types(struct)
        own = {name: self.value(hint) for name, hint in hints.items()}
        return {**own, **{alias: {**own[name], 'description': f'The same as {name}'}
                          for alias, name in aliases.items() if name in own}}

    def struct(self, struct: type[msgspec.Struct], aliases: Mapping[str, str] = {}) -> Schema:
        """Return the schema of a mapping of the fields of a struct."""
        required = [field.name for field in msgspec.structs.fields(struct) if field.required]
        return {'type': 'object', 'properties': self.properties(struct, aliases), 'additionalProperties': False,
                **({'required': required} if required else {})}

    def keywords(self, without: Iterable[str] = ()) -> Schema:
        """Return the parts of a schema that hold the keywords of VMs, less those *without* which a platform is."""
        own = {name: self._keyword(name, hint) for name, hint in field_types(spec.VmSpec).items() if name not in without}
        return {'properties': {**own, **_POOLS}, 'patternProperties': {
            _NUMBERED: {'type': ['string', 'integer', 'null'], 'description': 'Of the first, second, ... network card'},
            _ENVIRONMENT: {'description': 'A variable of the environment of the guest'}}}

    def _keyword(self, name: str, hint: Any) -> Schema:
        return self.define(f'keyword_{name}', lambda: _or_nothing(self.value(hint)))


def _or_nothing(schema: Schema) -> Schema:
    """Return a schema that accepts nothing as well: a key without a value is one that was not given."""
    if {'type': 'null'} in schema.get('anyOf', ()):
        return schema
    told: Schema = {key: schema[key] for key in ('description', 'minimum', 'maximum') if key in schema}
    rest = {key: value for key, value in schema.items() if key not in told}
    both = [*rest['anyOf'], {'type': 'null'}] if set(rest) == {'anyOf'} else [rest, {'type': 'null'}]
    return {**told, 'anyOf': both}


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == '$ref':
                yield value.rpartition('/')[2]
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _whole(title: str, maker: _Maker, schema: Schema) -> Schema:
    return {'$schema': DIALECT, 'title': title, **schema, '$defs': maker.definitions}


def _when(key: str, words: Iterable[str], then: Schema, *, absent: bool = False) -> Schema:
    """Return what holds where *key* is one of *words*, or is not there."""
    said = {'type': 'object', 'properties': {key: {'enum': sorted(words)}}, **({} if absent else {'required': [key]})}
    return {'if': said, 'then': then}


# plans

def plan_schema() -> Schema:
    """Return the schema of a plan whose templates are expanded, or which has none but in values."""
    maker = _Maker()
    cases = []
    for kind, item in ITEMS.items():
        words = {kind, *(word for word, meant in OTHER_WORDS.items() if meant == kind)}
        entry = maker.define(f'entry_{kind}', partial(_of_kind, item, maker))
        cases.append(_when('type', words, entry, absent=kind == 'vm'))
    cases.append(_when('type', ['profile'], maker.define('entry_profile', lambda: _profile(maker))))
    cases.append(_when('type', ['plan'], maker.define('entry_plan', _plan_in_plan)))
    known = sorted({word for case in cases for word in case['if']['properties']['type']['enum']})
    typed = {'type': {'enum': known, 'description': 'What it is; a vm when absent'}}
    whole: Schema = {'type': ['object', 'null'], 'properties': typed, 'allOf': cases}
    return _whole('A plan of kvirt', maker, {
        'type': ['object', 'null'], 'properties': {'parameters': maker.define('parameters', _parameters)},
        'additionalProperties': maker.define('entry', lambda: whole)})


def _of_kind(item: type[Item], maker: _Maker) -> Schema:
    """Return the schema of the entries of a kind."""
    found = maker.struct(item.Keys, item.other_words)
    found = {'description': (item.__doc__ or '').strip(), **found}
    found['properties'] = {'type': {}, **found['properties']}
    if item.kind == 'vm':
        keywords = maker.keywords()
        found['properties'] = {**keywords['properties'], **found['properties'],
                               'basevm': {'type': 'string', 'description': 'VM that it builds on'},
                               'baseplan': {'type': 'string', 'description': 'Plan in which that VM is, if in another'}}
        found['patternProperties'] = keywords['patternProperties']
    elif item.open_keys:
        found['additionalProperties'] = True  # settings of the provider
    return found


def _profile(maker: _Maker) -> Schema:
    """Return the schema of a profile: of a plan, or of profiles.yml, where a container may have one as well."""
    keywords = maker.keywords()
    own: Schema = {'type': {'enum': ['vm', 'profile', 'container']},
                   'base': {'type': 'string', 'description': 'Profile that it builds on'}}
    vm = {'properties': {**own, **keywords['properties']}, 'patternProperties': keywords['patternProperties'],
          'additionalProperties': False}
    container = maker.struct(ITEMS['container'].Keys, ITEMS['container'].other_words)
    container = {**container, 'properties': {**own, **container['properties']}}
    return {'type': ['object', 'null'], **_when('type', ['container'], container), 'else': vm}


def _plan_in_plan() -> Schema:
    words = {'url': 'Where it is', 'file': 'The same for a file of this folder', 'run': 'Understood and not needed'}
    return {'type': 'object', 'description': 'Another plan, whose entries are taken in.', 'additionalProperties': False,
            'properties': {'type': {}, **{name: {'description': meaning} for name, meaning in words.items()}},
            'anyOf': [{'required': ['url']}, {'required': ['file']}]}


def _parameters() -> Schema:
    """Return the schema of the block that declares parameters."""
    about = {'description': 'What the plan makes', 'info': 'What else there is to know',
             'baseplan': 'Plan that this one builds on', 'minimum_version': 'Understood and not needed'}
    described = {'type': 'object', 'additionalProperties': False, 'properties': {
        'default': {'description': 'Value when none is given; it says of what type the parameter is'},
        'description': {'type': 'string'}, 'choices': {'type': 'array', 'description': 'What it may be'},
        'required': {'type': 'boolean', 'description': 'It must be given'},
        'secret': {'type': 'boolean', 'description': 'It is shown nowhere'}}}
    return {'type': ['object', 'null'], 'description': 'Parameters by name, with the default of each: a value, or a '
            'mapping with default and description. ?required and ?secret are those that must be given',
            'properties': {name: {'description': meaning} for name, meaning in about.items()},
            'additionalProperties': {'if': {'type': 'object', 'required': ['description']}, 'then': described}}


# profiles and the configuration

def profile_schema() -> Schema:
    """Return the schema of profiles.yml."""
    maker = _Maker()
    profile = maker.define('profile', lambda: _profile(maker))
    return _whole('Profiles of kvirt', maker, {'type': ['object', 'null'], 'additionalProperties': profile})


@dataclass(frozen=True)
class Platform:
    """What a schema has to know of a provider."""

    words: tuple[str, ...]
    title: str
    options: type[Options]
    honours: frozenset[str]


def platforms() -> list[Platform]:
    """Return what is known of each provider of ours. MissingDependency."""
    found = []
    for entry in CATALOG:
        provider = registry.load(entry.name)
        found.append(Platform((entry.name, *entry.aliases), entry.title, provider.Options, provider.honours))
    return found


_GENERIC: Mapping[str, Schema] = {
    'type': {'type': 'string', 'description': 'Provider; kvm when absent'},
    'enabled': {'$ref': '#/$defs/truth', 'description': 'False leaves it out of what is done on all'},
    'client': {'type': 'string', 'description': 'In the section default: the client that is used when none is named'},
    'profiles': {'type': 'string', 'description': 'In the section default: the file of profiles'},
    'members': {'type': 'array', 'items': {'type': 'string'}, 'description': 'Clients of a group'},
    'algorithm': {'enum': ['random', 'free', 'balance'], 'description': 'How a group chooses one of its members'},
    'vmrules': {'type': 'array', 'items': {'type': 'object', 'additionalProperties': {'type': 'object'}},
                'description': 'Values for the VMs of plans whose names match'},
    'keep_networks': {'$ref': '#/$defs/truth', 'description': 'The deletion of a plan leaves its networks'}}


def config_schema(known: Iterable[Platform]) -> Schema:
    """Return the schema of config.yml, for clients of the *known* providers."""
    maker = _Maker(_STANDS_FOR)
    maker.ref('truth')
    generic = {name: _GENERIC.get(name, {}) for name in GENERIC}
    keywords = maker.keywords()
    of_all = {'type': ['object', 'null'], 'properties': {**generic, **keywords['properties']},
              'patternProperties': keywords['patternProperties'], 'additionalProperties': False}
    cases = []
    for platform in known:
        section = maker.define(f'client_{platform.words[0]}', partial(_client, platform, generic, maker))
        cases.append(_when('type', platform.words, section, absent=BUILT_IN['local'] in platform.words))
    group = {'properties': {**generic, **keywords['properties']}, 'additionalProperties': False, 'required': ['members']}
    cases.append(_when('type', ['group'], group))
    return _whole('Configuration of kvirt', maker, {
        'type': ['object', 'null'], 'properties': {'default': maker.define('default', lambda: of_all)},
        'additionalProperties': maker.define('client', lambda: {
            'type': ['object', 'null'], 'properties': {'type': _GENERIC['type']}, 'allOf': cases})})


def _client(platform: Platform, generic: Mapping[str, Schema], maker: _Maker) -> Schema:
    """Return the schema of the section of a client of a provider."""
    keywords = maker.keywords(without=spec.SPECIAL - platform.honours)
    own = {}
    for field in msgspec.structs.fields(platform.options):
        if field.name not in Options.__struct_fields__:
            schema = maker.value(field_types(platform.options)[field.name])
            secret = (meta_of(platform.options, field.name).extra or {})['secret']
            own[field.name] = {**schema, **({'writeOnly': True} if secret else {})}
    return {'description': platform.title, 'properties': {**generic, **keywords['properties'], **own},
            'patternProperties': keywords['patternProperties'], 'additionalProperties': False}
