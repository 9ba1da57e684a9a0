from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import click.termui
import pytest

from kvirt.cli import context, init
from kvirt.settings import Settings

from .conftest import Run


@pytest.fixture
def bare(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a configuration, on a machine without libvirt."""
    (home / 'config.yml').unlink()
    monkeypatch.setattr(Settings, 'has_local_libvirt', staticmethod(lambda: False))
    for variable in ('HCLOUD_TOKEN', 'DIGITALOCEAN_TOKEN'):
        monkeypatch.delenv(variable, raising=False)
    return home


class Terminal:
    """Somebody who answers questions: each in turn, and the rest with the default."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: Iterator[str] = iter(())
        self.asked: list[str] = []
        monkeypatch.setattr(init, 'is_terminal', lambda name: True)
        monkeypatch.setattr(context, 'is_terminal', lambda name: True)
        monkeypatch.setattr(click.termui, 'visible_prompt_func', self._answer)
        monkeypatch.setattr(click.termui, 'hidden_prompt_func', lambda prompt: self._answer(f'hidden {prompt}'))

    def _answer(self, prompt: str = '') -> str:
        self.asked.append(prompt)
        return next(self.answers, '')


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_without_a_configuration_commands_lead_on(bare: Path, kvirt: Run) -> None:
    done = kvirt('list', 'vm')
    assert (done.code, len(done.errors)) == (1, 1)
    assert "'kvirt init' writes one" in done.errors[0]
    assert kvirt('-C', 'fake', 'list', 'vm').code == 0


def test_options_are_enough(bare: Path, kvirt: Run) -> None:
    done = kvirt('init', '-t', 'fake', '-P', 'location=oslo', '-P', 'memory=2048', '-i', 'debian12', 'lab')
    assert (done.code, done.out) == (0, '')
    assert "Next: 'kvirt doctor'" in done.err and 'kvirt create vm web' in done.err
    settings = Settings(bare)
    assert settings.default_client() == 'lab'
    assert settings.client('lab').values == {'type': 'fake', 'location': 'oslo', 'memory': 2048, 'image': 'debian12'}
    assert kvirt('create', 'vm', '-P', 'insecure=true', '-P', 'nokeys=true', 'web').code == 0


def test_nothing_is_written_over(home: Path, kvirt: Run) -> None:
    before = (home / 'config.yml').read_text()
    done = kvirt('init', '-t', 'fake', 'other')
    assert done.code == 1 and 'kvirt create client' in done.errors[0]
    assert (home / 'config.yml').read_text() == before


def test_a_configuration_of_kcli_is_enough(kvirt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('KVIRT_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / '.kcli').mkdir()
    (tmp_path / '.kcli' / 'config.yml').write_text('lab:\n  type: fake\n')
    done = kvirt('init', '-t', 'fake')
    assert done.code == 1 and "kcli's configuration is used" in done.errors[0]
    assert not (tmp_path / '.kvirt').exists()


def test_where_nobody_can_be_asked_the_options_are_told(bare: Path, kvirt: Run) -> None:
    done = kvirt('init')
    assert done.code == 2 and "kvirt init -t PROVIDER NAME" in done.errors[0]
    assert not (bare / 'config.yml').exists()


@pytest.mark.parametrize('words', [('-t', 'nowhere'), ('-t', 'fake', '-P', 'boot_seconds=soon'),
                                   ('-t', 'fake', '-P', 'colour=red'), ('-t', 'fake', 'default')])
def test_what_is_wrong_is_told_and_nothing_is_written(words: tuple[str, ...], bare: Path, kvirt: Run) -> None:
    assert kvirt('init', *words).code == 2
    assert not (bare / 'config.yml').exists()


def test_a_secret_does_not_stand_on_the_command_line(bare: Path, kvirt: Run) -> None:
    done = kvirt('init', '-t', 'digitalocean', '-P', 'token=abcdefgh')
    assert done.code == 2 and 'abcdefgh' not in done.err
    assert kvirt('init', '-t', 'digitalocean', '-P', 'token=${DO_TOKEN}', 'ocean').code == 0
    assert '${DO_TOKEN}' in (bare / 'config.yml').read_text()


def test_asking(bare: Path, kvirt: Run, terminal: Terminal) -> None:
    terminal.answers = iter(['digitalocean', 'ocean', 'sesame-sesame', 'fra1'])
    done = kvirt('init')
    assert done.code == 0, done.err
    assert any(prompt.startswith('hidden ') and 'token' in prompt for prompt in terminal.asked)
    assert Settings(bare).client('ocean').values == {'type': 'digitalocean', 'location': 'fra1', 'token': '?secret'}
    secrets = bare / 'secrets.yml'
    assert 'sesame-sesame' in secrets.read_text() and stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert 'sesame' not in done.out + done.err


def test_what_the_environment_has_is_not_asked_for(bare: Path, kvirt: Run, terminal: Terminal,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DIGITALOCEAN_TOKEN', 'sesame-sesame')
    terminal.answers = iter(['digitalocean'])
    done = kvirt('init')
    assert done.code == 0 and 'token comes from DIGITALOCEAN_TOKEN' in done.err
    assert not any('token' in prompt for prompt in terminal.asked)
    assert Settings(bare).client('digitalocean').values == {'type': 'digitalocean'}


def test_defaults_are_enough(bare: Path, kvirt: Run, terminal: Terminal) -> None:
    assert kvirt('init').code == 0
    assert Settings(bare).client('fake').values == {'type': 'fake'}
