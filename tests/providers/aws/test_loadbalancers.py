"""Network load balancers, with all that is made for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kvirt.providers.aws import Kaws
from kvirt.testing.sweep import Deed
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import DNS_ZONE, Account, connect
from tests.providers.aws.conftest import create, ok, refused
from tests.providers.aws.parts import whole_or_nothing

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def aws(wire: Wire, account: Account) -> Iterator[Kaws]:
    """One connection for all tests, with two VMs."""
    with connect(wire.url) as connection:
        for name in ('one', 'two'):
            ok(create(connection, name))
        yield connection


@pytest.fixture(scope='module')
def elb(account: Account) -> Any:
    return account.client('elbv2')


@pytest.fixture(autouse=True)
def nothing_left(aws: Kaws, wire: Wire, account: Account) -> Iterator[None]:
    """Each test cleans up, through the provider: what it leaves is a fault of it."""
    before = account.everything()
    yield
    wire.calm()
    assert sorted(account.everything() - before) == []


def open_ports(aws: Kaws, vm: str) -> set[int]:
    """Return the ports that the groups of a VM let in."""
    [card] = aws.instance(vm)['NetworkInterfaces']
    return {rule['from_port'] for group in card['Groups'] for rule in aws.info_security_group(group['GroupId'])['rules']}


def test_the_vms_behind_one_let_its_ports_in_for_as_long_as_it_is_there(aws: Kaws, elb: Any) -> None:
    ok(aws.create_loadbalancer('web', ports=[80, 443], vms=['one'], checkport=8080, checkpath='/health'))
    targets = elb.describe_target_groups()['TargetGroups']
    assert {(each['Port'], each['Protocol'], each['HealthCheckPort'], each['HealthCheckPath']) for each in targets} == {
        (80, 'TCP', '8080', '/health'), (443, 'TCP', '8080', '/health')}
    health = elb.describe_target_health(TargetGroupArn=targets[0]['TargetGroupArn'])['TargetHealthDescriptions']
    assert [each['Target']['Id'] for each in health] == [aws.instance('one')['InstanceId']]
    assert (open_ports(aws, 'one'), open_ports(aws, 'two')) == ({22, 80, 443, 8080}, {22})
    ok(aws.add_vm_to_loadbalancer('two', 'web', ports=[81]))
    [row] = aws.list_loadbalancers()
    assert (row['ports'], row['vms']) == ([80, 81, 443], ['one', 'two'])
    assert open_ports(aws, 'two') == {22, 80, 81, 443, 8080}
    ok(aws.delete_loadbalancer('web'))
    assert (open_ports(aws, 'one'), open_ports(aws, 'two')) == ({22}, {22})


def test_its_name_is_in_the_dns(aws: Kaws) -> None:
    name = ok(aws.create_loadbalancer('front', ports=[80], domain=DNS_ZONE, alias=['www']))['dnsname']
    found = {row['name']: row['data'] for row in aws.list_dns(DNS_ZONE) if row['type'] == 'CNAME'}
    assert found == {f'front.{DNS_ZONE}': [name], f'www.{DNS_ZONE}': [name]}
    ok(aws.delete_loadbalancer('front'))
    assert [row for row in aws.list_dns(DNS_ZONE) if row['type'] in ('CNAME', 'TXT')] == []


def test_an_internal_one_stands_in_every_zone(aws: Kaws, elb: Any) -> None:
    ok(aws.create_loadbalancer('inside', ports=[80], internal=True))
    [made] = elb.describe_load_balancers()['LoadBalancers']
    assert (made['Scheme'], made['Type']) == ('internal', 'network')
    assert len(made['AvailabilityZones']) == len({each['AvailabilityZone'] for each in aws.topology().subnets})
    ok(aws.delete_loadbalancer('inside'))


def test_one_that_the_internet_can_not_reach_is_not_made(aws: Kaws) -> None:
    ok(aws.create_network('alone', nat=False))
    ok(create(aws, 'hidden', nets=['alone']))
    refused(aws.create_loadbalancer('lost', ports=[80], vms=['hidden']), 'Conflict', 'internal')
    refused(aws.create_loadbalancer('lost', ports=[80], vms=['hidden', 'one']), 'Conflict', 'several networks')
    ok(aws.delete('hidden'))
    ok(aws.delete_network('alone'))


@pytest.mark.parametrize(('name', 'keywords', 'words'), [
    ('x' * 33, {}, 'x' * 33), ('internal-x', {}, 'internal-x'), ('a.b', {}, 'a.b'), ('x', {'ports': []}, 'port'),
    ('x', {'checkport': 0}, '0')])
def test_what_can_not_be_is_refused(aws: Kaws, name: str, keywords: dict[str, Any], words: str) -> None:
    refused(aws.create_loadbalancer(name, **{'ports': [80], **keywords}), 'InvalidInput', words)


def test_its_address_can_not_be_chosen(aws: Kaws) -> None:
    refused(aws.create_loadbalancer('x', ports=[80], ip='10.0.0.1'), 'NotSupported', 'address')


@pytest.mark.slow
def test_it_is_made_whole_or_not_at_all(aws: Kaws, wire: Wire, account: Account) -> None:
    deed = Deed({'ports': [80], 'vms': ['one'], 'domain': DNS_ZONE}, 'create_loadbalancer', 'delete_loadbalancer')
    # Not with answers that are lost: the calls of this service may be repeated, and moto's may not.
    whole_or_nothing(aws, wire, account, deed, ['refused'])


def test_one_without_a_name_in_the_dns_is_deleted_without_asking_for_zones(aws: Kaws, wire: Wire) -> None:
    ok(aws.create_loadbalancer('plain', ports=[80]))
    with wire.counting() as calls:
        ok(aws.delete_loadbalancer('plain'))
    assert not any('hostedzone' in call for call in calls)


def test_targets_that_are_held_for_a_while_are_waited_for(aws: Kaws, wire: Wire) -> None:
    ok(aws.create_loadbalancer('slow', ports=[80]))
    wire.fail(1, 'limited', matches=lambda request: b'DeleteTargetGroup' in request.body)
    ok(aws.delete_loadbalancer('slow'))


def test_what_others_made_is_listed_and_its_vms_are_not_guessed(aws: Kaws, account: Account, elb: Any) -> None:
    subnet = account.ec2.describe_subnets()['Subnets'][0]['SubnetId']
    elb.create_load_balancer(Name='theirs', Subnets=[subnet], Type='network')
    [row] = aws.list_loadbalancers()
    assert (row['name'], row['ports'], 'vms' in row) == ('theirs', [], False)
    ok(aws.delete_loadbalancer('theirs'))
    assert aws.list_loadbalancers() == []


def test_a_list_costs_the_same_number_of_calls_however_many_there_are(aws: Kaws, wire: Wire) -> None:
    counts = []
    for name in ('a', 'b', 'c'):
        ok(aws.create_loadbalancer(name, ports=[80], vms=['one']))
        with wire.counting() as calls:
            assert aws.list_loadbalancers()[-1]['vms'] == ['one']
        counts.append(len(calls))
    assert counts == [3, 3, 3]
    for name in ('a', 'b', 'c'):
        ok(aws.delete_loadbalancer(name))
