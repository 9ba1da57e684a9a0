"""Disks over the primitives of a block storage."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, Unavailable
from kvirt.providers.families.blocks import Blocks
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.volumes import NewVolume, next_name
from kvirt.shapes import Flavor
from kvirt.spec import decode_vm
from kvirt.testing.platform import ok, refused

from .pretended import Memory

SMALL = Flavor(name='small', numcpus=1, memory=1024, disk=20)


def names(memory: Memory) -> list[str]:
    return [volume.name for volume in memory.disks.values()]


def test_a_disk_of_a_vm_bears_its_mark_and_one_of_nobody_does_not() -> None:
    memory = Memory()
    assert ok(memory.create_disk('data', 2))['path'] == '/dev/data'
    assert ok(memory.add_disk('web', 3)) == {'result': 'success', 'device': 'disk-d2', 'path': '/dev/web-1'}
    assert [volume.fields.get('kvirt') for volume in memory.disks.values()] == [None, 'r1']
    assert memory.list_disks() == {'data': {'path': '/dev/data', 'size': 2, 'vms': []},
                                   'web-1': {'path': '/dev/web-1', 'size': 3, 'vms': ['web']}}
    assert memory.disks_of(memory.machine('web')) == [
        {'device': 'disk-d2', 'size': 3, 'format': 'raw', 'type': 'volume', 'path': '/dev/web-1'}]


@pytest.mark.parametrize('answers', [[Unavailable('lost')], [None, Unavailable('lost')],
                                     [None, Unavailable('lost'), Unavailable('again'), None]])
def test_what_is_made_half_way_is_unmade(answers: list[Exception | None]) -> None:
    memory = Memory()
    ok(memory.create_disk('data', 2))
    memory.answers = answers
    refused(memory.add_disk('web', 3), 'Unavailable')
    assert names(memory) == ['data']


def test_what_somebody_else_made_in_between_is_not_unmade(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    monkeypatch.setattr(memory, '_need_volume_name', lambda name, place: memory.make_volume(
        NewVolume(name=name, size=1, place=place, fields={})))
    refused(memory.create_disk('data', 2), 'AlreadyExists')
    refused(memory.add_disk('web', 2, overrides={'diskname': 'more'}), 'AlreadyExists')
    assert names(memory) == ['data', 'more']


def test_what_can_not_be_is_refused_before_anything_is_asked_for() -> None:
    memory = Memory()
    for asked in ({'image': 'debian12'}, {'shareable': True}, {'overrides': {'serial': 'x'}}):
        refused(memory.add_disk('web', 1, **asked), 'InvalidInput')  # type: ignore[arg-type]
    refused(memory.add_disk('web', 1, pool='fast'), 'NotFound', names='fast')
    memory.smallest_volume = 10  # type: ignore[misc]
    refused(memory.create_disk('data', 9), 'InvalidInput', names='9 GiB')
    assert memory.asked == []


def test_a_volume_that_is_there_is_had_by_one_vm_in_its_place() -> None:
    memory = Memory()
    ok(memory.create_disk('data', 2))
    refused(memory.create_disk('data', 2), 'AlreadyExists', names='data')
    refused(memory.add_disk('db', existing='data'), 'Conflict', names='here')
    refused(memory.add_disk('web', existing='date'), 'NotFound', names="'data'")
    ok(memory.add_disk('web', existing='d1'))
    for result in (memory.add_disk('web', existing='data'), memory.delete_disk(None, 'data')):
        refused(result, 'Conflict', names='web')
    ok(memory.delete_disk('web', 'data'))
    assert memory.disks == {}


def test_one_name_in_two_places() -> None:
    memory = Memory()
    memory.names_are_local = True  # type: ignore[misc]
    ok(memory.create_disk('data', 2))
    ok(memory.add_disk('db', 3, overrides={'diskname': 'data'}))
    assert list(memory.list_disks()) == ['d2', 'data']
    refused(memory.delete_disk(None, 'data'), 'Conflict', names='d1, d2')
    ok(memory.add_disk('web', existing='data'))
    assert memory.disks['d1'].vms == ['1']


def test_disks_that_are_detached_stay_when_the_vm_goes() -> None:
    memory = Memory()
    for size in (1, 2):
        ok(memory.add_disk('web', size))
    assert ok(memory.detach_disks('web'))['disks'] == ['/dev/web-1', '/dev/web-2']
    assert all('kvirt' not in volume.fields and not volume.vms for volume in memory.disks.values())


def test_the_order_of_disks_is_that_of_the_vm_where_it_is_told() -> None:
    memory = Memory()
    for size in (1, 2):
        ok(memory.add_disk('web', size))
    web = memory.machine('web')
    assert [volume.id for volume in memory.volumes_of(web)] == ['d1', 'd2']
    told = msgspec.structs.replace(web, volumes=['d2', 'gone', 'd1'])
    assert [volume.id for volume in memory.volumes_of(told)] == ['d2', 'd1']
    memory.asked.clear()
    assert memory.volumes_of(msgspec.structs.replace(web, volumes=())) == []
    assert memory.asked == []


def test_a_disk_grows_and_the_root_one_is_of_the_flavor() -> None:
    memory = Memory()
    ok(memory.add_disk('web', 3))
    asked = list(memory.asked)
    ok(memory.resize_disk('web', 'web-1', 3))
    assert 'grow' not in memory.asked[len(asked):]
    ok(memory.resize_disk('web', '/dev/web-1', 4))
    assert memory.disks['d1'].size == 4
    refused(memory.resize_disk('web', 'disk-d1', 3), 'InvalidInput', names='4 GiB')
    refused(memory.resize_disk('web', '/dev/vda', 30), 'NotSupported', names='flavor')
    refused(memory.delete_disk('web', 'web-2'), 'NotFound', names="did you mean 'web-1'?")


def test_the_disks_of_a_create_are_told_from_those_that_are_there() -> None:
    memory = Memory()
    ok(memory.create_disk('data', 2))
    spec = decode_vm({'disks': [20, 5, 'data', {'size': 6, 'name': 'logs'}, 7]}, honoured=())
    memory.asked.clear()
    there, new = memory.planned('data', spec, SMALL, 'here')
    assert ([volume.id for volume in there], new) == (['d1'], {'data-1': 5, 'logs': 6, 'data-2': 7})
    assert memory.asked == ['volumes']
    made = memory.make_volumes(new, 'here', 'r9')
    assert [volume.fields['kvirt'] for volume in made] == ['r9'] * 3
    memory.unmake_volumes('kvirt', 'r9')
    assert names(memory) == ['data']


@pytest.mark.parametrize(('disks', 'error'), [
    ([30], InvalidInput), ([{'size': 10, 'name': 'x'}], InvalidInput), ([10, {'size': 1, 'serial': 'x'}], InvalidInput),
    ([10, {'size': 1, 'thin': False}], InvalidInput), ([{'size': 10, 'pool': 'fast'}], NotFound), ([10, 'used'], Conflict),
    ([10, 'far'], Conflict)])
def test_disks_of_a_create_that_can_not_be(disks: list[object], error: type[KvirtError]) -> None:
    memory = Memory()
    memory.attach_volume(memory.make_volume(NewVolume(name='used', size=1, place='here', fields={})), memory.machine('web'))
    memory.make_volume(NewVolume(name='far', size=1, place='there', fields={}))
    with pytest.raises(error):
        memory.planned('vm', decode_vm({'disks': disks}, honoured=()), SMALL, 'here')


@given(st.text(st.characters(exclude_categories=('Cs',)), min_size=1, max_size=80), st.integers(0, 12))
def test_names_of_volumes_are_plain_and_fresh(vm: str, many: int) -> None:
    taken: list[str] = []
    for _ in range(many + 1):
        taken.append(next_name(vm, taken))
    assert len(set(taken)) == len(taken)
    assert all(len(name) <= 63 and name.replace('-', 'a').isalnum() and name.isascii() and name == name.lower()
               and name[0].isalpha() for name in taken)


def test_a_vm_that_was_made_elsewhere_has_a_mark_too() -> None:
    assert Machine(id='7', name='web', fields={'kvirt': 'r1'}).mark == 'r1'
    assert Machine(id='7', name='web').mark == 'vm-7'


def test_pools_are_none() -> None:
    assert Blocks.capability('list_pools').mark == 'never'
