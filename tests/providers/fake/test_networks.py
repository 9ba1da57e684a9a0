"""Networks, subnets, cards, addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvirt.providers.fake import Kfake

from .conftest import create, ok, refused

Make = Callable[..., str]


def addresses(fake: Kfake, name: str = 'web') -> list[str | None]:
    return [nic.get('ip') for nic in fake.info(name)['nets']]


def test_networks(fake: Kfake) -> None:
    assert fake.list_networks() == {'default': {'cidr': '192.168.122.0/24', 'dhcp': True, 'type': 'fake', 'mode': 'nat',
                                                'plan': ''}}
    ok(fake.create_network('lab', '10.9.0.0/16', nat=False, domain='lab.test', plan='shop', overrides={'mtu': 9000}))
    assert fake.info_network('lab') == {'cidr': '10.9.0.0/16', 'dhcp': True, 'type': 'fake', 'mode': 'isolated',
                                        'plan': 'shop', 'domain': 'lab.test', 'mtu': 9000}  # type: ignore[typeddict-unknown-key]
    refused(fake.create_network('lab', '10.10.0.0/16'), 'AlreadyExists', 'network lab exists')
    refused(fake.create_network('more', '10.9.5.0/24'), 'Conflict', 'overlaps 10.9.0.0/16 of network lab')
    refused(fake.create_network('more', '10.10.0.0/30'), 'InvalidInput', 'too small')
    refused(fake.create_network('more', '10.10.0.0/24', overrides={'mut': 1}), 'InvalidInput', "did you mean 'mtu'")
    refused(fake.create_network('more', '10.10.0.0/24', overrides={'mtu': 'x'}), 'InvalidInput', 'mtu')
    ok(fake.update_network('lab', dhcp=False, nat=True, overrides={'mtu': 1500}))
    assert fake.info_network('lab')['mode'] == 'nat'
    assert fake.list_networks()['lab']['domain'] == 'lab.test'
    refused(fake.update_network('lba', dhcp=True), 'NotFound', "did you mean 'lab'")
    ok(fake.delete_network(cidr='10.9.0.0/16'))
    assert (fake.net_exists('lab'), fake.info_network('lab')) == (False, {})


def test_a_network_without_addresses_gets_free_ones(fake: Kfake) -> None:
    ok(fake.create_network('a', '10.0.1.0/24'))
    ok(fake.create_network('b'))
    assert fake.info_network('b')['cidr'] == '10.0.2.0/24'


def test_addresses_are_given_in_order_and_come_back(fake: Kfake) -> None:
    ok(fake.create_network('tiny', '10.1.0.0/29'))
    for number in range(5):
        ok(create(fake, f'vm{number}', nets=['tiny']))
    assert [fake.ip(f'vm{number}') for number in range(5)] == [f'10.1.0.{number}' for number in range(2, 7)]
    refused(create(fake, 'vm5', nets=['tiny']), 'OutOfCapacity', 'network tiny (10.1.0.0/29) has no free address')
    assert not fake.exists('vm5')
    ok(fake.delete('vm2'))
    ok(create(fake, 'vm5', nets=['tiny']))
    assert fake.ip('vm5') == '10.1.0.4'


def test_a_network_of_version_6(fake: Kfake) -> None:
    ok(fake.create_network('six', 'fd00:1::/64'))
    ok(create(fake, 'web', nets=['six'], domain='example.com'))
    assert fake.ip('web') == 'fd00:1::2'
    assert fake.list_dns('example.com')[0]['type'] == 'AAAA'


def test_cards_as_they_were_asked_for(fake: Kfake, vm: Make) -> None:
    ok(fake.create_network('quiet', '10.1.0.0/24', dhcp=False))
    vm(nets=[{'name': 'default', 'ip': '192.168.122.50', 'netmask': 24, 'mac': '52:54:00:AA:00:01'}, 'quiet',
             {'name': 'default', 'noconf': True, 'type': 'e1000'}])
    cards = fake.info('web')['nets']
    assert cards[0] == {'device': 'eth0', 'mac': '52:54:00:aa:00:01', 'net': 'default', 'type': 'virtio',
                        'ip': '192.168.122.50'}
    assert (addresses(fake), cards[2]['type']) == (['192.168.122.50', None, None], 'e1000')
    assert fake.vm_ports('web') == ['default', 'quiet', 'default']


def test_an_address_is_given_once(fake: Kfake, vm: Make) -> None:
    vm(ip0='192.168.122.2/24', nets=[{'name': 'default', 'mac': '52:54:00:00:00:01'}])
    refused(create(fake, 'b', ip0='192.168.122.2/24'), 'Conflict', 'address 192.168.122.2 is in use by web')
    refused(create(fake, 'b', nets=[{'name': 'default', 'mac': '52:54:00:00:00:01'}]), 'Conflict', 'in use by web')
    ok(create(fake, 'b'))
    assert fake.info('b')['nets'][0]['ip'] == '192.168.122.3'
    assert fake.info('b')['nets'][0]['mac'] != '52:54:00:00:00:01'


def test_cards_come_and_go(fake: Kfake, vm: Make) -> None:
    ok(fake.create_network('lab', '10.1.0.0/24'))
    vm()
    made = ok(fake.add_nic('web', 'lab', model='e1000'))
    assert (made['device'], made['ip']) == ('eth1', '10.1.0.2')
    refused(fake.add_nic('web', 'lba'), 'NotFound', "network 'lba' does not exist, did you mean 'lab'?")
    refused(fake.update_nic('web', 2, 'lab'), 'InvalidInput', 'no network card number 2', 'It has 2')
    mac = fake.info('web')['nets'][0]['mac']
    ok(fake.update_nic('web', 0, 'lab'))
    assert (addresses(fake), fake.info('web')['nets'][0]['mac']) == (['10.1.0.3', '10.1.0.2'], mac)
    refused(fake.delete_nic('web', 'eth7'), 'NotFound', 'VM web has no network card eth7')
    ok(fake.delete_nic('web', made['mac']))
    ok(fake.delete_nic('web', 'eth0'))
    assert fake.info('web')['nets'] == []
    ok(create(fake, 'other', ip0='10.1.0.3/24', nets=[{'name': 'lab', 'mac': mac}]))


def test_a_network_in_use_is_only_deleted_by_force(fake: Kfake, vm: Make) -> None:
    ok(fake.create_network('lab', '10.1.0.0/24'))
    vm(nets=['default', 'lab'])
    assert fake.network_ports('lab') == ['web']
    refused(fake.delete_network('lab'), 'Conflict', 'network lab is in use by web')
    ok(fake.delete_network('lab', force=True))
    assert fake.vm_ports('web') == ['default']
    refused(fake.delete_network('lab'), 'NotFound')


def test_subnets(fake: Kfake, vm: Make) -> None:
    ok(fake.create_network('big', '10.1.0.0/16'))
    ok(fake.create_subnet('part', '10.1.8.0/24', overrides={'network': 'big', 'az': 'a', 'private': True}))
    shown = fake.info_subnet('part')
    assert {'network': 'big', 'az': 'a', 'private': True, 'cidr': '10.1.8.0/24'}.items() <= shown.items()
    refused(fake.create_subnet('more', '10.2.0.0/24', overrides={'network': 'big'}), 'InvalidInput', 'not a part of')
    refused(fake.create_subnet('more', '10.1.8.128/25', overrides={'network': 'big'}), 'Conflict', 'subnet part')
    refused(fake.create_subnet('part', '10.1.9.0/24', overrides={'network': 'big'}), 'AlreadyExists')
    refused(fake.create_network('part', '10.3.0.0/24'), 'AlreadyExists')
    refused(fake.create_subnet('more', '10.1.9.0/24', overrides={'network': 'bgi'}), 'NotFound', "did you mean 'big'")
    vm(nets=['part', 'big'])
    assert (addresses(fake), fake.vm_ports('web')) == (['10.1.8.2', '10.1.0.2'], ['part', 'big'])
    assert fake.network_ports('big') == fake.network_ports('part') == ['web']
    ok(fake.update_subnet('part', {'dhcp': False, 'az': 'b'}))
    assert (fake.list_subnets()['part']['dhcp'], fake.info_subnet('part')['az']) == (False, 'b')  # type: ignore[typeddict-item]
    refused(fake.update_subnet('part', {'cidr': 'x'}), 'InvalidInput', 'cidr')
    refused(fake.delete_subnet('part'), 'Conflict', 'subnet part is in use by web')
    refused(fake.delete_network('big'), 'Conflict', 'network big has subnets: part')
    ok(fake.delete_subnet('part', force=True))
    assert fake.vm_ports('web') == ['big']
    ok(fake.delete_network('big', force=True))


def test_a_network_goes_with_its_subnets_by_force(fake: Kfake, vm: Make) -> None:
    ok(fake.create_network('big', '10.1.0.0/16'))
    ok(fake.create_subnet('part', '10.1.8.0/24', overrides={'network': 'big'}))
    vm(nets=['part'])
    ok(fake.delete_network('big', force=True))
    assert (fake.list_subnets(), fake.info('web')['nets']) == ({}, [])


def test_floating_addresses(fake: Kfake) -> None:
    ok(create(fake, 'web'))
    ok(create(fake, 'db'))
    ip = ok(fake.create_floating_ip('front'))['ip']
    assert ip == '203.0.113.2'
    refused(fake.create_floating_ip('front'), 'AlreadyExists')
    refused(fake.attach_floating_ip('fornt', 'web'), 'NotFound', "did you mean 'front'")
    ok(fake.attach_floating_ip('front', 'web'))
    ok(fake.attach_floating_ip('front', 'web'))
    assert (fake.ip('web'), fake.list_floating_ips()) == (ip, {'front': {'ip': ip, 'vm': 'web'}})
    refused(fake.attach_floating_ip('front', 'db'), 'Conflict', 'in use by web')
    refused(fake.delete_floating_ip('front'), 'Conflict', 'in use by web')
    ok(fake.create_floating_ip('back'))
    refused(fake.attach_floating_ip('back', 'web'), 'Conflict', 'web has a floating address already')
    ok(fake.detach_floating_ip('front'))
    ok(fake.attach_floating_ip('front', 'db'))
    ok(fake.delete('db'))
    assert fake.list_floating_ips()['front']['vm'] is None, 'it is not the VM that it belongs to'
    ok(fake.delete_floating_ip('front'))
    assert (fake.ip('web'), list(fake.list_floating_ips())) == ('192.168.122.2', ['back'])


def test_floating_addresses_have_a_limit(fake: Kfake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('kvirt.providers.fake.catalogue', fromlist=['LIMITS']).LIMITS, 'floating_ips', 1)
    ok(fake.create_floating_ip('a'))
    refused(fake.create_floating_ip('b'), 'QuotaExceeded', 'its 1 floating_ips')
    assert 'public' not in str(fake.list_networks())
