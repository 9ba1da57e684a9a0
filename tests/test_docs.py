"""Every command that README and docs show is run, on the fake cloud; every make target they name exists."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import threading
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from kvirt import redact
from kvirt.cli.main import main
from kvirt.providers import registry
from kvirt.providers.catalog import CATALOG
from kvirt.providers.describe import options_of
from kvirt.settings import GENERIC, PROVIDERS
from kvirt.spec import is_keyword
from kvirt.wait import CANCEL

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *(page for page in sorted((ROOT / 'docs').rglob('*.md')) if page.parent.name != 'reference')]
ON_PAPER = ('ssh', 'scp')
"""Commands that need a guest: on the fake cloud they must say that there is none."""
CODES = {'diff': (0, 3), 'doctor': (0, 1)}
"""Exit codes other than 0: a difference, and something that this machine lacks."""


BARE = ('docs/tutorial.md',)
"""Pages that begin with nothing at all."""
AS_READ = (*BARE, 'docs/kcli.md', 'docs/concepts.md', 'docs/troubleshooting.md', 'docs/howto/')
"""Pages whose blocks are read one after the other: what one makes is there in the next."""


def blocks() -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Yield the page and the commands of each console block, or of all of a page that is read as a whole.

    With each command stand the lines that the page shows of what it says.
    """
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        found = re.findall(r'```console\n(.*?)```', page.read_text(), re.DOTALL)
        for block in [''.join(found)] if name.startswith(AS_READ) and found else found:
            commands: list[tuple[str, list[str]]] = []
            for line in block.splitlines():
                if line.startswith('$ '):
                    commands.append((line[2:], []))
                elif line.strip() not in ('', '...'):
                    commands[-1][1].append(' '.join(line.split()))
            yield name, commands


def inline() -> Iterator[tuple[str, str]]:
    """Yield the page and each command within a line of text."""
    for page in PAGES:
        text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
        for command in re.findall(r'`(kvirt [^`]+)`', text):
            if 'VERB' not in command:
                yield str(page.relative_to(ROOT)), command


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A home with what the pages take for granted: a profile, a client called lab, a VM called web."""
    home = tmp_path / 'home'
    home.mkdir()
    (home / 'config.yml').write_text('default:\n  client: lab\nlab:\n  type: fake\n')
    (home / 'profiles.yml').write_text('small:\n  image: debian12\n  memory: 1024\n')
    monkeypatch.setenv('KVIRT_HOME', str(home))
    monkeypatch.delenv('KVIRT_CLIENT', raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(redact, '_known', set())
    for folder in ('plans', 'profiles'):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for page in PAGES:
        for name, text in re.findall(r'```yaml\n# ([\w.-]+\.yml)\n(.*?)```', page.read_text(), re.DOTALL):
            (tmp_path / name).write_text(text)
    return home


def run(command: str, capsys: pytest.CaptureFixture[str], shown: Sequence[str] = ()) -> None:
    words = shlex.split(command)
    assert words[0] == 'kvirt'
    configured = Path(os.environ['KVIRT_HOME'], 'config.yml').exists()
    interrupt = threading.Timer(1, CANCEL.set)  # Ctrl-C, for what goes on until then
    if '--watch' in words:
        interrupt.start()
    code = main(words[1:])
    interrupt.cancel()
    output = capsys.readouterr()
    said = [' '.join(line.split()) for line in (output.out + output.err).splitlines()]
    assert [line for line in shown if line not in said] == [], (command, output)
    if any(line.startswith('Error: ') for line in shown):
        assert code in (1, 2), (command, output)
        return
    verb = next(word for before, word in itertools.pairwise(words) if not word.startswith('-') and before != '-C')
    if verb in ON_PAPER or 'console -s' in command:
        assert code == 1 or 'console' in command, (command, output)
    elif verb == 'init':
        assert code == configured, 'it writes the first configuration only'
    else:
        assert code in CODES.get(verb, (0,)), (command, output)


@pytest.mark.parametrize(('page', 'commands'), list(blocks()), ids=lambda value: value if isinstance(value, str) else '')
def test_console_blocks(page, commands, world, capsys):
    if page in BARE:
        for file in world.iterdir():
            file.unlink()
    for command, shown in commands:
        if command.startswith('make'):
            targets = re.findall(r'^([a-z0-9-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
            assert command.split()[1] in targets
        else:
            run(command, capsys, shown)
        if 'create client kvm' in command:  # what the page does there is done on the fake cloud
            config = world / 'config.yml'
            config.write_text(re.sub(r'\n  (host|user): .*', '', config.read_text()).replace('type: kvm', 'type: fake'))


@pytest.mark.parametrize(('page', 'command'), list(inline()))
def test_commands_in_the_text(page, command, world, capsys):
    if not command.startswith('kvirt create vm'):
        started = 'false' if command.split()[1] in ('clone', 'update') else 'true'  # what the page says
        assert main(['create', 'vm', 'web', '-i', 'debian12', '-P', f'start={started}']) == 0
    run(command if not command.startswith('kvirt delete orphan') else f'{command} -y', capsys)


def test_links_lead_somewhere():
    for page in [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')]:
        for target in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', page.read_text()):
            assert (page.parent / target).exists(), f'{page.relative_to(ROOT)} links to {target}'


def test_pictures_are_small_fetch_nothing_and_tell_of_no_machine():
    pictures = sorted((ROOT / 'docs' / 'images').glob('*.svg'))
    assert pictures
    for picture in pictures:
        text = picture.read_text()
        assert len(text) < 150_000
        assert set(re.findall(r'\w+://[^"\s)]*', re.sub('<!--.*?-->', '', text))) == {'http://www.w3.org/2000/svg'}
        assert not re.search(r'/root|/home|/tmp|/work|Traceback|not found', text), picture
        assert any(picture.name in page.read_text() for page in PAGES), f'{picture.name} is on no page'


def test_every_provider_has_its_page():
    index = (ROOT / 'docs' / 'index.md').read_text()
    for entry in CATALOG:
        page = ROOT / 'docs' / 'providers' / f'{entry.name}.md'
        assert f'(providers/{entry.name}.md)' in index
        assert '| what | meaning of `default` |' in page.read_text(), f'{page.name} says what default means'


def test_the_library_of_the_readme(world, capsys):
    code = re.search(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    assert code
    exec(compile(code[1], 'README.md', 'exec'), {})
    assert capsys.readouterr().out.startswith('web running')


def test_the_library_of_the_page_of_plans(world, capsys):
    code = re.search(r'```python\n(.*?)```', (ROOT / 'docs/plans.md').read_text(), re.DOTALL)
    assert code
    exec(compile(code[1], 'plans.md', 'exec'), {})
    assert capsys.readouterr().out == "('vm', 'web') finished\nvm web update ['memory']\n"


@pytest.mark.parametrize('page', [page for page in PAGES if '```python' in page.read_text()],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_every_snippet_runs_and_says_what_the_page_shows(page, world, capsys):
    """The snippets of a page are one program; a block of text right behind one is what it prints."""
    names: dict[str, object] = {}
    found = re.findall(r'```python\n(.*?)```(?:\n+```text\n(.*?)```)?', page.read_text(), re.DOTALL)
    for code, shown in found:
        exec(compile(code, page.name, 'exec'), names)
        said = capsys.readouterr().out
        if shown:
            assert said == shown


def test_the_menu_of_the_site_has_every_page():
    site = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())

    def pages(menu: object) -> Iterator[str]:
        if isinstance(menu, str):
            yield menu
        else:
            for entry in menu.values() if isinstance(menu, dict) else menu:
                yield from pages(entry)
    here = {path.relative_to(ROOT / 'docs').as_posix() for path in (ROOT / 'docs').rglob('*.md')}
    named = {page for page in pages(site['nav']) if not page.startswith('project/')}
    assert {page for page in here if not any(fnmatch(page, entry) for entry in named)} == set()
    assert {entry for entry in named if not any(fnmatch(page, entry) for page in here)} == set()


def test_the_clients_that_pages_show_have_keys_that_exist():
    shown = 0
    for page in PAGES:
        for text in re.findall(r'```yaml\n(.*?)```', page.read_text(), re.DOTALL):
            sections = {} if '{%' in text else yaml.safe_load(re.sub(r'\{\{.*?\}\}', 'x', text))
            for name, section in sections.items():
                provider = PROVIDERS.get(section.get('type')) if isinstance(section, dict) else None
                if provider:
                    shown += 1
                    options = {option['option'] for option in options_of(registry.load(provider))}
                    unknown = [key for key in section if key not in {*options, *GENERIC} and not is_keyword(key)]
                    assert unknown == [], f'{page.name}, {name}'
    assert shown >= 5


def test_the_plans_of_the_page_of_plans_are_right(world, capsys, monkeypatch):
    (world / 'config.yml').write_text('default:\n  client: lab\nlab:\n  type: fake\nfar:\n  type: fake\n')
    blocks = re.findall(r'```yaml\n(.*?)```', (ROOT / 'docs/plans.md').read_text(), re.DOTALL)
    plans = [text for text in blocks if not text.startswith('default:')]
    assert len(plans) >= 3
    for text in plans:
        Path('kvirt_plan.yml').write_text(text)
        assert main(['check', 'plan', 'page']) == 0, text
