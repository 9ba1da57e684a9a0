"""Edits change what they are meant to, keep the rest, and give domains that libvirt takes."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from kvirt.errors import InvalidInput
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Disk, DiskView, Host, Journal, Nic, read
from kvirt.spec import decode_vm

OLD, NEW = '0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10', '22222222-3333-4444-8555-666666666666'
PC = Host('x86_64', 'qemu', machine='pc-i440fx-7.2', cpu_modes=frozenset({'maximum'}), folders='virtiofs')
ROOT = Disk('/p/a_0.img', bus='virtio')
CARD = Nic(network='default', mac='52:54:00:00:00:01')


def make(keywords: dict[str, object], *disks: Disk) -> Element:
    return domain.build('a', OLD, decode_vm(keywords, honoured=domain.HONOURED), PC, [ROOT, *disks], [CARD])


def text(keywords: dict[str, object], *disks: Disk) -> str:
    return domain.to_text(make(keywords, *disks))


def find(xml: str, path: str) -> Element:
    element = domain.parse(xml).find(path)
    assert element is not None
    return element


def test_cpus() -> None:
    view = read(domain.with_cpus(text({}), 5))
    assert (view.numcpus, view.max_cpus) == (5, 5)


def test_cpus_below_the_ceiling_keep_it() -> None:
    xml = text({'cpuhotplug': True})
    view = read(domain.with_cpus(xml, 7))
    assert (view.numcpus, view.max_cpus) == (7, 64)
    assert read(domain.with_cpus(xml, 70)).max_cpus == 70


def test_cpus_that_can_be_taken_away_are_all_but_the_first() -> None:
    born = domain.parse(text({'cpuhotplug': True}))
    for changed, count in ((domain.with_cpus(domain.to_text(born), 3), 3), (domain.with_cpus(domain.to_text(born), 1), 1)):
        [vcpus] = domain.parse(changed).iter('vcpus')
        assert [cpu.get('hotpluggable') for cpu in vcpus] == ['no', *['yes'] * (count - 1)]
    assert domain.parse(domain.with_cpus(domain.to_text(born), 70)).find('vcpus') is None
    other = domain.to_text(born).replace('arch="x86_64"', 'arch="ppc64le"')
    assert domain.parse(domain.with_cpus(other, 3)).find('vcpus') is None  # there whole cores go, and libvirt knows them


def test_cpus_keep_the_layout_of_a_socket() -> None:
    xml = text({'sockets': 2, 'cores': 2, 'threads': 2})
    assert find(domain.with_cpus(xml, 16), 'cpu/topology').attrib == {'sockets': '4', 'cores': '2', 'threads': '2'}
    with pytest.raises(InvalidInput, match='sockets of 4'):
        domain.with_cpus(xml, 6)


def test_cpus_of_numa_nodes() -> None:
    assert find(domain.with_cpus(text({'memoryhotplug': True}), 3), 'cpu/numa/cell').get('cpus') == '0-2'
    cells = [{'id': index, 'vcpus': str(index), 'memory': 256} for index in range(2)]
    with pytest.raises(InvalidInput, match='NUMA'):
        domain.with_cpus(text({'numa': cells}), 3)
    with pytest.raises(InvalidInput, match='NUMA'):
        domain.with_memory(text({'numa': cells}), 1024)


def test_fewer_cpus_lose_their_pins() -> None:
    xml = text({'numcpus': 4, 'cpupinning': [{'vcpus': '0-3', 'hostcpus': '0'}]})
    assert [pin.get('vcpu') for pin in domain.parse(domain.with_cpus(xml, 2)).iter('vcpupin')] == ['0', '1']


def test_memory() -> None:
    view = read(domain.with_memory(text({}), 3000))
    assert (view.memory, view.max_memory) == (3000, 3000)


def test_memory_counts_what_was_plugged_in() -> None:
    root = make({'memoryhotplug': True})
    devices = root.find('devices')
    assert devices is not None
    devices.append(domain.memory_module(256))
    xml = domain.with_memory(domain.to_text(root), 100 * 1024)
    assert find(xml, 'cpu/numa/cell').attrib == {'id': '0', 'cpus': '0-1', 'memory': str(100 * 1024 - 256), 'unit': 'MiB'}
    assert read(xml).memory == read(xml).max_memory == 100 * 1024
    with pytest.raises(InvalidInput, match='256 MiB'):
        domain.with_memory(domain.to_text(root), 256)


def test_memory_modules_fit_linux() -> None:
    with pytest.raises(InvalidInput, match='128'):
        domain.memory_module(100)


def test_iso_into_a_drive_and_out() -> None:
    xml = text({}, domain.cdrom('/old.iso', PC))
    assert [disk.path for disk in read(domain.with_iso(xml, '/a & b.iso')).disks] == [ROOT.path, '/a & b.iso']
    assert [disk.path for disk in read(domain.with_iso(xml, None)).disks] == [ROOT.path, None]
    assert find(domain.with_iso(xml, '/dev/sr0'), "devices/disk[@type='block']/source").get('dev') == '/dev/sr0'


def test_iso_makes_a_drive_where_there_is_none() -> None:
    for keywords, target, bus in (({'machine': 'pc'}, 'hda', 'ide'), ({'machine': 'q35'}, 'sda', 'sata')):
        drive = read(domain.with_iso(text(keywords), '/a.iso')).disks[-1]
        assert (drive.device, drive.path, drive.target, drive.bus) == ('cdrom', '/a.iso', target, bus)
        assert drive.readonly
    assert len(read(domain.with_iso(text({}), None)).disks) == 1


def test_elements_that_mean_a_disk() -> None:
    drive = read(text({}, domain.cdrom('/old.iso', PC))).disks[1]
    assert domain.to_text(domain.cdrom_element(drive, None)).split() == [
        '<disk', 'type="file"', 'device="cdrom">', '<target', 'dev="hda"', 'bus="ide"', '/>', '</disk>']
    volume = DiskView('vdb', 'virtio', 'disk', None, 'p', 'v', 'raw', False, None)
    element = domain.view_element(volume)
    assert element.get('type') == 'volume' and element.find('source').attrib == {'pool': 'p', 'volume': 'v'}
    block = domain.view_element(DiskView('vdb', 'virtio', 'disk', '/dev/vg/a', None, None, 'raw', False, None))
    assert block.get('type') == 'block' and block.find('source').attrib == {'dev': '/dev/vg/a'}


ORIGINAL = """<domain type='kvm' id='3'>
  <name>a</name>
  <uuid>0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10</uuid>
  <genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>
  <metadata>
    <k:info xmlns:k='kvirt'><k:plan>old</k:plan></k:info>
    <j:owned xmlns:j='urn:kvirt:journal:1' state='done'><j:volume pool='default' name='a_0.img'/></j:owned>
    <os:libosinfo xmlns:os='http://libosinfo.org/xmlns/libvirt/domain/1.0'><os:os id='x'/></os:libosinfo>
  </metadata>
  <memory>524288</memory>
  <sysinfo type='smbios'><system><entry name='uuid'>0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10</entry>
    <entry name='serial'>7</entry></system></sysinfo>
  <os firmware='efi'><type>hvm</type><nvram template='/t.fd' type='file'><source file='/n/a.fd'/></nvram></os>
  <devices>
    <disk type='file' device='disk'><source file='/p/a_0.img'/><backingStore><source file='/p/base'/></backingStore>
      <target dev='vda'/></disk>
    <disk type='volume' device='disk'><source pool='p' volume='a_1'/><target dev='vdb'/></disk>
    <disk type='file' device='disk'><source file='/p/shared'/><target dev='vdc'/></disk>
    <disk type='file' device='cdrom'><target dev='sda'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/><target dev='mine'/></interface>
    <interface type='network'><mac address='52:54:00:00:00:02'/><source network='n'/></interface>
    <channel type='unix'><source mode='bind' path='/run/a.sock'/><target type='virtio' name='x'/></channel>
    <graphics type='vnc' port='5907' autoport='yes'/>
    <graphics type='spice' port='5999' autoport='no'/>
  </devices>
</domain>"""


def test_clone() -> None:
    journal = Journal('creating', 'h', 1, '2', 's', (('default', 'b_0.img'),))
    root = domain.clone(ORIGINAL, 'b', NEW, ['52:54:00:00:00:09'], {'/p/a_0.img': '/p/b_0.img', 'p/a_1': '/dev/vg/b_1'},
                        {'plan': 'new'}, journal.to_element())
    xml = domain.to_text(root)
    view = read(xml)
    assert (view.name, view.uuid) == ('b', NEW)
    assert [disk.path for disk in view.disks] == ['/p/b_0.img', '/dev/vg/b_1', '/p/shared', None]
    assert view.nics[0].mac == '52:54:00:00:00:09'
    assert view.nics[1].mac not in ('', '52:54:00:00:00:02')
    assert (view.info, view.journal, view.nvram, view.uefi) == ({'plan': 'new'}, journal, None, True)
    assert [shown.port for shown in view.graphics] == [None, 5999]
    for gone in ('0f2b6e53', '43dc0cf8', 'id="3"', '/n/a.fd', '/p/base', 'a.sock', 'mine', '52:54:00:00:00:02', 'old'):
        assert gone not in xml
    for kept in ('libosinfo', '<entry name="serial">7</entry>'):
        assert kept in xml


CEPH = """<disk type='network' device='disk'><source protocol='rbd' name='vms/a_1.img' index='1'><host name='mon1'/>
<host name='mon2' port='6789'/><auth username='kvirt'><secret type='ceph' usage='kvirt'/></auth></source>
<target dev='vdb' bus='virtio'/></disk>"""


def test_disks_on_ceph() -> None:
    xml = text({}).replace('</devices>', f'{CEPH}</devices>')
    disk = read(xml).disks[1]
    assert (disk.path, disk.hosts) == ('vms/a_1.img', {'mon1:', 'mon2:6789'})
    element = domain.view_element(disk)
    assert (element.get('type'), element.find('source').attrib) == (  # type: ignore[union-attr]
        'network', {'protocol': 'rbd', 'name': 'vms/a_1.img'})
    copy = domain.clone(xml, 'b', NEW, [], {'vms/a_1.img': 'vms/b_1.img'}, {}, None)
    source = copy.findall('devices/disk/source')[1]
    assert source.get('name') == 'vms/b_1.img'
    assert [part.tag for part in source] == ['host', 'host', 'auth'], 'its servers and secret stay'


def test_of_other_disks_on_a_network_nothing_is_known() -> None:
    xml = text({}).replace('</devices>', f"{CEPH.replace('rbd', 'https')}</devices>")
    assert (read(xml).disks[1].path, read(xml).disks[1].ceph) == (None, False)


def test_clone_keeps_the_template_of_firmware_that_was_chosen_by_hand() -> None:
    root = domain.clone(ORIGINAL.replace(" firmware='efi'", ''), 'b', NEW, [], {}, {}, None)
    variables = root.find('os/nvram')
    assert variables is not None and variables.attrib == {'template': '/t.fd'}
    assert not variables.text and len(variables) == 0


def test_clone_of_a_vm_without_metadata() -> None:
    root = domain.clone(text({}), 'b', NEW, ['52:54:00:00:00:09'], {}, {}, None)
    assert read(domain.to_text(root)).info == {}


def test_a_clone_does_not_write_to_the_log_of_the_original() -> None:
    original = text({'seriallog': '/var/log/a.log'})
    assert find(original, 'devices/serial/log').get('file') == '/var/log/a.log'
    clone = domain.to_text(domain.clone(original, 'b', NEW, [], {}, {}, None))
    assert '/var/log/a.log' not in clone and find(clone, 'devices/serial').get('type') == 'pty'


def test_nothing_to_edit_is_said() -> None:
    for edit in (lambda: domain.with_cpus('<domain/>', 1), lambda: domain.with_memory('<domain/>', 1),
                 lambda: domain.with_iso('<domain/>', None)):
        with pytest.raises(InvalidInput, match='the XML of the domain has no'):
            edit()


def test_seed_follows_the_root_disk() -> None:
    q35 = Host('x86_64', 'kvm', machine='pc-q35-7.2')
    for bus, wanted in (('virtio', ('virtio', 'disk')), ('scsi', ('scsi', 'disk')), ('sata', ('sata', 'cdrom')),
                        ('nvme', ('sata', 'cdrom'))):
        seed = domain.seed_disk('/s.iso', domain.Disk('/d', bus=bus), q35)
        assert (seed.bus, seed.device) == wanted and seed.readonly and seed.format == 'raw'
    assert domain.with_bus(domain.seed_disk('/s.iso', None, q35), q35).bus == 'virtio'


def test_guests_are_told_how_to_mount_folders() -> None:
    spec = decode_vm({'sharedfolders': ['/a', '/b']})
    assert domain.mounts(spec, PC) == [('share0', '/a', 'virtiofs', 'nofail'), ('share1', '/b', 'virtiofs', 'nofail')]
    old = domain.mounts(spec, Host('x86_64', 'kvm', folders='9p'))
    assert [mount[2:] for mount in old] == [('9p', 'trans=virtio,version=9p2000.L,nofail')] * 2
    tags = [element.get('dir') for element in make({'sharedfolders': ['/a', '/b']}).iterfind('.//filesystem/target')]
    assert tags == ['share0', 'share1']


def test_a_clone_on_passt_is_reached_at_an_address_of_its_own() -> None:
    card = Nic(user='passt', mac='52:54:00:01:02:fe', ssh=22)
    xml = domain.to_text(domain.build('a', OLD, decode_vm({}), PC, [ROOT], [card]))
    assert read(xml).forward == ('127.1.2.254', 2222)
    root = domain.clone(xml, 'b', NEW, ['52:54:00:00:00:09'], {}, {}, None)
    assert read(domain.to_text(root)).forward == ('127.0.0.9', 2222)
    assert read(text({})).forward is None


def test_ports_that_others_forward_are_no_way_to_ssh_and_stay_what_they_are() -> None:
    card = Nic(user='passt', mac='52:54:00:01:02:fe', ssh=22)
    xml = domain.to_text(domain.build('a', OLD, decode_vm({}), PC, [ROOT], [card]))
    xml = xml.replace('address="127.1.2.254"', 'address="10.0.0.1"').replace('start="2222" to="22"', 'start="8080" to="80"')
    assert read(xml).forward is None
    assert 'address="10.0.0.1"' in domain.to_text(domain.clone(xml, 'b', NEW, [], {}, {}, None))
