#!/usr/bin/env python3
"""Begin a new provider: a package, its tests with a pretended cloud, its line in the catalog, its page.

    extras/new_provider.py vultr --title Vultr

What is written runs and passes all tests at once, against an API of nobody's. Then change it, area by area, into that of
the platform: CONTRIBUTING.md says how.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = Path(__file__).resolve().parent / 'provider_template'
CATALOG = Path('kvirt/providers/catalog.py')
INDEX = Path('docs/index.md')

_WORDS = re.compile(r'My Cloud|MyCloud|mycloud|MYCLOUD')
_ENTRY = re.compile(r"^    Entry\('(?P<name>\w+)'", re.MULTILINE)
_LINK = re.compile(r'\[(?P<name>\w+)\]\(providers/(?P=name)\.md\)')


class Unusable(Exception):
    """A name that can't be had."""


def check(root: Path, name: str, title: str) -> None:
    """Raise Unusable for a name that can't be one, or is taken."""
    if not re.fullmatch(r'[a-z][a-z0-9]{1,19}', name):
        raise Unusable(f"'{name}' can not name a provider: 2 to 20 small letters and digits, beginning with a letter")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 .-]{0,29}", title):
        raise Unusable(f"'{title}' can not be a title: up to 30 letters, digits, blanks, dots and dashes")
    catalog = (root / CATALOG).read_text(encoding='utf-8')
    if re.search(rf"'{name}'", catalog) or (root / 'kvirt' / 'providers' / name).exists():
        raise Unusable(f"there is a provider '{name}' already")


def filled(text: str, name: str, title: str) -> str:
    """Return a text of the template for a provider; imports are in order afterwards as well."""
    words = {'My Cloud': title, 'MyCloud': re.sub(r'[^A-Za-z0-9]', '', title), 'mycloud': name, 'MYCLOUD': name.upper()}
    lines = _WORDS.sub(lambda match: words[match[0]], text).split('\n')
    return '\n'.join(ordered(lines))


def ordered(lines: Sequence[str]) -> Iterator[str]:
    """Yield *lines* with each block of imports of ours sorted by module."""
    block: list[str] = []
    for line in [*lines, None]:
        if line is not None and line.startswith('from kvirt'):
            block.append(line)
            continue
        yield from sorted(block, key=lambda each: each.split()[1])
        block = []
        if line is not None:
            yield line


def with_entry(catalog: str, name: str, title: str) -> str:
    """Return the catalog with a line for the provider, at its place."""
    line = f"    Entry('{name}', '{title}', 'kvirt.providers.{name}:K{name}'),\n"
    after = next((match.start() for match in _ENTRY.finditer(catalog) if match['name'] > name), None)
    if after is None:
        after = catalog.index('\n)\n', catalog.index('CATALOG:')) + 1
    return catalog[:after] + line + catalog[after:]


def with_link(index: str, name: str) -> str:
    """Return the index of the docs with a link to the provider's page."""
    first, last = [*_LINK.finditer(index)][0], [*_LINK.finditer(index)][-1]
    names = sorted({name, *(match['name'] for match in _LINK.finditer(index))})
    links = ''
    for each in names:
        link = f'[{each}](providers/{each}.md)'
        wide = len(links.rpartition('\n')[2]) + len(link) > 100
        links += f'{("," + chr(10) + "  " if wide else ", ") if links else ""}{link}'
    return index[:first.start()] + links + index[last.end():]


def write(root: Path, name: str, title: str) -> list[Path]:
    """Write a provider into the tree at *root*, and return the files. Unusable."""
    check(root, name, title)
    written = []
    for source in sorted(path for path in TEMPLATE.rglob('*') if path.is_file() and '__pycache__' not in path.parts):
        target = root / str(source.relative_to(TEMPLATE)).replace('mycloud', name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(filled(source.read_text(encoding='utf-8'), name, title), encoding='utf-8')
        written.append(target)
    for path, changed in ((CATALOG, with_entry((root / CATALOG).read_text(encoding='utf-8'), name, title)),
                          (INDEX, with_link((root / INDEX).read_text(encoding='utf-8'), name))):
        (root / path).write_text(changed, encoding='utf-8')
        written.append(root / path)
    return written


def main(arguments: Sequence[str]) -> int:
    """Begin a provider, and generate the reference anew."""
    parser = argparse.ArgumentParser(description='Begin a new provider.')
    parser.add_argument('name', help='as users write it in config.yml: vultr')
    parser.add_argument('--title', help='as people call it: Vultr')
    parser.add_argument('--root', type=Path, default=ROOT, help='the tree to write to; this one when absent')
    given = parser.parse_args(arguments)
    try:
        for path in write(given.root, given.name, given.title or given.name.capitalize()):
            print(path.relative_to(given.root))
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    subprocess.run([sys.executable, str(given.root / 'extras' / 'docgen.py')], check=True)
    print(f'\nNow: pytest tests/providers/{given.name}, and step 2 of CONTRIBUTING.md')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
