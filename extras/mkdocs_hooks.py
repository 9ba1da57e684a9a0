"""What mkdocs needs beside docs/: the pages of the root, the ready plans, and links that lead from the one to the other."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {'ARCHITECTURE.md': 'project/architecture.md', 'CONTRIBUTING.md': 'project/contributing.md',
         'SECURITY.md': 'project/security.md', 'CHANGELOG.md': 'project/changelog.md'}
"""Pages of the root, and what each of them is on the site."""
READY = 'project/ready.md'
ELSEWHERE = {**PAGES, 'README.md': 'index.md', 'plans': READY, 'profiles/profiles.yml': READY}
"""Paths of the repository that are no files of docs/, and the page of the site that has what is there."""
LINK = re.compile(r'\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)]*)?\)')
ROW, CODE = re.compile(r'^\|.*\|$', re.MULTILINE), re.compile(r'`[^`]*`')
"""A row of a table, and code in it: elsewhere a bar there must bear a backslash, which mkdocs would show."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every page of a folder in place of ``folder/*`` in the menu."""
    docs = Path(config.docs_dir)
    config.nav = [{title: sorted(path.relative_to(docs).as_posix() for path in docs.glob(entry))
                   for title, entry in item.items()} if isinstance(item, dict) and '*' in str(item) else item
                  for item in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    files.append(File.generated(config, READY, content=ready()))
    return files


def ready() -> str:
    """Return the page of the plans and profiles that can be used as they are."""
    lines = ['# Ready plans and profiles', '',
             'They are in the folders `plans` and `profiles` of the repository, each with what it makes and how on top. '
             'What they are written in is told on the page of [plans](../plans.md).', '']
    for path in [*sorted((ROOT / 'plans').rglob('*.yml')), ROOT / 'profiles' / 'profiles.yml']:
        lines += [f'## {path.relative_to(ROOT)}', '', '```yaml', path.read_text().rstrip(), '```', '']
    return '\n'.join(lines)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave docs/ to where the site has it, and take bars of tables' cells out of code."""
    here = page.file.src_uri
    sources = {page: source for source, page in PAGES.items()}
    source = PurePosixPath(sources.get(here, f'docs/{here}'))

    def led(link: re.Match[str]) -> str:
        path = normpath(str(source.parent / link['path']))
        target = ELSEWHERE.get(path, path.removeprefix('docs/'))
        return f"]({relpath(target, PurePosixPath(here).parent)}{link['anchor'] or ''})"
    return ROW.sub(lambda row: CODE.sub(lambda code: code[0].replace(r'\|', r'` \| `'), row[0]), LINK.sub(led, markdown))
