"""Images and ISOs."""

from __future__ import annotations

import pytest

from kvirt.base import Kbase
from kvirt.guest import images
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs


def add(platform: Platform) -> str:
    """Add an image, and return its name."""
    return str(ok(platform.provider.add_image(platform.harness.image_file(), pool=platform.pool))['image'])


class TestImages:
    """Add, list, use, export, delete."""

    @needs('volumes')
    def test_images_are_listed(self, platform: Platform, provider: Kbase) -> None:
        rows = provider.volumes(extended=True)
        assert [row['name'] for row in rows] == provider.volumes()
        assert all(isinstance(row.get('size', 0), int) for row in rows)
        assert not set(provider.volumes(iso=True)) & set(provider.volumes())

    @needs('add_image', 'volumes', 'delete_image')
    def test_an_image_is_added_and_deleted(self, platform: Platform, provider: Kbase) -> None:
        url = platform.harness.image_file()
        told: list[tuple[int, int | None]] = []
        result = ok(provider.add_image(url, pool=platform.pool, progress=lambda done, total: told.append((done, total))))
        image = result['image']
        assert result.get('found', False) is False
        assert image in provider.volumes()
        assert told == sorted(told, key=lambda pair: pair[0]), 'progress goes forward'
        again = ok(provider.add_image(url, pool=platform.pool))
        assert (again['image'], again['found']) == (image, True)
        ok(provider.delete_image(image, pool=platform.pool))
        platform.shows(lambda: image in provider.volumes(), False)
        refused(provider.delete_image(image), 'NotFound', names=image)

    @needs('add_image', 'volumes', 'delete_image')
    def test_an_image_may_have_another_name(self, platform: Platform, provider: Kbase) -> None:
        image = platform.harness.name('image')
        assert ok(provider.add_image(platform.harness.image_file(), pool=platform.pool, name=image))['image'] == image
        assert image in provider.volumes()

    @needs('add_image', 'volumes')
    def test_an_image_that_is_not_there_adds_nothing(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            absent = platform.harness.absent_image()
            refused(provider.add_image(absent, pool=platform.pool), 'NotFound', names='absent')

    @needs('add_image', 'volumes')
    def test_an_image_with_another_checksum_is_not_added(self, platform: Platform, provider: Kbase) -> None:
        url, wrong = platform.harness.image_file(), f'sha256:{"0" * 64}'
        with platform.nothing_made():
            refused(provider.add_image(url, pool=platform.pool, checksum=wrong), 'InvalidInput', 'NotSupported')
            refused(provider.add_image(url, pool=platform.pool, checksum='md5:0'), 'InvalidInput', names='md5:0')

    @needs('add_image', 'volumes')
    def test_what_is_no_place_of_an_image_adds_nothing(self, platform: Platform, provider: Kbase) -> None:
        with platform.nothing_made():
            for url in ('gopher://mirror.example/image.img', '', 'http://'):
                refused(provider.add_image(url, pool=platform.pool), 'InvalidInput', 'NotFound', 'Unavailable')

    @needs('add_image', 'delete_image', 'create', 'info', 'delete')
    def test_an_image_in_use_is_not_deleted(self, platform: Platform, provider: Kbase) -> None:
        image = add(platform)
        name = platform.vm(image=image)
        result = provider.delete_image(image)
        if result.ok:
            assert len(provider.info(name)['disks']) == 1, 'where root disks are copies, the VM stays whole'
        else:
            refused(result, 'Conflict')
            assert image in provider.volumes()
            ok(provider.delete(name))
            platform.gone(name)
            ok(provider.delete_image(image))
        platform.shows(lambda: image in provider.volumes(), False)

    @needs('export', 'volumes', 'create', 'delete', 'delete_image')
    def test_an_image_is_made_of_a_vm(self, platform: Platform, provider: Kbase) -> None:
        name, wanted = platform.stopped(), platform.harness.name('image')
        image = ok(provider.export(name, wanted))['image']
        assert image.startswith(wanted)
        platform.shows(lambda: image in provider.volumes(), True)
        refused(provider.export(name, wanted), 'AlreadyExists', names=wanted)
        other = platform.vm(image=image)
        assert provider.exists(other)
        for vm in (name, other):
            ok(provider.delete(vm))
            platform.gone(vm)
        ok(provider.delete_image(image))

    @needs('volumes', 'create', 'info', 'delete')
    def test_short_names_mean_the_same_everywhere(self, platform: Platform, provider: Kbase) -> None:
        rows = provider.volumes(extended=True)
        listed = {word for row in rows for word in (row['name'], row.get('short')) if word} & set(images.names())
        names = platform.harness.portable
        for image in sorted(listed)[:3] if names is None else names:
            known = provider.info(platform.vm(image=image))
            assert known['image'] == image
            assert known['user'] == provider.login_user(image)

    @needs('export', 'start')
    def test_a_running_vm_is_not_exported(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        with platform.nothing_made():
            refused(provider.export(name, platform.harness.name('image')), 'Conflict', names=name)
