"""A vendor's OpenAPI description, read for judging: which operation a request means, and what is said of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

METHODS = ('get', 'put', 'post', 'delete', 'patch', 'head', 'options')

Node = Mapping[str, Any]

_PLACEHOLDER = re.compile(r'\{([^{}]+)\}')
_Base: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """YAML as OpenAPI wants it: ``no`` and ``2024-01-01`` are text, as they are in JSON."""

    yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in known if tag not in ('tag:yaml.org,2002:timestamp',
                                                                         'tag:yaml.org,2002:bool')]
        for letter, known in _Base.yaml_implicit_resolvers.items()}


_Loader.add_implicit_resolver('tag:yaml.org,2002:bool', re.compile(r'(?:true|false|True|False)$'), list('tfTF'))


@dataclass(frozen=True)
class Operation:
    """What a description says of a method on a path. ``parameters`` holds those of the path as well, none by reference."""

    method: str
    template: str
    parameters: Sequence[Node]
    body: Node | None
    responses: Mapping[str, Node]

    def __str__(self) -> str:
        return f'{self.method} {self.template}'

    def response(self, status: int) -> tuple[str, Node] | None:
        """Return what is said of an answer with *status*, and under which key; None when nothing is.

        ``default`` stands for errors, unless nothing at all is said of a success.
        """
        for key in (str(status), f'{status // 100}XX'):
            if key in self.responses:
                return key, self.responses[key]
        if 'default' in self.responses and (status >= 300 or not any(key[0] == '2' for key in self.responses)):
            return 'default', self.responses['default']
        return None


@dataclass(frozen=True)
class _Route:
    pattern: re.Pattern[str]
    depths: frozenset[int]  # how many slashes a path may have; none where a placeholder may hold any number
    names: tuple[str, ...]
    shape: tuple[str, ...]
    operations: Mapping[str, Operation]


@dataclass(frozen=True)
class Match:
    """An operation that a path may mean, and the values that stand in it."""

    operation: Operation
    values: Mapping[str, str]


class Description:
    """A description. *base* is the path that stands before every template; that of its servers when empty."""

    def __init__(self, data: Node, base: str = '') -> None:
        self.data = data
        self._base = base
        self._routes = sorted(self._read(), key=lambda route: _rank(route.shape))
        self._by_depth: dict[int, list[_Route]] = {}
        self.meanings = lru_cache(maxsize=4096)(self._meanings)
        """Return what can be done at a path, by method; only the most specific templates that fit count."""

    @property
    def operations(self) -> Iterator[Operation]:
        """Every operation, the most specific path first."""
        return (operation for route in self._routes for operation in route.operations.values())

    def at(self, reference: str) -> Any:
        """Return what a reference within the description points to. KeyError when there is nothing."""
        if not reference.startswith('#/'):
            raise KeyError(reference)
        node: Any = self.data
        for part in reference[2:].split('/'):
            part = unquote(part).replace('~1', '/').replace('~0', '~')
            node = node[int(part)] if isinstance(node, list) else node[part]
        return node

    def resolve(self, node: Any) -> Any:
        """Return *node*, or what it refers to."""
        while isinstance(node, Mapping) and isinstance(node.get('$ref'), str):
            node = self.at(node['$ref'])
        return node

    def _meanings(self, path: str) -> dict[str, list[Match]]:
        depth = path.count('/')
        if depth not in self._by_depth:
            self._by_depth[depth] = [route for route in self._routes if not route.depths or depth in route.depths]
        found: dict[str, list[Match]] = {}
        shape = None
        for route in self._by_depth[depth]:
            match = route.pattern.fullmatch(path) if shape in (None, route.shape) else None
            if match is None:
                continue
            shape = route.shape
            values = dict(zip(route.names, map(unquote, match.groups()), strict=True))
            for method, operation in route.operations.items():
                found.setdefault(method, []).append(Match(operation, values))
        return found

    # reading

    def _read(self) -> Iterator[_Route]:
        top = self.data.get('servers', ())
        for template, item in self.data.get('paths', {}).items():
            item = self.resolve(item)
            operations: dict[tuple[str, ...], dict[str, Operation]] = {}
            for method in METHODS:
                if method in item:
                    # Where an operation names its servers, those of the whole description are often the same, in more
                    # versions: both count.
                    servers = [*top, *item.get('servers', ()), *item[method].get('servers', ())]
                    bases = tuple(sorted({self._path_of(server) for server in servers} or {self._path_of({})}))
                    operations.setdefault(bases, {})[method.upper()] = self._operation(method, template, item)
            for bases, known in operations.items():
                yield _route(template, bases, known)

    def _path_of(self, server: Node) -> str:
        return (self._base or urlsplit(server.get('url', '')).path).rstrip('/')

    def _operation(self, method: str, template: str, item: Node) -> Operation:
        said = item[method]
        parameters = {(each['in'], each['name']): each for each in
                      map(self.resolve, [*item.get('parameters', ()), *said.get('parameters', ())])}
        responses = {str(status).upper() if str(status) != 'default' else 'default': self.resolve(response)
                     for status, response in said.get('responses', {}).items()}
        return Operation(method.upper(), template, tuple(parameters.values()), self.resolve(said.get('requestBody')),
                         responses)


def _route(template: str, bases: Collection[str], operations: Mapping[str, Operation]) -> _Route:
    """Make the pattern of a path template; a query that stands in one is left out."""
    path = template.partition('?')[0]
    names = tuple(_PLACEHOLDER.findall(path))
    pattern = ''
    for index, part in enumerate(_PLACEHOLDER.split(path)):
        if index % 2 == 0:
            pattern += re.escape(part)
        else:
            # What stands at the very beginning is the path of another resource (Azure's scopes), else it is one segment.
            pattern += '(.+)' if pattern == '/' else '([^/]+)'
    before = '|'.join(re.escape(base) for base in bases)
    shape = tuple(_PLACEHOLDER.sub('{}', segment) for segment in path.split('/')[1:])
    depths = frozenset() if '(.+)' in pattern else frozenset(f'{base}{path}'.count('/') for base in bases)
    return _Route(re.compile(f'(?:{before}){pattern}'), depths, names, shape, operations)


def _rank(shape: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Return what sorts a literal before what holds a placeholder, and that before a whole placeholder."""
    return tuple((2 if segment == '{}' else 1 if '{}' in segment else 0, segment) for segment in shape)


def load(path: Path, base: str = '') -> Description:
    """Return the description in a JSON or YAML file. It is read once, and YAML is kept as JSON for the next run."""
    state = path.stat()
    return _loaded(path, state.st_mtime_ns, state.st_size, base)


@lru_cache(maxsize=64)
def _loaded(path: Path, changed: int, size: int, base: str) -> Description:
    if path.suffix == '.json':
        return Description(json.loads(path.read_bytes()), base)
    name = hashlib.sha256(f'{path.resolve()} {changed} {size}'.encode()).hexdigest()
    folder = _cache()
    kept = folder / f'{name}.json' if folder else None
    if kept is not None and kept.exists():
        return Description(json.loads(kept.read_bytes()), base)
    text = json.dumps(yaml.load(path.read_bytes(), _Loader), default=str)
    if kept is not None:
        new = kept.with_suffix(f'.{os.getpid()}-{threading.get_ident()}')
        new.write_text(text)
        new.replace(kept)
    return Description(json.loads(text), base)


def _cache() -> Path | None:
    """Return a folder that only we can write to, None where its name is taken by somebody else."""
    folder = Path(tempfile.gettempdir()) / f'kvirt-descriptions-{os.getuid()}'
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return None
    return folder if state.st_uid == os.getuid() and state.st_mode & 0o077 == 0 and folder.is_dir() else None
