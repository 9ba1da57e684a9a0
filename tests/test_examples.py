"""Every plan of plans/ and every profile of profiles/ is checked, made on the fake cloud, compared, and removed."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt import redact
from kvirt.cli.main import main
from kvirt.config import Kconfig
from kvirt.errors import MissingDependency
from kvirt.plan.found import everything, export
from kvirt.plan.locate import locate
from kvirt.plan.parameters import declared
from kvirt.profiles import merge
from kvirt.providers import registry
from kvirt.providers.catalog import CATALOG
from kvirt.redact import is_secret_key
from kvirt.settings import Settings
from kvirt.yamlfile import dump

ROOT = Path(__file__).parents[1]
PLANS = sorted(path for path in (ROOT / 'plans').iterdir() if path.suffix == '.yml' or path.is_dir())
PROFILES = yaml.safe_load((ROOT / 'profiles' / 'profiles.yml').read_text())
LEAST = 10
"""How many plans there are at least, so that none is lost from sight."""


def plan_id(path: Path) -> str:
    return path.stem


def values(path: Path) -> dict[str, Any]:
    """Return a value for each parameter that must be given."""
    known = declared(locate(path)).parameters.values()
    return {each.name: f"it's {each.name}" if each.secret else 'https://github.com/you/project'
            for each in known if each.required}


def words(path: Path) -> list[str]:
    """Return the options of the command line for a plan."""
    return ['-f', str(path), *(word for key, value in values(path).items() for word in ('-P', f'{key}={value}'))]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kconfig]:
    home = tmp_path / 'home'
    home.mkdir()
    sections = {entry.name: {'type': entry.name} for entry in CATALOG}
    (home / 'config.yml').write_text(yaml.safe_dump({'default': {'client': 'fake'}, **sections}))
    monkeypatch.setenv('KVIRT_HOME', str(home))
    monkeypatch.delenv('KVIRT_CLIENT', raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(redact, '_known', set())
    with Kconfig(settings=Settings(home)) as config:
        yield config


def everything_there_is(config: Kconfig) -> list[tuple[Any, ...]]:
    """Return all that the fake cloud has, past the provider, but for the addresses that it once gave out."""
    config.k.list()
    with sqlite3.connect(config.k.conn.path) as world:
        return sorted(world.execute("SELECT kind, key FROM records WHERE kind != 'PublicRange'"))


def test_there_are_plans_and_profiles() -> None:
    assert len(PLANS) >= LEAST
    assert len(PROFILES) >= 5


@pytest.mark.parametrize('path', PLANS, ids=plan_id)
def test_a_plan_is_made_once_and_removed_without_a_trace(path: Path, config: Kconfig) -> None:
    before = everything_there_is(config)
    plan = config.open_plan(None, path, overrides=values(path))
    assert all(change.action == 'create' for change in plan.diff().values())
    assert everything_there_is(config) == before, 'looking changes nothing'
    summary = plan.create()
    assert summary.ok, (summary.failed, summary.skipped)
    made = {thing.key for thing in everything(plan.name, [config])}
    assert {key for key in plan.checked.items if key[0] in ('vm', 'network')} == made
    again = config.open_plan(None, path, overrides=values(path))
    assert all(change.action == 'nothing' and not change.differences for change in again.diff().values())
    assert again.create().changed() == []
    exported = config.open_plan(plan.name, inputstring=dump(export(everything(plan.name, [config]))))
    assert all(change.action == 'nothing' for change in exported.diff().values())
    assert again.delete().ok
    assert everything_there_is(config) == before


@pytest.mark.parametrize('path', PLANS, ids=plan_id)
def test_a_plan_can_be_made_twice_under_two_names(path: Path, config: Kconfig) -> None:
    for name in ('one', 'two'):
        plan = config.open_plan(name, path, overrides=values(path))
        assert all(called.startswith(name) for _, called in plan.checked.items), 'names begin with that of the plan'


@pytest.mark.parametrize('path', PLANS, ids=plan_id)
def test_the_command_line_checks_and_previews_a_plan(path: Path, config: Kconfig,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['check', 'plan', *words(path)]) == 0
    assert ', no fault' in capsys.readouterr().err
    assert main(['create', 'plan', '--dry-run', *words(path)]) == 0
    shown = capsys.readouterr()
    assert {line[:2] for line in shown.out.splitlines()} == {'+ '}
    assert config.k.list() == []


@pytest.mark.parametrize('client', [entry.name for entry in CATALOG])
def test_plans_are_right_on_every_platform(client: str, config: Kconfig) -> None:
    try:
        registry.load(client)
    except MissingDependency as error:
        pytest.skip(str(error))
    for path in PLANS:
        config.for_client(client).open_plan(None, path, overrides=values(path))


@pytest.mark.parametrize('path', PLANS, ids=plan_id)
def test_a_plan_says_what_it_is(path: Path) -> None:
    text = locate(path).text
    head = text[:text.index('parameters:')]
    assert all(line.startswith('#') for line in head.splitlines()), 'it begins with what it makes'
    name = path.relative_to(ROOT)
    assert f'kvirt create plan -f {name}' in head
    assert re.search(r'kvirt( -C \S+)? delete plan ', head)
    for parameter in declared(locate(path)).parameters.values():
        assert parameter.description, f'{parameter.name} has a description'
        assert not parameter.description.endswith('.')


@pytest.mark.parametrize('path', PLANS, ids=plan_id)
def test_a_plan_brings_no_secret_along(path: Path) -> None:
    for parameter in declared(locate(path)).parameters.values():
        assert not is_secret_key(parameter.name) or (parameter.secret and parameter.required), parameter.name


@pytest.mark.parametrize('path', sorted((ROOT / 'plans').rglob('*.sh')), ids=plan_id)
def test_scripts_are_shell(path: Path) -> None:
    done = subprocess.run(['bash', '-n', str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('name', PROFILES)
def test_a_profile_makes_a_vm(name: str, config: Kconfig) -> None:
    (config.settings.home / 'profiles.yml').write_text((ROOT / 'profiles' / 'profiles.yml').read_text())
    before = everything_there_is(config)
    config.create_vm('vm', profile=name).expect()
    info, wanted = config.k.info('vm'), merge(config.profiles.layers(name)).values
    assert info['profile'] == name
    assert all(info[key] == wanted[key] for key in ('image', 'numcpus', 'memory'))
    assert config.delete_vm('vm').ok
    assert everything_there_is(config) == before
    for entry in CATALOG:
        try:
            config.for_client(entry.name).check_vm('vm', profile=name)
        except MissingDependency:
            continue
