"""Disks of VMs whose root disk is the flavor's, and the checks that clouds share."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.errors import InvalidInput, KvirtError, NotFound
from kvirt.providers.families import cloud
from kvirt.providers.families.volumes import NewVolume, next_name
from kvirt.shapes import Flavor
from kvirt.spec import decode_vm
from tests.providers.families.pretended import Memory

FLAVOR = Flavor(name='small', numcpus=1, memory=1024, disk=20)


def planned(*disks: Any, taken: tuple[str, ...] = (), **keywords: Any) -> tuple[list[str], dict[str, int]]:
    memory, spec = Memory(), decode_vm({'disks': list(disks), **keywords})
    for name in taken:
        memory.make_volume(NewVolume(name=name, size=1, place='here', fields={}))
    there, new = memory.planned('web', spec, FLAVOR, 'here')
    return [f'<{volume.name}>' for volume in there], new


def test_further_disks_are_there_or_made() -> None:
    assert planned(10, 5, 'mine', {'size': 2, 'name': 'new'}, taken=('mine', 'web-1')) == (
        ['<mine>'], {'web-2': 5, 'new': 2})
    assert planned(10, {'existing': 'mine'}, taken=('mine',)) == (['<mine>'], {})
    assert planned() == ([], {})
    assert planned(20) == ([], {})
    assert planned({}, disksize=20) == ([], {})


def test_without_further_disks_nobody_is_asked() -> None:
    memory = Memory()
    memory.planned('web', decode_vm({}), FLAVOR, 'here')
    assert memory.asked == []


@pytest.mark.parametrize(('disks', 'error', 'word'), [
    ([21], InvalidInput, 'root disk of 20 GiB'), ([{'name': 'mine'}], InvalidInput, 'name'),
    ([{'image': 'debian12', 'size': 5}], InvalidInput, 'image'), ([{'size': 5, 'pool': 'fast'}], NotFound, 'fast'),
    ([5, {'size': 1, 'image': 'debian12'}], InvalidInput, 'image'), ([5, {'size': 1, 'pool': 'fast'}], NotFound, 'fast'),
    ([5, {'size': 1, 'serial': 'x'}], InvalidInput, 'serial'),
    ([5, {'existing': 'mnie'}], NotFound, "'mnie' does not exist"), ([{'existing': 'mine'}], InvalidInput, 'existing'),
    *(([5, {'size': 1, key: value}], InvalidInput, key) for key, value in (
        ('interface', 'ide'), ('format', 'raw'), ('cache', 'none'), ('discard', 'unmap'), ('shareable', True)))])
def test_what_a_volume_can_not_have(disks: list[Any], error: type[KvirtError], word: str) -> None:
    with pytest.raises(error, match=word):
        planned(*disks)


@pytest.mark.parametrize(('vm', 'name'), [('web', 'web-1'), ('Web_1.x', 'web-1-x-1'), ('9lives', 'v9lives-1'),
                                          ('x' * 63, f"{'x' * 58}-1")])
def test_names_of_volumes(vm: str, name: str) -> None:
    assert next_name(vm, []) == name
    assert next_name(vm, [name]) == f'{name[:-1]}2'


@pytest.mark.parametrize('ports', [[], [0], [65536], ['http'], [None], [80, -1]])
def test_what_is_no_port_of_a_load_balancer(ports: list[Any]) -> None:
    with pytest.raises(InvalidInput, match='no ports'):
        cloud.ports_of(ports)


def test_ports_are_sorted_and_each_is_one() -> None:
    assert cloud.ports_of([443, '80', 80]) == [80, 443]


def test_settings_and_names_are_checked() -> None:
    assert cloud.check_settings('a network', {'name': 'x'}, ('name',)) == {'name': 'x'}
    assert cloud.check_settings('a network', None, ()) == {}
    with pytest.raises(InvalidInput, match="'nmae', did you mean 'name'"):
        cloud.check_settings('a network', {'nmae': 'x'}, ('name',))
    assert cloud.check_name('VM', 'web-1', '[a-z0-9-]+', 'small letters') == 'web-1'
    with pytest.raises(InvalidInput, match='Web'):
        cloud.check_name('VM', 'Web', '[a-z0-9-]+', 'small letters')
