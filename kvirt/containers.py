"""Containers of podman or docker, on this machine or on the host of a client."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from kvirt.errors import Conflict, KvirtError, MissingDependency, NotFound, Unavailable

ENGINES = ('podman', 'docker')
LABEL = 'kvirt.plan'
_TIMEOUT = 600


class Engine:
    """The container engine of a machine. *host*: the words that run a command there; none where that is this one."""

    def __init__(self, host: Sequence[str] = ()) -> None:
        self._host = list(host)

    def words(self, *arguments: str) -> list[str]:
        """Return the command that makes the engine do something."""
        if self._host:  # a shell over there reads them once more
            chosen = f'exec $(command -v {" || command -v ".join(ENGINES)}) "$@"'
            return [*self._host, 'sh', '-c', shlex.quote(chosen), 'sh', *map(shlex.quote, arguments)]
        found = next((path for name in ENGINES if (path := shutil.which(name))), None)
        if found is None:
            raise MissingDependency('neither podman nor docker is installed', hint='Run: apt-get install podman')
        return [found, *arguments]

    def ask(self, *arguments: str, about: str = 'the container engine', check: bool = True) -> str:
        """Return what the engine answers. Conflict, which begins with what it is *about*, when it refuses."""
        words = self.words(*arguments)
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise Unavailable(f'{words[0]} can not be run: {error.strerror}') from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f'{words[0]} did not answer within {_TIMEOUT} seconds') from None
        if done.returncode and check:
            raise Conflict(f'{about}: {done.stderr.strip() or done.stdout.strip()}')
        return done.stdout

    def known(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container, empty when there is none."""
        return next(iter(self._inspected([name], check=False)), {})

    def _inspected(self, names: Sequence[str], *, check: bool) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(self.ask('container', 'inspect', *names, check=check) or '[]')
        except ValueError:
            raise Unavailable('the container engine answers with what is no JSON') from None
        return found

    def all(self) -> list[dict[str, Any]]:
        """Return a row for each container: ``name status image plan ports command``."""
        ids = self.ask('ps', '--all', '--quiet').split()
        return [row_of(known) for known in self._inspected(ids, check=False)] if ids else []  # one may be gone by now

    def images(self) -> list[dict[str, Any]]:
        """Return a row for each image that is here: ``name id size``, the size as the engine words it."""
        lines = self.ask('images', '--format', '{{.Repository}}:{{.Tag}}|{{.ID}}|{{.Size}}').splitlines()
        return [dict(zip(('name', 'id', 'size'), line.split('|'), strict=True)) for line in lines if line.count('|') == 2]

    def run(self, name: str, plan: str, image: str, *, nets: Iterable[str] = (), volumes: Iterable[str] = (),
            environment: Iterable[str] = (), ports: Iterable[str] = (), cmds: Iterable[str] = ()) -> None:
        """Make a container that bears the mark of *plan*, and start it. One that can't start is not left behind."""
        words = ['run', '-d', '--name', name, '--label', f'{LABEL}={plan}']
        for flag, values in (('--network', nets), ('-v', volumes), ('-e', environment)):
            words += [word for value in values if value != 'default' for word in (flag, value)]
        for port in ports:
            words += ['-p', port if ':' in port else f'{port}:{port}']
        try:
            self.ask(*words, image, *cmds, about=f'container {name}')
        except KvirtError:  # engines leave a container behind that they could not start
            if self.plan_of(name) == plan:
                self.ask('rm', '-f', name, check=False)
            raise
        if not self.known(name):
            raise NotFound(f'container {name} is not there after it was started')

    def plan_of(self, name: str) -> str | None:
        """Return the plan that a container bears the mark of."""
        return labels_of(self.known(name)).get(LABEL)

    def act(self, verb: str, name: str) -> None:
        """Start, stop or restart a container. NotFound; Conflict when it is not as it should be afterwards."""
        self.need(name)
        self.ask(verb, name, about=f'container {name}')
        status = row_of(self.known(name))['status']
        if (status == 'running') == (verb == 'stop'):
            raise Conflict(f'container {name} is {status} after the engine said that it was done',
                           hint='Its own log tells why: podman logs')

    def delete(self, name: str) -> None:
        """Delete a container, running or not. NotFound."""
        self.need(name)
        self.ask('rm', '-f', name, about=f'container {name}')

    def need(self, name: str) -> dict[str, Any]:
        """Return what is known of a container. NotFound."""
        known = self.known(name)
        if not known:
            raise NotFound(f'there is no container {name}', hint="'kvirt list container' shows them all")
        return known


def labels_of(known: dict[str, Any]) -> dict[str, str]:
    """Return the labels of a container."""
    return (known.get('Config') or {}).get('Labels') or {}  # podman says null where there are none


def row_of(known: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a container as a row."""
    config, network = known.get('Config') or {}, known.get('NetworkSettings') or {}
    ports = {f"{each.get('HostPort')}->{port}" for port, at in (network.get('Ports') or {}).items() for each in at or ()}
    return {'name': str(known.get('Name', '')).lstrip('/'), 'status': (known.get('State') or {}).get('Status') or 'unknown',
            'image': image_of(known), 'plan': labels_of(known).get(LABEL), 'ports': sorted(ports),
            'command': shlex.join(map(str, config.get('Cmd') or ()))}


def image_of(known: dict[str, Any]) -> str:
    """Return the name of the image that a container was made of."""
    return str(known.get('ImageName') or (known.get('Config') or {}).get('Image') or '')
