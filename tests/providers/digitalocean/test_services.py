"""Images and snapshots, disks, networks, DNS and buckets, where DigitalOcean is special."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt.providers.digitalocean import Kdigitalocean, mapping
from kvirt.result import Result
from kvirt.testing.platform import KEY, ok, refused
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire
from tests.providers.digitalocean.cloud import ZONE, DigitalOcean
from tests.providers.digitalocean.parts import TOKEN
from tests.providers.digitalocean.test_create import asked, settled


@pytest.mark.parametrize(('short', 'slug'), [
    ('debian12', 'debian-12-x64'), ('ubuntu2404', 'ubuntu-24-04-x64'), ('centos9stream', 'centos-stream-9-x64'),
    ('rocky9', 'rockylinux-9-x64'), ('fedora42', 'fedora-42-x64'), ('debian-12-x64', 'debian-12-x64'), ('mine', 'mine'),
    ('arch', 'arch')])
def test_short_names_become_slugs(short: str, slug: str) -> None:
    assert mapping.slug(short) == slug


@pytest.mark.parametrize(('text', 'word'), [
    ('debian-12-generic-amd64.qcow2', 'Debian'), ('https://x/CentOS-Stream-9.qcow2', 'CentOS'), ('rocky-9', 'Rocky Linux'),
    ('Arch-Linux-x86_64', 'Arch Linux'), ('opensuse156', 'openSUSE'), ('mine', 'Unknown')])
def test_a_distribution_is_told_from_names(text: str, word: str) -> None:
    assert mapping.distribution(text) == word


def test_an_image_is_fetched_by_the_platform_and_used(do: Kdigitalocean, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / 'x.img').touch()
    refused(do.add_image(str(tmp_path / 'x.img')), 'NotSupported', names='files')
    refused(do.add_image('https://x.example/absent.img'), 'NotFound', names='could not be fetched')
    refused(do.add_image('https://x.example/a.img', checksum='0' * 64), 'NotSupported', names='verifies no checksum')
    ok(do.add_image('https://x.example/debian.qcow2', name='golden'))
    [sent] = [each.request.json for each in wire.exchanges if str(each.request) == 'POST /v2/images'][1:]
    assert (sent['distribution'], sent['region']) == ('Debian', 'nyc3')
    made = ok(do.create('web', **asked(image='golden')))
    assert do.info(made['id'])['image'] == 'golden'
    refused(do.delete_image('debian-12-x64'), 'Conflict', names='not one of this account')
    refused(do.delete_image('no-such-image'), 'NotFound', names='no-such-image')


def test_a_snapshot_is_no_image_and_a_copy_made_elsewhere_is(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create('web', **asked()))
    settled(do, 'web')
    ok(do.create_snapshot('first', 'web'))
    droplet = cloud.find('droplets', name='web')
    assert droplet
    cloud._copied(droplet, 'packer-1')
    assert [image['name'] for image in cloud.things['images'].values() if not image['public']] == ['web@first', 'packer-1']
    assert do.list_snapshots('web') == ['first']
    assert 'packer-1' in do.volumes()
    assert 'web@first' not in do.volumes()
    ok(do.delete('web', snapshots=True))
    assert cloud.words() == ['images packer-1']


def test_a_vm_that_was_stopped_is_stopped_again_when_it_was_reverted(do: Kdigitalocean, wire: Wire) -> None:
    ok(do.create('web', **asked()))
    settled(do, 'web')
    ok(do.create_snapshot('first', 'web'))
    ok(do.revert_snapshot('first', 'web'))
    assert do.status('web') == 'running'
    ok(do.stop('web'))
    settled(do, 'web', 'stopped')
    ok(do.revert_snapshot('first', 'web'))
    assert do.status('web') == 'stopped'


def test_volumes_are_named_after_their_vm(do: Kdigitalocean) -> None:
    ok(do.create('Web.1', **asked(disks=[10, 1, 2])))
    settled(do, 'Web.1')
    added = ok(do.add_disk('Web.1', 3))
    assert list(do.list_disks()) == ['web-1-1', 'web-1-2', 'web-1-3']
    assert added['path'] == '/dev/disk/by-id/scsi-0DO_Volume_web-1-3'
    for disk in ('web-1-1', added['path'], added['device'].replace('3', '2')):
        ok(do.delete_disk('Web.1', disk))
    assert do.list_disks() == {}
    refused(do.create_disk('Big', 1), 'InvalidInput', names='Big')


def test_a_larger_flavor_needs_a_stopped_vm_and_no_smaller_disk(do: Kdigitalocean) -> None:
    ok(do.create('web', **asked(flavor='s-2vcpu-2gb')))
    settled(do, 'web')
    refused(do.update_flavor('web', 's-2vcpu-4gb'), 'Conflict', names='web')
    ok(do.stop('web'))
    settled(do, 'web', 'stopped')
    ok(do.update_flavor('web', 's-2vcpu-4gb'))
    ok(do.update_flavor('web', 's-2vcpu-2gb'))
    refused(do.update_flavor('web', 's-1vcpu-1gb'), 'InvalidInput', names='smaller disk')
    assert do.info('web')['disks'][0]['size'] == 60


def test_a_network_becomes_the_default_one(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create_network('lab', '10.7.0.0/24', plan='shop'))
    ok(do.update_network('lab', overrides={'default': True, 'name': 'labor'}))
    assert do.info_network('labor')['default'] is True  # type: ignore[typeddict-item]
    assert do.info_network('default-nyc3')['default'] is False  # type: ignore[typeddict-item]
    assert do.info_network('labor')['plan'] == 'shop'
    refused(do.update_network('labor', overrides={'colour': 1}), 'InvalidInput', names='colour')
    refused(do.delete_network('labor'), 'Conflict', names='default')
    refused(do.create_network('tiny', '10.8.0.0/30'), 'InvalidInput', names='ip_range')


def test_an_address_that_was_reserved_elsewhere_is_called_by_itself(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    cloud.create_reserved_ip(type('Asked', (), {'json': {'region': 'nyc3'}})())  # type: ignore[arg-type]
    [address] = cloud.things['reserved_ips']
    assert do.list_floating_ips() == {address: {'ip': address, 'vm': None, 'id': address, 'location': 'nyc3'}}
    ok(do.create_floating_ip('Front.1'))
    assert 'Front.1' in do.list_floating_ips()
    ok(do.delete_floating_ip(address))
    ok(do.delete_floating_ip('Front.1'))
    assert cloud.words() == []


def test_records_of_a_vm_go_with_it_and_others_stay(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create('web', **asked(domain=ZONE)))
    settled(do, 'web')
    ok(do.reserve_dns('web', alias=['www']))
    ok(do.reserve_dns('mine', domain=ZONE, ip=do.ip('web')))
    rows = {row['name']: (row['type'], row['data']) for row in do.list_dns(ZONE) if row['type'] not in ('NS', 'SOA')}
    assert rows[f'www.{ZONE}'] == ('CNAME', [f'web.{ZONE}'])
    refused(do.reserve_dns('web', alias=['www']), 'AlreadyExists', names='web')
    ok(do.reserve_dns('web', ip='192.0.2.99', domain=ZONE, alias=['www'], force=True))
    ok(do.delete('web'))
    assert cloud.words() == ['records mine']


def test_a_record_whose_alias_can_not_be_made_is_not_made_either(do: Kdigitalocean, cloud: DigitalOcean,
                                                                 wire: Wire) -> None:
    wire.fail(2, 'refused', matches=lambda request: str(request) == f'POST /v2/domains/{ZONE}/records')
    refused(do.reserve_dns('web', domain=ZONE, ip='192.0.2.1', alias=['www']), 'InvalidInput')
    assert cloud.words() == []


def test_numbers_of_a_record_stand_before_its_data(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    for more in ({'type': 'SRV', 'name': '_sip', 'data': 'sip', 'priority': 1, 'weight': 2, 'port': 5060},
                 {'type': 'MX', 'name': '@', 'data': 'mail', 'priority': 10},
                 {'type': 'MX', 'name': '@', 'data': 'mail2', 'priority': 20}):
        cloud.add('records', cloud._record({**more, 'zone': ZONE}))
    rows = {row['name']: row['data'] for row in do.list_dns(f'{ZONE}.') if row['type'] in ('SRV', 'MX')}
    assert rows == {f'_sip.{ZONE}': ['1 2 5060 sip'], ZONE: ['10 mail', '20 mail2']}


def test_a_record_that_was_there_outlives_a_load_balancer_that_could_not_be_made(do: Kdigitalocean,
                                                                                 cloud: DigitalOcean) -> None:
    ok(do.reserve_dns('front', domain=ZONE, ip='192.0.2.1'))
    refused(do.create_loadbalancer('front', [80], domain=ZONE), 'AlreadyExists', names='front')
    assert cloud.words() == ['records front']


def test_records_of_a_load_balancer_go_with_it(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    made = ok(do.create_loadbalancer('front', [443, 80], domain=ZONE, alias=['www']))
    rows = {row['name']: row['data'] for row in do.list_dns(ZONE)}
    assert rows[f'front.{ZONE}'] == [made['ip']]
    assert rows[f'www.{ZONE}'] == [f'front.{ZONE}']
    [row] = do.list_loadbalancers()
    assert (row['ip'], row['ports'], row['vms']) == (made['ip'], [80, 443], [])
    ok(do.delete_loadbalancer('front'))
    assert cloud.words() == []
    refused(do.create_loadbalancer('front', [80], ip='192.0.2.1'), 'NotSupported', names='address')


@pytest.mark.parametrize('breakage', ['refused', 'lost'])
@pytest.mark.parametrize('path', ['load_balancers', 'tags', f'domains/{ZONE}/records'])
def test_a_load_balancer_is_made_whole_or_not_at_all(do: Kdigitalocean, cloud: DigitalOcean, wire: Wire, path: str,
                                                     breakage: str) -> None:
    wire.fail(1, breakage, matches=lambda request: str(request) == f'POST /v2/{path}')
    assert not do.create_loadbalancer('front', [80], domain=ZONE, alias=['www']).ok
    assert cloud.words() == []


@pytest.mark.parametrize('breakage', ['refused', 'lost'])
@pytest.mark.parametrize('path', ['firewalls', 'tags'])
def test_a_group_is_made_whole_or_not_at_all(do: Kdigitalocean, cloud: DigitalOcean, wire: Wire, path: str,
                                             breakage: str) -> None:
    wire.fail(1, breakage, matches=lambda request: str(request) == f'POST /v2/{path}')
    assert not do.create_security_group('front', {'ports': [80]}).ok
    assert cloud.words() == []


@pytest.mark.parametrize('breakage', ['refused', 'lost'])
@pytest.mark.parametrize('start', ['POST /v2/volumes', 'GET /v2/actions'])
@pytest.mark.parametrize('nth', [1, 2])
def test_a_disk_is_added_whole_or_not_at_all(do: Kdigitalocean, cloud: DigitalOcean, wire: Wire, breakage: str, start: str,
                                             nth: int) -> None:
    ok(do.create('web', **asked()))
    settled(do, 'web')
    before = cloud.words()
    wire.fail(nth, breakage, matches=lambda request: str(request).startswith(start))
    done = do.add_disk('web', 3).ok
    assert done is (breakage == 'lost' and start.startswith('GET'))
    assert done or cloud.words() == before


def test_buckets_are_spaces_of_the_location(wire: Wire) -> None:
    options = {'token': TOKEN, 'api': f'{wire.url}/v2'}
    with Kdigitalocean(**options) as without:
        refused(without.create_bucket('logs'), 'NotSupported', names='spaces_key')
    with Kdigitalocean(**options, location='ams3', spaces_key='DO00', spaces_secret='secret-of-spaces',
                       clock=Haste()) as do:
        assert do.supports('create_bucket')
        assert do.s3.meta.endpoint_url == 'https://ams3.digitaloceanspaces.com'


OTHERS: dict[str, Callable[[Kdigitalocean], Result]] = {
    'volumes': lambda do: do.create_disk('data', 1), 'vpcs': lambda do: do.create_network('lab', '10.7.0.0/24'),
    'account/keys': lambda do: do.create_key('mine', KEY), 'images': lambda do: do.add_image('https://x.example/x.img')}


@pytest.mark.parametrize('path', OTHERS)
def test_what_is_made_by_a_call_whose_answer_is_lost_is_unmade(do: Kdigitalocean, cloud: DigitalOcean, wire: Wire,
                                                               path: str) -> None:
    wire.fail(1, 'lost', matches=lambda request: str(request) == f'POST /v2/{path}')
    refused(OTHERS[path](do), 'Unavailable')
    assert cloud.words() == []


def test_an_address_that_was_taken_by_such_a_call_is_not_hidden(do: Kdigitalocean, wire: Wire) -> None:
    wire.fail(1, 'lost', matches=lambda request: str(request) == 'POST /v2/reserved_ips')
    refused(do.create_floating_ip('front'), 'Unavailable', names='list floating-ip')
    [address] = do.list_floating_ips()
    ok(do.delete_floating_ip(address))
