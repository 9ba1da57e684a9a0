"""What needs a newer libvirt than this machine has: that of another Debian, on a host of its own.

``KVIRT_TEST_SUITE`` names the release. With ``sid``, which moves, these are run by hand.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest
import yaml

from kvirt.config import Kconfig
from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.volumes import below
from kvirt.settings import Settings

from . import test_domain_xml as golden
from .conftest import STEM, Leftovers
from .debianroot import debian_root
from .remotehost import RemoteHost, remote_host
from .test_copies import test_variables_of_uefi_are_not_left_to_the_next_vm_of_that_name  # noqa: F401
from .test_guest import kvirt
from .test_snapshots import *  # noqa: F403
from .test_snapshots import BARE, current

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group('newer'), pytest.mark.timeout(1200)]  # the first test makes a Debian

SUITE = os.environ.get('KVIRT_TEST_SUITE', 'trixie')
NEEDS_MORE = golden.NEEDS_MORE | {'create-nets'}
"""Golden domains that are only defined: beside those that start nowhere one with filters that no libvirt has by itself."""

HAS_NVME = 11_005_000  # version of libvirt

conn, shared = golden.conn, golden.shared


@pytest.fixture(scope='module')
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteHost]:
    with debian_root(SUITE) as root, remote_host(tmp_path_factory.mktemp('newer'), f'{STEM}{secrets.token_hex(3)}',
                                                 root) as host:
        yield host


@pytest.fixture(scope='module')
def libvirt_uri(host: RemoteHost) -> str:
    return host.uri


@pytest.fixture
def libvirt_folder(host: RemoteHost) -> Path:
    return host.folder / 'var/lib/libvirt'


@pytest.fixture(scope='module')
def leftovers(libvirt_uri: str) -> Leftovers:
    return Leftovers(libvirt_uri)


@pytest.mark.parametrize('case', sorted(path.stem for path in golden.GOLDEN.glob('*.xml')))
def test_every_golden_domain_is_taken(case: str, conn: libvirt.virConnect, shared: golden.Shared) -> None:
    if case == 'nvme' and conn.getLibVersion() < HAS_NVME:
        pytest.skip('this libvirt knows no nvme disks: 11.5 and later do')
    golden.try_out(case, conn, shared, start=case not in NEEDS_MORE)


# snapshots


def disks(kvm: Kvirt, name: str) -> list[str]:
    """Return what the disks of a VM stand on, having made sure that its journal names all files that are its own."""
    view = kvm.persistent(kvm.domain_of(name))
    pool = kvm.pool('default')
    pool.refresh(0)
    there = {volume.name() for volume in pool.listAllVolumes() if volume.name().startswith(name)}
    assert view.journal is not None and {volume for _, volume in view.journal.volumes} == there
    return [str(below(volume)).rpartition('/')[2] for volume in map(kvm.volume_of, view.disks) if volume]


@pytest.mark.parametrize('start', [False, True], ids=['stopped', 'running'])
def test_external_snapshots_are_gone_back_to(kvm: Kvirt, prefix: str, start: bool) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **{**BARE, 'disks': [1, {'size': 1, 'thin': False}]}, start=start).expect()
    before = kvm.info(name)['disks']
    for snapshot in ('old', 'new'):  # nobody asks for external ones: the second disk can hold no others
        kvm.create_snapshot(snapshot, name).expect()
    for snapshot, stems in (('old', ('_0.img', '_1.img')), ('new', ('_vda.old.img', '_vdb.old.img')),
                            ('old', ('_0.img', '_1.img'))):
        kvm.revert_snapshot(snapshot, name).expect()
        assert kvm.status(name) == 'stopped', 'there is no memory that could go on'
        assert (kvm.list_snapshots(name), current(kvm, name)) == (['old', 'new'], [snapshot])
        assert disks(kvm, name) == [f'{name}{stem}' for stem in stems]
    if start:
        kvm.start(name).expect()
    kvm.create_snapshot('other', name).expect()
    refused = kvm.delete_snapshot('old', name)
    assert refused['error'] == 'Conflict' and 'younger' in refused['reason'] and 'other' in refused['reason']
    kvm.delete_snapshot('new', name).expect()
    kvm.revert_snapshot('other', name).expect()  # maybe within the second of the last revert, after which files are called
    assert current(kvm, name) == ['other']
    if start:
        kvm.start(name).expect()
    for snapshot in ('old', 'other'):
        kvm.delete_snapshot(snapshot, name).expect()
    assert disks(kvm, name) == ['None', 'None']
    assert kvm.info(name)['disks'] == before
    kvm.delete(name).expect()


def test_a_vm_goes_with_all_branches_of_its_snapshots(kvm: Kvirt, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, start=False).expect()
    for snapshot, back in (('first', 'first'), ('second', 'first'), ('third', 'second')):
        kvm.create_snapshot(snapshot, name, external=True).expect()
        kvm.revert_snapshot(back, name).expect()
    assert kvm.delete(name)['error'] == 'Conflict'
    kvm.delete(name, snapshots=True).expect()


def test_snapshots_of_a_vm_that_runs_with_uefi(kvm: Kvirt, host: RemoteHost, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE, uefi=True).expect()
    refused = kvm.create_snapshot('first', name, external=False)
    assert refused['error'] == 'NotSupported' and 'variables' in refused['reason'], 'those of Debian are raw'
    kvm.create_snapshot('first', name).expect()
    kvm.revert_snapshot('first', name).expect()
    assert disks(kvm, name) == [f'{name}_0.img']
    kvm.delete_snapshot('first', name).expect()

    native = kvm.domain_of(name)
    root = ElementTree.fromstring(kvm.persistent_xml(native))
    system, variables = root.find('os'), root.find('os/nvram')
    assert system is not None and variables is not None
    template = '/var/lib/libvirt/variables.qcow2'
    subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', f"{host.root}{variables.get('template')}",
                    f'{host.folder}{template}'], check=True)
    del system.attrib['firmware']  # no firmware of Debian says of itself that it has such variables
    system.remove(system.find('firmware'))  # type: ignore[arg-type]
    variables.attrib.update(template=template, templateFormat='qcow2', format='qcow2')
    variables.text = None
    kvm.redefine(domain.to_text(root))
    kvm.start(name).expect()
    kvm.create_snapshot('second', name).expect()
    assert disks(kvm, name) == ['None'], 'all of it lies in the disk'
    kvm.stop(name).expect()
    kvm.revert_snapshot('second', name).expect()
    assert kvm.status(name) == 'running' and current(kvm, name) == ['second']
    kvm.delete(name, snapshots=True).expect()


def test_nvme_disks(kvm: Kvirt, prefix: str) -> None:
    if kvm.libvirt.getLibVersion() < HAS_NVME:
        pytest.skip('this libvirt knows no nvme disks: 11.5 and later do')
    name, nvme = f'{prefix}-a', {'size': 1, 'interface': 'nvme'}
    kvm.create(name, **{**BARE, 'disks': [nvme, {**nvme, 'serial': 'S1'}]}).expect()
    assert [disk['device'] for disk in kvm.info(name)['disks']] == ['nvme0n1', 'nvme1n1']
    refused = kvm.create_snapshot('first', name, external=False)
    assert refused['error'] == 'NotSupported' and 'NVMe' in refused['reason'], 'QEMU 11.1 itself would break down'
    kvm.create_snapshot('first', name).expect()
    kvm.revert_snapshot('first', name).expect()
    kvm.add_disk(name, 1, interface='nvme').expect()
    kvm.start(name).expect()
    kvm.delete(name, snapshots=True).expect()


def test_snapshots_from_the_command_line(kvm: Kvirt, home: Path, prefix: str) -> None:
    name = f'{prefix}-a'
    kvm.create(name, **BARE).expect()
    kvirt(home, 'create', 'snapshot', '--external', '-n', name, 'first')
    assert f'VM {name} is back at snapshot first' in kvirt(home, 'revert', 'snapshot', '-y', '-n', name, 'first').stderr
    assert kvirt(home, 'list', 'snapshot', name, '-o', 'name').stdout.split() == ['first']
    kvirt(home, 'delete', 'snapshot', '-y', '-n', name, 'first')
    assert disks(kvm, name) == ['None']
    kvirt(home, 'delete', 'vm', '-y', name)


# networks


def test_a_card_on_passt_is_reached_over_the_loopback_of_the_host(kvm: Kvirt, host: RemoteHost, home: Path,
                                                                  prefix: str) -> None:
    name, copy = f'{prefix}-a', f'{prefix}-b'
    for number, vm in enumerate((name, copy)):
        if number:
            kvm.stop(name).expect()
            kvm.clone(name, copy, start=True).expect()
            kvm.start(name).expect()
        else:
            kvm.create(name, **{**BARE, 'nets': ['default', 'default'], 'usermode': 'passt'}).expect()
        known = kvm.info(vm)
        assert (known['ip'], known['userport']) == (domain.loopback(known['nets'][0]['mac']), '2222')
        assert f"{known['ip']}:2222" in host.run('ss', '-Hltn')
    (home / 'config.yml').write_text(yaml.safe_dump({'here': {'type': 'kvm', 'url': host.uri},
                                                     'far': host.section(tunnel=False)}))
    for client, over in (('here', None), ('far', host.address)):
        with Kconfig(client, settings=Settings(home)) as config:
            target = config.ssh_target(name)
            assert (target.port, target.jump and target.jump.host) == (2222, over)
    for vm in (name, copy):
        kvm.delete(vm).expect()
    assert list((host.folder / 'run/libvirt/qemu/passt').iterdir()) == []


def test_a_vlan_on_a_plain_bridge(kvm: Kvirt, host: RemoteHost, prefix: str) -> None:
    name, bridge = f'{prefix}-net', f'{STEM}{secrets.token_hex(3)}'
    host.run('ip', 'link', 'add', bridge, 'up', 'type', 'bridge')
    tried = subprocess.run(['ip', '-n', host.name, 'link', 'set', bridge, 'type', 'bridge', 'vlan_filtering', '1'])
    kvm.create_network(name, overrides={'bridge': True, 'bridgename': bridge, 'vlan': 42}).expect()
    made = kvm.create(f'{prefix}-a', **{**BARE, 'nets': [name]})
    if tried.returncode == 0:
        tagged = json.loads(host.run('bridge', '-json', 'vlan', 'show'))
        assert [row['vlan'] for port in tagged for row in port['vlans'] if port['ifname'].startswith('vnet')] == [42]
        kvm.delete(f'{prefix}-a').expect()
    else:  # the kernel of this machine was built without: the reason is told, and nothing is left
        assert made['error'] == 'NotSupported' and 'vlan' in made['reason'] and not made['retryable']
    kvm.delete_network(name).expect()
