"""Security groups: those of users, and those that VMs with the same rules share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kvirt.errors import Conflict, NotFound
from kvirt.providers.aws import Kaws
from kvirt.rules import rules_of
from kvirt.spec import decode_vm
from kvirt.testing.sweep import Deed
from kvirt.testing.wire import Answer, Request, Wire
from tests.providers.aws.cloud import REGION, Account, connect, operation_of
from tests.providers.aws.conftest import create, ok, refused
from tests.providers.aws.parts import whole_or_nothing

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def aws(wire: Wire, account: Account) -> Iterator[Kaws]:
    """One connection for all tests: they name things differently."""
    with connect(wire.url) as connection:
        yield connection


@pytest.fixture(autouse=True)
def nothing_left(aws: Kaws, wire: Wire, account: Account) -> Iterator[None]:
    """Each test cleans up, through the provider: what it leaves is a fault of it."""
    aws.recent.forget()
    wire.exchanges.clear()
    before = account.everything()
    yield
    wire.calm()
    aws.reap_groups(REGION)
    assert sorted(account.everything() - before) == []


def shared(aws: Kaws, **keywords: Any) -> str:
    """Return the id of the group that a VM with *keywords* gets."""
    spec = decode_vm(keywords, honoured=aws.honours)
    [group, *_] = aws.groups_for(spec, aws.cards_for(spec))
    return group


def named(account: Account, group: str) -> dict[str, Any]:
    [found] = account.ec2.describe_security_groups(GroupIds=[group])['SecurityGroups']
    known: dict[str, Any] = found
    return known


def let_in(group: dict[str, Any]) -> set[tuple[Any, ...]]:
    """Return what a group lets in: protocol, ports, from where."""
    return {(rule['IpProtocol'], rule.get('FromPort'), rule.get('ToPort'), source)
            for rule in group['IpPermissions']
            for source in [each.get('CidrIp') or each['CidrIpv6'] for each in rule['IpRanges'] + rule['Ipv6Ranges']]}


# of users

def test_what_is_for_everywhere_is_for_both_kinds_of_addresses(aws: Kaws, account: Account) -> None:
    ok(aws.create_security_group('web', {'ports': [443, 'icmp', {'from_port': 22, 'cidr': '10.0.0.0/8'}]}))
    [group] = account.ec2.describe_security_groups(GroupNames=['web'])['SecurityGroups']
    assert let_in(group) == {('tcp', 443, 443, '0.0.0.0/0'), ('tcp', 443, 443, '::/0'), ('tcp', 22, 22, '10.0.0.0/8'),
                             ('icmp', -1, -1, '0.0.0.0/0'), ('icmpv6', -1, -1, '::/0')}
    assert [(rule['protocol'], rule['cidr']) for rule in aws.info_security_group('web')['rules']] == [
        ('icmp', '0.0.0.0/0'), ('tcp', '10.0.0.0/8'), ('tcp', '0.0.0.0/0')]
    ok(aws.delete_security_group('web'))


def test_what_stays_open_never_closes_while_rules_are_replaced(aws: Kaws, wire: Wire) -> None:
    ok(aws.create_security_group('live', {'ports': [22, 80]}))
    wire.exchanges.clear()
    ok(aws.update_security_group('live', {'ports': [22, 443]}))
    changes = [exchange.request for exchange in wire.exchanges if b'SecurityGroupIngress' in exchange.request.body]
    assert [operation_of(change) for change in changes] == ['AuthorizeSecurityGroupIngress', 'RevokeSecurityGroupIngress']
    assert b'FromPort=22' not in changes[0].body
    assert changes[1].body.count(b'SecurityGroupRuleId.') == 2
    assert [rule['from_port'] for rule in aws.info_security_group('live')['rules']] == [22, 443]
    refused(aws.update_security_group('live', {'network': 'other'}), 'InvalidInput', 'network')
    ok(aws.delete_security_group('live'))


def test_rules_that_no_port_can_tell_are_shown(aws: Kaws, account: Account) -> None:
    ok(aws.create_security_group('odd'))
    group = aws.info_security_group('odd')['id']
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': '-1', 'UserIdGroupPairs': [{'GroupId': group}]},
        {'IpProtocol': '-1', 'IpRanges': [{'CidrIp': '10.0.0.0/8'}]}])
    assert aws.info_security_group('odd')['rules'] == [{'protocol': 'all', 'cidr': '10.0.0.0/8'},
                                                       {'protocol': 'all', 'cidr': group}]
    ok(aws.update_security_group('odd', {'ports': []}))
    assert aws.info_security_group('odd')['rules'] == []
    ok(aws.delete_security_group('odd'))


def test_a_group_in_use_names_who_uses_it(aws: Kaws) -> None:
    ok(aws.create_security_group('used', {'ports': [80]}))
    ok(create(aws, 'user', securitygroups=['used']))
    refused(aws.delete_security_group('used'), 'Conflict', 'used', 'user')
    ok(aws.delete('user'))
    ok(aws.delete_security_group('used'))


def test_a_name_is_only_unique_within_its_network(aws: Kaws) -> None:
    ok(aws.create_network('second', cidr='10.70.0.0/16'))
    ok(aws.create_security_group('same', {'network': 'second'}))
    ok(aws.create_security_group('same'))
    refused(aws.delete_security_group('same'), 'Conflict', 'same')
    assert aws.list_security_groups('second') == ['default', 'same']
    ok(aws.delete_security_group(next(group['GroupId'] for group in aws.ec2.describe_security_groups()['SecurityGroups']
                                      if group['VpcId'] == aws.vpc('second')['VpcId'] and group['GroupName'] == 'same')))
    ok(aws.delete_security_group('same'))
    ok(aws.delete_network('second'))


@pytest.mark.parametrize(('name', 'overrides', 'words'), [('sg-1', {}, 'sg-1'),
                                                          ('x', {'port': [22]}, "did you mean 'ports'?")])
def test_what_can_not_be_is_refused(aws: Kaws, name: str, overrides: dict[str, Any], words: str) -> None:
    refused(aws.create_security_group(name, overrides), 'InvalidInput', words)


def test_a_group_is_made_whole_or_not_at_all(aws: Kaws, wire: Wire, account: Account) -> None:
    deed = Deed({'overrides': {'ports': [22, 80]}}, 'create_security_group', 'delete_security_group')
    whole_or_nothing(aws, wire, account, deed, ['refused', 'lost'])


# shared

def test_vms_with_the_same_rules_share_a_group_and_it_lets_in_what_was_asked(aws: Kaws, account: Account) -> None:
    plain, web = shared(aws), shared(aws, ports=[80, '53/udp'])
    assert plain == shared(aws)
    assert web == shared(aws, ports=['53/udp', 80]) != plain
    assert named(account, plain)['GroupName'] == 'kvirt-ssh'
    assert let_in(named(account, plain)) == {('tcp', 22, 22, '0.0.0.0/0'), ('tcp', 22, 22, '::/0')}
    assert {(port, source) for _, port, _, source in let_in(named(account, web)) if ':' not in source} == {
        (22, '0.0.0.0/0'), (80, '0.0.0.0/0'), (53, '0.0.0.0/0')}


def test_vms_that_are_made_at_once_make_their_group_once(aws: Kaws, wire: Wire, account: Account) -> None:
    with ThreadPoolExecutor(8) as pool:
        groups = set(pool.map(lambda _: shared(aws, ports=[81]), range(8)))
    assert len(groups) == 1
    asked = [operation_of(exchange.request) for exchange in wire.exchanges]
    assert (asked.count('CreateSecurityGroup'), asked.count('AuthorizeSecurityGroupIngress')) == (1, 1)


def test_a_group_that_another_process_makes_meanwhile_is_used(aws: Kaws, wire: Wire, account: Account) -> None:
    with connect(wire.url) as other:
        vpc, rules = aws.vpc('default')['VpcId'], rules_of([82, 83])
        theirs = other.shared_group(rules, vpc)
        other.set_rules(theirs, rules_of([82]))  # it has not let everything in yet
        assert aws.shared_group(rules, vpc, known=[]).id == theirs.id
    assert {port for _, port, _, _ in let_in(named(account, theirs.id))} == {82, 83}


def test_a_group_whose_maker_died_before_it_let_anything_in_is_mended(aws: Kaws, account: Account) -> None:
    group = shared(aws, ports=[84])
    account.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 84, 'ToPort': 84, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    aws.forget_groups()
    assert shared(aws, ports=[84]) == group
    assert ('tcp', 84, 84, '0.0.0.0/0') in let_in(named(account, group))


def test_a_shared_group_that_somebody_opened_is_given_to_no_vm(aws: Kaws, account: Account) -> None:
    group = shared(aws, ports=[88])
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 1, 'ToPort': 65535, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
    aws.forget_groups()
    with pytest.raises(Conflict, match='65535'):
        shared(aws, ports=[88])


def test_a_shared_group_goes_with_the_last_vm_that_has_it(aws: Kaws, account: Account) -> None:
    for name in ('first', 'last'):
        ok(create(aws, name, ports=[85]))
    [group] = aws.instance('first')['NetworkInterfaces'][0]['Groups']
    ok(aws.delete('first'))
    assert group['GroupName'] in aws.list_security_groups()
    ok(aws.delete('last'))
    assert group['GroupName'] not in aws.list_security_groups()


def test_only_shared_groups_are_reaped(aws: Kaws, account: Account) -> None:
    ok(aws.create_security_group('mine', {'ports': [22]}))
    theirs = account.ec2.create_security_group(GroupName='kvirt-theirs', Description='x')['GroupId']
    unused = shared(aws, ports=[86])
    aws.reap_groups(REGION)
    assert {'mine', 'kvirt-theirs'} <= set(aws.list_security_groups())
    assert unused not in {group['GroupId'] for group in account.ec2.describe_security_groups()['SecurityGroups']}
    for name in ('mine', theirs):
        ok(aws.delete_security_group(name))


def test_a_group_that_is_still_held_is_left_for_the_next_time(aws: Kaws, wire: Wire) -> None:
    shared(aws, ports=[87])
    app = wire.app
    body = b'<Response><Errors><Error><Code>DependencyViolation</Code><Message>held</Message></Error></Errors></Response>'

    def holding(request: Request) -> Answer:
        return Answer(400, body) if operation_of(request) == 'DeleteSecurityGroup' else app(request)
    wire.app = holding
    aws.reap_groups(REGION)
    wire.app = app
    aws.reap_groups(REGION)
    assert aws.list_security_groups() == ['default']


def test_a_group_that_a_vm_names_must_be_in_its_network(aws: Kaws) -> None:
    ok(aws.create_security_group('near', {'ports': [80]}))
    spec = decode_vm({'securitygroups': ['near']}, honoured=aws.honours)
    groups = aws.groups_for(spec, aws.cards_for(spec))
    assert len(groups) == 2
    spec = decode_vm({'securitygroups': [aws.info_security_group('near')['id']]}, honoured=aws.honours)
    assert aws.groups_for(spec, aws.cards_for(spec)) == groups
    spec = decode_vm({'securitygroups': ['neer']}, honoured=aws.honours)
    with pytest.raises(NotFound, match="neer does not exist, did you mean 'near'?"):
        aws.groups_for(spec, aws.cards_for(spec))
    ok(aws.delete_security_group('near'))


def test_cards_in_several_networks_have_groups_of_their_own(aws: Kaws) -> None:
    ok(aws.create_network('beside', cidr='10.71.0.0/16'))
    spec = decode_vm({'nets': ['default', 'beside']}, honoured=aws.honours)
    cards = aws.cards_for(spec)
    groups = aws.groups_for(spec, cards)
    assert len(groups) == 2
    assert sorted(card['Groups'][0] for card in cards) == groups
    ok(aws.delete_network('beside'))
