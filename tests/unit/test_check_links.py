"""The check of the site's links: what leads nowhere is named, with its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = Path(__file__).parents[2] / 'extras' / 'check_links.py'


def check(site: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, CHECK, site], capture_output=True, text=True)
    return done.returncode, done.stderr.splitlines()


def test_what_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / 'howto').mkdir()
    (tmp_path / 'a b.png').touch()
    index = '<a href="howto/#keys">1</a><a href="#top">2</a><p id="top"><img src="a%20b.png"><a href="https://example.com/x">3</a>'
    (tmp_path / 'index.html').write_text(index)
    (tmp_path / 'howto' / 'index.html').write_text('<a name="keys"></a><a href="..">4</a><a href="../#top">5</a>')
    assert check(tmp_path) == (0, [])
    (tmp_path / 'howto' / 'index.html').write_text('<a href="../#bottom">1</a><a href="ssh/">2</a><link href="/no.css">')
    assert check(tmp_path) == (1, [
        'howto/index.html: ../#bottom: there is no such place in the page', 'howto/index.html: ssh/: there is no such file',
        'howto/index.html: /no.css: there is no such file',
        'index.html: howto/#keys: there is no such place in the page'])


def test_what_is_no_site_is_refused(tmp_path: Path) -> None:
    assert check(tmp_path) == (2, ['Usage: check_links.py SITE, a folder that mkdocs built'])
