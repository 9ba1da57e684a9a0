"""Profiles, networks, pools, images, disks, nics, flavors, keywords, providers, orphans."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.spec import KEYWORDS

from .conftest import KEY, Run


def rows(kvirt: Run, noun: str, *words: str) -> dict[str, dict[str, Any]]:
    return {row['name']: row for row in json.loads(kvirt('list', noun, '-o', 'json', *words).out)}


def test_profiles(kvirt: Run, home: Path) -> None:
    (home / 'profiles.yml').write_text('# mine\nold:\n  memory: 1 # one\n')
    assert kvirt('create', 'profile', '-i', 'debian12', '-P', 'memory=2g', '-P', 'disks=[20]', 'base').code == 0
    assert kvirt('create', 'profile', '-P', 'base=base', '-P', 'numcpus=4', 'big').code == 0
    text = (home / 'profiles.yml').read_text()
    assert text.startswith('# mine\nold:\n  memory: 1 # one\n')
    assert yaml.safe_load(text)['base'] == {'memory': '2g', 'disks': [20], 'image': 'debian12'}
    assert rows(kvirt, 'profile')['big'] == {'name': 'big', 'base': 'base', 'image': 'debian12', 'memory': '2g',
                                             'disks': [20], 'numcpus': 4}
    assert kvirt('list', 'profile', '--short').out == 'base\nbig\nold\n'
    assert kvirt('update', 'profile', '-P', 'memory=None', '-P', 'numcpus=1', 'base').code == 0
    assert json.loads(kvirt('info', 'profile', 'base', '-o', 'json').out)['numcpus'] == 1
    assert 'memory' not in yaml.safe_load((home / 'profiles.yml').read_text())['base']
    assert kvirt('delete', 'profile', '-y', 'base').errors == ['Error: profile base is the base of big']
    assert kvirt('delete', 'profile', '-y', 'big', 'base').code == 0
    assert kvirt('list', 'profile', '-s').out == 'old\n'


@pytest.mark.parametrize(('words', 'said'), [
    (('create', 'profile', 'x'), 'no keyword was given'), (('create', 'profile', '-P', 'memory=-1', 'x'), 'keyword memory'),
    (('create', 'profile', '-P', 'base=nope', 'x'), "profile 'nope' does not exist"),
    (('create', 'profile', '-P', 'base=x', 'x'), 'can not be its own base'),
    (('update', 'profile', '-P', 'memory=1', 'nope'), "profile 'nope' does not exist"),
])
def test_profiles_that_can_not_be(words: tuple[str, ...], said: str, kvirt: Run, home: Path) -> None:
    done = kvirt(*words)
    assert done.code in (1, 2) and len(done.errors) == 1 and said in done.err
    assert not (home / 'profiles.yml').exists()


def test_a_profile_s_odd_key_is_told(kvirt: Run) -> None:
    done = kvirt('create', 'profile', '-P', 'memry=1', 'x')
    assert (done.code, done.err.splitlines()[0]) == (
        0, "Warning: 'memry' is no keyword, did you mean 'memory'? It only means something to templates")


def test_networks(web: Run) -> None:
    assert web('create', 'network', '-c', '10.7.0.0/24', '--domain', 'lab.test', '--nodhcp', 'lab').code == 0
    assert web('create', 'network', '-c', '10.8.0.0/24', '-i', 'alone').code == 0
    found = rows(web, 'network')
    assert (found['lab']['cidr'], found['lab']['dhcp'], found['lab']['domain'], found['lab']['mode']) == (
        '10.7.0.0/24', False, 'lab.test', 'nat')
    assert found['alone']['mode'] == 'isolated'
    assert json.loads(web('info', 'net', 'default', '-o', 'json').out)['vms'] == ['web']
    assert web('create', 'network', '-c', '10.7.0.0/16', 'overlap').code == 1
    assert web('create', 'network', '-c', 'nope', 'bad').code == 2
    assert web('create', 'network', '-c', '10.6.0.0/24', '-P', 'colour=red', 'odd').code == 2
    assert web('delete', 'network', '-y', 'default').errors[0].count('web') == 1
    assert web('delete', 'net', '-y', 'lab', 'nope', 'alone').code == 1
    assert set(rows(web, 'network')) == {'default'}


def test_a_network_is_only_taken_from_vms_by_force(web: Run) -> None:
    assert web('create', 'network', '-c', '10.7.0.0/24', 'lab').code == 0
    assert web('create', 'nic', '-n', 'lab', 'web').code == 0
    assert json.loads(web('info', 'network', 'lab', '-o', 'json').out)['vms'] == ['web']
    refused = web('delete', 'network', '-y', 'lab')
    assert refused.code == 1 and 'in use by web' in refused.errors[0] and 'force' in refused.errors[0]
    assert web('delete', 'network', '-y', '--force', 'lab').code == 0
    assert set(rows(web, 'network')) == {'default'}
    assert [nic['net'] for nic in json.loads(web('info', 'vm', 'web', '-o', 'json').out)['nets']] == ['default']


def test_pools(web: Run) -> None:
    assert web('create', 'pool', '-p', '/srv/x', 'x').code == 0
    assert rows(web, 'pool')['x']['path'] == '/srv/x'
    assert web('list', 'pool', '-o', 'name').out == 'default\nfast\nx\n'
    assert json.loads(web('info', 'pool', 'x', '-o', 'json').out)['type'] == 'dir'
    assert web('create', 'pool', '-p', '/srv/x', 'x').code == 1
    assert web('delete', 'pool', '-y', 'default').code == 1
    assert web('delete', 'pool', '-y', 'x').code == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on the loopback, with an image."""
    folder = tmp_path / 'www'
    folder.mkdir()
    (folder / 'tiny.qcow2').write_bytes(b'QFI\xfb' + bytes(3 * 1024**2))
    (folder / 'live.iso').write_bytes(bytes(1024))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{running.server_address[1]}'
        running.shutdown()
        thread.join()


def test_images(web: Run, server: str) -> None:
    assert 'debian12' in web('list', 'template', '-s').out.split()
    done = web('download', 'image', '-u', f'{server}/tiny.qcow2', '-p', 'fast')
    assert done.code == 0, done.err
    assert done.err.splitlines()[-1] == 'Image tiny.qcow2 downloaded on lab'
    assert rows(web, 'image', '-e')['tiny.qcow2']['pool'] == 'fast'
    assert 'is there already' in web('download', 'image', f'{server}/tiny.qcow2', '-p', 'fast').err
    assert web('download', 'image', '-u', f'{server}/tiny.qcow2', '-P', 'name=other', '-o', 'json').code == 0
    assert {'tiny.qcow2', 'other'} <= set(rows(web, 'image'))
    assert web('create', 'vm', '-i', 'tiny.qcow2', '-P', 'pool=fast', 'small').code == 0
    assert web('delete', 'image', '-y', '-p', 'fast', 'tiny.qcow2').code == 1, 'a disk is a clone of it'
    assert web('delete', 'image', '-y', 'other').code == 0
    assert web('download', 'image').code == 2
    assert web('download', 'image', '-P', 'colour=red', 'debian12').code == 2


def test_isos(web: Run, server: str) -> None:
    assert web('download', 'iso', '-u', f'{server}/live.iso').code == 0
    assert 'live.iso' in rows(web, 'iso')
    assert 'live.iso' not in rows(web, 'image')
    assert web('update', 'vm', '-P', 'iso=live.iso', 'web').code == 0
    assert web('update', 'vm', '-P', 'iso=', 'web').code == 0
    assert web('delete', 'iso', '-y', 'live.iso').code == 0
    done = web('download', 'iso', '-u', f'{server}/live.iso', 'mine')
    assert done.err.splitlines()[-1] == 'Iso mine.iso downloaded on lab', 'its name says what it is'
    assert 'mine.iso' in rows(web, 'iso') and 'mine' not in rows(web, 'image')


def test_what_is_downloaded_is_verified(web: Run, tmp_path: Path) -> None:
    file = tmp_path / 'tiny.img'
    file.write_bytes(bytes(4096))
    right = hashlib.sha512(bytes(4096)).hexdigest()
    for words in (('--checksum', f'sha512:{"0" * 128}'), ('-P', f'checksum={"0" * 128}')):
        done = web('download', 'image', '-u', str(file), *words)
        assert (done.code, f'{file} has another checksum than sha512:' in done.err) == (2, True), done.err
    done = web('download', 'image', '-u', str(file), '--checksum', 'md5:abc')
    assert (done.code, done.err.startswith("Error: 'md5:abc' is no checksum. Give sha256:DIGITS")) == (2, True)
    assert web('download', 'image', '-u', str(file), '-P', f'checksum=sha512:{right}').code == 0
    assert 'tiny.img' in rows(web, 'image')


def test_disks(web: Run) -> None:
    assert web('create', 'disk', '-s', '512M', '-P', 'diskname=data.img', '--interface', 'scsi', 'web').code == 0
    assert web('create', 'vm-disk', '-s', '4', '-n', 'loose').code == 0
    found = rows(web, 'disk')
    assert (found['data.img']['size'], found['data.img']['vms']) == (1, ['web'])
    assert (found['loose']['size'], found['loose']['vms']) == (4, [])
    assert web('delete', 'disk', '-y', 'data.img').code == 1
    assert web('delete', 'disk', '-y', '--vm', 'web', 'data.img').code == 0
    assert web('delete', 'disk', '-y', '-n', 'loose').code == 0
    assert set(rows(web, 'disk')) == {'web_0.img'}
    for words in (('-s', '-1'), ('-s', '10Q'), ('-P', 'colour=red'), ('--interface', 'pigeon')):
        assert web('create', 'disk', *words, 'web').code == 2, words


def test_nics(web: Run) -> None:
    assert web('create', 'network', '-c', '10.7.0.0/24', 'lab').code == 0
    assert web('create', 'nic', '-n', 'lab', 'web').code == 0
    cards = json.loads(web('list', 'nic', 'web', '-o', 'json').out)
    assert [card['net'] for card in cards] == ['default', 'lab']
    assert web('delete', 'nic', '-i', cards[1]['mac'], 'web').code == 2
    assert web('delete', 'nic', '-y', '-i', cards[1]['mac'], 'web').code == 0
    assert web('list', 'nic', 'web', '-o', 'name').out == 'eth0\n'
    assert web('delete', 'nic', '-y', 'web').code == 2


def test_flavors(web: Run) -> None:
    found = rows(web, 'flavor')
    assert (found['small']['numcpus'], found['small']['memory'], found['small']['currency']) == (2, 2048, 'EUR')
    assert web('list', 'flavors', '-s').out.split() == sorted(found)
    assert web('create', 'vm', '-i', 'debian12', '-P', 'flavor=micro', 'tiny').code == 0
    assert web('info', 'vm', 'tiny', '-f', 'memory', '-v').out == '1024\n'


def test_keywords(kvirt: Run, home: Path) -> None:
    assert set(rows(kvirt, 'keyword')) == set(KEYWORDS)
    text = (home / 'config.yml').read_text()
    (home / 'config.yml').write_text(text.replace('default:\n', 'default:\n  memory: 4096\n'))
    known = json.loads(kvirt('info', 'keyword', 'memory', '-o', 'json').out)
    assert (known['default'], known['configured'], known['where']) == (512, 4096, f'{home}/config.yml:2')
    assert [key['name'] for key in json.loads(kvirt('info', 'keyword', 'nets', '-o', 'json').out)['keys']][:2] == [
        'name', 'mac']


def test_providers(kvirt: Run) -> None:
    known = json.loads(kvirt('info', 'provider', 'kvm', '-o', 'json').out)
    marks = {row['operation']: (row['mark'], row['reason']) for row in known['operations']}
    assert marks['create'][0] == 'supported'
    assert marks['create_bucket'] == ('never', 'libvirt has no object storage')
    assert all(bool(reason) == (mark == 'never') for mark, reason in marks.values() if mark != 'not yet')
    assert {row['option'] for row in known['options']} >= {'url', 'host', 'user'}
    assert kvirt('info', 'provider', 'libvirt', '-o', 'name').out == 'kvm\n'
    table = kvirt('info', 'provider', 'kvm').out
    assert 'libvirt has no object storage' in table and 'libvirt URI' in table


def test_orphans(kvirt: Run, spawn: Run, home: Path) -> None:
    text = (home / 'config.yml').read_text()
    (home / 'config.yml').write_text(text.replace("lab.db\n", "lab.db\n  faults: [kill@nics]\n", 1))
    assert spawn('create', 'vm', '-i', 'debian12', 'web').code == -9
    (home / 'config.yml').write_text(text)
    found = json.loads(kvirt('list', 'orphans', '-o', 'json').out)
    assert [row['name'] for row in found if row['kind'] == 'vm'] == ['web']
    assert kvirt('delete', 'orphans').code == 2
    done = kvirt('delete', 'orphans', '-y')
    assert done.code == 0 and 'vm web' in done.err
    assert kvirt('list', 'orphans', '-C', 'all', '-o', 'json').out == '[]\n'
    assert kvirt('delete', 'orphans', '-y').err == 'There are no orphans\n'
    assert kvirt('list', 'disk', '-o', 'name').out == ''


def test_versions(kvirt: Run) -> None:
    from kvirt import __version__
    assert kvirt('--version').out == f'kvirt {__version__}\n'
    assert json.loads(kvirt('version', '-o', 'json').out)['kvirt'] == __version__
    assert kvirt('version').out.startswith(f'kvirt: {__version__}\n')


def test_what_a_provider_lacks_is_a_failure_with_its_reason(kvirt: Run) -> None:
    done = kvirt('-C', 'test:///default', 'list', 'flavor')
    assert (done.code, done.errors) == (
        1, ['Error: libvirt has no flavors; any number of CPUs and any memory can be had'])


@pytest.mark.parametrize(('noun', 'name', 'fact'), [
    ('image', 'debian12', 'short'), ('disk', 'loose', 'size'), ('key', 'laptop', 'public_key'),
    ('floating-ip', 'front', 'ip'), ('loadbalancer', 'door', 'ports'), ('location', 'oslo', 'available'),
    ('iso', 'live.iso', 'pool'),
])
def test_what_is_listed_can_be_shown(noun: str, name: str, fact: str, web: Run, tmp_path: Path) -> None:
    (tmp_path / 'key.pub').write_text(KEY)
    for words in (('create', 'disk', '-n', 'loose'), ('create', 'key', '-k', str(tmp_path / 'key.pub'), 'laptop'),
                  ('create', 'floating-ip', 'front'), ('download', 'iso', '-u', 'https://host/live.iso'),
                  ('create', 'loadbalancer', '-P', 'ports=[80]', '-P', 'vms=[web]', 'door')):
        done = web(*words)
        assert done.code == 0, done.err
    known = json.loads(web('info', noun, name, '-o', 'json').out)
    assert known['name'] == name and fact in known
    done = web('info', noun, 'nosuch')
    assert done.code == 1 and f"kvirt list {noun}" in done.errors[0]
