"""All or nothing, against the real libvirtd: a create that fails or is killed at any libvirt call leaves nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvirt.providers.kvm import Kvirt

from .conftest import IMAGE, STEM, URI, Leftovers
from .faults import WAYS, Faults

pytestmark = [pytest.mark.e2e, pytest.mark.minutes(4), pytest.mark.xdist_group('orphans')]  # neither sees the other's

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN test'
ASKED = {'image': IMAGE, 'virttype': 'qemu', 'memory': 256, 'numcpus': 1, 'keys': [KEY], 'disks': [10, 1],
         'autostart': True}


def create(provider: Kvirt, name: str, faults: Faults) -> dict[str, object]:
    with faults.armed():
        return provider.create(name, **ASKED)


def fresh() -> Kvirt:
    return Kvirt(url=URI)


FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload([__name__])  # a process to be killed is at hand at once: Python and kvirt are loaded already


def attempt(name: str, at: int, way: str) -> None:
    """Create a VM in a process that dies on the way."""
    with fresh() as provider:
        create(provider, name, Faults(at, way))
    os._exit(1)


@pytest.fixture(scope='module')
def calls() -> int:
    """How many libvirt calls a create makes."""
    faults = Faults()
    with fresh() as provider:
        result = create(provider, f'{STEM}-count', faults)
        assert result['result'] == 'success', result
        assert provider.delete(f'{STEM}-count').ok
    assert 'virConnect.defineXMLFlags' in faults.calls and 'virDomain.create' in faults.calls
    return len(faults.calls)


@pytest.mark.parametrize('way', WAYS[:2])
def test_a_failing_call_leaves_nothing(way: str, calls: int, prefix: str, leftovers: Leftovers) -> None:
    for at in range(calls):
        name = f'{prefix}-{at}'
        faults = Faults(at, way)
        with fresh() as provider:
            result = create(provider, name, faults)
            where = f'call {at} ({faults.calls[at]}), {way}'
            if result['result'] == 'success':  # what failed was of no matter to the outcome
                assert provider.delete(name).ok, where
            else:
                assert 'injected' in str(result['reason']), (where, result)
        assert not leftovers.now(prefix), where


@pytest.mark.parametrize('way', WAYS[2:])
def test_a_killed_create_leaves_nothing_or_orphans(way: str, calls: int, prefix: str, leftovers: Leftovers,
                                                   kvm: Kvirt) -> None:
    for at in range(calls):
        name = f'{prefix}-{at}'
        victim = FORKS.Process(target=attempt, args=(name, at, way))
        victim.start()
        victim.join(60)
        assert victim.exitcode == -signal.SIGKILL, (at, victim.exitcode)
        left = leftovers.now(prefix)
        if f'domain {name}' in left:
            named = [orphan['name'] for orphan in kvm.list_orphans()]
            if name in named:
                deleted = kvm.delete_orphans()
                assert deleted.ok and name in [orphan['name'] for orphan in deleted['deleted']], deleted
            else:  # it was killed after the last step: the VM is complete
                assert kvm.info(name)['status'] == 'running', (at, way)
                assert kvm.delete(name).ok
        assert not leftovers.now(prefix), f'call {at}, {way}'


def test_two_processes_create_one_name(prefix: str, kvm: Kvirt) -> None:
    name = f'{prefix}-race'
    command = [sys.executable, '-m', 'tests.e2e.test_atomic', name, '-1', 'none']
    racers = [subprocess.Popen(command, cwd=root(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outcomes = [racer.communicate(timeout=120)[0].strip() for racer in racers]
    assert sorted(outcomes) == ['AlreadyExists', 'success'], outcomes
    assert kvm.info(name)['status'] == 'running'
    assert kvm.delete(name).ok


def root() -> Path:
    return Path(__file__).parents[2]


if __name__ == '__main__':
    vm, number, manner = sys.argv[1:]
    with fresh() as hypervisor:
        outcome = create(hypervisor, vm, Faults(int(number), manner))
    print(outcome.get('error', outcome['result']))
