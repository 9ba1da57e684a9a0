"""What only Hetzner Cloud has, and the suite can not ask of everybody."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from hcloud import APIException

from kvirt.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    KvirtError,
    NotFound,
    NotSupported,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from kvirt.providers import registry
from kvirt.providers.describe import describe
from kvirt.providers.hcloud import Khcloud, mapping
from kvirt.providers.hcloud.account import meaning
from kvirt.testing.platform import KEY, ok, refused
from kvirt.testing.structure import faults
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Answer, Request

from . import catalogue
from .conftest import Bench, asked, left_in


def sent(bench: Bench, method: str, ending: str) -> dict[str, Any]:
    """Return the body of the last request of this kind."""
    found = [each.request for each in bench.wire.exchanges if each.request.method == method
             and each.request.path.endswith(ending)]
    return json.loads(found[-1].body)


def settled(bench: Bench, name: str) -> dict[str, Any]:
    """Return all that is known of a VM, with what is on its way there."""
    bench.cloud.settle()
    return {**bench.provider.info(name)}


# creating

def test_one_call_makes_a_vm_with_all_that_belongs_to_it(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(disks=[40, 10], owner='Älice', metadata={'note': 'x' * 100}, start=False)))
    assert [call for call in bench.wire.calls if call.startswith('POST')] == [
        'POST /v1/volumes', 'POST /v1/firewalls', 'POST /v1/ssh_keys', 'POST /v1/servers']
    body = sent(bench, 'POST', '/servers')
    assert body['start_after_create'] is False
    assert body['user_data'].startswith('#cloud-config')
    [volume] = bench.cloud.things['volumes'].values()
    assert (body['volumes'], body['automount']) == ([volume['id']], False)
    assert volume['labels']['kvirt'] == body['labels']['kvirt']
    assert all(len(value) <= 63 for value in body['labels'].values())
    known = settled(bench, 'web')
    assert (known['owner'], known['note'], known['status'], known['user']) == ('Älice', 'x' * 100, 'stopped', 'root')


def test_labels_of_others_stay_as_they_are(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    [server] = bench.cloud.things['servers'].values()
    server['labels'] |= {'env': 'a_bc', 'team.1': 'x', 'example': ''}
    ok(bench.provider.update_metadata('web', 'team', 'y' * 150))
    assert (server['labels']['env'], server['labels']['example']) == ('a_bc', '')
    assert settled(bench, 'web')['team'] == 'y' * 150
    ok(bench.provider.update_metadata('web', 'team', None))
    assert [key for key in server['labels'] if key.startswith('team')] == []


def test_a_sixth_firewall_is_refused_before_anything_is_made(bench: Bench) -> None:
    groups = [f'group{number}' for number in range(5)]
    for group in groups:
        ok(bench.provider.create_security_group(group))
    before = left_in(bench.cloud)
    refused(bench.provider.create('web', **asked(securitygroups=groups)), 'InvalidInput', names='5 firewalls')
    assert left_in(bench.cloud) == before
    ok(bench.provider.create('web', **asked(securitygroups=groups[:4])))
    assert settled(bench, 'web')['securitygroups'] == [*groups[:4], 'kvirt-ssh']


def test_what_guards_nothing_is_refused(bench: Bench) -> None:
    refused(bench.provider.create('web', **asked(publicip=False, ports=[80])), 'InvalidInput', names='publicip')
    refused(bench.provider.create('web', **asked(publicip=False, nets=[])), 'InvalidInput', names='network')
    ok(bench.provider.create('web', **asked(publicip=False)))
    assert sent(bench, 'POST', '/servers')['public_net'] == {'enable_ipv4': False, 'enable_ipv6': False}
    assert settled(bench, 'web')['ip'] == '10.7.0.2'
    assert 'firewalls' not in bench.cloud.things


def test_the_name_default_stands_for_the_network_of_the_client(bench: Bench) -> None:
    ok(bench.provider.create('alone', **asked(nets=['default'])))
    ok(bench.another(network='lan').create('web', **asked(nets=['default'])))
    assert (settled(bench, 'alone')['nets'], settled(bench, 'web')['nets'][0]['net']) == ([], 'lan')


@pytest.mark.parametrize(('keywords', 'error', 'names'), [
    ({'ip1': '10.7.0.9'}, 'InvalidInput', 'ips'),
    ({'nets': [{'name': 'lan', 'ip': '10.7.0.9/16'}]}, 'InvalidInput', 'ip of card 0'),
    ({'nets': ['lan', 'lan']}, 'InvalidInput', 'one card on a network'),
    ({'nets': ['far']}, 'Conflict', 'eu-central'),
    ({'disks': [50]}, 'InvalidInput', '40 GiB'),
    ({'disks': [40, 5]}, 'InvalidInput', '5 GiB'),
    ({'disks': [40, {'size': 10, 'image': 'debian12'}]}, 'InvalidInput', 'image'),
    ({'disks': [40, 'elsewhere']}, 'Conflict', 'hel1'),
    ({'flavor': 'cx11'}, 'NotFound', 'cx11'),
    ({'image': None}, 'InvalidInput', 'image'),
    ({'image': 'rocky9', 'flavor': 'cax11'}, 'NotFound', 'rocky9'),
    ({'placement': 'nowhere'}, 'NotFound', 'nowhere'),
    ({'spot': True}, 'InvalidInput', 'spot'),
])
def test_what_can_not_be_is_refused(bench: Bench, keywords: dict[str, Any], error: str, names: str) -> None:
    bench.cloud.network('far', '10.9.0.0/16', 'us-east')
    ok(bench.another(location='hel1').create_disk('elsewhere', 10))
    before = left_in(bench.cloud)
    refused(bench.provider.create('web', **asked(**keywords)), error, names=names)
    assert left_in(bench.cloud) == before
    assert 'servers' not in bench.cloud.things


def test_a_name_must_be_one_of_a_host(bench: Bench) -> None:
    refused(bench.provider.create('my_web', **asked()), 'InvalidInput', names='my_web')


def test_a_vm_boots_from_an_iso(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(iso='netboot.iso')))
    assert sent(bench, 'POST', '/servers')['start_after_create'] is False
    known = settled(bench, 'web')
    assert (known['iso'], known['status']) == ('netboot.iso', 'running')
    assert bench.provider.list_orphans() == []


def test_capacity_and_quota_are_told_apart(bench: Bench) -> None:
    bench.cloud.full = True
    result = bench.provider.create('web', **asked())
    assert (result['error'], result['retryable']) == ('OutOfCapacity', True)
    bench.cloud.full, bench.cloud.most_servers = False, 0
    assert bench.provider.create('web', **asked())['error'] == 'QuotaExceeded'
    assert left_in(bench.cloud) == []


def test_what_was_shared_and_went_away_in_between_is_made_again(bench: Bench) -> None:
    ok(bench.provider.create('first', **asked(nets=[])))
    bench.cloud.settle()
    cloud, admitted = bench.cloud, bench.cloud.admit

    def reaping(request: Any) -> None:
        admitted(request)
        if (request.method, request.path) == ('POST', '/v1/servers'):
            cloud.admit = admitted  # type: ignore[method-assign]
            for kind in ('firewalls', 'ssh_keys'):
                cloud.things[kind].clear()
    cloud.admit = reaping  # type: ignore[method-assign]
    ok(bench.provider.create('second', **asked(nets=[])))
    assert settled(bench, 'second')['securitygroups'] == ['kvirt-ssh']


def test_a_key_that_was_registered_for_a_vm_becomes_the_users(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(keys=[KEY])))
    ok(bench.provider.create_key('mine', KEY))
    refused(bench.provider.create_key('again', KEY), 'Conflict', names='mine')
    ok(bench.provider.delete('web'))
    assert list(bench.provider.list_keys()) == ['mine']


@pytest.mark.parametrize('breakage', ['refused', 'lost'])
def test_a_group_or_key_is_made_or_nothing_is_left(bench: Bench, breakage: str) -> None:
    bench.wire.fail(1, breakage, matches=lambda request: request.method == 'POST')
    assert not bench.provider.create_security_group('front', {'ports': [80]}).ok
    bench.wire.fail(1, breakage, matches=lambda request: request.method == 'POST')
    assert not bench.provider.create_key('mine', KEY).ok
    assert left_in(bench.cloud) == []


def test_vms_of_a_placement_group_stand_apart(bench: Bench) -> None:
    group = bench.cloud.add('placement_groups', {'name': 'apart', 'labels': {}, 'type': 'spread', 'created': catalogue.NOW,
                                                 'servers': []})
    ok(bench.provider.create('web', **asked(placement='apart')))
    assert sent(bench, 'POST', '/servers')['placement_group'] == group['id']
    assert settled(bench, 'web')['placement'] == 'apart'


# changes

def test_a_running_vm_is_resized_and_runs_again(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    assert settled(bench, 'web')['status'] == 'running'
    ok(bench.provider.update_flavor('web', 'cx32'))
    known = settled(bench, 'web')
    assert (known['flavor'], known['numcpus'], known['status'], known['disks'][0]['size']) == ('cx32', 4, 'running', 40)
    assert sent(bench, 'POST', '/change_type')['upgrade_disk'] is False
    refused(bench.provider.update_flavor('web', 'cax11'), 'InvalidInput')
    assert settled(bench, 'web')['status'] == 'running', 'it is started again also when the change is refused'


def test_what_is_protected_is_not_deleted(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    bench.cloud.settle()
    next(iter(bench.cloud.things['servers'].values()))['protection']['delete'] = True
    refused(bench.provider.delete('web'), 'Conflict', names='protect')
    ok(bench.provider.create_network('own', '10.20.0.0/16', overrides={'protected': True, 'routes': [
        {'destination': '10.100.0.0/16', 'gateway': '10.20.0.5'}]}))
    refused(bench.provider.delete_network('own'), 'Conflict')
    there, wanted = bench.provider.info_network('own'), {'protected': False, 'expose_routes_to_vswitch': False}
    assert bench.provider.network_unlike(there, {**wanted, 'routes': there['routes']}) == {  # type: ignore[typeddict-item]
        'protected': (True, False, False)}
    ok(bench.provider.update_network('own', overrides={'protected': False, 'routes': [], 'expose_routes_to_vswitch': True}))
    assert bench.provider.info_network('own')['routes'] == []  # type: ignore[typeddict-item]
    ok(bench.provider.delete_network('own'))


def test_an_unknown_status_is_unknown_and_the_row_stays(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    bench.cloud.settle()
    next(iter(bench.cloud.things['servers'].values()))['status'] = 'unknown'
    assert [row['status'] for row in bench.provider.list()] == ['unknown']
    assert mapping.STATUS.get('hibernating', 'unknown') == 'unknown'


def test_every_status_of_the_vendor_is_in_the_table() -> None:
    from hcloud.servers.domain import Server
    words = {value for key, value in vars(Server).items() if key.startswith('STATUS_')}
    assert len(words) > 5
    assert set(mapping.STATUS) == words


def test_records_of_a_vm_go_with_it(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(domain='example.com')))
    ok(bench.provider.reserve_dns('web', alias=['www']))
    ok(bench.provider.reserve_dns('other', domain='example.com', ip='192.0.2.1'))
    assert sorted(record['name'] for record in bench.provider.list_dns('example.com')) == [
        'other.example.com', 'web.example.com', 'www.example.com']
    assert 'dnsrecords' not in settled(bench, 'web')
    ok(bench.provider.delete('web'))
    assert [record['name'] for record in bench.provider.list_dns('example.com')] == ['other.example.com']


def test_a_record_whose_alias_can_not_be_made_is_not_made_either(bench: Bench) -> None:
    bench.wire.fail(2, 'refused', matches=lambda request: str(request).startswith('POST') and 'rrsets' in str(request))
    refused(bench.provider.reserve_dns('web', domain='example.com', ip='192.0.2.1', alias=['www']), 'InvalidInput')
    assert bench.provider.list_dns('example.com') == []


def test_records_of_a_load_balancer_go_with_it(bench: Bench) -> None:
    made = ok(bench.provider.create_loadbalancer('front', [80], domain='example.com', alias=['www']))
    rows = {row['name']: row['data'] for row in bench.provider.list_dns('example.com')}
    assert rows == {'front.example.com': [made['ip']], 'www.example.com': [made['ip']]}
    ok(bench.provider.delete_loadbalancer('front'))
    assert bench.provider.list_dns('example.com') == []


def test_a_record_that_was_there_outlives_a_load_balancer_that_could_not_be_made(bench: Bench) -> None:
    ok(bench.provider.reserve_dns('front', domain='example.com', ip='192.0.2.1'))
    refused(bench.provider.create_loadbalancer('front', [80], domain='example.com'), 'AlreadyExists', names='front')
    assert [row['data'] for row in bench.provider.list_dns('example.com')] == [['192.0.2.1']]
    assert bench.provider.list_loadbalancers() == []


def test_a_volume_of_a_vm_that_kvirt_did_not_make_goes_with_it_and_nothing_else(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    bench.cloud.settle()
    [server] = bench.cloud.things['servers'].values()
    server['labels'] = {}
    ok(bench.provider.create_disk('kept', 10))
    ok(bench.provider.add_disk('web', 10))
    ok(bench.provider.add_disk('web', existing='kept'))
    assert ok(bench.provider.delete('web'))['kept'] == ['kept']
    assert list(bench.provider.list_disks()) == ['kept']


def test_volumes_of_a_vm_that_lost_its_labels_are_no_orphans(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('kvirt.providers.families.marks.abandoned', lambda maker, now: True)
    ok(bench.provider.create('web', **asked(disks=[40, 10])))
    bench.cloud.settle()
    assert bench.provider.list_orphans() == []
    next(iter(bench.cloud.things['servers'].values()))['labels'] = {}
    assert [orphan['kind'] for orphan in bench.provider.list_orphans()] == ['key']
    ok(bench.provider.detach_disks('web'))
    assert [orphan['kind'] for orphan in bench.provider.list_orphans()] == ['key']


def test_a_deletion_whose_answer_is_lost_is_finished(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(disks=[40, 10])))
    bench.cloud.settle()
    bench.cloud.slow = 0
    bench.wire.fail(1, 'lost', matches=lambda request: request.method == 'DELETE')
    ok(bench.provider.delete('web'))
    assert left_in(bench.cloud) == []


def test_a_subnet_may_have_any_name(bench: Bench) -> None:
    ok(bench.provider.create_network('own', '10.20.0.0/16'))
    names = {'db': '10.20.0.0/24', 'db.1': '10.20.1.0/24', 'x' * 63: '10.20.2.0/24'}
    for name, cidr in names.items():
        ok(bench.provider.create_subnet(name, cidr, overrides={'network': 'own'}))
    found = bench.provider.list_subnets()
    assert {name: found[name]['cidr'] for name in names} == names


# reading

def test_lists_are_read_to_their_last_page(bench: Bench) -> None:
    for number in range(7):
        bench.cloud.network(f'net{number}', f'10.{number + 30}.0.0/16')
    assert len(bench.provider.list_networks()) == 8
    assert bench.wire.calls.count('GET /v1/networks') == 4


def test_a_list_costs_one_call_a_page_and_info_no_more_for_many_disks(bench: Bench) -> None:
    bench.cloud.page = 50
    ok(bench.provider.create('web', **asked(disks=[40, 10, 10, 10])))
    bench.cloud.settle()
    with bench.wire.counting() as calls:
        bench.provider.list()
    assert calls == ['GET /v1/servers']
    with bench.wire.counting() as calls:
        assert len(bench.provider.info('web')['disks']) == 4
    assert len(calls) == 5


def test_a_client_of_a_location_sees_its_vms_and_no_others(bench: Bench) -> None:
    ok(bench.another(location='nbg1').create('north', **asked()))
    ok(bench.another(location='fsn1').create('east', **asked()))
    here = bench.another(location='fsn1')
    assert [row['name'] for row in here.list()] == ['east']
    assert (here.exists('east'), here.exists('north'), here.status('north')) == (True, False, None)
    assert [row['name'] for row in bench.provider.list()] == ['east', 'north']
    with pytest.raises(NotFound, match='nbg1'):
        bench.another(location='fsn1').console('north')
    refused(bench.another(location='fsn1').create('north', **asked()), 'AlreadyExists', names='north')
    with pytest.raises(InvalidInput, match='fsn1'):
        bench.another(location='fsn2').list()


def test_flavors_have_the_net_prices_of_the_location_and_none_is_offered_that_ends(bench: Bench) -> None:
    found = {flavor.name: flavor for flavor in bench.provider.list_flavors()}
    assert sorted(found) == ['cax11', 'cx22', 'cx32']
    assert (found['cx22'].price_hourly, found['cx22'].currency, found['cx22'].location) == (0.006, 'EUR', 'fsn1')
    assert (found['cx32'].location, found['cax11'].arch, found['cx22'].memory) == ('nbg1', 'aarch64', 4096)
    assert [flavor.name for flavor in bench.another(location='ash').list_flavors()] == ['cx32']
    assert [flavor.available for flavor in bench.another(location='fsn1').list_flavors()] == [True, True, False]


def test_an_estimate_counts_volumes_and_the_address(bench: Bench) -> None:
    told = bench.provider.estimate('web', **asked(disks=[40, 50]))
    assert told['items'] == [{'what': 'flavor cx22', 'monthly': 3.75}, {'what': 'volume of 50 GiB', 'monthly': 2.2},
                             {'what': 'public IPv4 address', 'monthly': 0.5}]
    assert (told['monthly'], told['currency'], told['unknown']) == (6.45, 'EUR', [])


@pytest.mark.parametrize(('wanted', 'native'), [
    ('debian12', 'debian-12'), ('ubuntu2404', 'ubuntu-24.04'), ('rockylinux9', 'rocky-9'), ('rocky9', 'rocky-9'),
    ('centos9stream', 'centos-stream-9'), ('fedora', 'fedora-43'), ('fedora42', 'fedora-42'), ('debian-12', 'debian-12'),
    ('100', 'debian-12')])
def test_images_have_the_same_short_names_as_everywhere(bench: Bench, wanted: str, native: str) -> None:
    for number, (name, flavor, version) in enumerate([('fedora-42', 'fedora', '42'), ('fedora-43', 'fedora', '43'),
                                                      ('centos-stream-9', 'centos', 'stream-9')]):
        bench.cloud.add('images', catalogue.image(900 + number, name=name, flavor=flavor, version=version))
    assert bench.provider.find_image(wanted, 'x86_64').name == native


def test_a_description_that_two_snapshots_have_is_ambiguous(bench: Bench) -> None:
    for number in (900, 901):
        bench.cloud.add('images', {**catalogue.image(number, kind='snapshot'), 'description': 'golden'})
    refused(bench.provider.create('web', **asked(image='golden')), 'Conflict', names='golden')
    assert bench.provider.find_image('901', None).id == 901


def test_a_number_may_be_a_name_or_an_id(bench: Bench) -> None:
    ok(bench.provider.create('42', **asked()))
    number = settled(bench, '42')['id']
    assert bench.provider.info(number)['name'] == '42'
    assert bench.provider.info('7') == {}
    assert bench.provider.info('9' * 40) == {}


# errors

@pytest.mark.parametrize(('code', 'kind'), [
    ('uniqueness_error', AlreadyExists), ('resource_unavailable', OutOfCapacity), ('placement_error', OutOfCapacity),
    ('resource_limit_exceeded', QuotaExceeded), ('locked', Conflict), ('protected', Conflict), ('conflict', Conflict),
    ('server_not_stopped', Conflict), ('rate_limit_exceeded', RateLimited), ('unauthorized', Unauthorized),
    ('token_readonly', Unauthorized), ('invalid_input', InvalidInput), ('maintenance', Unavailable),
    ('timeout', Unavailable), ('not_found', NotFound), ('unsupported_error', NotSupported), (502, Unavailable),
    (200, Unavailable), (429, RateLimited), (401, Unauthorized)])
def test_codes_mean_what_they_mean_everywhere(code: str | int, kind: type[KvirtError]) -> None:
    assert type(meaning(code, 'no')) is kind


def test_the_fields_that_are_wrong_are_named() -> None:
    told = str(meaning('invalid_input', 'no', {'fields': [{'name': 'ip_range', 'messages': ['is not private']}]}))
    assert 'ip_range: is not private' in told


def test_what_is_no_error_of_the_platform_stays_a_bug(bench: Bench) -> None:
    assert bench.provider.translate(KeyError('x')) is None
    assert isinstance(bench.provider.translate(requests.ConnectionError('gone')), Unavailable)
    assert isinstance(bench.provider.translate(APIException('locked', 'no', None)), Conflict)


def test_a_wrong_token_is_told_and_stands_in_no_message(bench: Bench) -> None:
    with pytest.raises(Unauthorized) as caught:
        bench.another(token='wrong-token-123').list()
    assert 'wrong-token-123' not in str(caught.value)


def test_an_action_that_fails_is_a_failure(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked()))
    bench.cloud.settle()
    plain = bench.cloud.act

    def failing(*args: Any, **more: Any) -> Any:
        action = plain(*args, **more)
        bench.cloud.settle()
        action.update(status='error', error={'code': 'no_space_left_in_location', 'message': 'full'})
        return action
    bench.cloud.act = failing  # type: ignore[method-assign]
    assert bench.provider.add_disk('web', 10)['error'] == 'OutOfCapacity'


def test_a_creation_is_never_sent_twice_on_its_own(bench: Bench) -> None:
    bench.wire.fail(1, 'lost', matches=lambda request: request.method == 'POST' and request.path.endswith('/servers'))
    assert bench.provider.create('web', **asked())['error'] == 'Unavailable'
    assert bench.wire.calls.count('POST /v1/servers') == 1
    assert left_in(bench.cloud) == []


def test_nothing_waits_but_by_the_clock_of_the_provider(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('time.sleep', lambda seconds: pytest.fail('the client sleeps by itself'))
    bench.wire.storm('limited', 2)
    ok(bench.provider.create('web', **asked(disks=[40, 10])))
    bench.wire.calm()
    ok(bench.provider.delete('web'))


def test_a_limit_that_refills_is_not_waited_for_to_be_full(bench: Bench, haste: Haste) -> None:
    app, before, refused_calls = bench.wire.app, haste.now(), iter(range(3))

    def limited(request: Request) -> Answer:
        if next(refused_calls, None) is None:
            return app(request)
        return Answer.of({'error': {'code': 'rate_limit_exceeded', 'message': 'slow down'}}, 429,
                         **{'RateLimit-Reset': str(int(time.time()) + 3600)})
    bench.wire.app = limited
    assert bench.provider.list() == []
    assert 0 < haste.now() - before < 30


def test_the_vendor_is_the_judge_of_all_these(bench: Bench) -> None:
    if bench.wire.judge is None:
        pytest.skip('KVIRT_SPECS is not set, so requests and answers are not compared with what the vendor describes')
    assert requests.get(f'{bench.wire.url}/v1/servers?no_such_filter=1', timeout=5).status_code == 599
    [verdict] = bench.wire.verdicts
    assert 'no_such_filter' in verdict
    bench.wire.verdicts.clear()


# the class

def test_the_provider_is_shaped_as_the_contract_wants_it_and_lacks_nothing_it_could_have() -> None:
    assert faults(Khcloud) == []
    assert [each.operation for each in Khcloud.capabilities() if each.mark == 'not yet'] == []
    assert registry.find('hetzner').name == 'hcloud'


def test_secrets_are_declared() -> None:
    rows = {row['option']: row for row in describe('hcloud')['options']}
    assert [name for name, row in rows.items() if row['secret']] == ['token', 's3_secret']
    assert (rows['token']['environment'], rows['token']['required']) == (['HCLOUD_TOKEN'], True)


def test_buckets_need_keys_of_their_own(bench: Bench) -> None:
    refused(bench.provider.create_bucket('logs'), 'NotSupported', names='s3_key')
    able = bench.another(s3_key='key', s3_secret='secret', location='hel1')
    assert able.supports('create_bucket')
    assert able.s3.meta.endpoint_url == 'https://hel1.your-objectstorage.com'


def test_the_display_has_an_address_and_a_password(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(start=False)))
    bench.cloud.settle()
    with pytest.raises(Conflict, match='web'):
        bench.provider.console('web')
    ok(bench.provider.start('web'))
    bench.cloud.settle()
    assert bench.provider.console('web') == {'url': 'wss://console.example/?token=1', 'password': 'p4ss'}


def test_the_project_is_described(bench: Bench) -> None:
    ok(bench.provider.create('web', **asked(keys=[KEY])))
    told = bench.provider.info_host()
    assert (told['vms'], told['currency'], told['vat_rate']) == (1, 'EUR', 19.0)
    assert [place['country'] for place in bench.provider.list_locations()] == ['US', 'DE', 'FI', 'DE']
