"""Golden XML of what ``create`` itself defines, from keywords alone; and that no keyword of a domain is without one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
import test_domain_build as build
from test_domain_build import GOLDEN, QEMU, S390

from kvirt.providers.kvm import Kvirt, domain
from kvirt.spec import KEYWORDS, DiskSpec, NetSpec, VmSpec, decode_vm, keyword_meta

DISK = {'size': 1, 'thin': False}
CARDS = [{'name': 'default', 'mac': f'52:54:00:00:00:0{number}'} for number in (1, 2)]
MANY: dict[str, dict[str, Any]] = {
    'size': {'numcpus': 3, 'memory': '1g'},
    'disks': {'disks': [
        {'size': 2, 'name': 'kvirt-xml-root', 'pool': 'kvirt-xml-pool', 'thin': False}, {'size': 1, 'format': 'raw'},
        {'size': 1, 'interface': 'scsi', 'serial': 'S1', 'wwn': '5000c50015ea71aa', 'cache': 'none', 'discard': 'ignore'},
        {'existing': 'kvirt-xml-there', 'interface': 'sata'}, {'existing': 'kvirt-xml-shared', 'shareable': True},
        {'size': 1, 'shareable': True, 'interface': 'ssd'}]},
    'image': {'image': 'kvirt-xml-image'},
    'disk-image': {'disks': [1, {'image': 'kvirt-xml-image'}]},
    'diskinterface': {'diskinterface': 'ide', 'disks': [1]},
    'diskthin': {'diskthin': False, 'disks': [1]},
    'pool': {'pool': 'kvirt-xml-pool', 'disks': [1]},
    'ceph': {'pool': 'kvirt-xml-ceph', 'disks': [10, {'size': 1, 'interface': 'scsi'}], 'cloudinit': True},
    'nets': {'nets': [{**CARDS[0], 'type': 'e1000', 'mtu': 9000},
                      {**CARDS[1], 'multiqueues': 4, 'filter': 'clean-traffic'}]},
    'usermode': {'usermode': 'passt', 'nets': CARDS},
    'usermode-slirp': {'usermode': 'slirp', 'nets': CARDS[:1]},
    'drives': {'iso': 'kvirt-xml-a.iso', 'extra_iso': 'kvirt-xml-b.iso', 'floppy': 'kvirt-xml-c.img',
               'boot_order': ['fd', 'cdrom']},
    'guestagent': {'guestagent': False},
    'seed': {'cloudinit': True, 'disks': [1]},
    'seed-iso': {'cloudinit': True, 'image': 'kvirt-xml-image', 'iso': 'kvirt-xml-a.iso'},
}
"""Keywords that are looked up on the host before they are a part of the domain, in the golden files ``create-*.xml``."""

CEPH = {'host': 'mon1,mon2:6789', 'user': 'kvirt', 'secret': '2ec115d7-3a88-3ceb-bc12-0ac909a6fd87'}

ELSEWHERE = {
    'plan profile image owner tags metadata': 'the metadata, which has golden files of its own',
    'flavor': 'refused: libvirt has none',
    'disksize ips netmasks gateway dns domain': 'the volume, or the guest',
    'reserveip reservedns': 'the network'}
"""Keywords that the domain does not show, and what does."""

IN_THE_GUEST = {'ip', 'netmask', 'gateway', 'dns', 'domain', 'vips', 'noconf', 'ipv6', 'dualstack', 'nic', 'vlan', 'bridge',
                'bridgename', 'bond'}
OF_THE_VOLUME = {'size', 'default'}


class Defined(Exception):
    """The domain is defined: no more is needed."""


class Written(Kvirt):
    """The provider, up to the moment when it hands a domain to libvirt."""

    def host_for(self, spec: VmSpec) -> domain.Host:
        return S390 if spec.arch == 's390x' else QEMU

    def define(self, name: str, root: ElementTree.Element) -> Any:
        metadata = root.find('metadata')
        assert metadata is not None
        root.remove(metadata)  # who made it, and when
        self.root = root
        raise Defined


@pytest.fixture(scope='module')
def kvm() -> Iterator[Written]:
    with Written(url='test:///default') as provider:
        provider.create_pool('kvirt-xml-pool', '/kvirt-xml-pool').expect()
        provider.create_pool('kvirt-xml-ceph', 'vms', 'rbd', overrides=CEPH).expect()
        for name in ('there', 'shared', 'a.iso', 'b.iso', 'c.img', 'image'):
            provider.create_disk(f'kvirt-xml-{name}', 1, pool='default-pool', thin=False).expect()
        yield provider


def made(kvm: Written, case: str, keywords: dict[str, Any]) -> str:
    name = f'kvirt-xml-{case}'
    given = {'cloudinit': False, 'nokeys': True, 'pool': 'default-pool', 'disks': [], 'nets': [],
             'uuid': str(uuid.uuid5(uuid.NAMESPACE_URL, name)), **keywords}
    with pytest.raises(Defined):
        kvm.create(name, **given)
    return domain.to_text(kvm.root)


@pytest.mark.parametrize('case', MANY)
def test_golden(case: str, kvm: Written, golden: Callable[[str, str], None]) -> None:
    golden(f'create-{case}.xml', made(kvm, case, MANY[case]))


def test_golden_files_all_belong_to_a_case() -> None:
    assert {path.stem.removeprefix('create-') for path in GOLDEN.glob('create-*.xml')} == set(MANY)


def group_of(keyword: str) -> str:
    return str((keyword_meta(keyword).extra or {})['group'])


def test_every_keyword_of_a_domain_is_in_a_golden_file() -> None:
    elsewhere = {word for words in ELSEWHERE for word in words.split()}
    wanted = {keyword for keyword in KEYWORDS if group_of(keyword) in ('size', 'storage', 'network')
              or keyword in Kvirt.honours} - elsewhere
    shown = set(build.KEYWORDS) | {keyword for keywords in MANY.values() for keyword in keywords}
    assert wanted - shown == set(), 'give them a case in KEYWORDS, or in MANY'
    assert set(build.KEYWORDS) <= domain.HONOURED


@pytest.mark.parametrize(('keyword', 'struct', 'unseen'), [('disks', DiskSpec, OF_THE_VOLUME),
                                                           ('nets', NetSpec, IN_THE_GUEST)])
def test_every_key_of_an_entry_is_in_a_golden_file(keyword: str, struct: Any, unseen: set[str]) -> None:
    shown = {key for keywords in MANY.values() for entry in keywords.get(keyword, ()) if isinstance(entry, dict)
             for key in entry}
    assert set(struct.__struct_fields__) - shown - unseen == set()


KEYS = [(case, keyword) for case, keywords in MANY.items() for keyword in keywords]


@pytest.mark.parametrize(('case', 'keyword'), KEYS, ids=lambda each: each)
def test_keyword_changes_the_domain(case: str, keyword: str, kvm: Written) -> None:
    given = MANY[case]
    without = {key: value for key, value in given.items() if key != keyword}
    assert made(kvm, case, given) != made(kvm, case, without)


LOOKED_UP = {('nets', 'mac'), ('nets', 'name')}  # a card without one has a fresh one, or is on the default network
ENTRY_KEYS = [(keyword, index, key) for keyword in ('disks', 'nets') for index, entry in enumerate(MANY[keyword][keyword])
              for key in entry if key not in OF_THE_VOLUME and (keyword, key) not in LOOKED_UP]


@pytest.mark.parametrize(('keyword', 'index', 'key'), ENTRY_KEYS)
def test_key_of_an_entry_changes_the_domain(keyword: str, index: int, key: str, kvm: Written) -> None:
    entries = MANY[keyword][keyword]
    changed = [{name: value for name, value in entry.items() if (number, name) != (index, key)}
               for number, entry in enumerate(entries)]
    if (keyword, index, key) == ('disks', 2, 'interface'):
        changed[2].pop('wwn')  # which a disk on virtio can't have
    assert made(kvm, keyword, {keyword: entries}) != made(kvm, keyword, {keyword: changed})


@pytest.mark.parametrize(('disk', 'words'), [
    ({'existing': 'kvirt-xml-there', 'size': 3}, 'size can not be chosen'),
    ({'existing': 'kvirt-xml-there', 'format': 'raw', 'name': 'x'}, 'name, format can not be chosen'),
    ({'shareable': True, 'format': 'qcow2'}, 'only a raw disk can be shared'),
    ({'format': 'vmdk'}, 'format'), ({'cache': 'much'}, 'cache'), ({'discard': 'all'}, 'discard'),
    ({'interface': 'usb'}, 'interface'), ({'formt': 'raw'}, "did you mean 'format'")])
def test_disks_that_can_not_be(disk: dict[str, Any], words: str, kvm: Written) -> None:
    refused = kvm.create('x', cloudinit=False, pool='default-pool', disks=[disk])
    assert refused['error'] == 'InvalidInput' and words in refused['reason'], refused


@pytest.mark.parametrize(('keywords', 'error', 'words'), [
    ({'disks': [{'existing': 'kvirt-xml-ther'}]}, 'NotFound', 'kvirt-xml-ther'),
    ({'disks': [{'existing': 'kvirt-xml-there'}] * 2}, 'InvalidInput', 'is there twice'),
    ({'disks': [{'image': 'kvirt-xml-image', 'format': 'raw'}]}, 'InvalidInput', 'thin: false'),
    ({'floppy': 'absent.img'}, 'NotFound', "floppy image 'absent.img'"),
    ({'extra_iso': 'absent.iso'}, 'NotFound', "ISO 'absent.iso'"),
    ({'floppy': 'kvirt-xml-c.img', 'arch': 's390x'}, 'NotSupported', 'floppy')])
def test_what_is_not_there(keywords: dict[str, Any], error: str, words: str, kvm: Written) -> None:
    refused = kvm.create('x', **{'cloudinit': False, 'pool': 'default-pool', 'disks': [], 'nets': [], **keywords})
    assert (refused['error'], words in refused['reason']) == (error, True), refused


def test_keywords_as_kcli_writes_them() -> None:
    spec = decode_vm({'hugepages': 'true', 'pcidevices': ['01:00.0', '0000:02:00.1'], 'qemuextra': '-cpu max -s'})
    assert spec.hugepages == 0 and spec.pcidevices == ('0000:01:00.0', '0000:02:00.1')
    assert spec.qemuextra == ('-cpu', 'max', '-s')
    assert decode_vm({'hugepages': False}).hugepages is None
    assert decode_vm({'hugepages': '1G'}).hugepages == 1024**2
