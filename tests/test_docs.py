"""Every command that README and docs show is run, on the fake cloud; every make target they name exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt import redact
from kvirt.cli.main import main
from kvirt.providers.catalog import CATALOG

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *(page for page in sorted((ROOT / 'docs').rglob('*.md')) if page.parent.name != 'reference')]
ON_PAPER = ('ssh', 'scp')
"""Commands that need a guest: on the fake cloud they must say that there is none."""
CODES = {'diff': (0, 3), 'doctor': (0, 1), 'init': (1,)}
"""Exit codes other than 0: a difference, something that this machine lacks, and that there is a configuration."""
CLIENTS = ('fake', 'lab', 'test:///default')


def blocks() -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the commands of each console block."""
    for page in PAGES:
        for block in re.findall(r'```console\n(.*?)```', page.read_text(), re.DOTALL):
            commands = [line[2:] for line in block.splitlines() if line.startswith('$ ')]
            yield str(page.relative_to(ROOT)), commands


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


def run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    assert words[0] == 'kvirt'
    code = main(words[1:])
    output = capsys.readouterr()
    verb = next(word for word in words[1:] if not word.startswith('-') and word not in ('fake', 'lab', 'test:///default'))
    if verb in ON_PAPER or 'console -s' in command:
        assert code == 1 or 'console' in command, (command, output)
    else:
        assert code in CODES.get(verb, (0,)), (command, output)


@pytest.mark.parametrize(('page', 'commands'), list(blocks()), ids=lambda value: value if isinstance(value, str) else '')
def test_console_blocks(page, commands, world, capsys):
    for command in commands:
        if command.startswith('make'):
            targets = re.findall(r'^([a-z0-9-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
            assert command.split()[1] in targets
        else:
            run(command, capsys)


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


def test_the_library_of_the_fake_page(world):
    code = re.search(r'```python\n(.*?)```', (ROOT / 'docs/providers/fake.md').read_text(), re.DOTALL)
    assert code
    exec(compile(code[1], 'fake.md', 'exec'), {})


def test_the_plans_of_the_page_of_plans_are_right(world, capsys, monkeypatch):
    (world / 'config.yml').write_text('default:\n  client: lab\nlab:\n  type: fake\nfar:\n  type: fake\n')
    blocks = re.findall(r'```yaml\n(.*?)```', (ROOT / 'docs/plans.md').read_text(), re.DOTALL)
    plans = [text for text in blocks if not text.startswith('default:')]
    assert len(plans) >= 3
    for text in plans:
        Path('kvirt_plan.yml').write_text(text)
        assert main(['check', 'plan', 'page']) == 0, text
