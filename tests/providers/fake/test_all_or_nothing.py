"""Faults at every step, deaths at every step, and many at once."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kvirt.errors import RateLimited, Unavailable
from kvirt.providers.fake import Kfake
from kvirt.providers.fake.faults import STEPS
from kvirt.providers.families.makers import FOREIGN_PATIENCE, Maker
from kvirt.wait import CANCEL

from .conftest import KEY, Clock, create, everything, ok, refused

RICH: dict[str, Any] = {'disks': [10, 5], 'nets': ['default', 'default'], 'domain': 'example.com', 'vmport': 2222}
"""A VM for which every step makes something."""


def in_process(state: Path, code: str) -> subprocess.CompletedProcess[str]:
    head = f'from kvirt.providers.fake import Kfake\nfake = Kfake(state={str(state)!r})\nKEY = {KEY!r}\n'
    return subprocess.run([sys.executable, '-c', head + code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize('step', STEPS)
def test_a_create_that_fails_leaves_nothing(fake: Kfake, state: Path, step: str) -> None:
    fake.list()
    before = everything(state)
    with fake.inject(f'fail@{step}'):
        refused(create(fake, 'web', **RICH), 'Unavailable', f'at step {step}')
    assert everything(state) == before
    ok(create(fake, 'web', **RICH))


@pytest.mark.parametrize('step', STEPS)
def test_a_clone_that_fails_leaves_nothing(fake: Kfake, state: Path, step: str) -> None:
    ok(create(fake, 'web', start=False, **RICH))
    before = everything(state)
    with fake.inject(f'fail@{step}'):
        refused(fake.clone('web', 'copy'), 'Unavailable', f'at step {step}')
    assert everything(state) == before


@pytest.mark.parametrize('number', range(1, len(STEPS) + 1))
def test_a_create_that_is_killed_leaves_an_orphan_that_can_be_deleted(fake: Kfake, state: Path, number: int) -> None:
    fake.list()
    before = everything(state)
    done = in_process(state, f"with fake.inject('kill@{number}'):\n"
                             f"    fake.create('web', image='debian12', keys=[KEY], **{RICH!r})")
    assert done.returncode == -9, done.stderr
    if number == 1:
        assert fake.list() == []
    elif number == len(STEPS):  # only the answer was lost: the VM is complete
        assert (fake.status('web'), fake.list_orphans()) == ('running', [])
        ok(fake.delete('web'))
    else:
        assert fake.status('web') == 'failed'
        refused(fake.start('web'), 'Conflict', 'web was never finished', 'delete orphans')
        orphans = fake.list_orphans()
        assert [(orphan['kind'], orphan['name']) for orphan in orphans] == [('vm', 'web')]
        assert re.search(r'begun 20\d\d-.*Z by process \d+', orphans[0]['detail'])
        assert ok(fake.delete_orphans())['deleted'] == orphans
        assert ok(fake.delete_orphans())['deleted'] == []
    assert everything(state) == before
    ok(create(fake, 'web', **RICH))


def test_an_orphan_can_be_deleted_by_name(fake: Kfake, state: Path) -> None:
    fake.list()
    before = everything(state)
    in_process(state, f"with fake.inject('kill@dns'): fake.create('web', image='debian12', keys=[KEY], **{RICH!r})")
    refused(create(fake, 'web', **RICH), 'AlreadyExists', 'VM web exists')
    ok(fake.delete('web'))
    assert everything(state) == before


def test_what_is_being_made_is_no_orphan(fake: Kfake, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def look(step: str) -> None:
        if step == 'dns':
            seen.extend([fake.list_orphans(), fake.status('web'), fake.delete('web'), fake.start('web'),
                         fake.delete_network('default', force=True)])
    monkeypatch.setattr(type(fake.faults), 'at_step', lambda self, step: look(step))
    ok(create(fake, 'web'))
    assert seen[:2] == [[], 'pending']
    for answer in seen[2:4]:
        refused(answer, 'Conflict', 'web is still being made')
    refused(seen[4], 'Conflict', 'in use by web')
    assert fake.status('web') == 'running'


def test_what_another_machine_makes_is_left_alone_for_an_hour(fake: Kfake, clock: Clock,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    away = Maker(host='another', pid=1, started='1', since=clock.time)
    monkeypatch.setattr('kvirt.providers.fake.create.me', lambda now: away)
    monkeypatch.setattr('kvirt.providers.fake.create.Undo.__exit__', lambda *args: None)
    with fake.inject('fail@dns'):
        refused(create(fake, 'web'), 'Unavailable')
    assert (fake.list_orphans(), fake.status('web')) == ([], 'pending')
    clock.time += FOREIGN_PATIENCE + 1
    assert [orphan['name'] for orphan in fake.list_orphans()] == ['web']
    assert fake.status('web') == 'failed'


def test_a_fault_of_the_world_itself_is_undone(fake: Kfake, state: Path) -> None:
    ok(fake.reserve_dns('web', domain='example.com', ip='192.0.2.1'))
    before = everything(state)
    refused(create(fake, 'web', **RICH), 'AlreadyExists', 'DNS record web.example.com exists')
    assert everything(state) == before


def test_a_cancelled_create_leaves_nothing(fake: Kfake, state: Path) -> None:
    fake.list()
    before = everything(state)
    CANCEL.set()
    try:
        refused(create(fake, 'web'), 'Cancelled')
    finally:
        CANCEL.clear()
    assert everything(state) == before


def test_capacity(fake: Kfake, state: Path) -> None:
    fake.list()
    before = everything(state)
    with fake.inject('capacity'):
        result = create(fake, 'web')
    refused(result, 'OutOfCapacity', 'no room for VM web in lisbon')
    assert result['retryable'] is True
    assert everything(state) == before


def test_quota(state: Path) -> None:
    fake = Kfake(state=str(state), faults=['quota=2'])
    ok(create(fake, 'a', start=False))
    ok(create(fake, 'b'))
    refused(create(fake, 'c'), 'QuotaExceeded', 'the account has its 2 vms')
    refused(fake.clone('a', 'c'), 'QuotaExceeded')
    assert {'name': 'vms', 'maximum': 2, 'current': 2, 'unit': 'count'} in fake.list_quotas()
    ok(fake.delete('b'))
    ok(create(fake, 'c'))


def test_every_nth_call_stumbles_once(fake: Kfake, state: Path) -> None:
    stumbling = Kfake(state=str(state), faults=['transient=3'])
    ok(create(stumbling, 'web'))
    stumbling.list()
    result = stumbling.stop('web')
    refused(result, 'Unavailable', 'call 3')
    assert result['retryable'] is True
    assert fake.status('web') == 'running', 'the call that failed did nothing'
    ok(stumbling.stop('web'))
    stumbling.list()
    with pytest.raises(Unavailable):
        Kfake(state=str(state), faults=['transient=3']).list()  # counted across processes, as commands are


def test_rate_limit(state: Path) -> None:
    fake = Kfake(state=str(state), faults=['ratelimit=1'])
    with pytest.raises(RateLimited) as caught:
        fake.list()
    assert caught.value.retry_after == 1.0
    refused(create(fake, 'web'), 'RateLimited', 'too many calls')


def test_slow_boot(state: Path, clock: Clock) -> None:
    fake = Kfake(state=str(state), clock=clock, faults=['slowboot=90'])
    ok(create(fake, 'web'))
    clock.time += 89
    assert fake.status('web') == 'pending'
    clock.time += 1
    assert fake.status('web') == 'running'


def test_injected_faults_end_with_their_block(fake: Kfake) -> None:
    with pytest.raises(KeyError), fake.inject('capacity'):
        raise KeyError
    ok(create(fake, 'web'))


def test_of_processes_that_create_one_name_exactly_one_wins(state: Path) -> None:
    code = (f'from kvirt.providers.fake import Kfake\nimport sys\nfake = Kfake(state={str(state)!r})\n'
            f"sys.stdin.read()\nr = fake.create('web', image='debian12', keys=[{KEY!r}])\nprint(r.get('error', 'won'))")
    racers = [subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
              for _ in range(6)]
    for racer in racers:  # each waits for the end of its input, so that all begin together
        assert racer.stdin
    outcomes = []
    for racer in racers:
        assert racer.stdin
        racer.stdin.close()
        racer.stdin = None
    for racer in racers:
        outcomes.append(racer.communicate(timeout=120)[0].strip())
    assert sorted(outcomes) == ['AlreadyExists'] * 5 + ['won']
    fake = Kfake(state=str(state))
    assert fake.status('web') == 'running'
    assert (list(fake.list_disks()), fake.list_orphans()) == (['web_0.img'], [])


def test_processes_side_by_side_share_no_address(state: Path) -> None:
    code = (f'from kvirt.providers.fake import Kfake\nimport sys\nfake = Kfake(state={str(state)!r})\n'
            f"for n in range(10): fake.create(f'{{sys.argv[1]}}-{{n}}', image='debian12', keys=[{KEY!r}]).expect()")
    makers = [subprocess.Popen([sys.executable, '-c', code, name]) for name in ('a', 'b', 'c')]
    assert [maker.wait(timeout=120) for maker in makers] == [0, 0, 0]
    fake = Kfake(state=str(state))
    cards = [fake.info(row['name'])['nets'][0] for row in fake.list()]
    assert len(cards) == len({card['mac'] for card in cards}) == len({card['ip'] for card in cards}) == 30


@pytest.mark.parametrize('where', ['file', ':memory:'])
def test_threads_share_one_object(state: Path, where: str) -> None:
    fake = Kfake(state=str(state) if where == 'file' else where)

    def life(number: int) -> list[Any]:
        name = f'vm{number:02}'
        answers = [create(fake, name, domain='example.com'), fake.stop(name), fake.add_disk(name, 1),
                   fake.add_nic(name, 'default')]
        fake.list()
        return answers

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(life, range(24)):
            for answer in answers:
                ok(answer)
    cards = [card for row in fake.list() for card in fake.info(row['name'])['nets']]
    assert len(cards) == 48 == len({card['mac'] for card in cards}) == len({card['ip'] for card in cards})
    assert len(fake.list_dns('example.com')) == 24
    with ThreadPoolExecutor(8) as pool:
        assert all(result.ok for result in pool.map(lambda number: fake.delete(f'vm{number:02}'), range(24)))
    assert (fake.list(), fake.list_disks(), fake.list_dns('example.com')) == ([], {}, [])


def test_threads_that_create_one_name(fake: Kfake) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: create(fake, 'web', memory=1000 + number), range(8)))
    won = [number for number, result in enumerate(results) if result.ok]
    assert len(won) == 1
    assert {result.get('error') for result in results} == {None, 'AlreadyExists'}
    assert fake.info('web')['memory'] == 1000 + won[0]


def test_a_forked_process_opens_the_file_anew(fake: Kfake) -> None:
    ok(create(fake, 'web'))
    before = fake.conn._open()
    process, fake.conn._process = fake.conn._process, -1
    assert fake.conn._open() is not before
    assert fake.conn._process == process
    assert fake.status('web') == 'running'
