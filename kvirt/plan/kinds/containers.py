"""Entries that are containers, of podman or docker on the host of the client."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from kvirt.errors import Conflict, InvalidInput, KvirtError, MissingDependency, NotFound, Problem, Unavailable
from kvirt.plan.kinds.item import Change, Difference, Item, NamedKeys, Tell
from kvirt.readers import texts
from kvirt.result import Result
from kvirt.spec import doc

ENGINES = ('podman', 'docker')
_LABEL = 'kvirt.plan'
_TIMEOUT = 600


def variables(value: Any) -> tuple[str, ...]:
    """Read variables: a mapping, or a list of texts and of mappings of one."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(f'expected variables, got {value!r}')
    found: list[str] = []
    for entry in value:
        if not isinstance(entry, (str, Mapping)):
            raise InvalidInput(f'expected NAME=VALUE or a mapping, got {entry!r}')
        found += [f'{name}={text}' for name, text in entry.items()] if isinstance(entry, Mapping) else [entry]
    return tuple(found)


def volumes(value: Any) -> tuple[str, ...]:
    """Read volumes: ``/here:/there``, a path for both, or a mapping with ``path`` and ``origin``."""
    found = []
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(entry, Mapping):
            if not entry.get('path') or set(entry) - {'path', 'origin', 'mode'}:
                raise InvalidInput(f'a volume has path and origin, not {entry!r}')
            mode = f":{entry['mode']}" if entry.get('mode') else ''
            found.append(f"{entry.get('origin') or entry['path']}:{entry['path']}{mode}")
        elif isinstance(entry, str):
            found.append(entry if ':' in entry else f'{entry}:{entry}')
        else:
            raise InvalidInput(f'expected a path or a mapping, got {entry!r}')
    return tuple(found)


class ContainerKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a container."""

    image: Annotated[str | None, doc('plan', 'Image to run')] = None
    nets: Annotated[tuple[str, ...], doc('plan', 'Networks of the engine', texts)] = ()
    ports: Annotated[tuple[str, ...], doc('plan', "Ports to publish: 80, or '8080:80'", texts)] = ()
    volumes: Annotated[tuple[str, ...], doc('plan', 'Folders to mount', volumes)] = ()
    environment: Annotated[tuple[str, ...], doc('plan', 'Variables', variables)] = ()
    cmds: Annotated[tuple[str, ...], doc('plan', 'Words of the command to run in place of its own', texts)] = ()
    profile: Annotated[str | None, doc('plan', 'Profile of type container that these build on')] = None


class ContainerItem(Item):
    """A container."""

    kind = 'container'
    Keys = ContainerKeys
    other_words = {'disks': 'volumes', 'cmd': 'cmds'}

    def _prepared(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        profile = values.get('profile')
        below: Mapping[str, Any] = {}
        if isinstance(profile, str) and profile in self.scope.config.profiles:
            below = {key: value for key, value in self.scope.config.profiles.values(profile).items() if key != 'type'}
        return {**{self.other_words.get(key, key): value for key, value in below.items()}, **values}

    def _check(self) -> None:
        self._need_trust('runs a container on the host')
        if not self.keys.image:
            raise InvalidInput(Problem(f'{self.entry} needs an image', self.entry.where()))
        for port in self.keys.ports:
            if not all(part.partition('/')[0].isdigit() for part in port.split(':')[-2:]):
                raise InvalidInput(Problem(f'{port!r} is no port to publish', self.entry.where('ports')))

    def _engine(self, *arguments: str, check: bool = True) -> str:
        """Return what the engine answers, on the host of the client."""
        words = [*self.config.host_words(), *self._program(), *arguments]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise Unavailable(f'{words[0]} can not be run: {error.strerror}') from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f'{words[0]} did not answer within {_TIMEOUT} seconds') from None
        if done.returncode and check:
            raise Conflict(f'container {self.name}: {done.stderr.strip() or done.stdout.strip()}')
        return done.stdout

    def _program(self) -> Sequence[str]:
        if self.config.host_words():
            return ['sh', '-c', shlex.quote(f'exec $(command -v {" || command -v ".join(ENGINES)}) "$@"'), 'sh']
        found = next((path for name in ENGINES if (path := shutil.which(name))), None)
        if found is None:
            raise MissingDependency('neither podman nor docker is installed', hint='Run: apt-get install podman')
        return [found]

    def _known(self) -> dict[str, Any]:
        """Return what the engine knows of the container, empty when there is none."""
        try:
            found = json.loads(self._engine('container', 'inspect', self.name, check=False) or '[]')
        except ValueError:
            raise Unavailable('the container engine answers with what is no JSON') from None
        return dict(found[0]) if found else {}

    def exists(self) -> bool:
        return bool(self._known())

    def made(self, *, unmarked: bool = False) -> bool:
        labels = (self._known().get('Config') or {}).get('Labels') or {}  # podman says null where there are none
        return bool(labels.get(_LABEL) == self.scope.name)

    def compare(self) -> Change:
        known = self._known()
        if not known:
            return Change('create')
        image = known.get('ImageName') or (known.get('Config') or {}).get('Image') or ''
        wanted = str(self.keys.image)
        if wanted.rpartition('/')[2] != image.rpartition('/')[2] and not image.endswith(f'{wanted}:latest'):
            return Change('replace', (Difference('image', image, wanted),), 'the image of a container can not be changed')
        return Change('nothing')

    def create(self, tell: Tell) -> Result:
        keys = self.keys
        words = ['run', '-d', '--name', self.name, '--label', f'{_LABEL}={self.scope.name}']
        for flag, values in (('--network', keys.nets), ('-v', keys.volumes), ('-e', keys.environment)):
            words += [word for value in values if value != 'default' for word in (flag, value)]
        for port in keys.ports:
            words += ['-p', port if ':' in port else f'{port}:{port}']
        try:
            self._engine(*words, str(keys.image), *keys.cmds)
        except KvirtError:  # engines leave a container behind that they could not start
            if self.made():
                self._engine('rm', '-f', self.name, check=False)
            raise
        if not self.exists():
            raise NotFound(f'container {self.name} is not there after it was started')
        return Result.success()

    def delete(self, tell: Tell) -> Result:
        self._engine('rm', '-f', self.name)
        return Result.success()
