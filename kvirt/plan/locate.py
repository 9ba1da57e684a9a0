"""The first step: from what a user names to the text of a plan, and what lies beside it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kvirt.errors import InvalidInput, NotFound, Problem

NAMES = ('kvirt_plan.yml', 'kcli_plan.yml')
"""What a plan is called in a folder; ours comes first."""

_DEFAULTS = ('kvirt_default.yml', 'kcli_default.yml')
_SCRIPTS = ('kvirt_pre.sh', 'kcli_pre.sh')
_GITHUB = re.compile(r'https?://github\.com/(?P<repo>[^/]+/[^/]+)/(?:blob|raw)/(?P<rest>.+)')
_LARGEST = 4 * 1024**2


@dataclass(frozen=True)
class Source:
    """A plan before anything was done with it.

    ``name`` is for messages, ``folder`` where relative files are looked for. ``defaults`` are files of parameters, the
    last one on top; ``script`` is run before the plan. What comes from elsewhere is not ``trusted``. ``compat`` is for
    kcli's file names: what kcli ignored is then a warning.
    """

    text: str
    name: str
    folder: Path
    defaults: tuple[Path, ...] = ()
    script: Path | None = None
    trusted: bool = True
    compat: bool = False
    origin: str = field(default='file')


def locate(what: str | Path | None = None, *, text: str | None = None, plan: str | None = None,
           stdin: str | None = None) -> Source:
    """Return the plan that *what* names: a file, a folder, a URL, or ``-`` for *stdin*; or *text* itself.

    Without any, the plan in the current folder. *plan* is the plan's name, which a file of defaults may bear. NotFound,
    InvalidInput.
    """
    if text is not None:
        return Source(text, plan or 'plan', Path.cwd(), origin='text')
    if what == '-':
        return Source(stdin or '', 'standard input', Path.cwd(), origin='stdin')
    if isinstance(what, str) and urlsplit(what).scheme in ('http', 'https'):
        return _downloaded(what)
    return _beside(_file(Path(what or '.').expanduser()), plan)


def name_of(source: Source) -> str:
    """Return what a plan is called that was given no name: as its file, or as its folder where the file's says nothing."""
    if source.origin in ('stdin', 'text'):
        return 'plan'
    stem = Path(urlsplit(source.name).path if source.origin == 'url' else source.name).stem
    if f'{stem}.yml' in NAMES:
        stem = source.folder.resolve().name
    return re.sub(r'[^A-Za-z0-9_-]+', '-', stem).strip('-') or 'plan'


def _file(path: Path) -> Path:
    if path.is_dir():
        found = next((path / name for name in NAMES if (path / name).is_file()), None)
        if found is None:
            raise NotFound(f'there is no plan in folder {path.resolve()}',
                           hint=f'Write {NAMES[0]}, or name the file with -f')
        return found
    if not path.is_file():
        raise NotFound(f'plan {path} does not exist', hint='Name the file with -f')
    return path


def _beside(path: Path, plan: str | None) -> Source:
    """Return the plan in file *path* with the files that belong to it."""
    folder = path.parent
    wanted = [*([f'{plan}_default.yml'] if plan else []), *_DEFAULTS, f'{path.stem}_default.yml']
    defaults = tuple(dict.fromkeys(folder / name for name in wanted if (folder / name).is_file()))
    scripts = [folder / name for name in (f'{path.stem}_pre.sh', *_SCRIPTS)]
    script = next((script for script in scripts if script.is_file()), None)
    return Source(_read(path), str(path), folder, defaults, script, compat=path.name == NAMES[1])


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise InvalidInput(Problem(f'this is larger than {_LARGEST // 1024**2} MiB, which no plan is', str(path)))
        return path.read_text(encoding='utf-8')
    except UnicodeDecodeError:
        raise InvalidInput(Problem('this is not text in UTF-8', str(path))) from None
    except OSError as error:
        raise InvalidInput(Problem(f'can not be read: {error.strerror}', str(path))) from None


def _downloaded(url: str) -> Source:
    from kvirt.download import local_copy
    plain = _GITHUB.sub(r'https://raw.githubusercontent.com/\g<repo>/\g<rest>', url)
    name = os.path.basename(urlsplit(plain).path) or url
    with local_copy(plain) as path:
        text = _read(path)
    return Source(text, url, Path.cwd(), trusted=False, compat=name == NAMES[1], origin='url')
