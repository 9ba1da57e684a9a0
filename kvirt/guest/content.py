"""What a guest is given: files, commands and scripts, read from this machine and with their templates expanded."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvirt import readers
from kvirt import spec as specs
from kvirt.errors import InvalidInput, Problem
from kvirt.spec import FileSpec, VmSpec
from kvirt.template import expand, variables_of

LIMIT = 32 * 1024**2
"""How many bytes of files a guest can be given: more is too much for the little memory that it configures itself in."""

SCRIPTS = '/var/lib/kvirt/scripts'

_FILE_HINT = "'render: false' leaves a file as it is"
_SCRIPT_HINT = 'Put what is no template between {% raw %} and {% endraw %}, or give the script as a file with render: false'
_OWNER = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?')
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


@dataclass(frozen=True)
class GuestFile:
    """A file for the guest: absolute path, content, permissions (``0644``) and owner (``user`` or ``user:group``).

    With *target* it is a symbolic link to that path.
    """

    path: str
    content: bytes = field(default=b'', repr=False)
    mode: str = '0600'
    owner: str = 'root'
    target: str | None = None


@dataclass(frozen=True)
class Content:
    """All that a guest is given. The scripts are files in the folder ``SCRIPTS`` of the guest, in their order."""

    files: tuple[GuestFile, ...] = ()
    cmds: tuple[str, ...] = field(default=(), repr=False)
    scripts: tuple[GuestFile, ...] = ()


@dataclass(frozen=True)
class _Text:
    """A text that may hold templates, and what it is."""

    content: bytes
    where: str
    hint: str


Expand = Callable[[_Text], bytes]


def gather(spec: VmSpec, basedir: Path, variables: Mapping[str, Any]) -> Content:
    """Return the content that *spec* asks for. Relative paths are looked for in *basedir*.

    InvalidInput names everything that is wrong at once: files that are missing or can't be read, faulty templates.
    """
    problems: list[Problem] = []
    hints: list[str] = []

    def expanded(text: _Text) -> bytes:
        try:
            return _expanded(text, variables)
        except InvalidInput as error:
            problems.extend(error.problems)
            hints.extend([error.hint] if error.hint else [])
            return b''

    cmds = tuple(expanded(text).decode('utf-8', 'replace') for text in _cmds(spec))
    problems += [Problem('a command is text in UTF-8, without NUL', text.where) for text in _cmds(spec)
                 if not is_text(text.content)]
    scripts = tuple(GuestFile(f'{SCRIPTS}/{index:03}-{_script_name(path)}', expanded(text), '0700')
                    for index, (path, text) in enumerate(_scripts(spec, basedir, problems), 1))
    files = _files(spec, basedir, expanded, problems)
    if sum(len(each.content) for each in (*files, *scripts)) > LIMIT:
        problems.append(Problem(f'files and scripts have more than {LIMIT // 1024**2} MiB in all; '
                                "copy large ones with 'kvirt scp' once the VM runs"))
    if problems:
        raise InvalidInput(dict.fromkeys(problems), hint=hints[0] if hints else None)
    return Content(files, cmds, scripts)


def template_variables(keywords: Mapping[str, Any], basedir: Path) -> set[str]:
    """Return the names that the templates of these keywords' commands, scripts and files use.

    What can't be decoded or read is passed over: ``gather`` reports it.
    """
    found: set[str] = set()
    values: dict[str, Any] = {}
    parsers: dict[str, Callable[[Any], Any]] = {'cmds': readers.texts, 'scripts': readers.texts, 'files': specs.files,
                                                'extra_files': specs.files}
    for key, parse in parsers.items():
        try:
            values[key] = parse(keywords.get(key) or ())
        except InvalidInput:
            continue
    spec = VmSpec(**values)
    texts = [*_cmds(spec), *(text for _, text in _scripts(spec, basedir, []))]

    def seen(text: _Text) -> bytes:
        texts.append(text)
        return b''

    _files(spec, basedir, seen, [])
    for text in texts:
        if is_text(text.content):
            found |= variables_of(text.content.decode(), where=text.where, hint=text.hint)
    return found


def text_file(path: str | None, basedir: Path) -> str | None:
    """Return the content of a text file on this machine as it is, None for no file. InvalidInput when it can't be read."""
    if path is None:
        return None
    problems: list[Problem] = []
    located = _located(path, basedir)
    content = _read(located, problems)
    if content is None:
        raise InvalidInput(problems)
    if not is_text(content):
        raise InvalidInput(f'{located} is not text in UTF-8')
    return content.decode()


def guest_path(path: str) -> str:
    """Return a path in the guest, checked and without detours. InvalidInput when it can't be one."""
    if not path.startswith('/') or _CONTROL.search(path) or path.endswith('/'):
        raise InvalidInput(f'{path!r} can not be the path of a file in the guest', hint='Write an absolute path')
    return posixpath.normpath('/' + path.lstrip('/'))


# templates


def is_text(content: bytes) -> bool:
    """Tell if *content* is text in UTF-8."""
    if b'\0' in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoded(text: str) -> bytes:
    """Return *text* in UTF-8; what came as bytes that are not text are those bytes again."""
    return text.encode('utf-8', 'surrogateescape' if not re.search('[\ud800-\udc7f\udd00-\udfff]', text) else 'replace')


def _expanded(text: _Text, variables: Mapping[str, Any]) -> bytes:
    """Return a text with its templates expanded; what is binary as it is."""
    if not is_text(text.content):
        return text.content
    return expand(text.content.decode(), variables, where=text.where, hint=text.hint).encode()


# commands and scripts


def _cmds(spec: VmSpec) -> Iterator[_Text]:
    for index, cmd in enumerate(spec.cmds, 1):
        yield _Text(_encoded(cmd), f'cmds {index}', 'Put what is no template between {% raw %} and {% endraw %}')


def _scripts(spec: VmSpec, basedir: Path, problems: list[Problem]) -> Iterator[tuple[Path, _Text]]:
    for script in spec.scripts:
        path = _located(script, basedir)
        content = _read(path, problems)
        if content is not None:
            yield path, _Text(content, str(path), _SCRIPT_HINT)


def _script_name(path: Path) -> str:
    return re.sub(r'[^A-Za-z0-9._-]', '_', path.name)


# files


def _files(spec: VmSpec, basedir: Path, expanded: Expand, problems: list[Problem]) -> tuple[GuestFile, ...]:
    """Return the files. Where two have the same path the first is meant, and one named by itself before a directory's."""
    single: dict[str, GuestFile] = {}
    of_folders: dict[str, GuestFile] = {}
    for entry in (*spec.files, *spec.extra_files):
        try:
            folder = entry.origin is not None and _located(entry.origin, basedir).is_dir()
            for file in (_folder if folder else _single)(entry, basedir, expanded, problems):
                (of_folders if folder else single).setdefault(file.path, file)
        except InvalidInput as error:
            problems.extend(Problem(f'{problem.message}. {error.hint}' if error.hint else problem.message, 'files')
                            for problem in error.problems)
    return tuple({**single, **{path: file for path, file in of_folders.items() if path not in single}}.values())


def _single(entry: FileSpec, basedir: Path, expanded: Expand, problems: list[Problem]) -> Iterator[GuestFile]:
    origin = _located(entry.origin, basedir) if entry.origin is not None else None
    if entry.path is None and origin is None:
        raise InvalidInput('a file has neither path nor origin')
    path = entry.path or '/root/'
    if path.endswith('/') and origin is not None:
        path += origin.name
    path, owner = guest_path(path), _owner(entry.owner)
    if entry.target is not None:
        if _CONTROL.search(entry.target) or not entry.target:
            raise InvalidInput(f'{entry.target!r} can not be the target of a link')
        yield GuestFile(path, owner=owner, target=entry.target)
        return
    if entry.content is not None and origin is not None:
        raise InvalidInput(f'file {path} has both origin and content')
    if origin is not None:
        content = _read(origin, problems)
        if content is None:
            return
    elif entry.content is not None:
        content = _encoded(entry.content) if isinstance(entry.content, str) else entry.content
    else:
        raise InvalidInput(f'file {path} has neither origin nor content', hint="An empty file has content: ''")
    runs = path.endswith(('.sh', '.py')) or (origin is not None and bool(origin.stat().st_mode & 0o111))
    if entry.render:
        content = expanded(_Text(content, str(origin or path), _FILE_HINT))
    yield GuestFile(path, content, entry.mode or ('0700' if runs else '0600'), owner)


def _folder(entry: FileSpec, basedir: Path, expanded: Expand, problems: list[Problem]) -> Iterator[GuestFile]:
    """Yield the files of a directory with those below it. Their permissions are as here, unless the entry says."""
    origin = _located(entry.origin or '', basedir)
    top = guest_path((entry.path or f'/root/{origin.resolve().name}').rstrip('/') or '/')
    owner = _owner(entry.owner)
    for file in _walk(origin):
        content = _read(file, problems)
        if content is None:
            continue
        path = guest_path(posixpath.join(top, file.relative_to(origin).as_posix()))
        if entry.render:
            content = expanded(_Text(content, str(file), _FILE_HINT))
        yield GuestFile(path, content, entry.mode or f'{file.stat().st_mode & 0o777:04o}', owner)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder*, sorted. Links are followed, but not in circles."""
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(here, name) for name in sorted(names))


def _located(path: str, basedir: Path) -> Path:
    try:
        return basedir / Path(path).expanduser()
    except RuntimeError:  # ~somebody, who is unknown here
        return basedir / path


def _read(path: Path, problems: list[Problem]) -> bytes | None:
    """Return the content of a file, or None and a problem."""
    try:
        if not path.exists():
            problems.append(Problem(f'{path} does not exist'))
        elif not path.is_file():
            problems.append(Problem(f'{path} is not a file'))
        elif path.stat().st_size > LIMIT:
            problems.append(Problem(f"{path} has more than {LIMIT // 1024**2} MiB; copy it with 'kvirt scp' later"))
        else:
            return path.read_bytes()
    except (OSError, ValueError) as error:
        problems.append(Problem(f"{str(path)!r} can not be read: {getattr(error, 'strerror', None) or error}"))
    return None


def _owner(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise InvalidInput(f'{owner!r} can not own a file', hint='Write a user, or user:group')
    return owner
