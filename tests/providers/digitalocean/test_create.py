"""What one creating call carries, what VMs share, and what goes with them."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.providers.digitalocean import Kdigitalocean
from kvirt.testing.platform import KEY, ok, refused
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire
from kvirt.wait import StatusBoard
from tests.providers.digitalocean.cloud import DigitalOcean
from tests.providers.digitalocean.parts import TOKEN


def asked(**keywords: Any) -> dict[str, Any]:
    return {'image': 'debian12', 'keys': [KEY], **keywords}


def body(wire: Wire, path: str = '/v2/droplets') -> dict[str, Any]:
    """Return what was last posted to *path*."""
    sent: dict[str, Any] = [each.request.json for each in wire.exchanges if str(each.request) == f'POST {path}'][-1]
    return sent


def settled(do: Kdigitalocean, name: str, status: str = 'running') -> None:
    StatusBoard(do, max_age=0.001).wait(name, {status}, timeout=10)


def test_a_vm_is_made_complete_by_one_call(do: Kdigitalocean, cloud: DigitalOcean, wire: Wire) -> None:
    ok(do.create('web', **asked(plan='shop', disks=[10, 5], ports=[80], cmds=['reboot'])))
    sent = body(wire)
    assert (sent['name'], sent['region'], sent['image'], sent['size']) == ('web', 'nyc3', 'debian-12-x64', 's-2vcpu-2gb')
    assert 'reboot' in sent['user_data']
    assert [volume['id'] for volume in cloud.things['volumes'].values()] == sent['volumes']
    assert {'kvirt:plan:shop', 'kvirt:image:debian12'} <= set(sent['tags'])
    assert sum(call == 'POST /v2/droplets' for call in wire.calls) == 1
    [firewall] = cloud.behind('web')
    assert [(rule['ports'], rule['sources']['addresses']) for rule in firewall['inbound_rules']] == [
        ('22', ['0.0.0.0/0', '::/0']), ('80', ['0.0.0.0/0', '::/0'])]
    assert {rule['protocol']: rule['ports'] for rule in firewall['outbound_rules']} == {'icmp': '0', 'tcp': '0', 'udp': '0'}


def test_vms_with_the_same_rules_share_a_firewall_which_goes_with_the_last(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    for name in ('one', 'two', 'other'):
        ok(do.create(name, **asked(ports=[80] if name == 'other' else [])))
    assert do.list_security_groups()[-1] == 'kvirt-ssh'
    assert len(cloud.things['firewalls']) == 2
    assert len(cloud.things['account/keys']) == 1
    ok(do.delete('one'))
    assert cloud.behind('two')
    ok(do.delete('two'))
    assert do.list_security_groups() != []
    ok(do.delete('other'))
    assert cloud.words() == []


def test_a_firewall_that_is_reaped_in_the_moment_of_a_birth_is_made_again(do: Kdigitalocean, cloud: DigitalOcean,
                                                                          wire: Wire) -> None:
    reaped: list[str] = []

    def reap(exchange: Any) -> None:
        if str(exchange.request) == 'POST /v2/droplets':
            reaped.extend(cloud.things['firewalls'])
            cloud.things['firewalls'].clear()
    wire.watchers = (reap,)
    ok(do.create('web', **asked()))
    assert len(reaped) == 1
    assert [firewall['name'] for firewall in cloud.behind('web')] == ['kvirt-ssh']
    ok(do.delete('web'))
    assert [word for word in cloud.words() if 'group' not in word] == []


def test_a_vm_that_is_born_while_its_firewall_is_reaped_gets_it_back(do: Kdigitalocean, cloud: DigitalOcean,
                                                                     wire: Wire) -> None:
    ok(do.create('old', **asked(plan='first')))
    tags = list(cloud.find('droplets', name='old')['tags'])  # type: ignore[index]

    def be_born(exchange: Any) -> None:
        if str(exchange.request).startswith('DELETE /v2/firewalls/') and not cloud.things['droplets']:
            cloud.create_droplet(type('Asked', (), {'json': {
                'name': 'new', 'region': 'nyc3', 'size': 's-1vcpu-1gb', 'image': 'debian-12-x64', 'tags': tags}})())
    wire.watchers = (be_born,)
    ok(do.delete('old'))
    assert [(firewall['name'], len(firewall['inbound_rules'])) for firewall in cloud.behind('new')] == [('kvirt-ssh', 1)]


def test_a_key_that_is_reaped_just_before_a_birth_is_registered_again(do: Kdigitalocean, cloud: DigitalOcean,
                                                                      wire: Wire) -> None:
    gone: list[str] = []

    def reap(exchange: Any) -> None:
        if str(exchange.request) == 'POST /v2/account/keys' and not gone:
            gone.extend(cloud.things['account/keys'])
            cloud.things['account/keys'].clear()
    wire.watchers = (reap,)
    ok(do.create('web', **asked()))
    assert len(gone) == len(cloud.things['account/keys']) == 1


def test_a_tag_that_is_reaped_in_the_moment_of_a_birth_is_given_again(do: Kdigitalocean, cloud: DigitalOcean,
                                                                      wire: Wire) -> None:
    def reap(exchange: Any) -> None:
        if str(exchange.request) == 'POST /v2/droplets':
            for droplet in cloud.things['droplets'].values():
                droplet['tags'].remove('kvirt:plan:shop')
    wire.watchers = (reap,)
    ok(do.create('web', **asked(plan='shop')))
    assert do.info('web')['plan'] == 'shop'


def test_groups_of_the_users_own_stand_beside_and_stay(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create_security_group('front', {'ports': [443]}))
    ok(do.create('web', **asked(securitygroups=['front'])))
    assert sorted(firewall['name'] for firewall in cloud.behind('web')) == ['front', 'kvirt-ssh']
    assert do.info('web')['securitygroups'] == ['front', 'kvirt-ssh']  # type: ignore[typeddict-item]
    refused(do.delete_security_group('front'), 'Conflict', names='web')
    ok(do.delete('web'))
    assert do.list_security_groups() == ['front']
    refused(do.create('web', **asked(securitygroups=['absent'])), 'NotFound', names='absent')


def test_a_group_that_was_made_elsewhere_gets_a_tag(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    cloud.add('firewalls', {'id': 'f0000000-0000-4000-8000-000000000000', 'name': 'theirs', 'droplet_ids': [], 'tags': [],
                            'inbound_rules': [], 'outbound_rules': [], 'status': 'succeeded', 'pending_changes': []})
    ok(do.create('web', **asked(securitygroups=['theirs'])))
    assert 'theirs' in [firewall['name'] for firewall in cloud.behind('web')]


def test_a_key_that_the_account_has_is_used_and_stays(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create_key('mine', KEY))
    refused(do.create_key('again', KEY), 'Conflict', names='mine')
    ok(do.create('web', **asked()))
    ok(do.delete('web'))
    assert list(do.list_keys()) == ['mine']


def test_a_key_that_was_registered_for_a_vm_becomes_the_users(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create('web', **asked()))
    ok(do.create_key('mine', KEY))
    ok(do.create('api', **asked()))
    for name in ('web', 'api'):
        ok(do.delete(name))
    assert cloud.words() == ['account/keys mine']


def test_what_a_guest_is_told_has_a_limit_that_is_named(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    large = [{'path': '/x', 'content': 'x' * 70_000}]
    assert '65536' in refused(do.create('web', **asked(files=large)), 'InvalidInput')
    assert cloud.words() == []


@pytest.mark.parametrize(('keywords', 'word'), [
    ({'start': False}, 'starts every VM'), ({'nets': []}, 'one card'), ({'nets': ['default', 'default']}, 'one card'),
    ({'nets': [{'name': 'default', 'ip': '10.0.0.5/24'}]}, 'addresses'), ({'image': None}, 'image'),
    ({'iso': 'x.iso'}, 'CD'), ({'autostart': True}, 'autostart'),
    ({'disks': [50], 'flavor': 's-1vcpu-512mb-10gb'}, 'root disk of 10 GiB'),
    ({'disks': [10, {'size': 1, 'serial': 'x'}]}, 'serial'), ({'disks': [10, {'size': 1, 'name': 'A_b'}]}, 'A_b'),
    ({'spot': True}, 'spot'), ({'arch': 'aarch64'}, 'aarch64')])
def test_what_can_not_be_honoured_is_refused(do: Kdigitalocean, cloud: DigitalOcean, keywords: dict[str, Any],
                                             word: str) -> None:
    reason = refused(do.create('web', **asked(numcpus=1, **keywords)), 'InvalidInput', 'NotSupported', 'NotFound')
    assert word in reason
    assert cloud.words() == []


def test_a_name_that_a_droplet_can_not_have_is_refused(do: Kdigitalocean) -> None:
    refused(do.create('web_1', **asked()), 'InvalidInput', names='web_1')


def test_a_vm_may_have_no_public_address(do: Kdigitalocean, wire: Wire) -> None:
    ok(do.create('db', **asked(publicip=False)))
    assert body(wire)['public_networking'] is False
    settled(do, 'db')
    assert str(do.ip('db')).startswith('10.')


def test_a_gpu_is_asked_for_and_its_vm_listed(do: Kdigitalocean, wire: Wire) -> None:
    ok(do.create('brain', **asked(gpus=1)))
    ok(do.create('web', **asked()))
    assert [(row['name'], row['flavor']) for row in do.list()] == [('brain', 'gpu-h100x1-80gb'), ('web', 's-2vcpu-2gb')]
    flavor = do.info_flavor('gpu-h100x1-80gb')
    assert flavor
    assert (flavor.gpus, flavor.gpu) == (1, 'nvidia_h100')
    refused(do.create('brain', **asked()), 'AlreadyExists', names='brain')


def test_networks_and_projects_are_those_of_the_client(cloud: DigitalOcean, wire: Wire) -> None:
    options: dict[str, Any] = {'token': TOKEN, 'api': f'{wire.url}/v2', 'clock': Haste()}
    with Kdigitalocean(**options, vpc='private', project='shop') as do:
        refused(do.create('web', **asked()), 'NotFound', names='private')
        ok(do.create_network('private', '10.7.0.0/24'))
        made = ok(do.create('web', **asked(disks=[10, 1])))
        assert do.vm_ports('web') == ['private']
        assert [urn.partition(':')[2].partition(':')[0] for urn in cloud.assigned] == ['droplet', 'volume']
        assert cloud.assigned[0] == f"do:droplet:{made['id']}"
    with Kdigitalocean(**options, project='absent') as do:
        refused(do.create('api', **asked()), 'NotFound', names='absent')


def test_a_vm_made_elsewhere_is_seen_and_its_disks_go_with_it(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create('web', **asked()))
    settled(do, 'web')
    cloud.find('droplets', name='web').update(tags=['prod'])  # type: ignore[union-attr]
    cloud.things['tags'].clear()
    [row] = do.list()
    assert (row['plan'], row['image'], row['status']) == ('', 'debian-12-x64', 'running')
    ok(do.add_disk('web', 3))
    ok(do.delete('web'))
    assert do.list_disks() == {}


def test_two_of_one_name_made_elsewhere_are_a_conflict(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ids = [ok(do.create(name, **asked()))['id'] for name in ('web', 'web2')]
    cloud.find('droplets', name='web2').update(name='web')  # type: ignore[union-attr]
    settled(do, ids[0])
    refused(do.stop('web'), 'Conflict', names='web')
    ok(do.stop(ids[0]))
