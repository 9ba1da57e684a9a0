"""Networks are VPCs with what belongs to them; cards, subnets and floating addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound
from kvirt.providers.aws import Kaws
from kvirt.spec import decode_vm
from kvirt.testing.sweep import Deed
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import REGION, Account, connect, operation_of
from tests.providers.aws.conftest import create, ok, refused
from tests.providers.aws.parts import parts, whole_or_nothing

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def aws(wire: Wire, account: Account) -> Iterator[Kaws]:
    """One connection for all tests: they name things differently."""
    with connect(wire.url, zone=None) as connection:
        yield connection


@pytest.fixture(autouse=True)
def nothing_left(aws: Kaws, wire: Wire, account: Account) -> Iterator[None]:
    """Each test cleans up, through the provider: what it leaves is a fault of it."""
    aws.recent.forget()
    wire.exchanges.clear()
    before = account.everything()
    yield
    wire.calm()
    assert sorted(account.everything() - before) == []


def cards(aws: Kaws, **keywords: Any) -> list[dict[str, Any]]:
    return aws.cards_for(decode_vm(keywords, honoured=aws.honours))


def tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag['Key']: tag['Value'] for tag in thing['Tags']}


# networks

def test_all_that_a_network_consists_of_bears_one_mark_and_goes_with_it(aws: Kaws, wire: Wire, account: Account) -> None:
    ok(aws.create_network('whole', cidr='10.50.0.0/16', domain='lab.example', plan='shop'))
    [vpc] = account.ec2.describe_vpcs(Filters=[{'Name': 'cidr', 'Values': ['10.50.0.0/16']}])['Vpcs']
    inside = [{'Name': 'vpc-id', 'Values': [vpc['VpcId']]}]
    [subnet] = account.ec2.describe_subnets(Filters=inside)['Subnets']
    [gateway] = account.ec2.describe_internet_gateways()['InternetGateways']
    [options] = account.ec2.describe_dhcp_options(DhcpOptionsIds=[vpc['DhcpOptionsId']])['DhcpOptions']
    [mark] = {tags(each)['kvirt'] for each in (vpc, subnet, gateway)}
    [asked] = [exchange.request for exchange in wire.exchanges if operation_of(exchange.request) == 'CreateDhcpOptions']
    assert f'Tag.1.Value={mark}'.encode() in asked.body, 'moto forgets these tags'
    assert 'maker' not in tags(vpc), 'it is finished'
    assert subnet['MapPublicIpOnLaunch']
    assert (subnet['CidrBlock'], tags(subnet)['plan']) == ('10.50.0.0/17', 'shop')
    assert [entry['Values'] for entry in options['DhcpConfigurations'] if entry['Key'] == 'domain-name'] == [
        [{'Value': 'lab.example'}]]
    ok(aws.delete_network('whole'))


def test_an_isolated_network_has_no_way_out(aws: Kaws, account: Account) -> None:
    ok(aws.create_network('isolated', nat=False))
    assert aws.info_network('isolated')['mode'] == 'isolated'
    assert aws.network_unlike(aws.info_network('isolated'), {'nat': True}) == {'nat': (False, True, True)}
    assert aws.network_unlike(aws.info_network('isolated'), {'nat': False}) == {}
    assert aws.info_subnet('isolated-1')['private'] is True
    assert account.ec2.describe_internet_gateways()['InternetGateways'] == []
    assert cards(aws, nets=['isolated'])[0]['AssociatePublicIpAddress'] is False
    ok(aws.delete_network('isolated'))


def test_a_network_whose_addresses_are_not_given_gets_some_that_are_free(aws: Kaws) -> None:
    for name in ('free1', 'free2'):
        ok(aws.create_network(name, nat=False))
    ranges = [ipaddress.ip_network(row['cidr']) for row in aws.list_networks().values()]
    assert all(not one.overlaps(other) for one in ranges for other in ranges if one is not other)
    for name in ('free1', 'free2'):
        ok(aws.delete_network(name))


@pytest.mark.parametrize('cidr', ['10.0.0.0/8', '10.60.0.0/29', 'fd00::/64'])
def test_addresses_that_no_vpc_can_have_are_refused(aws: Kaws, cidr: str) -> None:
    refused(aws.create_network('wrong', cidr=cidr), 'InvalidInput', cidr)


@pytest.mark.slow
def test_a_network_is_made_whole_or_not_at_all(aws: Kaws, wire: Wire, account: Account) -> None:
    deed = Deed({'cidr': '10.51.0.0/16', 'domain': 'lab.example'}, 'create_network', 'delete_network')
    whole_or_nothing(aws, wire, account, deed, ['refused'])


def test_what_is_made_twice_since_an_answer_was_lost_is_there_once(aws: Kaws, wire: Wire, account: Account) -> None:
    def made(name: str) -> int:
        """Make a network with all that may belong to one, and delete it; return how much there was."""
        before = len(parts(account))
        ok(aws.create_network(name, cidr='10.51.0.0/16', overrides={'az': f'{REGION}a'}))
        ok(aws.create_subnet(f'{name}-back', '10.51.200.0/24', nat=False, overrides={'network': name, 'az': f'{REGION}a'}))
        ok(create(aws, f'{name}-vm', sublocation=f'{REGION}a', nets=[name]))
        ok(aws.add_nic(f'{name}-vm', f'{name}-back'))
        more = len(parts(account)) - before
        ok(aws.delete(f'{name}-vm'))
        ok(aws.delete_network(name, force=True))
        return more
    in_peace = made('calm')
    lost = ('CreateVpc', 'CreateInternetGateway', 'CreateRouteTable', 'CreateNetworkInterface')
    for operation in lost:
        wire.fail(1, 'lost', matches=lambda request, operation=operation: operation_of(request) == operation)  # type: ignore
    wire.exchanges.clear()
    assert made('lossy') == in_peace
    asked = [operation_of(exchange.request) for exchange in wire.exchanges]
    assert [asked.count(operation) for operation in lost] == [2, 2, 2, 2]


def test_an_address_is_taken_once_or_not_at_all(aws: Kaws, wire: Wire, account: Account) -> None:
    whole_or_nothing(aws, wire, account, Deed({}, 'create_floating_ip', 'delete_floating_ip'), ['refused', 'lost'])


@pytest.mark.slow
def test_a_subnet_is_made_whole_or_not_at_all(aws: Kaws, wire: Wire, account: Account) -> None:
    ok(aws.create_network('parent', cidr='10.52.0.0/16'))
    deed = Deed({'cidr': '10.52.200.0/24', 'nat': False, 'overrides': {'network': 'parent'}}, 'create_subnet',
                'delete_subnet')
    whole_or_nothing(aws, wire, account, deed, ['refused'])
    ok(aws.delete_network('parent'))


def test_a_network_that_was_never_finished_is_an_orphan(aws: Kaws, account: Account) -> None:
    marks = [{'Key': key, 'Value': value} for key, value in
             (('Name', 'half'), ('kvirt', '12345678'), ('maker', 'elsewhere-1-1-1000'))]
    vpc = account.ec2.create_vpc(CidrBlock='10.53.0.0/16', TagSpecifications=[{'ResourceType': 'vpc', 'Tags': marks}])
    account.ec2.create_subnet(VpcId=vpc['Vpc']['VpcId'], CidrBlock='10.53.0.0/24',
                              TagSpecifications=[{'ResourceType': 'subnet', 'Tags': marks[1:2]}])
    account.ec2.create_internet_gateway(TagSpecifications=[{'ResourceType': 'internet-gateway', 'Tags': marks[1:2]}])
    assert [(orphan['kind'], orphan['name']) for orphan in aws.list_orphans()] == [('vpc', 'half')]
    ok(aws.delete_orphans())


def test_the_network_that_new_vms_get_stays(aws: Kaws, account: Account) -> None:
    refused(aws.delete_network('default', force=True), 'Conflict', 'default')
    assert 'default' in aws.list_networks()


def test_what_others_made_in_a_network_is_not_deleted_with_it(aws: Kaws, account: Account) -> None:
    ok(aws.create_network('mixed', cidr='10.54.0.0/16'))
    vpc = aws.info_network('mixed')['id']  # type: ignore[typeddict-item]
    theirs = account.ec2.create_subnet(VpcId=vpc, CidrBlock='10.54.200.0/24')['Subnet']['SubnetId']
    refused(aws.delete_network('mixed'), 'Conflict', 'mixed', theirs)
    assert not aws.delete_network('mixed', force=True).ok
    account.ec2.delete_subnet(SubnetId=theirs)
    ok(aws.delete_network('mixed'))


def test_a_name_that_two_networks_bear_is_a_conflict_and_their_ids_are_not(aws: Kaws, account: Account) -> None:
    ids = [account.ec2.create_vpc(CidrBlock=cidr, TagSpecifications=[
        {'ResourceType': 'vpc', 'Tags': [{'Key': 'Name', 'Value': 'twin'}]}])['Vpc']['VpcId']
        for cidr in ('10.55.0.0/16', '10.56.0.0/16')]
    refused(aws.delete_network('twin'), 'Conflict', 'twin')
    assert set(ids) <= set(aws.list_networks())
    for native in ids:
        ok(aws.delete_network(native))


def test_the_network_called_default_may_be_another_one(aws: Kaws, wire: Wire) -> None:
    ok(aws.create_network('prod', cidr='10.57.0.0/16'))
    ok(aws.create_subnet('back', '10.57.200.0/24', nat=False, overrides={'network': 'prod'}))
    with connect(wire.url, vpc='prod', subnet='back', zone=None) as other:
        assert other.list_networks()['default']['cidr'] == '10.57.0.0/16'
        [card] = cards(other)
        assert card['SubnetId'] == other.info_subnet('back')['id']  # type: ignore[typeddict-item]
        assert card['AssociatePublicIpAddress'] is False
        refused(other.delete_network('default'), 'Conflict')
    ok(aws.delete_network('prod', force=True))


def test_networks_of_other_regions_are_told_with_their_region(wire: Wire, account: Account) -> None:
    with connect(wire.url, location='all', zone=None) as everywhere:
        everywhere.regions = [REGION, 'eu-west-1']
        known = everywhere.list_networks()
        assert {'default', 'eu-west-1/default'} <= set(known)
        assert known['eu-west-1/default']['location'] == 'eu-west-1'  # type: ignore[typeddict-item]
        assert everywhere.vpc('eu-west-1/default')['Region'] == 'eu-west-1'


def test_a_list_costs_the_same_number_of_calls_however_much_there_is(aws: Kaws, wire: Wire) -> None:
    def calls() -> list[int]:
        numbers = []
        for read in (aws.list_networks, aws.list_subnets, aws.list_floating_ips, aws.list_security_groups):
            with wire.counting() as made:
                read()
            numbers.append(len(made))
        return numbers
    counts = []
    for number in range(3):
        ok(aws.create_network(f'many{number}', nat=False))
        counts.append(calls())
    assert counts == [[3, 3, 1, 1]] * 3
    for number in range(3):
        ok(aws.delete_network(f'many{number}'))


# cards

def test_many_vms_are_looked_up_for_at_once(aws: Kaws, wire: Wire) -> None:
    spec = decode_vm({}, honoured=aws.honours)
    with wire.counting() as calls:
        for _ in range(20):
            aws.groups_for(spec, aws.cards_for(spec))
    assert len(calls) <= 6, calls
    aws.reap_groups(REGION)


def test_a_network_that_was_made_elsewhere_a_moment_ago_is_found(aws: Kaws, wire: Wire) -> None:
    cards(aws)
    with connect(wire.url) as other:
        ok(other.create_network('fresh', cidr='10.58.0.0/16'))
        assert len(cards(aws, nets=['fresh'])) == 1
        ok(other.delete_network('fresh'))


def test_the_cards_of_a_vm_are_all_in_one_zone(aws: Kaws, account: Account) -> None:
    ok(aws.create_network('east', cidr='10.61.0.0/16', overrides={'az': f'{REGION}b'}))
    ok(aws.create_network('west', cidr='10.62.0.0/16', overrides={'az': f'{REGION}c'}))
    zones = {each['SubnetId']: each['AvailabilityZone'] for each in account.ec2.describe_subnets()['Subnets']}
    made = cards(aws, nets=['default', 'west', 'default'])
    assert {zones[card['SubnetId']] for card in made} == {f'{REGION}c'}
    assert [card['DeviceIndex'] for card in made] == [0, 1, 2]
    assert all(card['DeleteOnTermination'] and 'AssociatePublicIpAddress' not in card for card in made)
    for wrong, error, words in (({'nets': ['east', 'west']}, Conflict, 'east, west'),
                                ({'nets': ['east'], 'sublocation': f'{REGION}a'}, InvalidInput, f'{REGION}b')):
        with pytest.raises(error) as told:
            cards(aws, **wrong)
        assert words in str(told.value)
    for name in ('east', 'west'):
        ok(aws.delete_network(name))


@pytest.mark.parametrize(('net', 'error'), [
    ({'name': 'default', 'mac': '52:54:00:00:00:01'}, InvalidInput),
    ({'name': 'default', 'ip': '10.9.9.9/24'}, InvalidInput), ('no-such-network', NotFound)])
def test_a_card_that_can_not_be_is_refused(aws: Kaws, net: Any, error: type[KvirtError]) -> None:
    with pytest.raises(error):
        cards(aws, nets=[net])


def test_a_static_address_is_given_to_the_card(aws: Kaws, account: Account) -> None:
    zones = {each['AvailabilityZone']: each for each in account.ec2.describe_subnets()['Subnets']}
    subnet = zones[f'{REGION}b']
    address = str(ipaddress.ip_network(subnet['CidrBlock'])[77])
    [card] = cards(aws, nets=[{'name': 'default', 'ip': f'{address}/20'}], sublocation=f'{REGION}b')
    assert (card['PrivateIpAddress'], card['SubnetId']) == (address, subnet['SubnetId'])
    assert cards(aws, publicip=False)[0]['AssociatePublicIpAddress'] is False


def test_a_card_is_added_and_goes_with_its_vm(aws: Kaws, wire: Wire, account: Account) -> None:
    ok(create(aws, 'carded', sublocation=f'{REGION}a'))
    seen = len(wire.exchanges)
    mac = ok(aws.add_nic('carded', 'default'))['mac']
    asked = [operation_of(exchange.request) for exchange in wire.exchanges[seen:]]
    assert asked[-4:] == ['CreateNetworkInterface', 'AttachNetworkInterface', 'ModifyNetworkInterfaceAttribute',
                          'DeleteTags']
    body = wire.exchanges[-2].request.body
    assert b'Attachment.DeleteOnTermination=true' in body
    refused(aws.delete_nic('carded', 'eth0'), 'Conflict', 'carded')
    ok(aws.delete_nic('carded', mac.upper()))
    refused(aws.delete_nic('carded', 'eth1'), 'NotFound', 'eth1', "did you mean 'eth0'?")
    whole_or_nothing(aws, wire, account, Nic('carded'), ['refused'])
    ok(aws.delete('carded'))


class Nic(Deed):
    """A card on a VM: which has no name, and is found by its device."""

    def __init__(self, vm: str) -> None:
        super().__init__({'vm': vm}, 'add_nic', 'release')

    def do(self, provider: Any, name: str) -> Any:
        vm = self.keywords['vm']
        provider.release = lambda name: provider.delete_nic(vm, 'eth1')
        return provider.add_nic(vm, 'default')


def test_a_card_in_another_network_lets_in_what_its_vm_does(aws: Kaws, account: Account) -> None:
    ok(aws.create_network('other', cidr='10.63.0.0/16', overrides={'az': f'{REGION}a'}))
    ok(create(aws, 'two', ports=[80], sublocation=f'{REGION}a'))
    ok(aws.add_nic('two', 'other'))
    second = aws.instance('two')['NetworkInterfaces'][1]
    assert second['VpcId'] == aws.info_network('other')['id']  # type: ignore[typeddict-item]
    [group] = second['Groups']
    rules = aws.info_security_group(group['GroupId'])['rules']
    assert {rule['from_port'] for rule in rules} == {22, 80}
    assert aws.vm_ports('two') == ['default', 'other']
    ok(aws.delete_network('other', force=True))
    assert aws.vm_ports('two') == ['default']
    ok(aws.delete('two'))


# subnets

def test_a_private_subnet_has_a_way_of_its_own(aws: Kaws, account: Account) -> None:
    ok(aws.create_network('split', cidr='10.64.0.0/16'))
    ok(aws.create_subnet('front', '10.64.128.0/24', overrides={'network': 'split'}))
    ok(aws.create_subnet('back2', '10.64.129.0/24', overrides={'network': 'split', 'private': True}))
    known = aws.list_subnets()
    assert [known[name]['private'] for name in ('split-1', 'front', 'back2')] == [False, False, True]  # type: ignore
    assert cards(aws, nets=['back2'])[0]['AssociatePublicIpAddress'] is False
    refused(aws.create_subnet('x', '10.64.129.0/25', overrides={'network': 'split'}), 'Conflict', 'x')
    refused(aws.create_subnet('x', '10.99.0.0/24', overrides={'network': 'split'}), 'InvalidInput', 'x')
    refused(aws.delete_network('split'), 'Conflict', 'back2, front')
    for name in ('front', 'back2'):
        ok(aws.delete_subnet(name))
    ok(aws.delete_network('split'))


# floating addresses

def test_an_address_of_another_tool_is_there_under_its_id(aws: Kaws, account: Account) -> None:
    native = account.ec2.allocate_address(Domain='vpc')['AllocationId']
    assert aws.list_floating_ips()[native]['vm'] is None
    ok(aws.delete_floating_ip(native))


def test_an_address_is_not_taken_from_whom_nobody_named(aws: Kaws, account: Account) -> None:
    for name in ('one', 'other1'):
        ok(create(aws, name, sublocation=f'{REGION}a'))
    ok(aws.create_floating_ip('fixed'))
    ok(aws.attach_floating_ip('fixed', 'one'))
    ok(aws.attach_floating_ip('fixed', 'one'))
    refused(aws.attach_floating_ip('fixed', 'other1'), 'Conflict', 'one')
    ok(aws.create_floating_ip('second'))
    refused(aws.attach_floating_ip('second', 'one'), 'Conflict', 'one')
    for name in ('one', 'other1'):
        ok(aws.delete(name))
    assert {row['vm'] for row in aws.list_floating_ips().values()} == {None}, 'they are kept: nobody made them for the VM'
    for name in ('fixed', 'second'):
        ok(aws.delete_floating_ip(name))
