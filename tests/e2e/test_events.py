"""What libvirt tells by itself: waits and watched lists hear of a change, and ask nothing until then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import libvirt
import pytest

from kvirt.config import Kconfig
from kvirt.providers.kvm import Kvirt
from kvirt.result import Result

from .conftest import URI

pytestmark = pytest.mark.e2e

SOON = 10
"""Seconds within which a change is heard of on a busy machine: less than the pauses between two looks (15, 30 and 60)."""


@pytest.fixture
def vm(config: Kconfig, prefix: str):
    """A VM that runs nothing, so that it has no address and never will."""
    name = f'{prefix}-vm'
    assert config.k.create(name, memory=64, nets=[], nokeys=True, cloudinit=False).ok
    yield name
    assert config.k.delete(name).ok


@pytest.fixture
def other():
    """A connection past kvirt: somebody else's."""
    conn = libvirt.open(URI)
    yield conn
    conn.close()


class Asked(Kvirt):
    """A provider that counts how often it was asked for all VMs."""

    lists = 0

    def _list(self) -> Any:
        self.lists += 1
        return super()._list()


@pytest.mark.parametrize('change, field, wanted', [('destroy', 'status', 'stopped'), ('suspend', 'status', 'suspended'),
                                                   ('describe', 'information', 'told')])
def test_who_watches_hears_of_what_others_do(change: str, field: str, wanted: str, vm: str, kvm: Kvirt,
                                             other: libvirt.virConnect) -> None:
    provider, rung = Asked(url=URI), threading.Event()
    with provider.watching(rung.set):
        if change == 'describe':
            assert kvm.update_information(vm, wanted).ok
        else:
            getattr(other.lookupByName(vm), change)()
        while provider.info(vm).get(field) != wanted:  # VMs of others ring as well
            assert rung.wait(SOON)
            rung.clear()
    assert provider.lists == 0
    provider.close()


def test_a_wait_for_a_status_asks_only_when_something_changed(vm: str, config: Kconfig, other: libvirt.virConnect,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Asked(url=URI)
    monkeypatch.setattr(config, '_provider', provider)
    threading.Timer(2, other.lookupByName(vm).destroy).start()
    begun = time.monotonic()
    assert config.wait_status([vm], {'stopped'}, timeout=120) == {vm: Result.success(name=vm, status='stopped')}
    assert 2 <= time.monotonic() - begun < 2 + SOON
    assert provider.lists <= 4, 'once at first, and once for each event of the stop'


def test_a_guest_that_dies_while_it_is_waited_for_is_told_at_once(vm: str, config: Kconfig,
                                                                  other: libvirt.virConnect) -> None:
    outcome: list[Result] = []
    waiting = threading.Thread(target=lambda: outcome.append(config.wait_vm(vm)))
    waiting.start()
    waiting.join(1)  # it waits by now
    begun = time.monotonic()
    other.lookupByName(vm).destroy()
    waiting.join(timeout=SOON)
    [result] = outcome
    assert result['error'] == 'Conflict'
    assert result['reason'].startswith(f'VM {vm} is stopped: its operating system did not come up')
    assert time.monotonic() - begun < SOON


def test_a_watched_list_shows_what_changed(vm: str, home: Path, other: libvirt.virConnect) -> None:
    words = [sys.executable, '-m', 'kvirt', 'list', 'vm', '--watch', '-o', 'jsoncompact', '-P', f'name={vm}']
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, env={**os.environ, 'KVIRT_HOME': str(home)})
    assert process.stdout is not None
    seen = [json.loads(process.stdout.readline())[0]['status']]
    begun = time.monotonic()
    other.lookupByName(vm).destroy()
    while seen[-1] != 'stopped':
        seen.append(json.loads(process.stdout.readline())[0]['status'])
    assert time.monotonic() - begun < SOON
    assert seen[0] == 'running'
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
