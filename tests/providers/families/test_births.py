"""Making VMs of clouds, removing them, and finding what was left behind, on a platform in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from kvirt.errors import Conflict, Unavailable
from kvirt.providers.families import marks, rules
from kvirt.providers.families.births import CloudCreate, Draft, Left
from kvirt.providers.families.dns import Record, Zone
from kvirt.providers.families.groups import Group
from kvirt.providers.families.keys import Key
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import Snapshot
from kvirt.providers.families.volumes import Volume
from kvirt.shapes import Flavor, Rule
from kvirt.testing.platform import ok, refused
from tests.providers.families.pretended import Memory

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN test'
LONG_GONE = 'elsewhere-1-1-1'
"""A maker on another machine, long ago."""


class Cloud(CloudCreate, Memory):
    """All that a create needs. ``fails`` names the step after which an answer is lost."""

    platform = 'Tiny'
    machine_names = '[a-z0-9-]+', 'Use small letters, digits and dashes'
    user_data_limit = 20_000
    refused = {'autostart': 'it has none'}
    honours = frozenset({'ports', 'securitygroups'})

    def __init__(self) -> None:
        super().__init__()
        self.vms.clear()
        self.kept_groups: dict[str, Group] = {}
        self.kept_keys: dict[str, Key] = {}
        self.snapshots: list[str] = []
        self.fails = ''
        self.numbers = itertools.count(1)

    def lost(self, step: str) -> None:
        if self.fails == step:
            self.fails = ''
            raise Unavailable(f'{step} was not answered')

    def _list_flavors(self) -> list[Flavor]:
        return [Flavor(name='small', numcpus=2, memory=2048, disk=20, price_monthly=1.0, currency='EUR')]

    # VMs

    def machine_exists(self, name: str) -> bool:
        return any(vm.name == name for vm in self.vms.values())

    def birth_place(self, flavor: Flavor) -> str:
        return 'here'

    def find_image(self, name: str, arch: str | None) -> str:
        return name

    def make_vm(self, draft: Draft, volumes: Sequence[Volume]) -> Machine:
        groups = [self.shared_group(rules.wanted(draft.spec)), *draft.groups]
        self.lost('group')
        self.shared_keys(draft.guest.keys)
        vm = Machine(id=f'v{next(self.numbers)}', name=draft.name, place=draft.place, fields=draft.fields,
                     volumes=[volume.id for volume in volumes], native=[group.id for group in groups])
        for volume in volumes:
            self.disks[volume.id] = msgspec.structs.replace(volume, vms=[vm.id])
        self.vms[vm.id] = vm
        self.lost('vm')
        return vm

    def complete_vm(self, draft: Draft, machine: Machine) -> None:
        self.lost('last')

    def marked(self, request: str | None = None) -> list[Machine]:
        return [vm for vm in self.vms.values() if vm.fields.get(marks.MARK) == request or not request]

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        return [Snapshot(id=name, name=name) for name in self.snapshots]

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.remove(snapshot.name)

    def drop_vm(self, machine: Machine) -> None:
        self.vms.pop(machine.id, None)
        for volume in list(self.disks.values()):
            if machine.id in volume.vms:
                self.disks[volume.id] = msgspec.structs.replace(volume, vms=[])

    # what they share

    def groups(self, network: str | None = None) -> Iterator[Group]:
        return iter([*self.kept_groups.values()])

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        group = Group(id=f'g{next(self.numbers)}', name=name, rules=wanted, fields=fields)
        self.kept_groups[group.id] = group
        return group

    def drop_group(self, group: Group) -> None:
        if any(group.id in vm.native for vm in self.vms.values()):
            raise Conflict('in use')
        del self.kept_groups[group.id]

    def unused_groups(self, but_by: Collection[str] = ()) -> Iterator[Group]:
        used = {group for vm in self.vms.values() if vm.id not in but_by for group in vm.native}
        return (group for group in self.groups() if group.fields.get(marks.MARK) == 'shared' and group.id not in used)

    def keys(self) -> list[Key]:
        return [*self.kept_keys.values()]

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        self.kept_keys[name] = Key(id=name, name=name, public=public, fields=fields)
        return self.kept_keys[name]

    def drop_key(self, key: Key) -> None:
        del self.kept_keys[key.id]

    def dns_zones(self) -> list[Zone]:
        return []

    def dns_records(self, zone: Zone) -> list[Record]:
        return []

    # for the tests

    def there(self) -> list[str]:
        things: list[Any] = [*self.vms.values(), *self.disks.values(), *self.groups(), *self.keys()]
        return [thing.name for thing in things]


def create(cloud: Cloud, name: str = 'web', **keywords: Any) -> Any:
    return cloud.create(name, **{'image': 'debian12', 'keys': [KEY], 'disks': [10, 5], **keywords})


def test_a_vm_comes_and_goes_with_all_that_it_has() -> None:
    cloud = Cloud()
    ok(create(cloud))
    [vm] = cloud.vms.values()
    assert (vm.name, vm.fields['image']) == ('web', 'debian12')
    assert [(volume.name, volume.size, volume.vms) for volume in cloud.disks.values()] == [('web-1', 5, [vm.id])]
    ok(create(cloud, 'db', disks=[10]))
    assert [group.name for group in cloud.groups()] == ['kvirt-ssh']
    ok(cloud.delete('web'))
    assert cloud.there() == ['db', 'kvirt-ssh', *cloud.kept_keys]
    ok(cloud.delete('db'))
    assert cloud.there() == []


@pytest.mark.parametrize('step', ['make', 'group', 'vm', 'last'])
def test_a_step_that_fails_leaves_nothing(step: str) -> None:
    cloud = Cloud()
    ok(cloud.create_disk('mine', 3))
    if step == 'make':
        cloud.answers = [Unavailable('lost')]
    else:
        cloud.fails = step
    refused(create(cloud, disks=[10, 5, 'mine']), 'Unavailable')
    assert cloud.there() == ['mine']
    assert cloud.list_orphans() == []


def test_volumes_that_were_there_stay() -> None:
    cloud = Cloud()
    ok(cloud.create_disk('mine', 3))
    ok(create(cloud, disks=[10, 'mine', 5]))
    assert ok(cloud.delete('web'))['kept'] == ['mine']
    assert cloud.there() == ['mine']


def test_a_vm_with_snapshots_is_refused() -> None:
    cloud = Cloud()
    ok(create(cloud))
    cloud.snapshots = ['first']
    refused(cloud.delete('web'), 'Conflict', names='snapshots')
    ok(cloud.delete('web', snapshots=True))
    assert cloud.snapshots == [] == cloud.there()


@pytest.mark.parametrize(('keywords', 'error', 'words'), [
    ({'name': 'We b'}, 'InvalidInput', 'We b'), ({'image': None}, 'InvalidInput', 'image'),
    ({'flavor': 'large'}, 'NotFound', 'large'), ({'disks': [99]}, 'NotFound', '99'),
    ({'autostart': True}, 'InvalidInput', 'autostart'), ({'securitygroups': ['office']}, 'NotFound', 'office'),
    ({'files': [{'path': '/x', 'content': 'x' * 30_000}]}, 'InvalidInput', '20000')])
def test_what_can_not_be_had_is_told_before_anything_is_made(keywords: dict[str, Any], error: str, words: str) -> None:
    cloud = Cloud()
    refused(create(cloud, **keywords), error, names=words)
    assert cloud.there() == []


def test_a_name_is_had_once() -> None:
    cloud = Cloud()
    ok(create(cloud))
    before = cloud.there()
    refused(create(cloud), 'AlreadyExists', names='web')
    assert cloud.there() == before


def test_a_birth_is_tried_again_where_what_is_shared_was_removed_just_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()
    monkeypatch.setattr(cloud, 'was_reaped', lambda error: 'group' in str(error))
    cloud.fails = 'group'
    ok(create(cloud))
    assert [vm.name for vm in cloud.vms.values()] == ['web']
    cloud.fails = 'vm'
    refused(create(cloud, 'db'), 'Unavailable')
    assert [vm.name for vm in cloud.vms.values()] == ['web']


def test_a_group_that_a_vm_still_holds_is_deleted_as_soon_as_that_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, dropped = Cloud(), Cloud.drop_group
    left = {marks.MARK: 'shared', marks.MAKER: LONG_GONE}
    cloud.kept_groups['g9'] = Group(id='g9', name='old', rules=[], fields=left)
    held = iter([Conflict('in use'), Conflict('in use')])

    def drop(group: Group) -> None:
        for error in held:
            raise error
        dropped(cloud, group)
    monkeypatch.setattr(cloud, 'drop_group', drop)
    assert [orphan['name'] for orphan in ok(cloud.delete_orphans())['deleted']] == ['old']
    assert cloud.there() == []


@pytest.mark.parametrize('whole', [True, False], ids=['whole at birth', 'completed later'])
def test_what_a_maker_that_is_gone_left_behind_is_found_and_removed(whole: bool) -> None:
    cloud = Cloud()
    cloud.whole_at_birth = whole  # type: ignore[misc]
    ok(create(cloud, 'db'))
    kept = cloud.there()
    left = {marks.MARK: 'r9', marks.MAKER: LONG_GONE}
    cloud.disks['d9'] = Volume(id='d9', name='lost', size=1, place='here', path='x', fields=left)
    cloud.disks['d8'] = Volume(id='d8', name='making', size=1, place='here', path='x', fields=marks.making('r8'))
    cloud.kept_groups['g9'] = Group(id='g9', name='old', rules=[], fields={**left, marks.MARK: 'shared'})
    found = ['lost', 'old']
    if not whole:
        cloud.vms['v9'] = Machine(id='v9', name='half', place='here', fields=left, native=['g9'])
        cloud.disks['d9'] = msgspec.structs.replace(cloud.disks['d9'], vms=['v9'])
        found = ['half', *found]
    assert [orphan['name'] for orphan in cloud.list_orphans()] == found
    assert [orphan['name'] for orphan in ok(cloud.delete_orphans())['deleted']] == found
    assert sorted(cloud.there()) == sorted([*kept, 'making'])
    assert cloud.list_orphans() == []


def test_a_group_that_is_still_held_is_not_told_to_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()
    left = {marks.MARK: 'shared', marks.MAKER: LONG_GONE}
    cloud.kept_groups['g9'] = Group(id='g9', name='old', rules=[], fields=left)

    def held(left: Left) -> None:
        raise Conflict('its VM is going away')
    with monkeypatch.context() as patch:
        patch.setattr(cloud, 'drop_left', held)
        assert ok(cloud.delete_orphans())['deleted'] == []
    assert [orphan['name'] for orphan in ok(cloud.delete_orphans())['deleted']] == ['old']


def test_a_list_of_orphans_asks_for_vms_only_when_it_has_to() -> None:
    cloud = Cloud()
    asked: list[str] = []
    marked: Callable[..., list[Machine]] = cloud.marked
    cloud.marked = lambda request=None: asked.append('vms') or marked(request)  # type: ignore[method-assign, func-returns-value]
    cloud.unused_keys = lambda but_by=(): []  # type: ignore[method-assign]
    assert cloud.list_orphans() == []
    assert asked == []
