"""Which member of a group a VM is placed on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kvirt.errors import KvirtError, Unauthorized, Unavailable
from kvirt.groups import choose


class Member:
    """A client with so much free memory (None where its platform does not tell) and so many VMs that run."""

    def __init__(self, free: int | None = None, running: int = 0, error: KvirtError | None = None) -> None:
        self.free, self.running, self.error, self.closed = free, running, error, 0

    @property
    def k(self) -> Member:
        if self.error:
            raise self.error
        return self

    def supports(self, operation: str) -> bool:
        return operation == 'list' or self.free is not None

    def info_host(self) -> dict[str, Any]:
        return {'connection': 'x', 'memory_free': self.free, 'vms_running': self.running}

    def list(self) -> list[dict[str, Any]]:
        return [{'status': 'running'}] * self.running + [{'status': 'stopped'}] * 9

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *args: object) -> None:
        self.closed += 1


@pytest.mark.parametrize(('algorithm', 'members', 'chosen'), [
    ('free', {'a': Member(10, 0), 'b': Member(30, 5), 'c': Member(20, 1)}, 'b'),
    ('balance', {'a': Member(10, 2), 'b': Member(30, 5), 'c': Member(20, 1)}, 'c'),
    ('free', {'a': Member(10, 3), 'cloud': Member(None, 2)}, 'cloud'),
    ('free', {'a': Member(10), 'gone': Member(error=Unavailable('no way'))}, 'a'),
    ('balance', {'closed': Member(error=Unauthorized('who?')), 'a': Member(running=7)}, 'a'),
    ('random', {'a': Member(error=Unavailable('not asked'))}, 'a')])
def test_the_member_that_is_chosen(algorithm: str, members: dict[str, Member], chosen: str) -> None:
    assert choose('labs', list(members), algorithm, members.__getitem__) == chosen
    assert all(member.closed == (algorithm != 'random') for member in members.values())


def test_one_that_does_not_answer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    members = {'a': Member(1), 'b': Member(error=Unavailable('client b: no way'))}
    with caplog.at_level(logging.WARNING, 'kvirt'):
        choose('labs', list(members), 'free', members.__getitem__)
    assert caplog.messages == ['group labs goes on without a member: client b: no way']


def test_none_answers() -> None:
    members = {name: Member(error=Unavailable(f'client {name}: no way')) for name in 'ab'}
    with pytest.raises(Unavailable, match='no member of group labs answers: client a: no way; client b: no way'):
        choose('labs', list(members), 'free', members.__getitem__)
