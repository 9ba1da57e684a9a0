from __future__ import annotations

import grp
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kvirt import doctor
from kvirt.errors import Unauthorized
from kvirt.providers.fake import Kfake
from kvirt.settings import Settings

from .conftest import KEY, Run


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an ssh key, on a machine without libvirt."""
    person = tmp_path / 'person'
    (person / '.ssh').mkdir(parents=True)
    (person / '.ssh' / 'id_ed25519.pub').write_text(KEY)
    monkeypatch.setenv('HOME', str(person))
    monkeypatch.setattr(Settings, 'has_local_libvirt', staticmethod(lambda: False))
    return person


def found(kvirt: Run, *words: str) -> dict[tuple[str, str], dict[str, str]]:
    done = kvirt(*words, 'doctor', '-o', 'json')
    rows = json.loads(done.out)
    assert done.code == any(row['verdict'] == 'FAIL' for row in rows)
    return {(row['client'], row['check']): row for row in rows}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_a_good_house_passes_and_nothing_is_changed(kvirt: Run, home: Path) -> None:
    kvirt('list', 'vm')  # the world is there from now on
    before = contents(home)
    done = kvirt('doctor')
    assert (done.code, 'FAIL' in done.out) == (0, False)
    for check in ('config', 'ssh key', 'provider', 'credentials', 'hypervisor', 'pool', 'network', 'image', 'quota',
                  'orphans'):
        assert any(check in line and 'PASS' in line for line in done.out.splitlines()), check
    assert contents(home) == before


def test_all_clients_are_looked_at_and_one_that_fails_is_told_with_the_others(kvirt: Run, home: Path) -> None:
    text = (home / 'config.yml').read_text()
    (home / 'config.yml').write_text(text + 'cloud:\n  type: digitalocean\n')
    rows = found(kvirt, '-C', 'lab,cloud')
    assert rows['lab', 'hypervisor']['verdict'] == 'PASS'
    missing = rows['cloud', 'hypervisor']
    assert missing['verdict'] == 'FAIL' and 'needs token' in missing['detail']
    assert missing['remedy'] == 'kvirt -d -C cloud info client'
    assert ('cloud', 'image') not in rows, 'what follows from it is not told as well'


def test_options_that_are_wrong_are_told_with_their_place(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text('lab:\n  type: fake\n  boot_seconds: soon\n')
    row = found(kvirt)['lab', 'credentials']
    assert row['verdict'] == 'FAIL' and 'config.yml:3' in row['detail'] and row['remedy'] == 'kvirt info provider fake'


def test_a_misspelled_default_is_told_once(kvirt: Run, home: Path) -> None:
    config = home / 'config.yml'
    config.write_text(config.read_text().replace('default:\n', 'default:\n  memroy: 1g\n'))
    failed = {key: row for key, row in found(kvirt, '-C', 'all').items() if row['verdict'] == 'FAIL'}
    assert list(failed) == [('', 'defaults')]
    assert f"{config}:2: unknown key 'memroy' in section default" in failed['', 'defaults']['detail']


def test_credentials_that_are_refused(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, *arguments: object) -> list[object]:
        raise Unauthorized('the token is not known')
    monkeypatch.setattr(Kfake, '_list', refuse)
    row = found(kvirt)['lab', 'credentials']
    assert (row['verdict'], row['detail']) == ('FAIL', 'the token is not known')


def test_a_client_that_does_not_exist(kvirt: Run) -> None:
    row = found(kvirt, '-C', 'lba')['', 'clients']
    assert row['verdict'] == 'FAIL' and "did you mean 'lab'?" in row['detail']


def test_a_client_that_can_not_be_reached(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text(f'far:\n  type: fake\n  state: {home}/config.yml/x.db\n')
    rows = found(kvirt)
    assert rows['far', 'hypervisor']['verdict'] == 'FAIL'
    assert rows['far', 'hypervisor']['remedy']


def test_a_file_that_can_not_be_read_is_a_finding(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text('lab: [\n')
    assert found(kvirt)['', 'config']['verdict'] == 'FAIL'
    (home / 'config.yml').write_text('lab:\n  type: fake\n')
    (home / 'profiles.yml').write_text('small: [\n')
    assert found(kvirt)['', 'config']['verdict'] == 'FAIL'


def test_no_configuration_leads_to_init(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').unlink()
    row = found(kvirt, '-C', 'fake')['', 'config']
    assert (row['verdict'], row['remedy']) == ('WARN', 'kvirt init')


def test_secrets_that_others_can_read(kvirt: Run, home: Path) -> None:
    secrets = home / 'secrets.yml'
    secrets.write_text('lab: {}\n')
    secrets.chmod(0o644)
    row = found(kvirt)['', 'secrets']
    assert (row['verdict'], row['remedy']) == ('FAIL', f'chmod 600 {secrets}')
    secrets.chmod(0o600)
    assert found(kvirt)['', 'secrets']['verdict'] == 'PASS'


def test_no_ssh_key(kvirt: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / '.ssh' / 'id_ed25519.pub').unlink()
    monkeypatch.delenv('SSH_AUTH_SOCK', raising=False)
    row = found(kvirt)['', 'ssh key']
    assert row['verdict'] == 'FAIL' and 'ssh-keygen' in row['remedy']


def test_a_key_that_can_not_be_read_is_a_finding_as_well(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> tuple[str, ...]:
        raise PermissionError(13, 'Permission denied', '/home/ada/.ssh/id_rsa.pub')
    monkeypatch.setattr(doctor.keys, 'public_keys', refuse)
    row = found(kvirt)['', 'ssh key']
    assert (row['verdict'], row['detail']) == ('FAIL', '/home/ada/.ssh/id_rsa.pub: Permission denied')


def test_no_ssh(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: None)
    assert found(kvirt)['', 'ssh']['verdict'] == 'WARN'


@pytest.mark.parametrize(('section', 'check', 'verdict', 'said'), [
    ('pool: nowhere', 'pool', 'FAIL', "no pool 'nowhere'"),
    ('disks: [9000000]', 'pool', 'WARN', 'GiB left'),
    ('nets: [lost]', 'network', 'WARN', "no network 'lost'"),
    ('image: nosuchthing', 'image', 'WARN', "no image 'nosuchthing'"),
    ('memory: much', 'keywords', 'FAIL', 'memory'),
])
def test_what_is_configured_for_vms_is_compared_with_what_there_is(section: str, check: str, verdict: str, said: str,
                                                                   kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text(f'lab:\n  type: fake\n  {section}\n')
    row = found(kvirt)['lab', check]
    assert (row['verdict'], said in row['detail']) == (verdict, True), row
    assert row['remedy'] or verdict == 'FAIL'


def test_a_pool_that_is_known_and_not_listed_is_one(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kfake, '_list_pools', lambda self: ['fast'])
    monkeypatch.setattr(Kfake, '_info_pool', lambda self, name: {'name': name, 'type': 'fast'})
    assert found(kvirt)['lab', 'pool']['verdict'] == 'PASS'


def test_a_limit_that_is_reached(kvirt: Run, home: Path) -> None:
    (home / 'config.yml').write_text(f'lab:\n  type: fake\n  state: {home}/q.db\n  faults: [quota=1]\n')
    kvirt('create', 'vm', '-i', 'debian12', '-P', 'insecure=true', 'one')
    assert found(kvirt)['lab', 'quota']['verdict'] == 'WARN'


@pytest.mark.parametrize(('groups', 'members', 'verdict', 'remedy'), [
    ([5000], [], 'PASS', ''),
    ([1], ['ada'], 'WARN', 'newgrp libvirt'),
    ([1], [], 'WARN', 'sudo usermod -aG libvirt ada'),
])
def test_the_user_of_the_local_libvirt(groups: list[int], members: list[str], verdict: str, remedy: str, kvirt: Run,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, 'has_local_libvirt', staticmethod(lambda: True))
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    monkeypatch.setattr(doctor.pwd, 'getpwuid', lambda number: SimpleNamespace(pw_name='ada'))
    monkeypatch.setattr(os, 'getgroups', lambda: groups)
    monkeypatch.setattr(grp, 'getgrnam', lambda name: grp.struct_group((name, 'x', 5000, members)))
    row = found(kvirt, '-C', 'lab')['', 'groups']
    assert (row['verdict'], row['remedy']) == (verdict, remedy)


@pytest.mark.parametrize(('there', 'verdict'), [(True, 'PASS'), (False, 'WARN')])
def test_acceleration(there: bool, verdict: str, kvirt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, 'has_local_libvirt', staticmethod(lambda: True))
    monkeypatch.setattr(doctor, '_KVM', tmp_path if there else tmp_path / 'kvm')
    assert found(kvirt, '-C', 'lab')['', 'acceleration']['verdict'] == verdict
