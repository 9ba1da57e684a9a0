"""Ssh keys, on a platform that keeps them in a list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import pytest

from kvirt.errors import AlreadyExists, NotFound, Unavailable
from kvirt.providers.families.cloud import key_name
from kvirt.providers.families.keys import Key, SharedKeys
from kvirt.providers.families.marks import MAKER, MARK
from kvirt.testing.platform import KEY, ok, refused


class Tiny(SharedKeys):
    """Keys by name. ``before`` runs in front of every registration, ``vms`` are those that kvirt made."""

    def __init__(self) -> None:
        self.kept: dict[str, Key] = {}
        self.before: Callable[[], object] = list
        self.vms: set[str] = set()

    def keys(self) -> Iterator[Key]:
        return iter([*self.kept.values()])

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        self.before()
        if name in self.kept:
            raise AlreadyExists(f'{name} is taken')
        self.kept[name] = Key(id=f'id-{name}', name=name, public=public, fields=fields)
        return self.kept[name]

    def drop_key(self, key: Key) -> None:
        if self.kept.pop(key.name, None) is None:
            raise NotFound(f'{key.name} is gone')

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        del self.kept[key.name]
        self.register_key(name, key.public, fields)

    def has_vms(self, but: Collection[str] = ()) -> bool:
        return not self.vms <= set(but)


class Unique(Tiny):
    """A platform that keeps no key twice."""

    keys_are_unique = True


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


def test_a_key_from_birth_to_death(tiny: Tiny) -> None:
    ok(tiny.create_key('mine', f'  {KEY}\n'))
    assert tiny.list_keys()['mine'].split()[:2] == KEY.split()[:2]
    refused(tiny.create_key('mine', KEY), 'AlreadyExists')
    ok(tiny.create_key('again', KEY))
    refused(tiny.delete_key('min'), 'NotFound', names="did you mean 'mine'?")
    ok(tiny.delete_key('id-mine'))
    assert list(tiny.list_keys()) == ['again']


@pytest.mark.parametrize('text', ['', 'no key', 'ssh-ed25519 AAAA', '-----BEGIN PRIVATE KEY-----'])
def test_what_is_no_key_is_refused_and_not_repeated(tiny: Tiny, text: str) -> None:
    tiny.keys = None  # type: ignore[method-assign, assignment]
    assert 'PRIVATE' not in refused(tiny.create_key('odd', text), 'InvalidInput', names='odd')


def test_a_platform_may_take_some_kinds_only(tiny: Tiny) -> None:
    tiny.key_kinds = ('ssh-rsa',)  # type: ignore[misc]
    refused(tiny.create_key('mine', KEY), 'InvalidInput')


def test_a_key_whose_registration_was_not_answered_goes(tiny: Tiny) -> None:
    register = tiny.register_key

    def lost(name: str, public: str, fields: Mapping[str, str]) -> Key:
        register(name, public, fields)
        raise Unavailable('no answer')
    tiny.register_key = lost  # type: ignore[method-assign]
    refused(tiny.create_key('mine', KEY), 'Unavailable')
    assert tiny.list_keys() == {}


# of VMs

def test_a_key_is_registered_once_for_all_vms_and_goes_with_the_last(tiny: Tiny) -> None:
    [key] = tiny.shared_keys([KEY])
    assert (key.name, key.fields[MARK], MAKER in key.fields) == (key_name(KEY), 'shared', True)
    assert tiny.shared_keys([f'{KEY} of somebody']) == [key]
    assert tiny.shared_keys([]) == []
    tiny.vms = {'1'}
    tiny.reap_keys()
    assert tiny.unused_keys() == []
    assert tiny.unused_keys(but_by={'1'}) == [key]
    tiny.vms.clear()
    tiny.reap_keys()
    assert tiny.list_keys() == {}


def test_a_key_of_the_users_own_is_used_and_stays(tiny: Tiny) -> None:
    ok(tiny.create_key('mine', KEY))
    assert [key.name for key in tiny.shared_keys([KEY])] == ['mine']
    tiny.reap_keys()
    assert list(tiny.list_keys()) == ['mine']


def test_a_key_that_another_process_registers_meanwhile_is_used(tiny: Tiny) -> None:
    def faster() -> None:
        tiny.before = list
        tiny.shared_keys([KEY])
    tiny.before = faster
    assert [key.name for key in tiny.shared_keys([KEY])] == [key_name(KEY)]


def test_a_vm_that_comes_while_its_key_is_reaped_gets_it_back(tiny: Tiny) -> None:
    tiny.shared_keys([KEY])
    drop = tiny.drop_key

    def be_born(key: Key) -> None:
        drop(key)
        tiny.vms.add('1')
    tiny.drop_key = be_born  # type: ignore[method-assign]
    tiny.reap_keys()
    assert list(tiny.list_keys()) == [key_name(KEY)]


def test_a_key_that_was_registered_for_a_vm_becomes_the_users_where_none_is_kept_twice() -> None:
    tiny = Unique()
    tiny.shared_keys([KEY])
    ok(tiny.create_key('mine', KEY))
    refused(tiny.create_key('again', KEY), 'Conflict', names='mine')
    tiny.reap_keys()
    assert list(tiny.list_keys()) == ['mine']
