"""Pools of addresses and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.confpools import ConfPools, wish_of
from kvirt.parallel import in_parallel
from kvirt.settings import Settings

POOLS = """\
lab:            # a comment that stays
  ips: 10.5.0.0/29
  netmask: 24
  gateway: 10.5.0.1
few: {ips: [10.6.0.5], netmask: 24, names: [ada, grace]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Kconfig:
    (tmp_path / 'config.yml').write_text('fake: {type: fake}\n')
    (tmp_path / 'confpools.yml').write_text(POOLS)
    return Kconfig('fake', settings=Settings(tmp_path))


def taken(config: Kconfig, pool: str) -> dict[str, str]:
    return ConfPools(config.settings).all()[pool].get('ip_reservations') or {}


def test_a_vm_gets_an_address_and_gives_it_back(config: Kconfig) -> None:
    config.create_vm('a', 'debian12', {'ippool': 'lab'}).expect()
    config.create_vm('b', 'debian12', {'nets': [{'name': 'default', 'ippool': 'lab'}]}).expect()
    assert taken(config, 'lab') == {'a': '10.5.0.2', 'b': '10.5.0.3'}
    assert [config.k.info(name)['ip'] for name in 'ab'] == ['10.5.0.2', '10.5.0.3']
    config.delete_vm('a').expect()
    assert taken(config, 'lab') == {'b': '10.5.0.3'}


def test_a_list_of_addresses_comes_to_an_end(config: Kconfig) -> None:
    config.create_vm('a', 'debian12', {'confpool': 'few'}).expect()
    assert config.k.info('a')['ip'] == '10.6.0.5'
    refused = config.create_vm('b', 'debian12', {'confpool': 'few'})
    assert (refused['error'], 'no address left' in refused['reason']) == ('QuotaExceeded', True)


def test_names_come_from_a_pool(config: Kconfig) -> None:
    made = [config.create_vm('x', 'debian12', {'namepool': 'few'}) for _ in range(3)]
    assert [each.get('name') for each in made[:2]] == ['ada', 'grace']
    assert made[2]['error'] == 'QuotaExceeded'
    config.delete_vm('ada').expect()
    assert config.create_vm('x', 'debian12', {'namepool': 'few'})['name'] == 'ada'


def test_a_vm_that_is_not_made_keeps_nothing(config: Kconfig) -> None:
    assert not config.create_vm('a', 'no-such-image', {'ippool': 'lab'}).ok
    assert taken(config, 'lab') == {}


def test_a_vm_that_is_there_keeps_its_address(config: Kconfig) -> None:
    config.create_vm('a', 'debian12', {'ippool': 'lab'}).expect()
    assert config.create_vm('a', 'debian12', {'ippool': 'lab'})['error'] == 'AlreadyExists'
    assert taken(config, 'lab') == {'a': '10.5.0.2'}


def test_no_two_get_the_same(config: Kconfig) -> None:
    in_parallel('abcd', lambda name: config.create_vm(name, 'debian12', {'ippool': 'lab'}).expect())
    assert sorted(taken(config, 'lab').values()) == ['10.5.0.2', '10.5.0.3', '10.5.0.4', '10.5.0.5']


def test_a_pool_that_is_not_there(config: Kconfig) -> None:
    refused = config.create_vm('a', 'debian12', {'ippool': 'lap'})
    assert "did you mean 'lab'" in refused['reason']


def test_in_a_plan(config: Kconfig) -> None:
    plan = config.open_plan('shop', inputstring='a: {image: debian12, nets: [{name: default, ippool: lab}]}\n'
                                                'b: {image: debian12, ippool: lab}')
    assert plan.create().ok
    assert sorted(config.k.info(name)['ip'] for name in 'ab') == ['10.5.0.2', '10.5.0.3']


def test_what_is_no_wish_is_left_alone() -> None:
    values = {'nets': ['a', {'name': 'b'}], 'memory': 5}
    assert wish_of(values) == (values, wish_of({})[1])
