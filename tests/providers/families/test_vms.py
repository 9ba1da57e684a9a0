"""VMs and their snapshots over the primitives of a platform."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest

from kvirt.base import Kbase
from kvirt.errors import Conflict, InvalidInput, NotFound, OutOfCapacity, Unavailable
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.places import Places
from kvirt.providers.families.snapshots import Snapshot
from kvirt.providers.families.vms import CloudVms
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor, NicShape, Status
from kvirt.testing.platform import ok, refused
from kvirt.testing.sweep import Haste


class Toy(CloudVms, Places):
    """A platform with two flavors, in memory. What was asked for is done at once, and told."""

    def __init__(self, location: str = 'all') -> None:
        self.clock, self.location = Haste(), location
        self.vms = {'1': Machine(
            id='1', name='web', status='running', native_status='up', flavor='small', place='here',
            fields={'kvirt': 'r1', 'plan': 'shop', 'image': 'debian12'}, created='2024-05-06T07:08:09Z')}
        self.taken: list[Snapshot] = []
        self.asked: list[str] = []
        self.fails: dict[str, list[Exception]] = {}

    def served(self, what: str) -> None:
        self.asked.append(what)
        if self.fails.get(what):
            raise self.fails[what].pop(0)

    def put(self, machine: Machine, **changes: object) -> None:
        self.vms[machine.id] = msgspec.structs.replace(self.vms[machine.id], **changes)  # type: ignore[arg-type]

    def location_names(self) -> Iterable[str]:
        return ['here', 'there']

    def machines(self) -> Iterable[Machine]:
        return [machine for machine in self.vms.values() if self.is_seen(machine.place)]

    def machine(self, name: str) -> Machine:
        found: Machine = self.one('VM', name, [each for each in self.machines() if name in (each.id, each.name)])
        return found

    def nics_of(self, machine: Machine) -> Sequence[NicShape]:
        return [{'device': 'eth0', 'net': 'default'}]

    def volumes_of(self, machine: Machine) -> list[Volume]:
        return []

    def _list_flavors(self) -> list[Flavor]:
        return [Flavor(name='small', numcpus=1, memory=1024), Flavor(name='large', numcpus=4, memory=4096)]

    def start_vm(self, machine: Machine) -> None:
        self.served('start')
        self.put(machine, status='running')

    def stop_vm(self, machine: Machine, soft: bool) -> None:
        self.served('shutdown' if soft else 'stop')
        self.put(machine, status='stopped')

    def halt_vm(self, machine: Machine) -> None:
        self.put(machine, status='stopped')
        self.served('halt')

    def restart_vm(self, machine: Machine) -> None:
        self.served('restart')

    def rename_vm(self, machine: Machine, new: str) -> None:
        self.put(machine, name=new)

    def resize_vm(self, machine: Machine, flavor: str) -> None:
        assert machine.status == 'stopped'
        self.put(machine, flavor=flavor)
        self.served(f'resize {flavor}')

    def read_snapshots(self, machine: Machine) -> Sequence[Snapshot]:
        return [snapshot for snapshot in self.taken if snapshot.native == machine.id]

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        self.taken.append(Snapshot(id=f's{len(self.taken)}', name=name, request=request, native=machine.id))
        self.served('take')

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        self.taken.remove(snapshot)

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        self.served(f'restore {snapshot.name}')


def test_rows_and_what_is_known_of_a_vm() -> None:
    toy = Toy()
    row = {'name': 'web', 'status': 'running', 'ip': None, 'image': 'debian12', 'plan': 'shop', 'profile': '', 'id': '1',
           'flavor': 'small', 'location': 'here'}
    assert toy.list() == [row]
    known = toy.info('web')
    assert row.items() <= known.items()
    assert known['nets'] == [{'device': 'eth0', 'net': 'default'}]
    assert (known['creationdate'], known['native_status']) == ('2024-05-06T07:08:09Z', 'up')
    assert (known['disks'], known['snapshots']) == ([], [])
    assert 'kvirt' not in known, 'marks are not shown'
    toy.put(toy.vms['1'], disk=20, numcpus=2, memory=2048, image='debian-12')
    toy.root_device = 'vda'  # type: ignore[misc]
    known = toy.info('1')
    assert (known['numcpus'], known['memory'], known['image']) == (2, 2048, 'debian12')
    assert known['disks'] == [{'device': 'vda', 'size': 20, 'format': 'raw', 'type': 'local', 'path': '/dev/vda'}]


def test_what_is_asked_of_one_vm_needs_no_more_than_that_vm(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    monkeypatch.setattr(toy, 'nics_of', lambda machine: pytest.fail('nothing else was to be asked'))
    assert (toy.exists('web'), toy.status('web'), toy.ip('web')) == (True, 'running', None)
    assert (toy.exists('db'), toy.status('db'), toy.ip('db')) == (False, None, None)
    toy.vms['2'] = msgspec.structs.replace(toy.vms['1'], id='2')
    assert toy.exists('web')
    with pytest.raises(Conflict):
        toy.status('web')


def test_a_client_sees_its_location_and_one_that_is_not_there_is_told() -> None:
    assert (Toy('here').exists('web'), Toy('there').exists('web')) == (True, False)
    assert Toy('there').list() == []
    with pytest.raises(InvalidInput, match="unknown location 'her', did you mean 'here'"):
        Toy('her').list()


@pytest.mark.parametrize(('operation', 'status', 'asked'), [
    ('start', 'running', []), ('start', 'stopped', ['start']), ('start', 'pending', ['start']),
    ('stop', 'running', ['stop']), ('stop', 'stopped', []), ('restart', 'running', ['restart']),
    ('restart', 'stopped', ['start'])])
def test_nothing_is_asked_for_that_is_so_already(operation: str, status: Status, asked: list[str]) -> None:
    toy = Toy()
    toy.put(toy.vms['1'], status=status)
    ok(getattr(toy, operation)('web'))
    assert toy.asked == asked


def test_a_name_that_is_taken_is_not_given_again() -> None:
    toy = Toy()
    toy.vms['2'] = msgspec.structs.replace(toy.vms['1'], id='2', name='db')
    refused(toy.rename('web', 'db'), 'AlreadyExists', names='db')
    ok(toy.rename('web', 'shop'))
    assert [row['name'] for row in toy.list()] == ['db', 'shop']


def test_a_running_vm_is_stopped_for_another_flavor() -> None:
    toy = Toy()
    ok(toy.update_flavor('web', 'small'))
    assert toy.asked == []
    ok(toy.update_flavor('web', 'large'))
    assert toy.asked == ['halt', 'resize large', 'start']
    ok(toy.stop('web'))
    ok(toy.update_flavor('web', 'small'))
    assert (toy.vms['1'].flavor, toy.vms['1'].status) == ('small', 'stopped')
    refused(toy.update_flavor('web', 'larg'), 'NotFound', names="'large'")


def test_where_a_vm_is_not_stopped_for_it_its_user_is_told() -> None:
    toy = Toy()
    toy.stops_to_resize = False  # type: ignore[misc]
    assert toy.info('web')['resizable'] is False  # type: ignore[typeddict-item]
    refused(toy.update_flavor('web', 'large'), 'Conflict', names='web is not stopped')
    assert toy.asked == []


@pytest.mark.parametrize(('step', 'error'), [
    ('halt', Unavailable('lost')), ('resize large', Unavailable('lost')), ('start', OutOfCapacity('no room'))])
def test_a_vm_that_can_not_be_changed_runs_as_before(step: str, error: Exception) -> None:
    toy = Toy()
    toy.fails = {step: [error]}
    refused(toy.update_flavor('web', 'large'), type(error).__name__)
    assert (toy.vms['1'].flavor, toy.vms['1'].status) == ('small', 'running')


def test_a_vm_that_was_changed_is_started_when_the_platform_lets_go_of_it() -> None:
    toy = Toy()
    toy.fails = {'start': [Conflict('an action is under way')]}
    ok(toy.update_flavor('web', 'large'))
    assert toy.asked == ['halt', 'resize large', 'start', 'start']


def test_snapshots_are_taken_listed_restored_and_deleted() -> None:
    toy = Toy()
    for name in ('second', 'first'):
        ok(toy.create_snapshot(name, 'web'))
    refused(toy.create_snapshot('first', 'web'), 'AlreadyExists', names='VM web has a snapshot first')
    assert toy.list_snapshots('web') == ['second', 'first']
    assert toy.info('web')['snapshots'] == [{'snapshot': name, 'current': False} for name in ('second', 'first')]
    ok(toy.revert_snapshot('first', 'web'))
    assert toy.asked[-1] == 'restore first'
    refused(toy.revert_snapshot('firs', 'web'), 'NotFound', names="VM web has no snapshot firs, did you mean 'first'?")
    ok(toy.delete_snapshot('second', 'web'))
    refused(toy.delete_snapshot('second', 'web'), 'NotFound', names='second')
    with pytest.raises(NotFound):
        toy.list_snapshots('db')


def test_a_snapshot_whose_answer_is_lost_is_deleted_and_no_other() -> None:
    toy = Toy()
    ok(toy.create_snapshot('first', 'web'))
    toy.fails = {'take': [Unavailable('lost')]}
    refused(toy.create_snapshot('second', 'web'), 'Unavailable')
    assert toy.list_snapshots('web') == ['first']


def test_what_follows_from_flavors_is_stated() -> None:
    never = {each.operation for each in Toy.capabilities() if each.mark == 'never'}
    assert {'update_memory', 'update_cpus', 'update_start', 'update_iso', 'remove_cloudinit', 'clone'} <= never
    assert isinstance(Toy(), Kbase)


def test_a_field_tells_which_snapshot_a_vm_is_at_where_the_platform_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    toy.remembers_snapshot = True  # type: ignore[misc]
    monkeypatch.setattr(toy, 'set_field', lambda machine, key, text: toy.put(machine, fields={**machine.fields, key: text}))
    for name in ('first', 'second'):
        ok(toy.create_snapshot(name, 'web'))
    ok(toy.revert_snapshot('first', 'web'))
    known = toy.info('web')
    assert {each['snapshot']: each['current'] for each in known['snapshots']} == {'first': True, 'second': False}
    assert 'snapshot' not in known


def test_whom_the_platform_lets_in_is_shown_unless_the_vm_tells_another() -> None:
    toy = Toy()
    toy.login = 'root'  # type: ignore[misc]
    assert toy.info('web')['user'] == 'root'
    toy.put(toy.vms['1'], fields={'user': 'me'})
    assert toy.info('web')['user'] == 'me'
