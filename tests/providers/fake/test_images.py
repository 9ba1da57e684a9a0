"""Images and ISOs."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from kvirt.guest import images as catalogue
from kvirt.providers.fake import Kfake

from .conftest import create, ok, refused

Make = Callable[..., str]


def test_the_well_known_images_are_there(fake: Kfake) -> None:
    assert fake.volumes() == catalogue.names()
    assert {'debian12', 'ubuntu2404'} <= set(fake.volumes())
    assert fake.volumes(iso=True) == ['rescue.iso']
    assert {row['short'] for row in fake.volumes(extended=True)} == set(fake.volumes())


def test_a_local_file_must_be_there(fake: Kfake, tmp_path: Path) -> None:
    path = tmp_path / 'mine.qcow2'
    refused(fake.add_image(str(path)), 'NotFound', str(path))
    path.write_bytes(b'x' * 1000)
    told: list[tuple[int, int | None]] = []
    assert ok(fake.add_image(str(path), pool='fast', progress=lambda done, total: told.append((done, total))))[
        'image'] == 'mine.qcow2'
    assert told == [(1000, 1000)]
    assert ok(fake.add_image(f'file://{path}'))['found'] is True
    assert next(row for row in fake.volumes(extended=True) if row['name'] == 'mine.qcow2')['pool'] == 'fast'


def test_a_file_is_verified(fake: Kfake, tmp_path: Path) -> None:
    path = tmp_path / 'mine.qcow2'
    path.write_bytes(b'x' * 1000)
    refused(fake.add_image(str(path), checksum='0' * 64), 'InvalidInput', 'another checksum')
    assert 'mine.qcow2' not in fake.volumes()
    ok(fake.add_image(str(path), checksum=f'sha256:{sha256(path.read_bytes()).hexdigest()}'))


def test_what_is_on_the_web_is_recorded_and_not_fetched(fake: Kfake) -> None:
    told: list[object] = []
    made = ok(fake.add_image('https://images.invalid/some.qcow2.xz', size=5, progress=lambda *done: told.append(done)))
    row = next(row for row in fake.volumes(extended=True) if row['name'] == made['image'])
    assert (row['name'], row['size'], row['url'], told) == ('some.qcow2', 5, 'https://images.invalid/some.qcow2.xz', [])
    refused(fake.add_image('ftp://images.invalid/some.img'), 'InvalidInput', 'ftp://')
    refused(fake.add_image('https://images.invalid/x.img', pool='fats'), 'NotFound', "did you mean 'fast'")
    refused(fake.add_image('https://images.invalid/x.img', size=0), 'InvalidInput')


def test_a_well_known_image_is_found(fake: Kfake) -> None:
    known = catalogue.find('debian12')
    assert known is not None
    result = ok(fake.add_image(known.url, short='debian12'))
    assert (result['image'], result['found']) == ('debian12', True)


def test_names_of_images(fake: Kfake) -> None:
    assert ok(fake.add_image('https://images.invalid/x.img', name='golden'))['image'] == 'golden'
    assert ok(fake.add_image('https://images.invalid/install.iso'))['image'] == 'install.iso'
    assert fake.volumes(iso=True) == ['install.iso', 'rescue.iso']
    refused(fake.add_image('https://images.invalid/x.img', name='../x'), 'InvalidInput')


def test_an_unknown_image_suggests_the_likely_one(fake: Kfake) -> None:
    refused(create(fake, 'web', image='debain12'), 'NotFound', "image 'debain12' does not exist, did you mean 'debian12'?")
    refused(create(fake, 'web', image='rescue.iso'), 'NotFound', "image 'rescue.iso'")
    refused(create(fake, 'web', iso='resque.iso'), 'NotFound', "ISO 'resque.iso'", "did you mean 'rescue.iso'?")


def test_an_image_of_a_vm_knows_who_logs_in(fake: Kfake, vm: Make) -> None:
    vm(image='ubuntu2404', disks=[15])
    assert ok(fake.export('web', 'golden'))['image'] == 'golden'
    refused(fake.export('web', 'golden'), 'AlreadyExists', 'golden')
    vm('copy', image='golden')
    known = fake.info('copy')
    assert (known['user'], known['image'], known['disks'][0]['size']) == ('ubuntu', 'golden', 15)
    refused(fake.delete_image('golden'), 'Conflict', 'image golden is in use by copy')
    ok(fake.start('web'))
    refused(fake.export('web', 'other'), 'Conflict', 'web is running')


def test_images_in_use_stay(fake: Kfake, vm: Make) -> None:
    vm(iso='rescue.iso')
    ok(fake.create_disk('spare', 5, image='debian11'))
    refused(fake.delete_image('debian12'), 'Conflict', 'web')
    refused(fake.delete_image('debian11'), 'Conflict', 'volume spare')
    refused(fake.delete_image('rescue.iso'), 'Conflict', 'web')
    refused(fake.delete_image('arch', pool='fast'), 'NotFound', 'not in pool fast')
    refused(fake.delete_image('arhc'), 'NotFound', "did you mean 'arch'")
    ok(fake.update_iso('web', None))
    ok(fake.delete_image('rescue.iso'))
    ok(fake.delete_image('arch', pool='default'))
    assert 'arch' not in fake.volumes()


def test_an_iso_may_be_a_file_of_this_machine(fake: Kfake, vm: Make, tmp_path: Path) -> None:
    path = tmp_path / 'own.iso'
    path.write_bytes(b'')
    vm(iso=str(path))
    assert fake.info('web')['iso'] == str(path)  # type: ignore[typeddict-item]
    refused(fake.update_iso('web', str(tmp_path / 'none.iso')), 'NotFound', 'none.iso')
