"""Floating addresses over the primitives of a platform."""

from __future__ import annotations

import msgspec
import pytest

from kvirt.errors import Unavailable
from kvirt.testing.platform import ok, refused

from .pretended import Memory


def test_an_address_is_taken_moved_and_given_back() -> None:
    memory = Memory()
    assert ok(memory.create_floating_ip('front'))['ip'] == '192.0.2.1'
    refused(memory.create_floating_ip('front'), 'AlreadyExists', names='front')
    ok(memory.attach_floating_ip('front', 'web'))
    assert memory.list_floating_ips() == {'front': {'ip': '192.0.2.1', 'vm': 'web', 'id': 'a1', 'location': ''}}
    refused(memory.attach_floating_ip('front', 'db'), 'Conflict', names='web')
    refused(memory.delete_floating_ip('front'), 'Conflict', names='web')
    ok(memory.attach_floating_ip('a1', 'web'))
    ok(memory.detach_floating_ip('front'))
    ok(memory.detach_floating_ip('front'))
    ok(memory.delete_floating_ip('front'))
    refused(memory.delete_floating_ip('front'), 'NotFound', names='front')
    assert [what for what in memory.asked if what != 'addresses'] == ['reserve', 'assign', 'unassign']


def test_an_address_whose_answer_is_lost_is_given_back() -> None:
    memory = Memory()
    memory.answers = [Unavailable('lost')]
    refused(memory.create_floating_ip('front'), 'Unavailable')
    assert memory.ips == {}


@pytest.mark.parametrize('each', [True, False])
def test_some_platforms_give_a_vm_one_address(each: bool) -> None:
    memory = Memory()
    memory.one_address_each = each  # type: ignore[misc]
    for name in ('one', 'two'):
        ok(memory.create_floating_ip(name))
    ok(memory.attach_floating_ip('one', 'web'))
    result = memory.attach_floating_ip('two', 'web')
    assert result.ok is not each
    assert result.ok or 'one' in result['reason']


def test_an_address_of_a_vm_that_is_going_away_can_be_given_back_and_one_of_something_else_not() -> None:
    memory = Memory()
    ok(memory.create_floating_ip('front'))
    ok(memory.attach_floating_ip('front', 'web'))
    del memory.vms['1']
    assert memory.list_floating_ips()['front']['vm'] is None
    ok(memory.delete_floating_ip('front'))
    ok(memory.create_floating_ip('gate'))
    memory.ips['a1'] = msgspec.structs.replace(memory.ips['a1'], other='a gateway')
    refused(memory.delete_floating_ip('gate'), 'Conflict', names='a gateway')
    assert memory.list_floating_ips()['gate']['vm'] is None


def test_the_names_of_vms_are_asked_for_only_where_they_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    ok(memory.create_floating_ip('front'))
    memory.ips['a1'] = msgspec.structs.replace(memory.ips['a1'], vm_id='1', vm='web')
    monkeypatch.setattr(memory, 'vm_names', lambda ids: pytest.fail('nothing was to be asked'))
    assert memory.list_floating_ips()['front']['vm'] == 'web'
    refused(memory.delete_floating_ip('front'), 'Conflict', names='web')
