#!/usr/bin/env python3
"""Check the links of a built site: each leads to a file that is there, and to a place in it. Others' sites are not asked.

    extras/check_links.py build/site
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

_BASE = 'http://site.invalid/'
_NAMES = {'a': 'href', 'link': 'href', 'img': 'src', 'script': 'src', 'source': 'src'}


class Page(HTMLParser):
    """What one page links to, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.places |= {place for place in (found.get('id'), found.get('name')) if place}
        link = found.get(_NAMES.get(tag, ''))
        if link:
            self.links.append(link)


def broken(site: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each link that leads nowhere: its page, the link, and why."""
    pages = {path: Page(path) for path in sorted(site.rglob('*.html'))}
    for path, page in pages.items():
        here = path.relative_to(site).as_posix()
        for link in page.links:
            target = urlsplit(urljoin(_BASE + here.removesuffix('index.html'), link))
            if f'{target.scheme}://{target.netloc}/' != _BASE:
                continue
            file = site / unquote(target.path).lstrip('/')
            file = file / 'index.html' if file.is_dir() else file
            if not file.is_file():
                yield here, link, 'there is no such file'
            elif target.fragment and file in pages and unquote(target.fragment) not in pages[file].places:
                yield here, link, 'there is no such place in the page'


def main() -> int:
    """Check the site that is named, and tell what is broken."""
    if len(sys.argv) != 2 or not Path(sys.argv[1], 'index.html').is_file():
        print('Usage: check_links.py SITE, a folder that mkdocs built', file=sys.stderr)
        return 2
    faults = list(broken(Path(sys.argv[1])))
    for page, link, why in faults:
        print(f'{page}: {link}: {why}', file=sys.stderr)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
