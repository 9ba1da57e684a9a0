"""Entries that are containers, of podman or docker on the host of the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from kvirt.containers import Engine, image_of
from kvirt.decode import Place, nowhere
from kvirt.errors import InvalidInput, Problem
from kvirt.plan.kinds.item import Change, Difference, Item, NamedKeys, Tell
from kvirt.profiles import Profiles
from kvirt.readers import texts
from kvirt.result import Result
from kvirt.spec import doc


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


OTHER_WORDS = {'disks': 'volumes', 'cmd': 'cmds'}


def on_profile(values: Mapping[str, Any], profiles: Profiles) -> Mapping[str, Any]:
    """Return the keys of a container with those of its profile below."""
    profile = values.get('profile')
    below: Mapping[str, Any] = profiles.values(profile) if isinstance(profile, str) and profile in profiles else {}
    return {**{OTHER_WORDS.get(key, key): value for key, value in below.items() if key != 'type'}, **values}


def check(keys: ContainerKeys, what: str, where: Place = nowhere) -> None:
    """Raise InvalidInput for what a container can't be made of."""
    if not keys.image:
        raise InvalidInput(Problem(f'{what} needs an image', where('')))
    for port in keys.ports:
        if not all(part.partition('/')[0].isdigit() for part in port.split(':')[-2:]):
            raise InvalidInput(Problem(f'{port!r} is no port to publish', where('ports')))


def made_of(keys: ContainerKeys) -> dict[str, Any]:
    """Return what the engine is told of a container."""
    return {'image': keys.image, 'nets': keys.nets, 'volumes': keys.volumes, 'environment': keys.environment,
            'ports': keys.ports, 'cmds': keys.cmds}


class ContainerItem(Item):
    """A container."""

    kind = 'container'
    Keys = ContainerKeys
    other_words = OTHER_WORDS

    def _prepared(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return on_profile(values, self.scope.config.profiles)

    def _check(self) -> None:
        self._need_trust('runs a container on the host')
        check(self.keys, str(self.entry), self.entry.where)

    @property
    def _engine(self) -> Engine:
        """The engine on the host of the client."""
        return Engine(self.config.host_words())

    def exists(self) -> bool:
        return bool(self._engine.known(self.name))

    def made(self, *, unmarked: bool = False) -> bool:
        return self._engine.plan_of(self.name) == self.scope.name

    def compare(self) -> Change:
        known = self._engine.known(self.name)
        if not known:
            return Change('create')
        image, wanted = image_of(known), str(self.keys.image)
        if wanted.rpartition('/')[2] != image.rpartition('/')[2] and not image.endswith(f'{wanted}:latest'):
            return Change('replace', (Difference('image', image, wanted),), 'the image of a container can not be changed')
        return Change('nothing')

    def create(self, tell: Tell) -> Result:
        self._engine.run(self.name, self.scope.name, **made_of(self.keys))
        return Result.success()

    def delete(self, tell: Tell) -> Result:
        self._engine.ask('rm', '-f', self.name, about=f'container {self.name}')
        return Result.success()
