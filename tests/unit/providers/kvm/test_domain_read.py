"""Domains are read whoever wrote them, and however odd they are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import DiskView, Domain, Host, Journal, Nic, NicView, read
from kvirt.spec import VmSpec

GOLDEN = sorted((Path(__file__).parent / 'golden').glob('*.xml'))

# What libvirt shows of a running VM that kcli made: metadata, its kind of disks, serial port and seed on a SATA CD.
KCLI = """<domain type='kvm' id='7'>
  <name>web</name>
  <uuid>0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10</uuid>
  <metadata>
    <kvirt:info xmlns:kvirt="kvirt">
      <kvirt:creationdate>20-11-2025 17:05</kvirt:creationdate>
      <kvirt:image>debian-12-generic-amd64.qcow2</kvirt:image>
      <kvirt:owner>ann &amp; bob</kvirt:owner>
      <kvirt:plan>shop</kvirt:plan>
      <kvirt:profile>small</kvirt:profile>
      <kvirt:loadbalancer/>
      <kvirt:ip>192.168.122.7</kvirt:ip>
    </kvirt:info>
  </metadata>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>524288</currentMemory>
  <vcpu placement='static' current='2'>64</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>/var/lib/libvirt/qemu/nvram/web.fd</nvram>
    <boot dev='hd'/>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/web_0.img' index='3'/>
      <backingStore type='file' index='4'>
        <format type='qcow2'/>
        <source file='/var/lib/libvirt/images/debian-12-generic-amd64.qcow2'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <alias name='virtio-disk0'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw'/>
      <source dev='/dev/vg/web_1'/>
      <target dev='sda' bus='scsi'/>
      <serial>S1</serial>
    </disk>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw'/>
      <source pool='default' volume='web_2.img'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='/var/lib/libvirt/images/web.ISO'/>
      <target dev='hdd' bus='sata'/>
      <readonly/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:AB:cd:01'/>
      <source network='default' portid='f' bridge='virbr0'/>
      <target dev='vnet3'/>
      <model type='virtio'/>
    </interface>
    <interface type='bridge'>
      <mac address='52:54:00:ab:cd:02'/>
      <source bridge='br0'/>
      <model type='e1000'/>
    </interface>
    <interface type='direct'>
      <mac address='52:54:00:ab:cd:03'/>
      <source dev='eth1' mode='bridge'/>
    </interface>
    <serial type='pty'>
      <source path='/dev/pts/4'/>
      <target type='isa-serial' port='0'/>
    </serial>
    <console type='pty' tty='/dev/pts/4'>
      <source path='/dev/pts/4'/>
      <target type='serial' port='0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
    </channel>
    <graphics type='vnc' port='5901' autoport='yes' listen='127.0.0.1' passwd='s3'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
  </devices>
</domain>"""


def test_domain_of_kcli() -> None:
    images = '/var/lib/libvirt/images'
    assert read(KCLI) == Domain(
        name='web', uuid='0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10', virttype='kvm', arch='x86_64', machine='pc-q35-7.2',
        emulator='/usr/bin/qemu-system-x86_64', numcpus=2, max_cpus=64, memory=512, max_memory=1024, uefi=True,
        nvram='/var/lib/libvirt/qemu/nvram/web.fd', nvram_format='raw', kernel=None, agent=True, serial='/dev/pts/4',
        disks=(DiskView('vda', 'virtio', 'disk', f'{images}/web_0.img', None, None, 'qcow2', False, None),
               DiskView('sda', 'scsi', 'disk', '/dev/vg/web_1', None, None, 'raw', False, 'S1'),
               DiskView('vdb', 'virtio', 'disk', None, 'default', 'web_2.img', 'raw', False, None),
               DiskView('hdd', 'sata', 'cdrom', f'{images}/web.ISO', None, None, 'raw', True, None)),
        nics=(NicView('eth0', 'vnet3', '52:54:00:ab:cd:01', 'network', 'default', None, 'virtio'),
              NicView('eth1', '', '52:54:00:ab:cd:02', 'bridge', None, 'br0', 'e1000'),
              NicView('eth2', '', '52:54:00:ab:cd:03', 'direct', None, None, '')),
        graphics=(domain.GraphicsView('vnc', 5901, '127.0.0.1', 's3'),),
        info={'creationdate': '20-11-2025 17:05', 'image': 'debian-12-generic-amd64.qcow2', 'owner': 'ann & bob',
              'plan': 'shop', 'profile': 'small', 'loadbalancer': '', 'ip': '192.168.122.7'},
        journal=None)


def test_what_was_built_is_read() -> None:
    journal = Journal('creating', 'b00t', 4711, '99', '2025-11-21T08:00:00+00:00',
                      (('default', 'a_0.img'), ('fast', 'a.iso')))
    host = Host('x86_64', 'qemu', machine='pc-q35-7.2', cpu_modes=frozenset({'maximum'}))
    root = domain.Disk('/p/a_0.img', bus='virtio', serial='s')
    built = domain.build('a', '0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10', VmSpec(numcpus=3, memory=700), host, [root],
                         [Nic(bridge='br0', mac='52:54:00:00:00:01')], domain.seed_disk('/p/a.iso', root, host),
                         {'plan': 'p'}, journal.to_element())
    view = read(domain.to_text(built))
    assert (view.name, view.numcpus, view.max_cpus, view.memory) == ('a', 3, 3, 700)
    assert view.info == {'plan': 'p'}
    assert view.journal == journal
    assert view.seed_pool == 'fast'
    assert [(disk.target, disk.path, disk.readonly, disk.format) for disk in view.disks] == [
        ('vda', '/p/a_0.img', False, 'qcow2'), ('vdb', '/p/a.iso', True, 'raw')]
    assert [(nic.bridge, nic.mac) for nic in view.nics] == [('br0', '52:54:00:00:00:01')]
    assert view.agent and not view.uefi


@pytest.mark.parametrize(('kind', 'source', 'place'), [
    ('network', 'network="lab" portid="x" bridge="virbr1"', ('lab', None)),
    ('bridge', 'network="lab" portid="x" bridge="br0"', ('lab', None)),  # a network that is a bridge of the host
    ('direct', 'network="lab" portid="x" dev="eth0" mode="bridge"', ('lab', None)),
    ('bridge', 'bridge="br0"', (None, 'br0')), ('direct', 'dev="eth0" mode="bridge"', (None, None))])
def test_the_network_of_a_card_is_told_while_its_vm_runs_too(kind, source, place):
    view = read(f'<domain><devices><interface type="{kind}"><source {source}/></interface></devices></domain>')
    assert [(nic.network, nic.bridge) for nic in view.nics] == [place]


@pytest.mark.parametrize('xml', ['', 'no xml', '<domain>', '<domain/>', '<a/>', '\x00', '\ud800',
                                 '<domain><devices><disk/><interface/><graphics/><serial/></devices></domain>',
                                 "<domain><memory unit='parsec'>x</memory><vcpu current='-1'>many</vcpu><os/></domain>",
                                 "<domain><metadata><a:owned xmlns:a='urn:kvirt:journal:1' pid='?'/></metadata></domain>"])
def test_odd_domains_degrade(xml: str) -> None:
    view = read(xml)
    assert view.name == '' and view.numcpus == 0 and view.memory == 0


def test_units_of_memory() -> None:
    for unit, amount, mib in (('KiB', 2048, 2), ('bytes', 2**21, 2), ('GiB', 1, 1024), ('MB', 100, 95), ('t', 1, 2**20)):
        assert read(f"<domain><memory unit='{unit}'>{amount}</memory></domain>").memory == mib
    assert read('<domain><memory>2048</memory></domain>').memory == 2


@given(st.sampled_from([KCLI, *(path.read_text() for path in GOLDEN)]), st.randoms(use_true_random=False))
def test_domains_with_holes_do_not_raise(xml: str, chance: random.Random) -> None:
    root = domain.parse(xml)
    for parent in list(root.iter()):
        for child in list(parent):
            if chance.random() < 0.2:
                parent.remove(child)
        for name in list(parent.attrib):
            if chance.random() < 0.2:
                del parent.attrib[name]
            elif chance.random() < 0.1:
                parent.attrib[name] = '?'
    assert isinstance(read(domain.to_text(root)), Domain)


def test_firmware_however_it_is_written() -> None:
    for system, uefi, nvram in (("<os firmware='efi'/>", True, None),
                                ("<os><loader type='pflash'>/x</loader></os>", True, None),
                                ("<os><nvram type='file'><source file='/n'/></nvram></os>", True, '/n'),
                                ("<os><loader type='rom'>/x</loader></os>", False, None)):
        view = read(f'<domain>{system}</domain>')
        assert (view.uefi, view.nvram, view.nvram_format) == (uefi, nvram, 'raw' if nvram else None)
    assert read("<domain><os><nvram format='qcow2'>/n</nvram></os></domain>").nvram_format == 'qcow2'


def test_journal_of_a_stranger_is_not_ours() -> None:
    xml = "<domain><metadata><a:owned xmlns:a='urn:other' state='creating'/></metadata></domain>"
    assert read(xml).journal is None


def test_seed_pool_is_that_of_the_seed_only() -> None:
    journal = Journal('done', '', 0, '', '', (('default', 'web_0.img'),))
    assert structs.replace(read(KCLI), journal=journal).seed_pool is None
    assert read(KCLI).seed_pool is None
