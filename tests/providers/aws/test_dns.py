"""Route 53: records of a VM go with it, and what others made stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """One connection for all tests: they name things differently."""
    with connect(wire.url) as connection:
        yield connection


@pytest.fixture(scope='module')
def route53(account: Account) -> Any:
    return account.client('route53')


@pytest.fixture(scope='module')
def zone(route53: Any) -> str:
    """The id of the zone that is there."""
    [zone] = route53.list_hosted_zones()['HostedZones']
    return str(zone['Id'])


@pytest.fixture(autouse=True)
def nothing_left(wire: Wire, account: Account) -> Iterator[None]:
    """Each test cleans up, through the provider: what it leaves is a fault of it."""
    before = account.everything()
    yield
    wire.calm()
    assert sorted(account.everything() - before) == []


def records(aws: Kaws) -> dict[tuple[str, str], list[str]]:
    """Return what is in the zone beside its own records, by name and type."""
    return {(row['name'].removesuffix(f'.{DNS_ZONE}'), row['type']): row['data'] for row in aws.list_dns(DNS_ZONE)
            if row['type'] not in ('NS', 'SOA')}


def change(route53: Any, zone: str, action: str, record: Mapping[str, Any]) -> None:
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={'Changes': [
        {'Action': action, 'ResourceRecordSet': record}]})


def test_a_record_its_aliases_and_the_one_of_all_other_names(aws: Kaws) -> None:
    ok(aws.reserve_dns('web', domain=DNS_ZONE, ip='10.0.0.1', alias=['www', '*']))
    assert records(aws) == {('web', 'A'): ['10.0.0.1'], ('www', 'A'): ['10.0.0.1'], ('*', 'A'): ['10.0.0.1']}
    ok(aws.delete_dns('*', DNS_ZONE))
    assert set(records(aws)) == {('web', 'A'), ('www', 'A')}
    ok(aws.delete_dns('web', DNS_ZONE, allentries=True))
    assert records(aws) == {}


def test_addresses_of_both_kinds(aws: Kaws) -> None:
    ok(aws.reserve_dns('six', domain=f'{DNS_ZONE}.', ip='fd00::1'))
    ok(aws.reserve_dns('six', domain=DNS_ZONE, ip='10.0.0.6'))
    assert records(aws)['six', 'AAAA'] == ['fd00::1']
    assert records(aws)['six', 'A'] == ['10.0.0.6']
    ok(aws.delete_dns('six', DNS_ZONE))
    assert records(aws) == {}


def test_a_record_of_another_kind_gives_way_to_force_only(aws: Kaws, route53: Any, zone: str) -> None:
    change(route53, zone, 'CREATE', {'Name': f'old.{DNS_ZONE}', 'Type': 'CNAME', 'TTL': 60,
                                     'ResourceRecords': [{'Value': 'elsewhere.example.'}]})
    assert records(aws)['old', 'CNAME'] == ['elsewhere.example']
    refused(aws.reserve_dns('old', domain=DNS_ZONE, ip='10.0.0.2'), 'AlreadyExists', 'old')
    ok(aws.reserve_dns('old', domain=DNS_ZONE, ip='10.0.0.2', force=True))
    assert set(records(aws)) == {('old', 'A')}
    ok(aws.delete_dns('old', DNS_ZONE))


def test_what_has_a_routing_policy_or_is_an_alias_is_shown_and_left_alone(aws: Kaws, route53: Any, zone: str) -> None:
    weighted = {'Name': f'split.{DNS_ZONE}', 'Type': 'A', 'SetIdentifier': 'one', 'Weight': 9, 'TTL': 60,
                'ResourceRecords': [{'Value': '10.0.0.3'}]}
    alias = {'Name': f'front.{DNS_ZONE}', 'Type': 'A', 'AliasTarget': {
        'HostedZoneId': 'Z26RNL4JYFTOTI', 'DNSName': 'lb-1.elb.us-east-1.amazonaws.com.', 'EvaluateTargetHealth': False}}
    for record in (weighted, alias):
        change(route53, zone, 'CREATE', record)
    known = records(aws)
    assert known == {('split', 'A'): ['10.0.0.3'], ('front', 'A'): ['ALIAS lb-1.elb.us-east-1.amazonaws.com']}
    for name in ('split', 'front'):
        refused(aws.reserve_dns(name, domain=DNS_ZONE, ip='10.0.0.4', force=True), 'Conflict', name)
        refused(aws.delete_dns(name, DNS_ZONE), 'Conflict', name)
    assert records(aws) == known
    for record in (weighted, alias):
        change(route53, zone, 'DELETE', record)


def test_the_records_of_the_zone_itself_stay(aws: Kaws) -> None:
    refused(aws.delete_dns('@', DNS_ZONE), 'NotFound', '@')
    ok(aws.reserve_dns('@', domain=DNS_ZONE, ip='10.0.0.5'))
    ok(aws.delete_dns('@', DNS_ZONE, allentries=True))
    assert {row['type'] for row in aws.list_dns(DNS_ZONE)} == {'NS', 'SOA'}


def test_the_records_of_a_vm_go_with_it(aws: Kaws) -> None:
    ok(create(aws, 'named'))
    ok(aws.reserve_dns('named', domain=DNS_ZONE, alias=['nick']))
    ok(aws.reserve_dns('kept', domain=DNS_ZONE, ip='10.0.0.7'))
    assert records(aws)['named', 'A'] == [aws.ip('named')]
    ok(aws.delete('named'))
    assert set(records(aws)) == {('kept', 'A')}
    ok(aws.delete_dns('kept', DNS_ZONE))


def test_a_vm_may_know_its_domain(aws: Kaws) -> None:
    ok(create(aws, 'domestic', domain=DNS_ZONE))
    ok(aws.reserve_dns('domestic'))
    assert ('domestic', 'A') in records(aws)
    ok(aws.delete('domestic'))
    assert records(aws) == {}


def test_records_are_made_all_or_none(aws: Kaws, wire: Wire, account: Account) -> None:
    ok(aws.reserve_dns('taken', domain=DNS_ZONE, ip='10.0.0.8'))
    refused(aws.reserve_dns('fresh', domain=DNS_ZONE, ip='10.0.0.9', alias=['taken']), 'AlreadyExists', 'taken')
    assert set(records(aws)) == {('taken', 'A')}
    ok(aws.delete_dns('taken', DNS_ZONE))
    deed = Deed({'domain': DNS_ZONE, 'ip': '10.0.0.9', 'alias': ['other']}, 'reserve_dns', 'forget_record')
    Kaws.forget_record = lambda self, name: self.delete_dns(name, DNS_ZONE, True)  # type: ignore[attr-defined]
    try:
        whole_or_nothing(aws, wire, account, deed, ['refused'])
    finally:
        del Kaws.forget_record  # type: ignore[attr-defined]


def test_long_zones_are_read_page_by_page(aws: Kaws, wire: Wire) -> None:
    def small(params: dict[str, Any], **_: Any) -> None:
        params['MaxItems'] = '2'
    ok(aws.reserve_dns('page', domain=DNS_ZONE, ip='10.0.0.1', alias=[f'page{number}' for number in range(4)]))
    with connect(wire.url) as other:
        other.conn.observe('before-parameter-build.route53.ListResourceRecordSets', small)
        with wire.counting() as calls:
            assert len(other.list_dns(DNS_ZONE)) == 7
        assert len(calls) >= 4
    ok(aws.delete_dns('page', DNS_ZONE, allentries=True))


def test_of_a_public_and_a_private_zone_the_public_one_is_meant(aws: Kaws, account: Account, route53: Any) -> None:
    vpc = account.ec2.describe_vpcs()['Vpcs'][0]['VpcId']
    made = [route53.create_hosted_zone(Name='both.example', CallerReference=reference, HostedZoneConfig={
        'PrivateZone': private}, **({'VPC': {'VPCRegion': 'us-east-1', 'VPCId': vpc}} if private else {}))['HostedZone']
        for reference, private in (('private', True), ('public', False))]
    assert aws.list_dns_zones() == ['both.example', DNS_ZONE]
    ok(aws.reserve_dns('x', domain='both.example', ip='10.0.0.1'))
    sizes = [len(route53.list_resource_record_sets(HostedZoneId=each['Id'])['ResourceRecordSets']) for each in made]
    assert sizes[1] == sizes[0] + 1
    ok(aws.delete_dns('x', 'both.example'))
    for each in made:
        route53.delete_hosted_zone(Id=each['Id'])
