"""Changes to the configuration files: clients and profiles. What is not named stays as it is, comments included."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kvirt import yamlfile
from kvirt.base.options import Options
from kvirt.decode import decode_value, field_types, plain
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, KvirtError, NotFound, Problem
from kvirt.names import did_you_mean, safe_name
from kvirt.providers import registry
from kvirt.settings import GENERIC, Client, Settings
from kvirt.spec import KEYWORDS, decode_vm, is_keyword

log = logging.getLogger(__name__)

_RESERVED = ('default', 'all')
_FILES = ('config.yml', 'profiles.yml', 'secrets.yml', 'confpools.yml')


# clients

def create_client(settings: Settings, name: str, kind: str, values: Mapping[str, Any],
                  secrets: Mapping[str, str] | None = None) -> None:
    """Add client *name* of provider *kind* with *values*: options of the provider, and keywords for its VMs.

    *secrets* go to secrets.yml, which only its owner can read. AlreadyExists; InvalidInput names every fault;
    MissingDependency when the provider's package is not installed, since its options can't be checked without.
    """
    _new_client(settings, name)
    entry = registry.find(kind)
    references = dict.fromkeys(secrets or {}, '?secret')
    _check_options(registry.load(entry.name), name, {**values, **references})
    if secrets:
        kept = _secrets(settings).get(name) or {}
        _change(settings, 'secrets.yml', name, {**kept, **secrets})
    _change(settings, 'config.yml', name, {'type': entry.name, **values, **references})


def create_group(settings: Settings, name: str, members: Sequence[str], algorithm: str = 'random') -> None:
    """Add client *name*, which stands for one of its *members*, chosen by *algorithm*: random, free or balance."""
    _new_client(settings, name)
    if not members:
        raise InvalidInput('a group needs members')
    for member in members:
        if settings.client(member).type == 'group':
            raise InvalidInput(f"'{member}' is a group itself")
    _change(settings, 'config.yml', name, {'type': 'group', 'members': list(members), 'algorithm': algorithm})


def delete_client(settings: Settings, name: str) -> None:
    """Remove client *name* and its secrets from the configuration. Conflict while a group has it as a member."""
    configured(settings, name)
    groups = [client.name for client in settings.clients().values() if name in client.members]
    if groups:
        raise Conflict(f"client {name} is a member of group {', '.join(groups)}")
    _change(settings, 'config.yml', name, None)
    if name in _secrets(settings):
        _change(settings, 'secrets.yml', name, None)
    if settings.defaults.get('client') == name:
        _change(settings, 'config.yml', 'default', {key: value for key, value in settings.defaults.items()
                                                    if key != 'client'} or None)


def switch_client(settings: Settings, name: str) -> None:
    """Make *name* the client that is used when none is named."""
    settings.client(name)
    _change(settings, 'config.yml', 'default', {**settings.defaults, 'client': name})
    if settings.environ.get('KVIRT_CLIENT'):
        log.warning('KVIRT_CLIENT is set in the environment, and counts before the configuration')


def enable_client(settings: Settings, name: str, enabled: bool = True) -> None:
    """Let client *name* take part in what is done on all clients, or not."""
    _change(settings, 'config.yml', name, {**configured(settings, name).values, 'enabled': enabled})


def configured(settings: Settings, name: str) -> Client:
    """Return client *name* of the configuration; NotFound for one that works without being in it."""
    if name not in settings.sections:
        raise NotFound(f"client '{name}' is not in the configuration{did_you_mean(name, settings.sections)}",
                       hint="'kvirt list client' shows them all")
    return settings.clients()[name]


def _new_client(settings: Settings, name: str) -> None:
    safe_name('client', name)
    if name in _RESERVED:
        raise InvalidInput(f"'{name}' can not name a client: it has a meaning of its own")
    if name in settings.sections:
        raise AlreadyExists(f'client {name} exists')


def _check_options(provider: type[Any], name: str, values: Mapping[str, Any]) -> None:
    struct = getattr(provider, 'Options', None)
    hints = field_types(struct) if struct else {}
    own = [key for key in hints if key not in Options.__struct_fields__]
    problems = []
    keywords = {}
    for key, value in values.items():
        if key not in hints:
            if is_keyword(key):
                keywords[key] = value
            elif key not in GENERIC and struct:
                problems.append(Problem(f"unknown option '{key}' of client {name}{did_you_mean(key, [*own, *KEYWORDS])}"))
        elif not is_reference(value):
            problems += _faults(hints[key], key, value)
    problems += [Problem(f'option {field.name} is missing') for field in
                 (msgspec.structs.fields(struct) if struct else ()) if field.required and field.name not in values]
    try:
        decode_vm(keywords)
    except InvalidInput as error:
        problems += error.problems
    if problems:
        raise InvalidInput(problems)


def _faults(hint: Any, key: str, value: Any) -> list[Problem]:
    try:
        decode_value(hint, value)
    except msgspec.ValidationError as error:
        return [Problem(f'option {key}: {plain(error, hint)}')]
    except InvalidInput as error:
        return [Problem(f'option {key}: {problem.message}') for problem in error.problems]
    return []


def is_reference(value: Any) -> bool:
    """Tell if *value* stands for another that is looked up when it is used."""
    return isinstance(value, str) and (value.startswith(('?secret', '?command:', '?file:')) or '${' in value)


# profiles

def create_profile(settings: Settings, name: str, values: Mapping[str, Any]) -> None:
    """Add profile *name*. AlreadyExists; InvalidInput for values that can't be."""
    safe_name('profile', name)
    if name in settings.profiles():
        raise AlreadyExists(f'profile {name} exists', hint=f"Change it: 'kvirt update profile {name}'")
    _write_profile(settings, name, values)


def update_profile(settings: Settings, name: str, values: Mapping[str, Any]) -> None:
    """Set *values* of profile *name*; None takes a key away."""
    merged = {**settings.profiles().raw(name), **values}
    _write_profile(settings, name, {key: value for key, value in merged.items() if value is not None})


def delete_profile(settings: Settings, name: str) -> None:
    """Remove profile *name*. Conflict while another one builds on it."""
    known = settings.profiles()
    known.raw(name)
    above = [other for other in known.names() if known.raw(other).get('base') == name]
    if above:
        raise Conflict(f"profile {name} is the base of {', '.join(above)}")
    _change(settings, _profiles_file(settings), name, None)


def _write_profile(settings: Settings, name: str, values: Mapping[str, Any]) -> None:
    base = values.get('base')
    if base is not None:
        if str(base) == name:
            raise InvalidInput(f'profile {name} can not be its own base')
        settings.profiles().layers(str(base))
    decode_vm({key: value for key, value in values.items() if is_keyword(key)})
    for key in values:
        if not is_keyword(key) and key not in ('base', 'type'):
            log.warning("'%s' is no keyword%s It only means something to templates", key,
                        did_you_mean(key, KEYWORDS) or '.')
    _change(settings, _profiles_file(settings), name, dict(values))


def _profiles_file(settings: Settings) -> str:
    named = settings.defaults.get('profiles')
    return str(Path(str(named)).expanduser()) if named else 'profiles.yml'


# files

def _secrets(settings: Settings) -> dict[str, Any]:
    path = settings.path('secrets.yml') or settings.path('secrets.yaml')
    data = yamlfile.load_file(path).data if path else None
    return data if isinstance(data, dict) else {}


def _change(settings: Settings, file: str, section: str, values: Mapping[str, Any] | None) -> None:
    """Write one section, in the file that is in use, and read the configuration anew."""
    other = Path(file).with_suffix('.yaml').name
    if not (settings.home / file).exists() and (settings.home / other).exists():
        file = other
    if settings.compat:
        _adopt(settings)
    settings.change(file, section, values)
    settings.reload()


def _adopt(settings: Settings) -> None:
    """Begin our own configuration with a copy of kcli's, all files of it, since only one of the two is read."""
    found = [settings.path(name) or settings.path(str(Path(name).with_suffix('.yaml'))) for name in _FILES]
    for theirs in found:
        if theirs is not None and not (settings.home / theirs.name).exists():
            try:
                yamlfile.write_private(settings.home / theirs.name, theirs.read_text(encoding='utf-8'))
            except OSError as error:
                raise KvirtError(f'{theirs} can not be copied to {settings.home}: {error.strerror}') from None
