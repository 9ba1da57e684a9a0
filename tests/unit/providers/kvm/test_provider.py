"""The provider on libvirt's own pretending driver, which lives in this process."""

from __future__ import annotations

import socket
from urllib.parse import quote

import libvirt
import pytest

from kvirt.errors import InvalidInput, NotFound, NotSupported, Unavailable
from kvirt.guest.guest import Guest
from kvirt.guest.jump import Jump
from kvirt.providers.kvm import Kvirt, domain
from kvirt.providers.kvm.connection import KvmOptions, jump_of, meaning, uri_of
from kvirt.providers.kvm.netxml import network_element
from kvirt.providers.kvm.storage import ours_by_name

BARE = {'cloudinit': False, 'pool': 'default-pool', 'disks': [1]}


@pytest.fixture
def kvm():
    with Kvirt(url='test:///default') as provider:
        yield provider
        for row in provider.list():
            if row['name'] != 'test':
                provider.delete(row['name']).expect()


@pytest.mark.parametrize(('options', 'uri'), [
    ({}, 'qemu:///system'), ({'session': True}, 'qemu:///session'), ({'host': 'localhost'}, 'qemu:///system'),
    ({'host': 'lab'}, 'qemu+ssh://root@lab/system'), ({'host': 'lab', 'user': 'a b', 'port': 2222, 'keyfile': '/k'},
                                                      'qemu+ssh://a%20b@lab:2222/system?keyfile=%2Fk'),
    ({'host': '::2', 'protocol': 'tls'}, 'qemu+tls://[::2]/system'),
    ({'host': 'lab', 'protocol': 'tls', 'insecure': True}, 'qemu+tls://lab/system?no_verify=1'),
    ({'url': 'test:///default', 'host': 'lab'}, 'test:///default')])
def test_uris(options, uri):
    assert uri_of(KvmOptions(**options)) == uri


@pytest.mark.parametrize(('url', 'expected'), [
    ('qemu:///system', None), ('qemu+tls://lab/system', None), ('qemu+unix:///system?socket=/s', None),
    ('qemu+ssh://lab/system', Jump('lab', known_hosts='/k')),
    ('qemu+ssh://a%40b@[::2]:2222/system?keyfile=%2Fid&no_verify=1', Jump('::2', 'a@b', 2222, '/id', '/k', True))])
def test_the_way_of_ssh_to_a_host(url, expected):
    assert jump_of(url, '/k') == expected


@pytest.fixture
def refused():
    """The options of a host where nobody listens."""
    with socket.socket() as unheard:
        unheard.bind(('127.0.0.2', 0))
        yield {'host': '127.0.0.2', 'port': unheard.getsockname()[1], 'known_hosts': '/k'}


def test_ssh_is_told_what_a_uri_can_not_say(refused, tmp_path):
    provider = Kvirt(**refused, home=str(tmp_path))
    program, = (tmp_path / 'cache').iterdir()
    assert provider.dialled == f'{provider.uri}?command={quote(str(program), safe="")}'
    assert 'UserKnownHostsFile="/k"' in program.read_text() and 'ConnectTimeout=10' in program.read_text()
    assert (provider.conn, provider.rejected) == (None, False)
    assert f"ssh to 127.0.0.2 failed: connect to host 127.0.0.2 port {refused['port']}: Conn" in provider.unreachable
    own = Kvirt(url='qemu+ssh://127.0.0.2:1/system?command=/bin/false', home=str(tmp_path))
    assert own.dialled == own.uri


def test_host_keys_are_never_left_out_for_want_of_a_folder(refused, tmp_path):
    (tmp_path / 'file').touch()
    for home in (None, str(tmp_path / 'file')):
        assert 'known_hosts needs a folder' in Kvirt(**refused, home=home).unreachable
        assert 'ssh to 127.0.0.2 failed' in Kvirt(**{**refused, 'known_hosts': None}, home=home).unreachable


def test_a_host_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr('kvirt.providers.kvm.connection._PATIENCE', 0.2)
    with socket.create_server(('127.0.0.2', 0)) as listener:
        provider = Kvirt(url=f'qemu+tcp://127.0.0.2:{listener.getsockname()[1]}/system')
        assert 'did not answer within 0.2 seconds' in provider.unreachable


def test_what_can_not_be_reached_says_why():
    provider = Kvirt(url='qemu+unix:///system?socket=/nowhere/socket')
    assert provider.conn is None
    assert '/nowhere/socket' in provider.unreachable
    with pytest.raises(Unavailable, match='can not be reached'):
        provider.list()
    result = provider.start('x')
    assert (result['error'], result['retryable']) == ('Unavailable', True)


def test_every_error_of_libvirt_has_a_meaning(kvm):
    with pytest.raises(libvirt.libvirtError) as caught:
        kvm.libvirt.lookupByName('absent')
    assert type(meaning(caught.value)).__name__ == 'NotFound'
    assert kvm.translate(KeyError('a bug')) is None
    lacks = libvirt.libvirtError('')
    lacks.err = (38, 10, "unable to execute QEMU command 'blockdev-add': Unknown driver 'rbd'")
    assert type(meaning(lacks)).__name__ == 'NotSupported' and 'qemu-block-extra' in str(meaning(lacks))


@pytest.mark.parametrize(('said', 'kind', 'told'), [
    ('internal error: Child process (/sbin/lvcreate --name web_0.img -L 1048576K vg0 --yes) unexpected exit status 5:   '
     'Volume group "vg0" has insufficient free space (255 extents): 256 required.\n', 'OutOfCapacity',
     'lvcreate: Volume group "vg0" has insufficient free space (255 extents): 256 required. Make room in the volume group'),
    ('internal error: Child process (/usr/bin/mount -t nfs nas:/none /srv) unexpected exit status 32: mount.nfs: access '
     'denied by server while mounting nas:/none\n', 'KvirtError',
     'mount.nfs: access denied by server while mounting nas:/none'),
    ('internal error: Child process (/sbin/iscsiadm --login) unexpected exit status 19: iscsiadm: Could not login.\n'
     'iscsiadm: initiator reported error (19)\n', 'KvirtError',
     'iscsiadm: Could not login. iscsiadm: initiator reported error (19)'),
    ('this function is not supported by the connection driver: storage pool does not support volume creation',
     'NotSupported', 'libvirt: this function is not supported by the connection driver: storage pool does not support '
     'volume creation. Its disks are what its server offers: they are attached with existing'),
    ('Unable to add bridge ovsbr0 port vnet3: Operation not supported', 'NotSupported', 'libvirt: unable to add bridge '
     'ovsbr0 port vnet3: Operation not supported. For a bridge of Open vSwitch make a network with ovs: true'),
    ("unsupported configuration: cannot find logical volume group name 'none'", 'NotFound', 'libvirt: unsupported '
     "configuration: cannot find logical volume group name 'none'. Make it on the host first: vgcreate"),
    ('internal error: Unknown CPU model Nehelem', 'KvirtError', 'libvirt: unknown CPU model Nehelem'),
    ('internal error: Child process (tc qdisc add dev virbr1 parent 1:2) unexpected exit status 2: Error: Specified qdisc '
     'kind is unknown.', 'NotSupported', "tc: Error: Specified qdisc kind is unknown. The host's kernel can not shape "
     'traffic: do without bandwidth'),
    ('internal error: Child process (/usr/bin/qemu-img create -o size(1) /x) unexpected exit status 1: qemu-img: /x: no',
     'KvirtError', 'qemu-img: /x: no'),
    ('internal error: qemu unexpectedly closed the monitor: 2026-11-22T01:44:39.154196Z qemu-system-x86_64: -device '
     '{"driver":"e1001"}: \'e1001\' is no device', 'KvirtError', "libvirt: QEMU ended at once: 'e1001' is no device"),
    ('internal error: process exited while connecting to monitor: 2026-11-22T01:44:39.154196Z qemu-system-s390x: first\n'
     '2026-11-22T01:44:39.154196Z qemu-system-s390x: second', 'KvirtError',
     'libvirt: QEMU ended at once: first\nsecond')])
def test_what_libvirt_says_is_told_in_one_line_with_its_meaning(said, kind, told):
    error = meaning(libvirt.libvirtError(said))
    assert (type(error).__name__, str(error)) == (kind, told)


def test_what_the_kernel_of_the_host_does_not_have_is_not_tried_again():
    class Kernel(libvirt.libvirtError):
        def get_error_code(self):
            return libvirt.VIR_ERR_SYSTEM_ERROR

        def get_error_message(self):
            return 'error adding vlan filter to interface vnet5: Operation not supported'

    error = meaning(Kernel('virDomainCreate() failed'))
    assert isinstance(error, NotSupported) and not error.retryable


def test_what_the_host_has_in_use(kvm):
    before = kvm.info_host()
    assert kvm.create('web', **BARE, memory=128, numcpus=2, start=False).ok
    known = kvm.info_host()
    assert {key: known[key] - before[key] for key in ('vms', 'vms_running', 'cpus_used', 'memory_used', 'memory_free')} == {
        'vms': 1, 'vms_running': 0, 'cpus_used': 2, 'memory_used': 128, 'memory_free': 0}
    assert kvm.start('web').ok
    assert kvm.info_host()['vms_running'] == before['vms_running'] + 1
    assert [pool['name'] for pool in known['pools']] == ['default-pool']
    assert all(0 < pool['available'] <= pool['capacity'] for pool in known['pools'])


def test_the_life_of_a_vm(kvm):
    made = kvm.create('web', **BARE, plan='shop', profile='small', metadata={'note': 'a<b & "c"'})
    assert made.ok, made
    assert kvm.create('web', **BARE)['error'] == 'AlreadyExists'
    known = kvm.info('web')
    assert (known['status'], known['plan'], known['profile'], known['note']) == ('running', 'shop', 'small', 'a<b & "c"')
    assert known['disks'][0]['path'] == '/default-pool/web_0.img'
    assert kvm.info(made['id'])['name'] == 'web'
    for change in (kvm.stop('web'), kvm.stop('web'), kvm.start('web'), kvm.start('web'), kvm.restart('web')):
        assert change.ok, change
    assert kvm.status('web') == 'running'
    assert kvm.list_disks()['web_0.img']['vms'] == ['web']
    assert kvm.delete('web').ok
    assert kvm.delete('web')['error'] == 'NotFound'
    assert 'web_0.img' not in kvm.list_disks()
    assert kvm.list_orphans() == []


@pytest.mark.parametrize(('keywords', 'error', 'text'), [
    ({'pool': 'default-pol'}, 'NotFound', "did you mean 'default-pool'"),
    ({'nets': ['defalt']}, 'NotFound', "did you mean 'default'"),
    ({'image': 'absent'}, 'NotFound', "image 'absent' does not exist"),
    ({'iso': 'absent.iso'}, 'NotFound', "ISO 'absent.iso'"),
    ({'memroy': 1}, 'InvalidInput', "did you mean 'memory'"),
    ({'disks': ['-1']}, 'InvalidInput', "'-1' is not a size"),
    ({'vncpassword': 'a\x01b'}, 'InvalidInput', 'vncpassword contains the character U+0001'),
    ({'uuid': 'nonsense'}, 'InvalidInput', 'is not a UUID')])
def test_what_can_not_be_made_leaves_nothing(kvm, keywords, error, text):
    result = kvm.create('web', **{**BARE, **keywords})
    assert result['error'] == error, result
    assert text in result['reason']
    assert not kvm.exists('web')
    assert not any(name.startswith('web') for name in kvm.list_disks())


@pytest.mark.parametrize('name', ['../x', 'a/b', 'a"b', "a'b", 'a\nb', '<b>', '$(id)', '{{ x }}', '', 'x' * 300,
                                  '-rf', 'ä'])
def test_hostile_names(kvm, name):
    assert kvm.create(name, **BARE)['error'] == 'InvalidInput'
    assert kvm.create_network(name, cidr='10.9.9.0/24')['error'] == 'InvalidInput'
    assert kvm.create_pool(name, '/tmp')['error'] == 'InvalidInput'
    assert kvm.clone('test', name)['error'] == 'InvalidInput'


def test_a_bridge_that_another_network_is_about_to_leave_is_waited_for(kvm, monkeypatch):
    define, told = libvirt.virConnect.networkDefineXML, ["bridge name 'virbr2' already in use.", 'no']

    def taken(conn, text):
        if told:
            raise libvirt.libvirtError(told.pop(0))
        return define(conn, text)
    monkeypatch.setattr(libvirt.virConnect, 'networkDefineXML', taken)
    assert kvm.create_network('lab', cidr='10.1.2.0/24')['reason'] == 'libvirt: no'  # and no error of the cleaning up
    assert 'lab' not in kvm.list_networks()
    told.append("bridge name 'virbr2' already in use.")
    assert kvm.create_network('lab', cidr='10.1.2.0/24').ok
    kvm.delete_network('lab').expect()


def test_networks(kvm):
    assert kvm.create_network('lab', cidr='10.1.2.0/24', domain='lab.test', plan='shop').ok
    assert kvm.info_network('lab') == {'cidr': '10.1.2.0/24', 'dhcp': True, 'domain': 'lab.test', 'mode': 'nat',
                                       'type': 'libvirt', 'plan': 'shop'}
    assert kvm.create_network('lab', cidr='10.1.3.0/24')['error'] == 'AlreadyExists'
    overlap = kvm.create_network('lab2', cidr='10.1.2.128/25')
    assert overlap['error'] == 'Conflict' and 'network lab' in overlap['reason']
    assert kvm.create_network('lab2')['error'] == 'InvalidInput'
    assert kvm.create_network('lab2', cidr='10.1.5.1/24')['error'] == 'InvalidInput'
    assert kvm.create('web', **BARE, nets=['lab'], start=False).ok
    used = kvm.delete_network('lab')
    assert used['error'] == 'Conflict' and 'web' in used['reason']
    assert kvm.delete('web').ok
    assert kvm.delete_network('lab').ok
    assert kvm.delete_network('lab')['error'] == 'NotFound'
    assert kvm.delete_network(cidr='10.77.0.0/24')['error'] == 'NotFound'


@pytest.mark.parametrize(('cidr', 'nat', 'fragment'), [
    ('10.1.2.0/24', True, '<range start="10.1.2.2" end="10.1.2.254" />'), ('fd00:1::/64', False, 'family="ipv6"'),
    ('10.1.2.0/29', False, '<range start="10.1.2.2" end="10.1.2.6" />')])
def test_network_descriptions(cidr, nat, fragment):
    text = domain.to_text(network_element('lab', cidr, True, nat, None, 'shop', {}))
    assert fragment in text
    assert ('<forward mode="nat" />' in text) == nat
    with pytest.raises(InvalidInput, match='too small'):
        network_element('lab', '10.1.2.0/30', True, True, None, 'shop', {})


def test_capabilities_say_never_with_a_reason():
    marks = {capability.operation: capability for capability in Kvirt.capabilities()}
    assert marks['create'].mark == 'supported'
    assert marks['create_bucket'].mark == 'never' and marks['create_bucket'].reason
    assert marks['create_snapshot'].mark == 'supported'


def test_libvirt_lacks_what_it_has_no_notion_of_and_nothing_else():
    every = Kvirt.capabilities()
    lacking = [each for each in every if each.mark != 'supported']
    assert {each.mark for each in lacking} == {'never'} and all(each.reason for each in lacking)
    areas = {each.area for each in lacking} - {each.area for each in every if each.mark == 'supported'}
    assert areas == {'buckets', 'flavors', 'keys', 'loadbalancers', 'securitygroups'}
    assert {each.operation for each in lacking if each.area not in areas} == {
        'list_locations', 'list_quotas', 'update_flavor',
        'create_subnet', 'delete_subnet', 'update_subnet', 'list_subnets', 'info_subnet',
        'create_floating_ip', 'delete_floating_ip', 'attach_floating_ip', 'detach_floating_ip', 'list_floating_ips'}


@pytest.mark.parametrize(('name', 'ours'), [('web_0.img', True), ('my_vm_12.img', True), ('debian12.qcow2', False),
                                            ('web.img', False), ('_0.img', False)])
def test_names_of_disks(name, ours):
    assert ours_by_name(name) is ours


def test_a_seed_that_can_not_be_made_leaves_no_vm(kvm, monkeypatch):
    def fail(guest, macs, instance_id):
        raise InvalidInput('no seed today')
    monkeypatch.setattr(Guest, 'seed', fail)
    failed = kvm.create('seedless', **{**BARE, 'cloudinit': True, 'nokeys': True})
    assert (failed['result'], failed['reason']) == ('failure', 'no seed today')
    assert [row['name'] for row in kvm.list()] == ['test']
    assert not kvm.disk_exists('default-pool', 'seedless_0.img')


def test_a_vm_that_goes_away_while_all_are_counted_hides_no_other(kvm, monkeypatch):
    for name in ('brief', 'lasting'):
        kvm.create(name, **BARE).expect()
    conn, brief = kvm.libvirt, kvm.libvirt.lookupByName('brief')
    listed = conn.listAllDomains(0)

    def gone(*flags):
        """Fail as libvirt does when a VM is undefined after it was listed, and before it was looked at."""
        kvm.delete('brief').expect()
        monkeypatch.setattr(conn, 'listAllDomains', lambda flags: listed)
        return brief.state()

    monkeypatch.setattr(conn, 'getAllDomainStats', gone)
    assert [row['name'] for row in kvm.list()] == ['lasting', 'test']
    monkeypatch.setattr(conn, 'getAllDomainStats', lambda *flags: brief.state())
    assert kvm.info_host()['vms'] == 2
    monkeypatch.undo()
    assert [row['name'] for row in kvm.list()] == ['lasting', 'test']


def test_a_network_that_goes_away_while_all_are_listed_is_left_out(kvm, monkeypatch):
    kvm.create_network('brief', cidr='10.9.0.0/24', domain='brief.test').expect()
    listed = kvm.libvirt.listAllNetworks(0)
    kvm.delete_network('brief').expect()
    monkeypatch.setattr(kvm.libvirt, 'listAllNetworks', lambda flags: listed)
    assert 'brief' not in kvm.list_networks()
    assert 'brief.test' not in kvm.list_dns_zones()
    with pytest.raises(NotFound, match=r'brief\.test'):
        kvm.list_dns('brief.test')
