"""Bringing what is here elsewhere: clients to the configuration of another host, images to another client."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvirt import yamlfile
from kvirt.errors import Conflict, KvirtError, MissingDependency, NotFound, NotSupported, TimedOut, Unavailable
from kvirt.guest import images
from kvirt.names import did_you_mean
from kvirt.result import Result
from kvirt.settings import Settings, private_text

_TIMEOUT = 60
_THERE = '"${KVIRT_HOME:-$HOME/.kvirt}"'


@dataclass
class Sent:
    """What went to the other host: clients that it had not, or in another form, and those that it has just so.

    ``bare`` are clients whose secrets stayed here.
    """

    sent: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def send_clients(settings: Settings, words: Sequence[str], clients: Iterable[str] = (), *, secrets: bool = False,
                 replace: bool = False) -> Sent:
    """Write sections of the configuration (all *clients* without names) into that of the host that ssh *words* reach.

    What it has beside them stays as it is. With *secrets* their section of secrets.yml goes along. Conflict for a client
    that is another one there, unless *replace*; nothing is written then.
    """
    chosen = list(dict.fromkeys(clients)) or list(settings.sections)
    for name in chosen:
        if name not in settings.sections:
            raise NotFound(f"client '{name}' is not in the configuration{did_you_mean(name, settings.sections)}")
    sections = {name: dict(settings.sections[name]) for name in chosen}
    told = Sent()
    text, told.sent, told.same = _merged(_read(words, 'config.yml'), sections, 'client', replace)
    needing = [name for name in chosen if _has_secret(sections[name])]
    if secrets and needing:
        kept = _secrets(settings)
        private, changed, _ = _merged(_read(words, 'secrets.yml'), {name: kept[name] for name in needing if name in kept},
                                      'secrets of client', replace)
        if changed:
            _write(words, 'secrets.yml', private)
    else:
        told.bare = needing
    if told.sent:
        _write(words, 'config.yml', text)
    return told


def _merged(text: str, sections: Mapping[str, Any], what: str, replace: bool) -> tuple[str, list[str], list[str]]:
    """Return *text* with *sections* in it, the names of those that it had not so, and of those that it had."""
    known = yamlfile.load(text, 'the file there').data or {}
    if not isinstance(known, dict):
        raise Conflict('what the host has is no configuration: a mapping by name')
    changed = [name for name, section in sections.items() if known.get(name) != section]
    other = [name for name in changed if name in known]
    if other and not replace:
        raise Conflict(f"{what} {', '.join(other)} is another one there", hint='--force replaces it')
    for name in changed:
        text = yamlfile.edit_section(text, name, sections[name])
    return text, changed, [name for name in sections if name not in changed]


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_secret, value.values()))
    return any(map(_has_secret, value)) if isinstance(value, list) else value == '?secret'


def _secrets(settings: Settings) -> dict[str, Any]:
    path = settings.path('secrets.yml') or settings.path('secrets.yaml')
    data = yamlfile.load(private_text(path), str(path)).data if path else None
    return data if isinstance(data, dict) else {}


def _read(words: Sequence[str], file: str) -> str:
    return _run([*words, f'if test -e {_THERE}/{file}; then cat {_THERE}/{file}; fi'], '')


def _write(words: Sequence[str], file: str, text: str) -> None:
    # Written beside, and renamed: who reads meanwhile sees the old file or the new one.
    _run([*words, f'umask 077 && mkdir -p {_THERE} && cd {_THERE} && cat > .{file}.new && mv .{file}.new {file}'], text)


def _run(words: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run(list(words), input=text, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError:
        raise MissingDependency(f'{words[0]} is not installed', hint='On Debian: apt install openssh-client') from None
    except subprocess.TimeoutExpired:
        raise TimedOut(f'the host did not answer within {_TIMEOUT} seconds') from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Unavailable(f"the host could not be used: {said[-1] if said else f'code {done.returncode}'}")
    return done.stdout


# images

def send_images(source: Any, target: Any, names: Sequence[str]) -> dict[str, Result]:
    """Bring the images *names* of client *source* (both as :class:`kvirt.config.Kconfig`) to *target*, which fetches them.

    Only well-known ones can be fetched from their makers; others are NotSupported. One that *target* has is a success
    with ``found: true``.
    """
    there = {word for row in target.k.volumes(extended=True) for word in (row['name'], row.get('short')) if word}
    known = {row['name']: row for row in source.k.volumes(extended=True)}
    outcomes = {}
    for name in dict.fromkeys(names):
        try:
            outcomes[name] = _image(name, known, there, target)
        except KvirtError as error:
            outcomes[name] = Result.failure(error)
    return outcomes


def _image(name: str, known: Mapping[str, Any], there: set[str], target: Any) -> Result:
    row = known.get(name)
    if row is None:
        raise NotFound(f"there is no image '{name}'{did_you_mean(name, known)}")
    short = row.get('short') or (Path(name).name if images.find(Path(name).name) else None)
    if name in there or short in there:
        return Result.success(image=name, found=True)
    if short is None:
        raise NotSupported(f'image {name} is not well-known, so it can not be fetched from its maker',
                           hint="'kvirt download image -u URL' brings it from where it is")
    return Result.of(target.download_image(short))
