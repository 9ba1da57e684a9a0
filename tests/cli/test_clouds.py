"""What clouds have beside VMs: keys, addresses, security groups, subnets, buckets, DNS, load balancers, snapshots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, Run


def rows(kvirt: Run, *words: str) -> dict[str, dict[str, Any]]:
    return {row['name']: row for row in json.loads(kvirt('list', *words, '-o', 'json').out)}


def test_locations_and_quotas(web: Run) -> None:
    assert rows(web, 'location')['oslo']['country'] == 'NO'
    assert rows(web, 'quota')['vms']['current'] == 1
    assert web('list', 'region', '-s').code == 2
    assert web('list', 'regions', '--sort', 'country', '-s').out.split() == ['tokyo', 'oslo', 'lisbon']


def test_keys(kvirt: Run, home: Path) -> None:
    Path('mine.pub').write_text(f'{KEY}\n')
    assert kvirt('create', 'key', '-k', 'mine.pub', 'a').code == 0
    assert kvirt('create', 'key', '-k', KEY, 'b').err == 'Key b created on lab\n'
    (home / 'id_ed25519.pub').write_text(KEY)
    assert kvirt('create', 'ssh-key', 'c').code == 0
    assert {row['public_key'] for row in rows(kvirt, 'key').values()} == {KEY}
    assert kvirt('create', 'key', '-k', KEY, 'a').errors == ['Error: key a exists']
    for odd in ('nothing.pub', 'ssh-ed25519 AAAA', ''):
        assert kvirt('create', 'key', '-k', odd, 'd').code == (0 if odd == '' else 2)
    assert kvirt('delete', 'key', '-y', 'a', 'b', 'nope').code == 1
    assert set(rows(kvirt, 'key')) == {'c', 'd'}


def test_floating_addresses(web: Run) -> None:
    done = web('create', 'floating-ip', 'front', '-o', 'json')
    address = json.loads(done.out)['ip']
    assert web('attach', 'floating-ip', 'front', 'web').err == 'Floating address front points to VM web on lab\n'
    assert rows(web, 'floating-ip')['front'] == {'name': 'front', 'ip': address, 'vm': 'web'}
    assert web('delete', 'floating-ip', '-y', 'front').code == 1
    assert web('detach', 'floating-ip', 'front').code == 0
    assert web('attach', 'floating-ip', 'front', 'nope').code == 1
    assert web('delete', 'floating-ip', 'front').code == 2, 'nobody can be asked'
    assert web('delete', 'floating-ip', '-y', 'front').code == 0
    assert rows(web, 'floating-ip') == {}


def test_security_groups(kvirt: Run) -> None:
    assert kvirt('create', 'sg', '-P', 'ports=[80,8000-8100,53/udp,icmp]', 'front').code == 0
    rules = json.loads(kvirt('info', 'firewall', 'front', '-o', 'json').out)['rules']
    assert [(rule['protocol'], rule.get('from_port'), rule.get('to_port')) for rule in rules] == [
        ('tcp', 80, 80), ('tcp', 8000, 8100), ('udp', 53, 53), ('icmp', None, None)]
    assert kvirt('update', 'security-group', '-P', 'ports=[{from_port: 443, cidr: 10.0.0.0/8}]', 'front').code == 0
    rules = json.loads(kvirt('info', 'sg', 'front', '-o', 'json').out)['rules']
    assert rules == [{'protocol': 'tcp', 'cidr': '10.0.0.0/8', 'from_port': 443, 'to_port': 443}]
    assert kvirt('list', 'sgs', '-s').out.split() == ['default', 'front']
    assert kvirt('list', 'sg', '-n', 'nope').code == 1
    for words in (('-P', 'ports=[99999]'), ('-P', 'ports=[eighty]'), ('-P', 'ports=80', '-P', 'colour=red')):
        assert kvirt('create', 'sg', *words, 'odd').code == 2, words
    assert kvirt('update', 'sg', 'front').errors == ['Error: nothing to change was given. Give it with -P: -P ports=[443]']
    assert kvirt('info', 'sg', 'nope').code == 1
    assert kvirt('delete', 'sg', '-y', 'front').code == 0


def test_subnets(web: Run) -> None:
    assert web('create', 'network', '-c', '10.7.0.0/16', 'lab').code == 0
    assert web('create', 'subnet', '-c', '10.7.1.0/24', '--network', 'lab', '--nodhcp', 'near').code == 0
    assert rows(web, 'subnet')['near']['network'] == 'lab'
    assert web('update', 'subnet', '-P', 'domain=near.test', 'near').code in (0, 2)
    assert web('update', 'subnet', 'near').code == 2
    assert web('create', 'subnet', '-c', '10.9.0.0/24', '--network', 'lab', 'far').code != 0
    assert web('create', 'subnet', 'none').code == 2
    assert web('create', 'nic', '-n', 'near', 'web').code == 0
    assert web('delete', 'subnet', '-y', 'near').code == 1
    assert web('delete', 'subnet', '-y', '-f', 'near').code == 0
    assert rows(web, 'subnet') == {}


def test_changes_of_networks_and_cards(web: Run) -> None:
    assert web('create', 'network', '-c', '10.7.0.0/24', 'lab').code == 0
    assert web('update', 'network', '--isolated', '--nodhcp', '--domain', 'lab.test', 'lab').code == 0
    known = rows(web, 'network')['lab']
    assert (known['mode'], known['dhcp'], known['domain']) == ('isolated', False, 'lab.test')
    assert web('update', 'network', '-P', 'nat=true', '-P', 'dhcp=true', '-P', 'plan=p', 'lab').code == 0
    known = rows(web, 'network')['lab']
    assert (known['mode'], known['dhcp'], known['domain'], known['plan']) == ('nat', True, 'lab.test', 'p')
    assert web('update', 'network', 'lab').code == 2
    made = web('create', 'network', '-P', 'cidr=10.8.0.0/24', '-P', 'domain=other.test', '-P', 'dhcp=false', 'other')
    assert made.code == 0
    shown = json.loads(web('info', 'network', 'other', '-o', 'json').out)
    assert (shown['cidr'], shown['domain'], shown['dhcp']) == ('10.8.0.0/24', 'other.test', False)
    assert web('delete', 'network', '-y', 'other').code == 0
    assert web('update', 'network', '-P', 'nat=maybe', 'lab').code == 2
    assert web('update', 'nic', '-n', 'lab', 'web').code == 0
    assert json.loads(web('list', 'nic', 'web', '-o', 'json').out)[0]['net'] == 'lab'
    assert web('update', 'nic', '-i', '4', '-n', 'lab', 'web').code == 2


def test_disks_grow(web: Run) -> None:
    assert web('stop', 'vm', 'web').code == 0
    disk = json.loads(web('info', 'vm', 'web', '-o', 'json').out)['disks'][0]['device']
    assert web('update', 'disk', '--vm', 'web', '-s', '40', disk).code == 0
    assert json.loads(web('info', 'vm', 'web', '-o', 'json').out)['disks'][0]['size'] == 40
    assert web('update', 'disk', '--vm', 'web', '-s', '20', disk).code == 2, 'it would be smaller'


def test_buckets_and_their_files(kvirt: Run, tmp_path: Path) -> None:
    assert kvirt('create', 'bucket', 'backups', 'more').code == 0
    Path('db.sql').write_text('select 1')
    done = kvirt('create', 'bucket-file', '-t', 'backups', 'db.sql')
    assert (done.code, done.out.startswith('https://')) == (0, True), done
    assert kvirt('list', 'bucket-files', 'backups', '-s').out == 'db.sql\n'
    Path('db.sql').unlink()
    assert kvirt('download', 'bucket-file', 'backups', 'db.sql').code == 0
    assert Path('db.sql').read_text() == 'select 1'
    assert kvirt('create', 'bucket-file', 'backups', 'absent').code == 1
    assert kvirt('download', 'bucket-file', 'backups', 'absent').code == 1
    assert kvirt('delete', 'bucket-file', '-y', 'backups', 'db.sql').code == 0
    assert kvirt('list', 'bucket-file', 'backups').err == 'There are no files in it\n'
    assert kvirt('list', 'bucket-file', 'nope').code == 1
    assert kvirt('delete', 'bucket', '-y', 'backups', 'more').code == 0
    assert rows(kvirt, 'bucket') == {}


def test_dns(web: Run) -> None:
    assert web('list', 'dns-zones', '-s').out.split() == ['example.com', 'fake.test']
    assert web('create', 'dns', '-d', 'example.com', '-i', '10.0.0.5', '-a', 'alias', 'www').code == 0
    assert web('create', 'dns', '-d', 'example.com', 'web').code == 0, 'its address is that of the VM'
    found = rows(web, 'dns', 'example.com')
    assert set(found) == {'www.example.com', 'alias.example.com', 'web.example.com'}
    assert set(rows(web, 'dns')) == set(found), 'of all zones'
    assert web('create', 'dns', '-d', 'example.com', '-i', '10.0.0.6', 'www').code == 1
    assert web('create', 'dns', '-d', 'example.com', '-i', '10.0.0.6', '-f', 'www').code == 0
    assert rows(web, 'dns', 'example.com')['www.example.com']['data'] == ['10.0.0.6']
    assert web('delete', 'dns', '-y', '-d', 'example.com', 'www', 'alias').code == 0
    assert set(rows(web, 'dns', 'example.com')) == {'web.example.com'}
    assert web('create', 'dns', '-d', 'nope.test', '-i', '10.0.0.5', 'www').code == 1
    assert web('create', 'dns', '-d', 'example.com', '-i', '10.0.0', 'www').code == 2


def test_the_d_of_dns_is_the_domain(kvirt: Run) -> None:
    quiet = kvirt('delete', 'dns', '-y', '-d', 'example.com', 'nope')
    assert (quiet.code, 'Traceback' in quiet.err) == (1, False)
    assert 'Traceback' not in kvirt('create', 'dns', '-d', 'example.com', 'a b').err
    for words in (('-d', 'create', 'dns', '-d', 'example.com'), ('create', 'dns', '-d', 'example.com', '--debug'),
                  ('list', 'dns', 'nope.test', '-d')):
        assert 'Traceback' in kvirt(*words).err, words


def test_load_balancers(web: Run) -> None:
    assert web('create', 'vm', '-i', 'debian12', 'two').code == 0
    done = web('create', 'lb', '-P', 'ports=[80,443]', '-P', 'vms=web', '-P', 'checkport=8080', 'front')
    assert done.code == 0 and ' at 203.0.113.' in done.err
    assert web('attach', 'lb', 'front', 'two').code == 0
    known = rows(web, 'loadbalancer')['front']
    assert (known['ports'], sorted(known['vms'])) == ([80, 443], ['two', 'web'])
    for words in (('-P', 'ports=[0]'), ('-P', 'ports=[http]'), ('-P', 'port=80'), ('-P', 'ports=80', '-P', 'checkport=no')):
        assert web('create', 'lb', *words, 'odd').code == 2, words
    assert web('create', 'lb', '-P', 'ports=80', '-P', 'vms=nope', 'odd').code == 1
    assert web('delete', 'lb', '-y', 'front').code == 0
    assert rows(web, 'loadbalancer') == {}
    assert set(rows(web, 'vm')) == {'web', 'two'}


def test_snapshots(web: Run) -> None:
    assert web('create', 'snapshot', 'first').code == 0, 'of the last VM'
    assert web('create', 'vm-snapshot', '-n', 'web', 'second').code == 0
    assert web('list', 'snapshot', 'web', '-s').out.split() == ['first', 'second']
    assert web('create', 'snapshot', '-n', 'web', 'first').code == 1
    assert web('revert', 'snapshot', '-n', 'web', 'first').code == 2, 'nobody can be asked'
    assert web('revert', 'snapshot', '-y', '-n', 'web', 'first').code in (0, 1)
    assert web('delete', 'snapshot', '-y', '-n', 'web', 'first').code == 0
    assert web('list', 'snapshots', 'web', '-o', 'name').out == 'second\n'
    assert web('list', 'snapshot', 'nope').code == 1


def test_an_image_made_of_a_vm(web: Run) -> None:
    assert web('export', 'vm', '-i', 'golden', 'web').code == 1, 'it runs'
    assert web('stop', 'vm', 'web').code == 0
    assert web('export', 'vm', '-i', 'golden').err.splitlines()[-1] == 'Image golden made from VM web on lab'
    assert web('create', 'vm', '-i', 'golden', 'copy').code == 0


def test_resizing(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12', '-P', 'flavor=small', '-P', 'start=false', 'web').code == 0
    assert kvirt('update', 'vm', '--flavor', 'large', 'web').code == 0
    assert json.loads(kvirt('info', 'vm', 'web', '-o', 'json').out)['memory'] == 8192
    assert kvirt('update', 'vm', '--flavor', 'nope', 'web').code == 1


@pytest.mark.parametrize('words', [
    ('create', 'key', '-k', KEY, 'x'), ('create', 'floating-ip', 'x'), ('create', 'sg', '-P', 'ports=80', 'x'),
    ('create', 'bucket', 'x'), ('create', 'lb', '-P', 'ports=80', 'x'), ('create', 'dns', '-d', 'example.com', 'x'),
    ('delete', 'key', '-y', 'x'), ('attach', 'floating-ip', 'x', 'y'), ('list', 'bucket-file', 'x')], ids=' '.join)
def test_these_are_of_one_client(words: tuple[str, ...], kvirt: Run) -> None:
    done = kvirt(*words, '-C', 'lab,two')
    assert (done.code, done.errors) == (
        2, ['Error: this is done on one client, and there are lab, two. Name one with -C'])


def test_lists_of_several_clients_name_them(kvirt: Run) -> None:
    assert kvirt('create', 'bucket', '-C', 'two', 'backups').code == 0
    assert kvirt('list', 'bucket', '-C', 'all').out.split() == ['NAME', 'CLIENT', 'backups', 'two']
    assert kvirt('list', 'floating-ip', '-C', 'all', '-o', 'json').out == '[]\n'


@pytest.mark.parametrize('noun', ['network', 'pool', 'image', 'disk', 'flavor', 'location', 'key', 'dns'])
def test_lists_can_be_sorted(noun: str, web: Run) -> None:
    assert web('list', noun, '--sort', 'name').code == 0
    assert web('list', noun, '--sort', 'colour').errors[0].startswith("Error: there is no field 'colour' to sort by")
