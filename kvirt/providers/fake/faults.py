"""Faults on demand, so that a script can be tried against a bad day."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kvirt.errors import InvalidInput, KvirtError, RateLimited, Unavailable
from kvirt.names import did_you_mean

STEPS = {
    'reserve': 'the name is taken, and who is making the VM is written down with it',
    'disks': 'its volumes and the seed of its guest are made',
    'nics': 'its network cards get MAC and IP addresses',
    'securitygroup': 'it is put in a security group',
    'dns': 'its name is recorded in the DNS zone of its domain, where there is one',
    'finish': 'it is complete, and started when asked for',
    'answer': 'nothing: what is done is told to the caller',
}
"""The steps of create and of clone, in order, and what each does. ``fail@`` and ``kill@`` strike before their step."""

FAULTS = {
    'capacity': 'create and clone find no room (OutOfCapacity)',
    'quota': 'the account may have no VM, or with quota=N at most N (QuotaExceeded)',
    'transient': 'every third call of the provider, or with transient=N every Nth, fails (Unavailable)',
    'ratelimit': 'every third call, or with ratelimit=N every Nth, is too many (RateLimited, to retry after a second)',
    'slowboot': 'VMs take 30 seconds to start, or with slowboot=N that many',
    'fail': 'fail@STEP: create and clone fail at that step, given by name or by number from 1 (Unavailable)',
    'kill': 'kill@STEP: this process is killed there (SIGKILL)',
}
"""Every fault that can be asked for."""

_PLAIN = {'capacity': 1, 'quota': 0, 'transient': 3, 'ratelimit': 3, 'slowboot': 30}
_WORD = re.compile(r'(?P<name>\w+)(?:=(?P<number>\d{1,9})|@(?P<step>\w+))?')


@dataclass(frozen=True)
class Faults:
    """The faults in force: by name, with their number; and the steps at which to fail and to die."""

    numbers: dict[str, int] = field(default_factory=dict)
    fail: frozenset[str] = frozenset()
    kill: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, words: Iterable[str]) -> Faults:
        """Read words such as ``capacity``, ``transient=5``, ``fail@disks``. InvalidInput."""
        numbers: dict[str, int] = {}
        steps: dict[str, set[str]] = {'fail': set(), 'kill': set()}
        for word in words:
            match = _WORD.fullmatch(str(word))
            name = match['name'] if match else str(word)
            if match is None or name not in FAULTS:
                raise InvalidInput(f"unknown fault '{word}'{did_you_mean(name, FAULTS)}",
                                   hint=f"Known: {', '.join(FAULTS)}")
            if (name in steps) != bool(match['step']):
                raise InvalidInput(f"fault '{word}' can not be read", hint=f'{name}: {FAULTS[name]}')
            if match['step']:
                steps[name].add(_step(match['step']))
            else:
                numbers[name] = int(match['number'] or _PLAIN[name])
                if name in ('transient', 'ratelimit') and numbers[name] < 1:
                    raise InvalidInput(f"fault '{word}' can not be read", hint='Give 1 or more')
        return cls(numbers, frozenset(steps['fail']), frozenset(steps['kill']))

    def __contains__(self, name: str) -> bool:
        return name in self.numbers

    def with_(self, other: Faults) -> Faults:
        """Return these faults and the *other* ones together."""
        return Faults({**self.numbers, **other.numbers}, self.fail | other.fail, self.kill | other.kill)

    def of_call(self, number: int) -> KvirtError | None:
        """Return what is wrong with call *number* of the provider."""
        if 'transient' in self and number % self.numbers['transient'] == 0:
            return Unavailable(f'the fake provider stumbled at call {number}, as it was asked to')
        if 'ratelimit' in self and number % self.numbers['ratelimit'] == 0:
            return RateLimited(f'too many calls: number {number}', retry_after=1.0)
        return None

    def at_step(self, step: str) -> None:
        """Strike before *step*, if that was asked for."""
        if step in self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if step in self.fail:
            raise Unavailable(f'the fake provider failed at step {step}, as it was asked to')


def _step(given: str) -> str:
    steps: list[Any] = list(STEPS)
    if given.isdigit() and 1 <= int(given) <= len(steps):
        return str(steps[int(given) - 1])
    if given not in steps:
        raise InvalidInput(f"create has no step '{given}'{did_you_mean(given, steps)}", hint=f"Steps: {', '.join(steps)}")
    return given
