"""What the keywords of a VM decode into."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvirt import keywords
from kvirt.errors import InvalidInput
from kvirt.spec import HARDWARE, KEYWORDS, CpuFlag, CpuPin, DiskSpec, FileSpec, NetSpec, VmSpec, decode_vm, is_keyword


def problems(values: dict[str, Any], **more: Any) -> dict[str, str]:
    """Return what is wrong with *values*: message and place."""
    with pytest.raises(InvalidInput) as caught:
        decode_vm(values, **more)
    return {problem.message: problem.where for problem in caught.value.problems}


def test_nothing_asked_for_is_the_default_vm() -> None:
    assert decode_vm({}) == VmSpec()
    assert decode_vm({'memory': None, 'image': None}) == VmSpec(), 'None means: the default'


def test_a_typical_vm() -> None:
    spec = decode_vm({
        'image': 'debian12', 'numcpus': '4', 'memory': '4g', 'plan': 'shop',
        'disks': [20, '512M', {'size': '1T', 'pool': 'slow'}, 'data'],
        'nets': ['default', {'name': 'inner', 'ip': '10.0.0.5', 'mask': 24, 'mac': '52-54-00-00-00-01'}], 'cmds': 'uptime',
        'keys': ['ssh-ed25519 AAAA me'], 'files': ['/etc/motd', {'path': '/root/x', 'content': 'a: b', 'permissions': 644}],
        'tags': 'a, b', 'dns': '1.1.1.1,9.9.9.9', 'cpuflags': ['vmx', {'name': 'svm', 'policy': 'forbid'}],
        'http_proxy': None,
        'cpupinning': [{'vcpus': 0, 'hostcpus': '4-7'}], 'HTTP_PROXY': 'http://proxy', 'DEBUG': 1,
        'metadata': {'team': 'web'}})
    assert (spec.image, spec.numcpus, spec.memory, spec.plan) == ('debian12', 4, 4096, 'shop')
    assert spec.disks == (DiskSpec(size=20), DiskSpec(size=1), DiskSpec(size=1024, pool='slow'), DiskSpec(name='data'))
    assert spec.nets == (NetSpec(name='default'), NetSpec(name='inner', ip='10.0.0.5', netmask=24, mac='52:54:00:00:00:01'))
    assert spec.files == (FileSpec(origin='/etc/motd'), FileSpec(path='/root/x', content='a: b', mode='0644'))
    assert (spec.cmds, spec.tags, spec.dns) == (('uptime',), ('a', 'b'), ('1.1.1.1', '9.9.9.9'))
    assert spec.cpuflags == (CpuFlag(name='vmx'), CpuFlag(name='svm', policy='forbid'))
    assert spec.cpupinning == (CpuPin(vcpus='0', hostcpus='4-7'),)
    assert spec.env == {'HTTP_PROXY': 'http://proxy', 'DEBUG': '1'}
    assert spec.metadata == {'team': 'web'}


def test_numbered_keywords_are_lists() -> None:
    spec = decode_vm({'ip1': '10.0.0.5', 'netmask1': '255.255.255.0', 'nets': ['a', 'b'], 'gateway': '192.168.1.1'})
    assert (spec.ips, spec.netmasks) == (('', '10.0.0.5'), ('', '255.255.255.0'))
    first, second = spec.cards()
    assert (first.ip, first.gateway) == (None, '192.168.1.1')
    assert str(second.interface) == '10.0.0.5/24'
    assert second.gateway is None


def test_numbered_keywords_take_their_places_in_the_list() -> None:
    spec = decode_vm({'ips': ['10.0.0.1/24', '10.0.1.1/24'], 'ip0': '10.0.0.2/24', 'netmask0': 16,
                      'netmasks': ['8', '24', '25']})
    assert (spec.ips, spec.netmasks) == (('10.0.0.2/24', '10.0.1.1/24'), ('16', '24', '25'))


def test_the_environment_given_twice_is_one() -> None:
    assert decode_vm({'PATH': '/x', 'env': {'LANG': 'C', 'PATH': '/y'}}).env == {'PATH': '/y', 'LANG': 'C'}


def test_sizes_of_disks_that_name_none() -> None:
    spec = decode_vm({'disksize': '30G', 'disks': [{'pool': 'x'}, 5]})
    assert [spec.disk_size(disk) for disk in spec.disks] == [30, 5]


def test_every_fault_is_reported_at_once_with_its_place() -> None:
    found = problems({'memroy': 1, 'memory': '-1', 'numcpus': 0,
                      'disks': ['10Q', {'sise': 1}, {'size': '10Q', 'interface': 'floppy'}],
                      'nets': [{'name': 'x', 'mac': 'zz'}, 7], 'plan': '../x', 'start': 'perhaps'},
                      where=lambda key: f'plan.yml:{key}')
    said = {(place.removeprefix('plan.yml:'), message) for message, place in found.items()}
    for key, words in (('memroy', "unknown keyword 'memroy', did you mean 'memory'?"), ('memory', "'-1' is not a size"),
                       ('numcpus', 'numcpus'), ('disks', 'entry 0'),
                       ('disks', "unknown key of a disk 'sise', did you mean 'size'?"),
                       ('disks', 'entry 2: key of a disk interface'), ('disks', 'entry 2: key of a disk size'),
                       ('nets', "'zz' is not a MAC address"), ('nets', 'entry 1'), ('start', 'start')):
        assert any(place == key and words in message for place, message in said), (key, words, said)


@pytest.mark.parametrize(('values', 'words', 'place'), [
    ({'ip1': '10.0.0.1', 'nets': ['a', 'b']}, 'has no netmask', 'ip1'),
    ({'ips': ['x/8']}, "'x/8' is not an address", 'ips'),
    ({'plan': '../x'}, "'../x' can not name a plan", 'plan'), ({'pool': 'a b'}, "'a b' can not name a pool", 'pool'),
    ({'nets': [{'name': 'a', 'ip': '10.0.0.1'}]}, 'has no netmask', 'nets'),
    ({'nets': [{'name': 'a', 'mac': '52:54:00:00:00:01'}, {'name': 'b', 'mac': '52:54:00:00:00:01'}]},
     'same MAC address', 'nets'),
    ({'cmdline': 'quiet'}, 'need kernel', 'cmdline'), ({'initrd': '/x'}, 'need kernel', 'initrd')])
def test_keywords_that_are_each_right_may_contradict(values: dict[str, Any], words: str, place: str) -> None:
    [(message, where)] = problems(values, where=lambda key: key if key in values else '').items()
    assert words in message
    assert where == place


def test_a_hardware_keyword_that_a_provider_does_not_honour_is_an_error() -> None:
    assert problems({'tpm': True, 'uefi': True}, honoured=frozenset({'uefi'}), provider='Kcloud') == {
        'keyword tpm is not honoured by Kcloud': ''}
    assert decode_vm({'tpm': None}, honoured=frozenset()) == VmSpec()


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from(
        ['10', '10G', '-1', '10Q', 'default', '52:54:00:12:34:56', '10.0.0.1/24', 'fd00::1/64', '192.168.1.1', '../x',
         '{{ x }}'])),
    lambda inner: st.one_of(st.lists(inner, max_size=3),
                            st.dictionaries(st.one_of(st.text(), st.integers(), st.sampled_from(
                                ['name', 'size', 'ip', 'mask', 'netmask', 'mac', 'path', 'content', 'permissions',
                                 'vcpus'])),
                                            inner, max_size=3)), max_leaves=6)
KEYS = st.one_of(st.sampled_from(KEYWORDS), st.sampled_from(['ip0', 'ip9', 'netmask1', 'PATH', 'memroy']), st.text(),
                 st.integers(),
                 st.none(), st.booleans())


@settings(max_examples=400)
@given(st.dictionaries(KEYS, JSON, max_size=6))
@example({'env': 5, 'PATH': 'x'})
@example({1: 2, None: 3})
@example({'memory': 10**5000})
@example({'files': {'content': None}})
@example({'cpupinning': [{'vcpus': None, 'hostcpus': 1}]})
@example({'keys': [10**5000]})
def test_any_mapping_is_a_vm_or_invalid_input(values: dict[Any, Any]) -> None:
    try:
        spec = decode_vm(values)
    except InvalidInput as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)
    else:
        assert isinstance(spec, VmSpec)
        spec.cards()


@given(st.sampled_from(KEYWORDS), JSON)
def test_a_fault_of_one_keyword_is_reported_at_its_place(key: str, value: Any) -> None:
    try:
        decode_vm({key: value}, where=lambda name: f'plan.yml:{name}')
    except InvalidInput as error:
        assert {problem.where for problem in error.problems} == {f'plan.yml:{key}'}


def test_a_vm_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        VmSpec().memory = 1  # type: ignore[misc]


def test_the_defaults_are_themselves_valid_and_the_same_when_written() -> None:
    """What `list keyword` shows as a default, and what a decoder makes of it, is what is used."""
    written = {keyword.name: keyword.default for keyword in keywords.table() if keyword.default not in (None, '')}
    decoded = decode_vm({**written, 'disks': [{'default': True}]})
    assert msgspec.structs.asdict(decoded) == msgspec.structs.asdict(VmSpec())


def test_the_table_of_keywords_is_the_struct() -> None:
    table = keywords.table()
    assert [keyword.name for keyword in table] == sorted(KEYWORDS)
    assert all(keyword.meaning and keyword.group and keyword.type for keyword in table)
    assert {keyword.name for keyword in table if keyword.group == 'hardware'} == HARDWARE
    assert {keyword.group for keyword in table} == {
        'identity', 'size', 'storage', 'network', 'life', 'guest', 'hardware', 'cloud'}
    memory = next(keyword for keyword in table if keyword.name == 'memory')
    assert (memory.type, memory.default, memory.group) == ('whole number', 512, 'size')


def test_the_keys_of_entries_are_told_as_well() -> None:
    assert [key.name for key in keywords.entry_keys('nets')] == list(NetSpec.__struct_fields__)
    assert all(key.meaning for name in ('disks', 'nets', 'files') for key in keywords.entry_keys(name))
    assert keywords.entry_keys('memory') == []


def test_what_is_a_keyword() -> None:
    assert all(is_keyword(key) for key in ('memory', 'ip0', 'netmask3', 'HTTP_PROXY'))
    assert not any(is_keyword(key) for key in ('memroy', 'ip', 'ipx', 'Http', ''))
