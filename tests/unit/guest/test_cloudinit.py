"""user-data and meta-data: golden ones, cloud-init's own schema, and that every text survives."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from kvirt.errors import InvalidInput
from kvirt.guest.content import GuestFile
from kvirt.guest.guest import Guest
from kvirt.guest.keys import valid_key
from kvirt.spec import VmSpec, decode_vm
from tests.unit.guest.conftest import HOST_KEY, KEY, MACS, Make

ROOT = Path(__file__).parents[3]
AWKWARD = '[ -f /x ] && echo "a: b"'

FULL: dict[str, Any] = {
    'hostname': 'front', 'domain': 'example.com', 'vmuser': 'ops', 'enableroot': False, 'rootpassword': "s3cr'et: #",
    'cmds': [AWKWARD, 'cat >/tmp/x <<E\n  indented\nE', 'reboot', '# no more'], 'networkwait': 5,
    'env': {'COLOR': "it's {red}"}, 'storemetadata': True,
    'files': [{'path': '/etc/motd', 'content': 'Hello {{ who }}\n', 'mode': '0644'},
              {'path': '/opt/blob', 'content': b'\x00\xff'},
              {'path': '/home/ops/.profile', 'content': 'x\n', 'owner': 'ops'},
              {'path': '/srv/app/conf', 'content': 'y\n', 'owner': 'ops:adm'},
              {'path': '/etc/link', 'target': '/etc/motd'}]}

CASES: dict[str, dict[str, Any]] = {
    'plain': {}, 'full': FULL, 'insecure': {'insecure': True, 'noname': True, 'nokeys': True},
    'existing-user': {'vmuser': 'debian'}, 'root': {'vmuser': 'root', 'enableroot': False},
}


def loaded(guest: Guest) -> dict[str, Any]:
    """Return the user-data as cloud-init reads it."""
    text = guest.user_data()
    assert text.startswith('#cloud-config\n')
    data = yaml.safe_load(text)
    assert isinstance(data, dict)
    return data


def written(guest: Guest) -> dict[str, bytes]:
    """Return the files that cloud-init would write, with their content."""
    return {entry['path']: base64.b64decode(entry['content']) if 'encoding' in entry else entry['content'].encode()
            for entry in loaded(guest)['write_files']}


def example(make: Make, tmp_path: Path, case: str) -> Guest:
    (tmp_path / 'setup.sh').write_text('#!/bin/bash\n\tcat <<E\n  {{ who }}\nE\necho ${#x[@]}\n')
    scripts = {'scripts': ['setup.sh']} if case == 'full' else {}
    guest = make(variables={'who': 'world', 'name': 'web'}, **CASES[case], **scripts)
    return replace(guest, mounts=(('share0', '/srv/my data', 'virtiofs', 'nofail'),)) if case == 'full' else guest


@pytest.mark.parametrize('case', CASES)
def test_golden(case: str, make: Make, tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    guest = example(make, tmp_path, case)
    golden(f'user-data-{case}.yaml', guest.user_data())
    golden(f'meta-data-{case}.yaml', guest.meta_data('4242'))


@pytest.mark.parametrize('case', CASES)
def test_cloud_init_itself_accepts_it(case: str, make: Make, tmp_path: Path) -> None:
    if not shutil.which('cloud-init'):
        pytest.skip('cloud-init is not installed')
    path = tmp_path / 'user-data'
    path.write_text(example(make, tmp_path, case).user_data())
    done = subprocess.run(['cloud-init', 'schema', '--config-file', path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'deprecat' not in (done.stdout + done.stderr).lower()


def faults(config: dict[str, Any]) -> list[str]:
    """Return what cloud-init's own schema says against keys of a cloud-config that it knows."""
    unpacked = os.environ.get('KVIRT_CLOUD_INIT', '/')
    file = Path(unpacked, 'usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json')
    if not file.exists():
        pytest.skip('the schema of cloud-init is not here: KVIRT_CLOUD_INIT may name a folder with its unpacked package')
    schema = json.loads(file.read_text())
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in Draft4Validator(schema).iter_errors(config)
            if error.path]


@pytest.mark.parametrize('case', CASES)
def test_the_schema_of_cloud_init_has_nothing_against_it(case: str, make: Make, tmp_path: Path) -> None:
    assert faults(loaded(example(make, tmp_path, case))) == []


def test_the_schema_of_cloud_init_has_nothing_against_the_guest_image() -> None:
    # The cloud-init of Debian 12 judges the configuration of its machine along with that of its user.
    [config] = (ROOT / 'extras/guest-image/rootfs/etc/cloud/cloud.cfg.d').iterdir()
    assert faults(yaml.safe_load(config.read_text())) == []


def test_the_schema_finds_what_is_wrong() -> None:
    wrong = {'locale': False, 'runcmd': 'true', 'users': 7}
    assert {fault.partition(':')[0] for fault in faults({'hostname': 'web', **wrong})} == set(wrong)


def test_commands_arrive_byte_for_byte(make: Make) -> None:
    files = written(make(cmds=[AWKWARD, ' \t$(x) `y` \\ "\'\n\n', '']))
    assert files['/var/lib/kvirt/commands/001'] == f'{AWKWARD}\n'.encode()
    assert files['/var/lib/kvirt/commands/002'] == b' \t$(x) `y` \\ "\'\n\n'
    assert files['/var/lib/kvirt/commands/003'] == b'\n'


TEXT = st.text(st.characters(exclude_categories=['Cs']))


def plain(**parts: Any) -> Guest:
    return Guest(name='web', spec=VmSpec(), user='debian', kind='cloudinit', keys=(KEY,), host_key=HOST_KEY, **parts)


@given(TEXT.filter(lambda text: '\0' not in text))
@settings(deadline=None)
def test_any_command_survives(cmd: str) -> None:
    sent = written(plain(cmds=(cmd,)))['/var/lib/kvirt/commands/001'] if cmd.strip() != 'reboot' else cmd.encode()
    assert sent in (cmd.encode(), cmd.encode() + b'\n')


@given(st.one_of(st.binary(), TEXT.map(str.encode), st.text('\n\t :#-|>\'"\\ab').map(str.encode)))
@settings(max_examples=300, deadline=None)
def test_any_file_survives(content: bytes) -> None:
    assert written(plain(files=(GuestFile('/etc/x', content),)))['/etc/x'] == content


@given(TEXT.filter(bool))  # an empty one is none
@settings(deadline=None)
def test_any_name_survives_or_is_refused(hostname: str) -> None:
    try:
        guest = Guest.prepare('web', decode_vm({'hostname': hostname, 'keys': [KEY]}), image='debian12')
    except InvalidInput as error:
        assert 'hostname' in str(error)
        return
    names = yaml.safe_load(guest.user_data())
    assert names.get('fqdn', names['hostname']) == hostname
    assert yaml.safe_load(guest.meta_data('1'))['local-hostname'] == hostname


@given(st.dictionaries(st.from_regex(r'[A-Z_][A-Z0-9_]{0,5}', fullmatch=True), TEXT.filter(lambda text: '\0' not in text)))
@settings(max_examples=25, deadline=None)
def test_a_shell_reads_any_environment(env: dict[str, str]) -> None:
    env = {f'KV_{key}': value for key, value in env.items()}  # not PATH, and none that the shell sets itself
    guest = replace(plain(), spec=VmSpec(env=env))
    profile = written(guest).get('/etc/profile.d/kvirt.sh', b'').decode()
    show = ''.join(f'printf "%s\\0" "${key}"\n' for key in env)
    done = subprocess.run(['sh'], input=f'{profile}\n{show}'.encode(), capture_output=True, check=True)
    assert done.stdout.decode().split('\0')[:-1] == list(env.values())


def test_names(make: Make) -> None:
    assert loaded(make('a_b_'))['hostname'] == 'a-b'
    assert 'fqdn' not in loaded(make('web'))
    assert loaded(make('web.example.com'))['hostname'] == 'web'
    assert loaded(make('web.example.com', domain='example.com'))['fqdn'] == 'web.example.com'
    assert loaded(make('web', domain='example.com'))['fqdn'] == 'web.example.com'
    assert loaded(make(noname=True))['preserve_hostname'] is True
    assert 'local-hostname' not in yaml.safe_load(make(noname=True).meta_data('1'))


def test_the_password_is_in_no_key_that_cloud_init_logs(make: Make) -> None:
    guest = make(rootpassword='hunter22')
    data = loaded(guest)
    assert written(guest)['/var/lib/kvirt/password'] == b'root:hunter22\n'
    assert [entry['permissions'] for entry in data['write_files'] if entry['path'].endswith('password')] == ['0600']
    data.pop('write_files')
    assert 'hunter22' not in str(data)
    assert 'hunter22' not in repr(replace(guest, spec=VmSpec()))


def test_files_of_users_wait_for_the_users(make: Make) -> None:
    owners = {'/home/debian/x': 'root', '/etc/y': 'debian', '/etc/z': 'root'}
    data = loaded(make(files=[{'path': path, 'content': '', 'owner': owner} for path, owner in owners.items()]))
    assert {entry['owner'] for entry in data['write_files']} == {'root:root'}
    paths = {entry['path'] for entry in data['write_files']}
    assert '/etc/z' in paths and '/home/debian/x' not in paths and '/etc/y' not in paths


@pytest.mark.parametrize(('keywords', 'said'), [
    ({'hostname': 'a b'}, 'hostname'), ({'hostname': 'x\ny'}, 'hostname'), ({'hostname': 'a' * 64}, 'hostname'),
    ({'domain': '-a.b'}, 'domain'), ({'vmuser': 'a:b'}, 'vmuser'),
    ({'vmuser': '../x'}, 'vmuser'), ({'rootpassword': 'a\nb:c'}, 'rootpassword'), ({'rootpassword': ''}, 'rootpassword'),
    ({'env': {'A B': 'x'}}, 'env'), ({'env': {'A;rm': 'x'}}, 'env'), ({'A-B': 'x'}, 'env'), ({'env': {'A': '\0'}}, 'env'),
    ({'ignition_file': 'x'}, 'ignition_file: a guest of this image is configured by cloud-init'),
])
def test_what_is_refused(make: Make, keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        make(**keywords)


def test_every_fault_is_told_at_once(make: Make) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(hostname='a b', cmds=['{{'], keys=['nope'], nets=[{'name': 'a', 'vlan': 9999}], vmuser='a b')
    assert len(caught.value.problems) == 5


# a cloud-config of the user's own


def test_a_cloud_config_of_ones_own_gets_the_host_key(make: Make, tmp_path: Path) -> None:
    (tmp_path / 'own.yaml').write_text('#cloud-config\n# mine\npackages: [git]\nruncmd: ["{{ v1.x }}"]\n')
    guest = make(cloudinit_file='own.yaml')
    data = loaded(guest)
    assert (data['packages'], data['runcmd']) == (['git'], ['{{ v1.x }}'])
    assert valid_key(data['ssh_keys']['ed25519_public'])
    assert guest.host_key is not None


@pytest.mark.parametrize('own', ['#cloud-config\nssh_keys: {rsa_private: x}\n', '#!/bin/sh\necho\n',
                                 '## template: jinja\n#cloud-config\nx: {{ y }}\n', '#cloud-config\n[]\n'])
def test_where_the_host_key_has_no_place_there_is_none(make: Make, tmp_path: Path, own: str) -> None:
    (tmp_path / 'own').write_text(own)
    guest = make(cloudinit_file='own')
    assert guest.user_data() == own
    assert guest.host_key is None


def test_a_cloud_config_of_ones_own_takes_the_place_of_ours(make: Make, tmp_path: Path) -> None:
    (tmp_path / 'own').write_text('#cloud-config\na: [\n')
    with pytest.raises(InvalidInput) as caught:
        make(cloudinit_file='own', cmds=['x'], rootpassword='secret')
    told = str(caught.value)
    assert 'cmds: can not be used beside cloudinit_file' in told and 'rootpassword: can not' in told
    assert 'own:3: this is not YAML' in told
    with pytest.raises(InvalidInput, match='missing does not exist'):
        make(cloudinit_file='missing')


# which guests are told something


def test_kinds(make: Make) -> None:
    assert make().kind == 'cloudinit'
    assert make(image='fcos').kind == 'ignition'
    off = make(cloudinit=False, keys=['nonsense'])
    assert (off.kind, off.host_key, off.user) == (None, None, 'debian')
    assert make(image=None, iso='/x.iso').kind is None


def test_a_vm_without_image_needs_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('SSH_AUTH_SOCK', raising=False)
    assert Guest.prepare('web', VmSpec()).keys == ()
    with pytest.raises(InvalidInput, match='no public ssh key'):
        Guest.prepare('web', VmSpec(), image='debian12')


def test_a_clone_is_told_to_do_nothing(make: Make) -> None:
    """Its disk still has the files of its original; the list of steps must not be that one's."""
    files = written(make('copy', nokeys=True))
    assert files['/var/lib/kvirt/steps'] == b''
    assert not [path for path in files if 'commands' in path or 'scripts' in path]
    assert len(MACS) == 8
