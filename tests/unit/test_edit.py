from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from kvirt import edit
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / 'config.yml').write_text('# clients\ndefault:\n  client: one # the first\none:\n  type: fake\n')
    return Settings(tmp_path, {})


def test_the_settings_see_each_change_at_once(settings: Settings) -> None:
    edit.create_client(settings, 'two', 'fake', {'location': 'lisbon', 'numcpus': 2})
    assert settings.client('two').type == 'fake'
    edit.switch_client(settings, 'two')
    assert settings.default_client() == 'two'
    edit.enable_client(settings, 'one', False)
    assert settings.select('all') == ['two']
    edit.delete_client(settings, 'two')
    assert list(settings.clients()) == ['one']
    assert 'client' not in settings.defaults


def test_secrets_are_kept_apart(settings: Settings) -> None:
    edit.create_client(settings, 'two', 'fake', {}, {'seed': 'very-secret'})
    assert settings.client('two').values['seed'] == '?secret'
    secrets = settings.home / 'secrets.yml'
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert settings.expand('?secret', 'two', 'seed') == 'very-secret'
    edit.create_client(settings, 'three', 'fake', {}, {'seed': 'another-secret'})
    edit.delete_client(settings, 'two')
    assert yaml.safe_load(secrets.read_text()) == {'three': {'seed': 'another-secret'}}


@pytest.mark.parametrize(('name', 'values', 'said'), [
    ('../x', {}, 'can not name a client'), ('all', {}, 'a meaning of its own'), ('a,b', {}, 'can not name a client'),
    ('x', {'sede': 1}, "unknown option 'sede' of client x, did you mean 'seed'?"),
    ('x', {'boot_seconds': 'soon'}, 'a number'), ('x', {'memory': -1}, 'keyword memory')])
def test_what_can_not_be_a_client(name: str, values: dict[str, object], said: str, settings: Settings) -> None:
    before = (settings.home / 'config.yml').read_text()
    with pytest.raises(InvalidInput) as caught:
        edit.create_client(settings, name, 'fake', values)
    assert said in str(caught.value)
    assert (settings.home / 'config.yml').read_text() == before


def test_a_value_that_stands_for_another_is_not_looked_up(settings: Settings, tmp_path: Path) -> None:
    edit.create_client(settings, 'two', 'fake', {'seed': f'?command:touch {tmp_path}/ran', 'boot_seconds': '${UNSET}'})
    assert not (tmp_path / 'ran').exists()


def test_names_are_taken_once(settings: Settings) -> None:
    with pytest.raises(AlreadyExists):
        edit.create_client(settings, 'one', 'fake', {})
    edit.create_profile(settings, 'p', {'memory': 1})
    with pytest.raises(AlreadyExists):
        edit.create_profile(settings, 'p', {'memory': 2})


def test_what_others_need_stays(settings: Settings) -> None:
    edit.create_group(settings, 'g', ['one'])
    with pytest.raises(Conflict, match='member of group g'):
        edit.delete_client(settings, 'one')
    edit.create_profile(settings, 'low', {'memory': 1})
    edit.create_profile(settings, 'high', {'base': 'low'})
    with pytest.raises(Conflict, match='base of high'):
        edit.delete_profile(settings, 'low')
    with pytest.raises(NotFound):
        edit.delete_profile(settings, 'middle')


def test_profiles_go_where_the_configuration_says(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / 'elsewhere' / 'mine.yml'
    other.parent.mkdir()
    other.write_text('old:\n  memory: 1\n')
    settings.change('config.yml', 'default', {'profiles': str(other)})
    settings.reload()
    edit.create_profile(settings, 'new', {'memory': 2})
    assert yaml.safe_load(other.read_text()) == {'old': {'memory': 1}, 'new': {'memory': 2}}
    assert not (tmp_path / 'profiles.yml').exists()


def test_a_file_called_yaml_stays_the_one_in_use(tmp_path: Path) -> None:
    (tmp_path / 'config.yaml').write_text('one:\n  type: fake\n')
    settings = Settings(tmp_path, {})
    edit.create_client(settings, 'two', 'fake', {})
    assert set(yaml.safe_load((tmp_path / 'config.yaml').read_text())) == {'one', 'two'}
    assert not (tmp_path / 'config.yml').exists()


def test_kcli_s_configuration_is_taken_over_as_a_whole_and_left_alone(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    theirs = tmp_path / '.kcli'
    theirs.mkdir()
    files = {'config.yml': 'default:\n  client: a\na:\n  type: fake\n', 'profiles.yml': 'p:\n  memory: 7\n',
             'secrets.yml': 'a:\n  seed: s\n'}
    for name, text in files.items():
        (theirs / name).write_text(text)
    settings = Settings(environ={})
    edit.create_client(settings, 'b', 'fake', {})
    assert {name: (theirs / name).read_text() for name in files} == files
    assert settings.profiles().values('p') == {'memory': 7}
    assert set(settings.clients()) == {'a', 'b'}
    assert stat.S_IMODE((tmp_path / '.kvirt' / 'secrets.yml').stat().st_mode) == 0o600
