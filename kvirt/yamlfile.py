"""YAML that remembers where everything stood, so that an error can name its line.

A duplicate key is an error, and every key is text: ``off`` and ``10`` are names like others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kvirt.errors import InvalidInput, NotFound, Problem

_SafeLoader: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_Dumper = getattr(yaml, 'CSafeDumper', yaml.SafeDumper)

KeyPath = tuple[Hashable, ...]

_TEXT, _MERGE = 'tag:yaml.org,2002:str', 'tag:yaml.org,2002:merge'


_NO_NUMBER = re.compile(r'0\d+$|[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?$')


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Reads ``0644`` and ``22:22`` as the texts that they are, where YAML 1.1 has numbers to the bases of 8 and of 60."""

    yaml_implicit_resolvers = {first: [(_TEXT, _NO_NUMBER), *known]
                               for first, known in _SafeLoader.yaml_implicit_resolvers.items()}


@dataclass(frozen=True)
class Document:
    """The data of a YAML text, and the line of each key and entry."""

    data: Any
    source: str
    lines: dict[KeyPath, int]

    def where(self, *path: Hashable) -> str:
        """Return ``file:line`` of the key or list entry at *path*, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return f'{self.source}:{line}'
        return self.source


def _same(line: int) -> int:
    return line


def load(text: str, source: str) -> Document:
    """Read one YAML document. InvalidInput names the file and line of what is wrong, duplicate keys included."""
    with _composed(text, source, _same) as (loader, node):
        if node is None:
            return Document(None, source, {(): 1})
        lines: dict[KeyPath, int] = {(): 1}
        problems = list(_walk(node, (), lines, source, _same))
        if problems:
            raise InvalidInput(problems)
        return Document(_constructed(loader, node, source, _same), source, lines)


def load_entries(text: str, source: str, line_of: Callable[[int], int] = _same) -> list[tuple[str, Document]]:
    """Read one YAML document whose top is a mapping in which a name may stand more than once; return all of it, in order.

    *line_of* gives the line of the source that a line of *text* comes from. InvalidInput names every fault that is found.
    """
    with _composed(text, source, line_of) as (loader, top):
        if top is None:
            return []
        if not isinstance(top, yaml.MappingNode):
            raise InvalidInput(Problem('expected a mapping', f'{source}:{line_of(top.start_mark.line + 1)}'))
        found: list[tuple[str, yaml.Node, dict[KeyPath, int]]] = []
        problems: list[Problem] = []
        for key, value in top.value:
            line = line_of(key.start_mark.line + 1)
            if not isinstance(key.value, str) or key.tag == _MERGE:
                problems.append(Problem('a key must be a word', f'{source}:{line}'))
                continue
            lines: dict[KeyPath, int] = {(): line}
            problems += _walk(value, (), lines, source, line_of)
            found.append((key.value, value, lines))
        if problems:
            raise InvalidInput(problems)
        return [(name, Document(_constructed(loader, node, source, line_of), source, lines)) for name, node, lines in found]


def _constructed(loader: Any, node: yaml.Node, source: str, line_of: Callable[[int], int]) -> Any:
    """Return the data of a tree. InvalidInput for a value that can't be, such as the 45th of a month."""
    try:
        return loader.construct_document(node)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(Problem(f'this is not YAML: {error}', f'{source}:{line_of(node.start_mark.line + 1)}')) from None


@contextlib.contextmanager
def _composed(text: str, source: str, line_of: Callable[[int], int]) -> Iterator[tuple[Any, yaml.Node | None]]:
    """Give the loader of a text, and its only document as a tree. InvalidInput."""
    loader: Any = None
    try:
        loader = _Loader(text)
        yield loader, loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = line_of(text[:error.position].count('\n') + 1)
        raise InvalidInput(Problem(f'this is not YAML: {error.reason}', f'{source}:{line}')) from None
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = f'{source}:{line_of(mark.line + 1)}' if mark else source
        reason = getattr(error, 'problem', None) or str(error)
        raise InvalidInput(Problem(f'this is not YAML: {reason}', where)) from None
    finally:
        if loader is not None:
            loader.dispose()


def load_file(path: Path) -> Document:
    """Read a YAML file. NotFound when there is none."""
    try:
        return load(path.read_text(encoding='utf-8'), str(path))
    except FileNotFoundError:
        raise NotFound(f'{path} does not exist') from None
    except UnicodeDecodeError:
        raise InvalidInput(Problem('this is not text in UTF-8', str(path))) from None
    except OSError as error:
        raise InvalidInput(Problem(f'can not be read: {error.strerror}', str(path))) from None


def dump(data: Any) -> str:
    """Return *data* as YAML, keys in their order."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120))


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], source: str,
          line_of: Callable[[int], int], above: tuple[int, ...] = ()) -> Iterator[Problem]:
    if id(node) in above:
        yield Problem('an anchor refers to itself', f'{source}:{line_of(node.start_mark.line + 1)}')
        return
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, line_of(key_node.start_mark.line + 1)
            if not isinstance(key, str):
                yield Problem('a key must be a word', f'{source}:{line}')
                continue
            if key in seen and key != '<<':
                yield Problem(f"key '{key}' stands here again, after line {seen[key]}", f'{source}:{line}')
            seen[key] = line
            if key_node.tag != _MERGE:
                key_node.tag = _TEXT  # a client may be called off, or 10
            here = (*path, key)
            lines[here] = line
            yield from _walk(value_node, here, lines, source, line_of, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            here = (*path, index)
            lines[here] = line_of(item.start_mark.line + 1)
            yield from _walk(item, here, lines, source, line_of, above)


def edit_section(text: str, name: str, values: Any | None) -> str:
    """Return *text* with the top-level section *name* replaced by *values*, added, or with None removed.

    All other lines stay as they are, comments included.
    """
    document = load(text, name)
    block = dump({name: values}) if values is not None else ''
    if not isinstance(document.data, dict) or name not in document.data:
        gap = '' if not text or text.endswith('\n') else '\n'
        return text + gap + block
    lines = text.splitlines(keepends=True)
    first = document.lines[(name,)] - 1
    later = [line - 1 for path, line in document.lines.items() if len(path) == 1 and line - 1 > first]
    last = min(later, default=len(lines))
    while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].startswith('#')):
        last -= 1  # blank lines and comments above the next section belong to it
    return ''.join(lines[:first]) + block + ''.join(lines[last:])


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all, readable by its owner only, unless *mode* says otherwise."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.urandom(6).hex()}')  # as tempfile does, which loads all that unpacks
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of *path* against other processes while its content is read, changed and written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path.parent / f'.{path.name}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
