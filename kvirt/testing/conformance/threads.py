"""A provider object is used by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok

needs = pytest.mark.needs


@needs('create', 'list', 'info', 'delete')
class TestThreads:
    """Reads beside changes, and changes beside each other."""

    def test_reads_go_on_while_vms_come_and_go(self, platform: Platform, provider: Kbase) -> None:
        stays = platform.vm(plan='stays')
        before, done = provider.info(stays), Event()

        def read() -> int:
            count = 0
            while not done.is_set() or not count:
                assert stays in platform.names()
                assert provider.info(stays) == before
                count += 1
            return count

        many = 8 if platform.harness.thorough else 3
        with ThreadPoolExecutor(many) as pool:
            readers = [pool.submit(read) for _ in range(many)]
            try:
                for _ in range(3):
                    ok(provider.delete(platform.vm()))
            finally:
                done.set()
            assert all(reader.result(timeout=platform.harness.timeout) for reader in readers)
        platform.shows(platform.names, [stays])

    def test_vms_are_made_side_by_side(self, platform: Platform, provider: Kbase) -> None:
        names = [platform.harness.name('vm') for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            for result in pool.map(lambda name: provider.create(name, **platform.asked()), names):
                ok(result)
        assert platform.names() == sorted(names)
        macs = [card['mac'] for name in names for card in provider.info(name)['nets'] if card.get('mac')]
        assert len(set(macs)) == len(macs)
        for name in names:
            platform.wait(name, platform.resting)
        with ThreadPoolExecutor(4) as pool:
            for result in pool.map(provider.delete, names):
                ok(result)
        platform.shows(platform.names, [])

    def test_of_those_who_create_one_name_exactly_one_wins(self, platform: Platform, provider: Kbase) -> None:
        name = platform.harness.name('vm')
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda plan: provider.create(name, **platform.asked(plan=plan)), 'abcd'))
        assert sorted(result.get('error', 'success') for result in results) == ['AlreadyExists'] * 3 + ['success']
        platform.shows(platform.names, [name])
        winner = next(plan for plan, result in zip('abcd', results, strict=True) if result.ok)
        assert provider.info(name)['plan'] == winner
        assert len(provider.info(name)['disks']) == 1
