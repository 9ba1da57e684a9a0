import pytest

from kvirt import redact
from kvirt.errors import InvalidInput, NotFound, Unauthorized
from kvirt.settings import Settings

CONFIG = """\
default:
  client: lab
  memory: ${MEMORY:-1024}
lab:
  type: kvm
  host: 10.0.0.1
spare:
  enabled: false
all-of-them:
  type: group
  members: [lab, spare]
  algorithm: free
"""


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / 'home'
    folder.mkdir()
    return folder


def settings(home, text=CONFIG, **environ):
    (home / 'config.yml').write_text(text)
    return Settings(home, environ)


def test_clients_and_what_selects_them(home):
    found = settings(home)
    assert found.select(None) == ['lab']
    assert found.select('all') == ['lab']
    assert found.select('lab, spare,lab') == ['lab', 'spare']
    assert found.client('all-of-them').members == ('lab', 'spare')
    assert settings(home, KVIRT_CLIENT='spare').select(None) == ['spare']


@pytest.mark.parametrize(('name', 'type', 'values'), [
    ('fake', 'fake', {}), ('local', 'kvm', {}), ('test:///default', 'kvm', {'url': 'test:///default'}),
    ('me@host.example', 'kvm', {'host': 'host.example', 'user': 'me'}), ('192.168.1.9', 'kvm', {'host': '192.168.1.9'})])
def test_clients_that_need_no_configuration(home, name, type, values):
    client = Settings(home, {}).client(name)
    assert (client.type, dict(client.values)) == (type, values)


def test_an_unknown_client_suggests_the_likely_one(home):
    with pytest.raises(NotFound, match="client 'lba' does not exist, did you mean 'lab'"):
        settings(home).client('lba')


def test_several_clients_without_a_default_are_named(home):
    with pytest.raises(InvalidInput, match=r'several clients \(a, b\)'):
        settings(home, 'a: {}\nb: {}\n').default_client()


@pytest.mark.parametrize(('text', 'fault'), [
    ('lab: 7\n', "config.yml:1: section 'lab' must be a mapping"),
    ('- lab\n', 'config.yml:1: expected a mapping of clients'),
    ('g:\n  type: group\n  members: lab\n', 'config.yml:3: members must be a list'),
    ('g:\n  type: group\n  algorithm: fre\n', "config.yml:3: unknown algorithm 'fre'"),
])
def test_faults_of_the_file_name_its_line(home, text, fault):
    with pytest.raises(InvalidInput) as caught:
        settings(home, text).clients()
    assert str(caught.value).startswith(str(home))
    assert fault in str(caught.value)


def test_layers_and_variables(home):
    found = settings(home, CONFIG, MEMORY='2048')
    layers = found.layers(found.client('lab'), frozenset({'memory'}))
    assert [layer.values for layer in layers] == [{'memory': '2048'}]
    assert layers[0].where('memory') == f'{home}/config.yml:3'
    assert settings(home).expand('${A:-}x${B:-y}', 'lab') == 'xy'
    with pytest.raises(InvalidInput, match='environment variable NOPE is not set'):
        found.expand('${NOPE}', 'lab')


def test_secrets_come_from_where_only_the_owner_reads(home):
    found = settings(home, 'lab:\n  token: ?secret\n')
    with pytest.raises(NotFound, match='there is no'):
        found.expand('?secret', 'lab', 'token')
    secrets = home / 'secrets.yml'
    secrets.write_text('lab:\n  token: 5ecret-token\n')
    secrets.chmod(0o644)
    with pytest.raises(Unauthorized, match='chmod 600'):
        found.expand('?secret', 'lab', 'token')
    secrets.chmod(0o600)
    assert found.expand('?secret', 'lab', 'token') == '5ecret-token'
    assert redact.redact('the 5ecret-token') == f'the {redact.MASK}'
    with pytest.raises(NotFound, match='has no lab: other'):
        found.expand('?secret', 'lab', 'other')


def test_secrets_from_a_command_and_from_a_file(home, tmp_path):
    found = settings(home)
    assert found.expand("?command:printf 'from $HOME'", 'lab') == 'from $HOME'  # no shell expands it
    with pytest.raises(Unauthorized, match='command for a secret failed: CalledProcessError'):
        found.expand('?command:false', 'lab')
    with pytest.raises(Unauthorized, match='FileNotFoundError'):
        found.expand('?command:no-such-program-here', 'lab')
    file = tmp_path / 'token'
    file.write_text('abcd\n')
    file.chmod(0o600)
    assert found.expand(f'?file:{file}', 'lab') == 'abcd'


def test_kclis_home_is_read_where_there_is_no_other_and_never_written(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    theirs = tmp_path / '.kcli'
    theirs.mkdir()
    (theirs / 'config.yml').write_text(CONFIG)
    (theirs / 'profiles.yml').write_text('web:\n  image: debian12\n')
    before = Settings(environ={})
    assert before.default_client() == 'lab'
    assert before.compat
    assert before.profiles().names() == ['web']
    (tmp_path / '.kvirt').mkdir()
    (tmp_path / '.kvirt' / 'known_hosts').touch()  # our home may hold other things and yet no configuration
    assert Settings(environ={}).default_client() == 'lab'
    before.change('config.yml', 'new', {'type': 'fake'})
    after = Settings(environ={})
    assert not after.compat
    assert set(after.clients()) == {'lab', 'spare', 'all-of-them', 'new'}
    assert (theirs / 'config.yml').read_text() == CONFIG
    assert Settings(environ={'KVIRT_HOME': str(tmp_path / 'empty')}).sections == {}


def test_a_provider_is_a_client_by_its_own_name(tmp_path) -> None:
    from kvirt.config import Kconfig
    known = Settings(tmp_path, environ={'HCLOUD_TOKEN': 'x' * 64})
    assert (known.client('hetzner').type, known.client('aws').type) == ('hcloud', 'aws')
    with Kconfig('hcloud', settings=known) as config:
        assert config.options(config.provider)['token'] == 'x' * 64
    with pytest.raises(InvalidInput, match='client hcloud needs token: write it in its section, or set HCLOUD_TOKEN'):
        Kconfig('hcloud', settings=Settings(tmp_path, environ={})).k  # noqa: B018


UNFIT = ('default:\n  client: cloud\n  nested: false\n  ports: [80]\n  memory: 1g\n'
         'cloud:\n  type: digitalocean\n  token: x\n')


def test_a_default_is_no_demand_on_platforms_that_do_not_honour_it(tmp_path, caplog) -> None:
    from kvirt.config import Kconfig
    (tmp_path / 'config.yml').write_text(UNFIT)
    caplog.set_level('INFO', 'kvirt')
    with Kconfig(settings=Settings(tmp_path, {})) as config:
        assert config.vm_values().values == {'ports': [80], 'memory': '1g'}
    assert f'{tmp_path}/config.yml:3: keyword nested is left out: it means nothing to digitalocean' in caplog.messages
    (tmp_path / 'config.yml').write_text(UNFIT + '  nested: false\n')
    with Kconfig(settings=Settings(tmp_path, {})) as config:
        values = config.vm_values()
        with pytest.raises(InvalidInput, match='config.yml:9: keyword nested is not honoured by digitalocean'):
            config.decoded('web', values, tmp_path)


def test_what_kclis_own_file_has_in_default_is_warned_of_once(tmp_path, monkeypatch, caplog) -> None:
    from kvirt.config import Kconfig
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / '.kcli').mkdir()
    text = 'default:\n  bmc_user: me\n  memroy: 4g\n  tunnel: true\na: {type: fake}\n'
    (tmp_path / '.kcli' / 'config.yml').write_text(text)
    settings = Settings(environ={})
    for _ in range(2):
        with Kconfig('a', settings=settings) as config:
            assert config.k.list() == []
    told = [message for message in caplog.messages if 'section default' in message]
    assert len(told) == 2
    assert "config.yml:2: kcli's key 'bmc_user' is not supported in section default" in told[0]
    assert "config.yml:3: unknown key 'memroy' in section default, did you mean 'memory'?" in told[1]
