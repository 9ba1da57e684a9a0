"""Ignition configs: golden ones, Ignition's own validator, network files, and configs of the user's own."""

from __future__ import annotations

import base64
import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.errors import InvalidInput, NotSupported
from kvirt.guest.guest import Guest
from kvirt.guest.keys import HostKey
from tests.unit.guest.conftest import KEY, MACS, Make
from tests.unit.guest.test_network import CASES as NETWORKS
from tests.unit.guest.test_network import STATIC

UNIT = '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n'

CASES: dict[str, dict[str, Any]] = {
    'plain': {'image': 'fcos'},
    'full': {'image': 'rhcos-4.12.17-x86_64-openstack.x86_64.qcow2', 'domain': 'example.com', 'vmuser': 'ops',
             'cmds': ['[ -f /x ] && echo "a: b"'], 'enableroot': False,
             'files': [{'path': '/etc/motd', 'content': 'hi'},
                       {'path': '/etc/systemd/system/mine.service', 'content': UNIT},
                       {'path': '/etc/systemd/system/mine.service.d/x.conf', 'content': '[Service]\n'}]},
    'static': {'image': 'fcos', 'nets': NETWORKS['static']['nets']},
    'flatcar': {'image': 'flatcar', 'nets': [{**STATIC, 'domain': 'example.com', 'mtu': 9000, 'nic': 'lan0'},
                                             {'name': 'x', 'noconf': True}]},
}


def document(guest: Guest, macs: tuple[str, ...] | None = None) -> dict[str, Any]:
    found = json.loads(guest.user_data(MACS[:len(guest.spec.nets)] if macs is None else macs))
    assert isinstance(found, dict)
    return found


def files(guest: Guest) -> dict[str, str]:
    """Return the files that Ignition would write."""
    return {file['path']: content(file['contents']['source']) for file in document(guest)['storage']['files']}


def content(url: str) -> str:
    return base64.b64decode(url.removeprefix('data:;base64,')).decode()


@pytest.mark.parametrize('case', CASES)
def test_golden(case: str, make: Make, golden: Callable[[str, str], None]) -> None:
    guest = make(**CASES[case])
    found = document(guest)
    for file in found['storage']['files']:  # readable, and without what other golden files have
        text = content(file['contents']['source'])
        file['contents'] = text.splitlines() if file['path'] != '/var/lib/kvirt/run.sh' else '...'
    golden(f'ignition-{case}.json', json.dumps(found, indent=1) + '\n')


@pytest.mark.parametrize('case', [*CASES, 'own'])
def test_ignition_itself_accepts_it(case: str, make: Make, tmp_path: Path) -> None:
    if not shutil.which('ignition-validate'):
        pytest.skip('ignition-validate is not installed')
    (tmp_path / 'own.ign').write_text('{"ignition": {"version": "3.2.0"}}')
    guest = make(**CASES.get(case, {'image': 'fcos', 'ignition_file': 'own.ign'}))
    text = guest.user_data(MACS[:len(guest.spec.nets)])
    path = tmp_path / 'config.ign'
    # Debian's validator knows 3.3 at most; nothing that we use is newer.
    path.write_text(re.sub(r'"version": "3\.[4-9]\.0"', '"version": "3.3.0"', text))
    done = subprocess.run(['ignition-validate', path], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, '')


def test_users(make: Make) -> None:
    def users(**keywords: Any) -> list[str]:
        return [user['name'] for user in document(make(image='fcos', **keywords))['passwd']['users']]
    assert users() == ['core', 'root']
    assert users(enableroot=False) == ['core']
    assert users(vmuser='ops') == ['core', 'ops', 'root']
    assert users(nokeys=True) == []
    assert users(nokeys=True, vmuser='ops') == ['ops']
    suse = make(image='SLE-Micro.x86_64.qcow2')
    assert document(suse)['passwd']['users'] == [{'name': 'root', 'sshAuthorizedKeys': [KEY]}]


def test_the_host_key_is_handed_in(make: Make) -> None:
    guest = make(image='fcos')
    assert guest.host_key is not None
    written = files(guest)
    key = HostKey(written['/etc/ssh/ssh_host_ed25519_key'], written['/etc/ssh/ssh_host_ed25519_key.pub'].strip())
    assert key == guest.host_key
    assert '/etc/ssh/ssh_host_ed25519_key' not in files(make(image='fcos', insecure=True))


def test_services_become_units(make: Make) -> None:
    found = document(make(**CASES['full']))
    assert {unit['name']: unit['enabled'] for unit in found['systemd']['units']} == {
        'kvirt.service': True, 'mine.service': True}
    assert [unit['contents'] for unit in found['systemd']['units'] if unit['name'] == 'mine.service'] == [UNIT]
    assert '/etc/systemd/system/mine.service' not in {file['path'] for file in found['storage']['files']}


def keyfile(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=['='])
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.mark.parametrize('case', [case for case in NETWORKS if case not in ('plain', 'two')])
def test_every_network_has_its_keyfiles(case: str, make: Make) -> None:
    guest = make(image='fcos', **NETWORKS[case])
    found = {path.rpartition('/')[2].removesuffix('.nmconnection'): keyfile(text) for path, text in files(guest).items()
             if path.endswith('.nmconnection')}
    v2 = guest.network_config(MACS[:len(guest.spec.nets)])
    assert all(f'\n  {name}:\n' in v2 for name in found)
    assert len({parts['connection']['uuid'] for parts in found.values()}) == len(found)
    for parts in found.values():
        owner = parts['connection'].get('master')
        assert ('ipv4' in parts) is (owner is None)
        if owner:
            assert found[owner]['connection']['type'] == parts['connection']['slave-type']
        if parts['connection']['type'] == 'vlan':
            assert parts['vlan']['parent'] in {other['connection']['uuid'] for other in found.values()}
        if parts['connection']['type'] == 'ethernet':
            assert parts['ethernet']['mac-address'] in MACS


def test_what_a_keyfile_says(make: Make) -> None:
    found = keyfile(files(make(**CASES['static']))['/etc/NetworkManager/system-connections/nic0.nmconnection'])
    assert found['ipv4'] == {'method': 'manual', 'address1': '10.0.0.5/24', 'address2': '10.0.0.6/24',
                             'address3': '10.9.0.7/16', 'gateway': '10.0.0.1', 'dns': '1.1.1.1;9.9.9.9;',
                             'dns-search': 'example.com;'}
    assert found['ipv6'] == {'method': 'link-local'}
    assert found['ethernet'] == {'mac-address': MACS[0], 'mtu': '9000'}
    six = {'name': 'a', 'ip': 'fd00::5/64', 'gateway': 'fd00::1', 'dns': 'fd00::1,1.1.1.1'}
    found = keyfile(files(make(image='fcos', nets=[six]))['/etc/NetworkManager/system-connections/nic0.nmconnection'])
    assert found['ipv4'] == {'method': 'disabled', 'dns': '1.1.1.1;'}
    assert found['ipv6'] == {'method': 'manual', 'address1': 'fd00::5/64', 'gateway': 'fd00::1', 'dns': 'fd00::1;'}


def test_plain_dhcp_needs_no_file(make: Make) -> None:
    assert not [path for path in files(make(image='fcos', nets=['a', 'b'])) if 'etwork' in path]


def test_flatcar_has_no_network_manager(make: Make) -> None:
    with pytest.raises(NotSupported, match='a vlan'):
        make(image='flatcar', **NETWORKS['vlan']).user_data(MACS[:3])


def test_a_network_that_needs_mac_addresses_is_not_left_out(make: Make) -> None:
    document(make(image='fcos'), macs=())
    with pytest.raises(NotSupported, match='MAC addresses'):
        make(**CASES['static']).user_data()


# configs of the user's own


def test_a_config_of_ones_own_is_merged_by_ignition(make: Make, tmp_path: Path) -> None:
    own = '{"ignition": {"version": "3.4.0"}, "storage": {"files": []}}'
    (tmp_path / 'own.ign').write_text(own)
    found = document(make(image='fcos', ignition_file='own.ign'))
    assert [content(entry['source']) for entry in found['ignition']['config']['merge']] == [own]


@pytest.mark.parametrize(('own', 'said'), [('{', 'is not JSON'), ('[]', 'version 3'), ('{}', 'version 3'),
                                           ('"x"', 'version 3'), ('{"ignition": {"version": "2.2.0"}}', 'version 3'),
                                           ('{"ignition": []}', 'version 3'), (None, 'does not exist')])
def test_a_faulty_config_of_ones_own(make: Make, tmp_path: Path, own: str | None, said: str) -> None:
    if own is not None:
        (tmp_path / 'own.ign').write_text(own)
    with pytest.raises(InvalidInput, match=said):
        make(image='fcos', ignition_file='own.ign')


def test_cloud_config_is_not_for_ignition(make: Make) -> None:
    with pytest.raises(InvalidInput, match='cloudinit_file: a guest of this image is configured by Ignition'):
        make(image='fcos', cloudinit_file='x')
