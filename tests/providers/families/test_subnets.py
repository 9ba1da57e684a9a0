"""Subnets over the primitives of a platform, and how network cards are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from kvirt.errors import Conflict, NotFound, Unavailable
from kvirt.providers.families.cards import find_cards
from kvirt.providers.families.subnets import Subnet, Subnets
from kvirt.testing.platform import ok, refused


class Memory(Subnets):
    """Subnets by name, and who is on each."""

    subnet_settings = ('network', 'az')

    def __init__(self) -> None:
        self.there: dict[str, Subnet] = {}
        self.on: dict[str, str] = {}
        self.lost = False

    def read_subnets(self) -> Iterable[Subnet]:
        return list(self.there.values())

    def make_subnet(self, name: str, cidr: str, network: str, nat: bool, fields: Mapping[str, str],
                    settings: Mapping[str, Any]) -> None:
        self.there[name] = Subnet(id=f's-{name}', name=name, cidr=cidr, fields=fields,
                                  more={'network': network, 'az': settings.get('az', 'a'), 'private': not nat})
        if self.lost:
            raise Unavailable('lost')

    def change_subnet(self, subnet: Subnet, fields: Mapping[str, str]) -> None:
        self.there[subnet.name] = Subnet(id=subnet.id, name=subnet.name, cidr=subnet.cidr, more=subnet.more,
                                         fields={**subnet.fields, **fields})

    def empty_subnet(self, subnet: Subnet, force: bool) -> None:
        if subnet.name in self.on and not force:
            raise Conflict(f'subnet {subnet.name} is in use by {self.on[subnet.name]}')
        self.on.pop(subnet.name, None)

    def drop_subnet(self, subnet: Subnet) -> None:
        assert subnet.name not in self.on, 'somebody is on it'
        del self.there[subnet.name]


def test_a_subnet_is_made_changed_and_deleted() -> None:
    memory = Memory()
    ok(memory.create_subnet('back', '10.1.1.0/24', nat=False, plan='shop', overrides={'network': 'lab', 'az': 'b'}))
    assert memory.list_subnets() == {'back': {'cidr': '10.1.1.0/24', 'id': 's-back', 'plan': 'shop', 'network': 'lab',
                                              'az': 'b', 'private': True}}
    refused(memory.create_subnet('back', '10.1.2.0/24', overrides={'network': 'lab'}), 'AlreadyExists', names='back')
    refused(memory.create_subnet('front', '10.1.2.0/24'), 'InvalidInput', names='network')
    refused(memory.create_subnet('front', '10.1.2.0/24', overrides={'netwrk': 'lab'}), 'InvalidInput', names='network')
    refused(memory.update_subnet('back', overrides={'az': 'c'}), 'InvalidInput', names='az')
    ok(memory.update_subnet('s-back', overrides={'plan': 'bar'}))
    assert memory.info_subnet('back')['plan'] == 'bar'
    refused(memory.delete_subnet('bakc'), 'NotFound', names='back')
    ok(memory.delete_subnet('back'))
    assert memory.list_subnets() == {}


def test_a_subnet_whose_making_fails_is_removed_and_no_other() -> None:
    memory = Memory()
    ok(memory.create_subnet('back', '10.1.1.0/24', overrides={'network': 'lab'}))
    memory.lost = True
    refused(memory.create_subnet('front', '10.1.2.0/24', overrides={'network': 'lab'}), 'Unavailable')
    assert list(memory.there) == ['back']


def test_a_subnet_is_only_taken_from_vms_by_force() -> None:
    memory = Memory()
    ok(memory.create_subnet('back', '10.1.1.0/24', overrides={'network': 'lab'}))
    memory.on['back'] = 'web'
    refused(memory.delete_subnet('back'), 'Conflict', names='web')
    ok(memory.delete_subnet('back', force=True))


@pytest.mark.parametrize(('wanted', 'found'), [('eth1', [2]), ('52:54:00:AA:00:01', [1]), ('lan', [1, 2]), ('N-1', [1])])
def test_a_card_has_many_names(wanted: str, found: list[int]) -> None:
    known = [(1, {'eth0', '52:54:00:aa:00:01', 'lan', 'n-1', ''}), (2, {'eth1', '52:54:00:aa:00:02', 'lan', 'n-2', ''})]
    assert find_cards('web', wanted, known) == found


@pytest.mark.parametrize(('wanted', 'words'), [('', 'no network card'), ('eth2', "did you mean 'eth0'")])
def test_a_card_that_is_not_there_is_not_guessed(wanted: str, words: str) -> None:
    with pytest.raises(NotFound, match=words):
        find_cards('web', wanted, [(1, {'eth0', ''})])
