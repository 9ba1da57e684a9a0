"""Images over the primitives of a platform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from kvirt.errors import Conflict, NotFound, Unavailable
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.testing.platform import ok, refused


class Portable(NamedTuple):
    """A well-known image."""

    short: str


class Toy(CloudImages):
    """A platform with a stopped VM, a running one, and an image of its own, in memory."""

    image_names = ('[a-z-]+', 'Use small letters and dashes')

    def __init__(self) -> None:
        self.images = [Image(id='p1', name='debian-12', short='debian12', size=3)]
        self.fails: Exception | None = None

    def machine(self, name: str) -> Machine:
        if name not in ('web', 'db'):
            raise NotFound(f'VM {name} does not exist')
        return Machine(id=name, name=name, status='stopped' if name == 'web' else 'running', fields={'image': 'debian12'})

    def read_images(self) -> Iterable[Image]:
        return list(self.images)

    def read_isos(self) -> Iterable[Image]:
        return [Image(id='i1', name='rescue')]

    def drop_image(self, image: Image) -> None:
        self.images.remove(image)

    def bring_image(self, wanted: NewImage) -> None:
        self.made(wanted)

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        self.made(wanted)

    def made(self, wanted: NewImage) -> None:
        self.images.append(Image(id=f'o{len(self.images)}', name=wanted.name, own=True, size=wanted.size,
                                 short=wanted.fields.get('image'), fields=wanted.fields))
        if self.fails:
            raise self.fails


def test_images_are_brought_listed_and_deleted() -> None:
    toy = Toy()
    assert ok(toy.add_image('https://x.example/golden', short='fedora', size=5))['image'] == 'fedora'
    assert ok(toy.add_image('https://x.example/golden'))['image'] == 'golden'
    assert ok(toy.add_image('https://x.example/other', name='golden'))['found'] is True
    assert toy.volumes() == ['debian-12', 'fedora', 'golden']
    assert toy.volumes(extended=True) == [
        {'name': 'debian-12', 'id': 'p1', 'size': 3, 'short': 'debian12'},
        {'name': 'fedora', 'id': 'o1', 'size': 5, 'short': 'fedora'}, {'name': 'golden', 'id': 'o2'}]
    assert (toy.volumes(iso=True), toy.volumes(iso=True, extended=True)) == (['rescue'], [{'name': 'rescue', 'id': 'i1'}])
    ok(toy.delete_image('o1'))
    ok(toy.delete_image('golden'))
    refused(toy.delete_image('golden'), 'NotFound', names='golden')


@pytest.mark.parametrize('name', ['debian-12', 'debian12', 'p1'])
def test_an_image_of_the_platform_is_told_from_one_that_is_not_there(name: str) -> None:
    refused(Toy().delete_image(name), 'Conflict', names=name)


@pytest.mark.parametrize(('wanted', 'native'), [
    ('fedora-9', 'f9'), ('fedora9', 'f9'), ('fedora', 'f10'), ('debian12', 'p1'), ('debian-12', 'p1'), ('arms', 'a1'),
    ('golden', 'o1'), ('o1', 'o1')])
def test_an_image_is_found_by_any_of_its_names(wanted: str, native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('kvirt.guest.images.find', lambda name: Portable(name) if name[-1].isdigit() else None)
    toy = Toy()
    toy.images += [
        Image(id='a1', name='arms', arch='aarch64'), Image(id='a2', name='fedora-11', family='fedora', version='11',
                                                           arch='aarch64'),
        *(Image(id=f'f{number}', name=f'fedora-{number}', short=f'fedora{number}', family='fedora', version=str(number),
                arch='x86_64') for number in (9, 10)),
        Image(id='o1', name='golden', own=True), Image(id='o2', name='debian-12', own=True, short='debian12')]
    assert toy.image_named(wanted, None if wanted == 'arms' else 'x86_64').id == native


def test_an_image_that_is_not_there_or_there_twice() -> None:
    toy = Toy()
    with pytest.raises(NotFound, match=r"image debian-1 does not exist, did you mean 'debian-12'\?") as told:
        toy.image_named('debian-1')
    assert 'list image' in str(told.value.hint)
    toy.images += [Image(id=f'o{number}', name='golden', own=True) for number in (1, 2)]
    with pytest.raises(Conflict, match='2 images are called golden'):
        toy.image_named('golden')
    assert toy.image_named('o2').id == 'o2'


def test_what_can_not_be_is_refused_before_anything_is_asked_for() -> None:
    toy = Toy()
    refused(toy.add_image('https://x.example/x', cmds=['true']), 'NotSupported', names='commands')
    refused(toy.add_image('https://x.example/x', name='Golden'), 'InvalidInput', names='Golden')
    refused(toy.export('web', 'Golden'), 'InvalidInput', names='Golden')
    refused(toy.export('db', 'golden'), 'Conflict', names='VM db is not stopped')
    refused(toy.export('other', 'golden'), 'NotFound', names='other')
    assert toy.volumes() == ['debian-12']


def test_an_image_of_a_vm_remembers_what_it_was_made_of() -> None:
    toy = Toy()
    assert ok(toy.export('web'))['image'] == 'web'
    assert toy.images[-1].short == 'debian12'
    refused(toy.export('web'), 'AlreadyExists', names='image web exists')


def test_an_image_whose_answer_is_lost_is_deleted_and_no_other() -> None:
    toy = Toy()
    ok(toy.export('web', 'first'))
    toy.fails = Unavailable('lost')
    refused(toy.export('web', 'second'), 'Unavailable')
    refused(toy.add_image('https://x.example/third'), 'Unavailable')
    assert toy.volumes() == ['debian-12', 'first']


@pytest.mark.parametrize(('url', 'more', 'error', 'words'), [
    ('/no/such/file', {}, 'NotFound', '/no/such/file'), (__file__, {}, 'NotSupported', 'https'),
    ('https://x.example/golden', {'size': 5}, 'InvalidInput', 'size'),
    ('https://x.example/golden', {'pool': 'fast'}, 'InvalidInput', 'pool')])
def test_what_a_platform_that_fetches_images_itself_can_not_take(url: str, more: dict[str, Any], error: str,
                                                                 words: str) -> None:
    toy = Toy()
    toy.fetched_by_platform = True  # type: ignore[misc]
    refused(toy.add_image(url, name='golden', **more), error, names=words)
    ok(toy.add_image('https://x.example/golden', pool='default'))


def test_some_platforms_let_in_one_user_but_guests_of_ignition_have_their_own() -> None:
    toy = Toy()
    assert toy.login_user('debian12') == 'debian'
    toy.login = 'root'  # type: ignore[misc]
    assert [toy.login_user(image) for image in ('debian12', None, 'fcos')] == ['root', 'root', 'core']
