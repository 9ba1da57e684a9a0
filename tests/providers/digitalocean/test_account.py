"""What refusals mean, what is seen where, pages, marks, statuses."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kvirt.errors import InvalidInput, KvirtError, Unauthorized
from kvirt.providers.digitalocean import Kdigitalocean, account, mapping
from kvirt.providers.families import marks
from kvirt.providers.families.tags import names_of, note, to_tags
from kvirt.rest import Call
from kvirt.shapes import STATUSES
from kvirt.testing.platform import KEY, ok, refused
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Wire
from tests.providers.digitalocean.cloud import ZONE, DigitalOcean
from tests.providers.digitalocean.parts import TOKEN
from tests.providers.digitalocean.test_create import asked, settled


@pytest.mark.parametrize(('status', 'message', 'meaning'), [
    (422, 'creating this/these droplet(s) will exceed your droplet limit', 'QuotaExceeded'),
    (403, 'failed to create volume: volume limit exceeded', 'QuotaExceeded'),
    (422, 'Size is not available in this region.', 'OutOfCapacity'),
    (422, 'Region is currently unavailable', 'OutOfCapacity'),
    (422, 'This size is currently not available', 'OutOfCapacity'),
    (422, 'Droplet already has a pending event.', 'Conflict'),
    (403, 'Can not delete VPC with members', 'Conflict'),
    (409, 'a volume that is attached to a Droplet can not be deleted', 'Conflict'),
    (422, 'SSH Key is already in use on your account', 'AlreadyExists'),
    (422, 'You specified an invalid image for Droplet creation.', None),
    (403, 'You are not authorized to perform this operation', None),
    (404, 'is not available in', None), (500, 'exceed your droplet limit', None)])
def test_a_refusal_means_what_its_text_says(status: int, message: str, meaning: str | None) -> None:
    known = account._meaning(Call('POST', '/droplets', (), None, status, {'id': 'x', 'message': message}, {}, 0))
    assert (type(known).__name__ if known else None) == meaning


def test_what_status_means_where_no_text_tells(do: Kdigitalocean, wire: Wire) -> None:
    with Kdigitalocean(token='wrong', api=f'{wire.url}/v2') as stranger, pytest.raises(Unauthorized, match='credentials'):
        stranger.list()
    refused(do.create('web', **asked(flavor='s-1vcpu-2gb', image='absent')), 'NotFound', names='absent')


def test_without_a_token_nothing_is_reached_and_the_reason_kept() -> None:
    with Kdigitalocean() as nobody:
        assert nobody.conn is None
        assert nobody.unreachable
        with pytest.raises(Unauthorized, match='DIGITALOCEAN_TOKEN'):
            nobody.list()


def test_a_limit_of_the_account_is_told_and_makes_nothing(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    cloud.droplet_limit = 0
    refused(do.create('web', **asked(disks=[10, 1])), 'QuotaExceeded', names='droplet limit')
    assert cloud.words() == []
    assert {row['name']: row['maximum'] for row in do.list_quotas()} == {'floating_ips': 10, 'vms': 0, 'volumes': 100}


def test_a_location_is_seen_alone_or_with_all_others(cloud: DigitalOcean, wire: Wire) -> None:
    def at(location: str) -> Kdigitalocean:
        return Kdigitalocean(token=TOKEN, api=f'{wire.url}/v2', location=location, clock=Haste())
    with at('ams3') as ams, at('nyc3') as nyc, at('all') as everywhere, at('nowhere') as lost:
        ok(ams.create('web', **asked()))
        ok(nyc.create('web', **asked()))
        assert [row['location'] for row in ams.list()] == ['ams3']
        assert sorted(row['location'] for row in everywhere.list()) == ['ams3', 'nyc3']
        assert list(ams.list_networks()) == ['default-ams3']
        assert len(everywhere.list_networks()) == 3
        assert ams.info_flavor('c-2')
        assert nyc.info_flavor('c-2') is None
        refused(everywhere.stop('web'), 'Conflict', names='web')
        for ask in (lost.list, lost.list_flavors):
            with pytest.raises(InvalidInput, match='nowhere'):
                ask()
        assert {row['name']: row['country'] for row in ams.list_locations()} == {'ams3': 'NL', 'nyc3': 'US', 'sfo3': 'US'}


def fill(cloud: DigitalOcean, number: int) -> None:
    """Put one of each into the account, past the provider."""
    def given(**body: Any) -> Any:
        return type('Given', (), {'json': body})()
    cloud.create_droplet(given(name=f'vm{number}', region='nyc3', size='s-1vcpu-1gb', image='debian-12-x64',
                               tags=to_tags({'plan': f'Plan{number}'})))
    cloud.create_volume(given(name=f'disk{number}', region='nyc3', size_gigabytes=1))
    cloud.create_vpc(given(name=f'net{number}', region='nyc3', ip_range=f'10.9.{number}.0/24'))
    cloud.create_firewall(given(name=f'group{number}'))
    cloud.create_reserved_ip(given(region='nyc3'))
    cloud.canonical(f"kvirt-ip:ip{number}:{[*cloud.things['reserved_ips']][-1].replace('.', '-')}")
    cloud.create_record(given(type='A', name=f'record{number}', data='192.0.2.1'), ZONE)
    cloud.add('account/keys', {'name': f'key{number}', 'fingerprint': f'{number}', 'public_key': f'{KEY}{number}'})


def test_lists_go_on_beyond_three_pages_of_two(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    cloud.long_page = 2
    for number in range(7):
        fill(cloud, number)
    assert [(row['name'], row['plan']) for row in do.list()] == [(f'vm{number}', f'Plan{number}') for number in range(7)]
    for names, kind in ((do.list_disks(), 'disk'), (do.list_security_groups(), 'group'), (do.list_keys(), 'key'),
                        (do.list_floating_ips(), 'ip'), (do.network_ports('default-nyc3'), 'vm')):
        assert list(names) == [f'{kind}{number}' for number in range(7)]
    assert len(do.list_networks()) == 8
    assert len(do.list_dns(ZONE)) == 9
    assert len(do.list_flavors()) == 7
    assert len(do.volumes()) == 8


def test_a_list_costs_as_many_calls_as_it_has_pages(do: Kdigitalocean, wire: Wire) -> None:
    for number in range(5):
        ok(do.create(f'vm{number}', **asked()))
    with wire.counting() as calls:
        assert len(do.list()) == 5
    assert calls == ['GET /v2/droplets'] * 4, 'three pages of two, and one of those with GPUs'


def test_a_vm_costs_few_calls_where_all_that_it_shares_is_there(do: Kdigitalocean, wire: Wire) -> None:
    ok(do.create('first', **asked()))
    with wire.counting() as calls:
        ok(do.create('web', **asked()))
    assert calls == [
        'GET /v2/droplets', 'GET /v2/droplets', 'GET /v2/sizes', 'GET /v2/images/debian-12-x64', 'GET /v2/firewalls',
        'GET /v2/account/keys', 'POST /v2/droplets', 'GET /v2/firewalls', 'GET /v2/droplets', 'GET /v2/droplets']
    settled(do, 'web')
    with wire.counting() as calls:
        assert do.info('web')['name'] == 'web'
    assert calls == ['GET /v2/droplets', 'GET /v2/droplets', calls[-1]]
    assert calls[-1].startswith('GET /v2/vpcs/')


def test_the_vendor_is_the_judge_of_these_tests(do: Kdigitalocean, wire: Wire) -> None:
    if wire.judge is None:
        pytest.skip('KVIRT_SPECS is not set, so nothing is compared with the description of the API by DigitalOcean')
    with pytest.raises(KvirtError, match='colour'):
        do.api.post('/tags', {'name': 'x', 'colour': 'red'})
    assert len(wire.verdicts) == 1
    wire.verdicts.clear()


# marks

@pytest.mark.parametrize('text', ['web', 'Web', 'WEB-1', 'a.b', 'ünïcødé 日本語', 'a:b', '', '_', '-x-', 'X' * 500,
                                  '0__x__0'])
def test_marks_come_back_as_they_were_and_have_no_capitals(text: str) -> None:
    tags = to_tags({'Owner': text, 'kvirt': '1a2b3c4d'})
    assert marks.from_tags(tags) == {'Owner': text, 'kvirt': '1a2b3c4d'}
    assert all(tag == tag.lower() and len(tag) <= 255 for tag in tags)
    assert names_of('group', [note('group', text), 'prod', *tags]) == [text]


def test_marks_that_differ_in_capitals_only_are_two(do: Kdigitalocean) -> None:
    for name, plan in (('one', 'Shop'), ('two', 'shop')):
        ok(do.create(name, **asked(plan=plan)))
    assert [row['plan'] for row in do.list()] == ['Shop', 'shop']


def test_a_field_that_changes_leaves_no_tag_behind(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    ok(do.create('web', **asked(plan='shop')))
    ok(do.update_metadata('web', 'note', 'x' * 500))
    ok(do.update_metadata('web', 'note', 'short'))
    ok(do.update_metadata('web', 'plan', 'other'))
    assert [name for name in cloud.things['tags'] if 'note' in name] == ['kvirt:note:short']
    assert 'kvirt:plan:shop' not in cloud.things['tags']


# statuses

def test_every_status_of_a_droplet_has_a_standard_one() -> None:
    assert set(mapping.STATUS) == {'new', 'active', 'off', 'archive', 'off, locked'}
    assert set(mapping.STATUS.values()) <= set(STATUSES)


def test_an_odd_droplet_degrades_its_own_row(cloud: DigitalOcean) -> None:
    odd: dict[str, Any] = {'id': 7, 'name': 'odd', 'status': 'melting', 'locked': True}
    assert mapping.machine(odd).row == {
        'name': 'odd', 'status': 'unknown', 'ip': None, 'image': '', 'plan': '', 'profile': '', 'id': '7', 'flavor': '',
        'numcpus': 0, 'memory': 0, 'location': ''}


def test_what_is_started_is_pending_until_it_runs(do: Kdigitalocean, cloud: DigitalOcean) -> None:
    cloud.slow = 5
    ok(do.create('web', **asked()))
    assert do.status('web') == 'pending'
    settled(do, 'web')
    ok(do.stop('web'))
    settled(do, 'web', 'stopped')
    ok(do.start('web'))
    assert do.status('web') == 'pending'
    refused(do.start('web'), 'Conflict', names='pending event')
    settled(do, 'web')


def test_no_secret_reaches_the_log(do: Kdigitalocean, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ok(do.create('web', **asked(rootpassword='hunter-the-second')))
    assert 'POST /droplets' in caplog.text
    assert TOKEN not in caplog.text
    assert 'hunter-the-second' not in caplog.text
    assert 'PRIVATE KEY' not in caplog.text
