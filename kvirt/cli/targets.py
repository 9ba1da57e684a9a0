"""Which VMs a command means, doing something to each of them, and telling how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvirt.cli import output
from kvirt.cli.context import Session
from kvirt.cli.errors import report, worst
from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound

if TYPE_CHECKING:
    from kvirt.config import Kconfig
    from kvirt.result import Result


@dataclass(frozen=True)
class Target:
    """A VM of a client."""

    config: Kconfig
    name: str


def targets(session: Session, names: Sequence[str]) -> list[Target]:
    """Return the VMs that *names* mean: with one client its own; with several, whichever has it; without names the last.

    A name that several of the clients bear is Conflict, one that none bears NotFound.
    """
    wanted = list(dict.fromkeys(names))
    clients = session.clients
    if not wanted:
        if len(clients) > 1:
            raise InvalidInput('with several clients, VMs must be named')
        return [last_vm(session, session.config(clients[0]))]
    if len(clients) == 1:
        return [Target(session.config(clients[0]), name) for name in wanted]
    from kvirt.parallel import in_parallel
    configs = [session.config(client) for client in clients]
    known = in_parallel(configs, lambda config: {word for row in config.k.list()
                                                 for word in (row['name'], row.get('id')) if word}, workers=len(configs))
    return [_only(name, [config for config, words in zip(configs, known, strict=True) if name in words])
            for name in wanted]


def _only(name: str, having: Sequence[Kconfig]) -> Target:
    if not having:
        raise NotFound(f'VM {name} does not exist on any of the clients')
    if len(having) > 1:
        raise Conflict(f"VM {name} exists on {' and on '.join(config.client for config in having)}",
                       hint='Name one client with -C')
    return Target(having[0], name)


def last_vm(session: Session, config: Kconfig) -> Target:
    """Return the VM that was created last with the client of *config*."""
    from kvirt.cli.lastvm import LastVms
    name = LastVms(session.settings).newest(config.client)
    if name is None:
        raise InvalidInput(f'no VM is named, and none was created with client {config.client} yet')
    session.say(f'Using VM {name} on {config.client}, the last one created')
    return Target(config, name)


def one(session: Session, name: str | None) -> Target:
    """Return the one VM that *name* means, or the last one."""
    return targets(session, [name] if name else [])[0]


def act(session: Session, found: Sequence[Target], work: Callable[[Target], Result], done: str) -> int:
    """Do *work* to each VM, some at a time; say *done* of those where it succeeded; return the exit code."""
    from kvirt.parallel import in_parallel
    outcomes = in_parallel(found, work)
    codes = [tell(session, outcome, f'VM {target.name} {done} on {target.config.client}')
             for target, outcome in zip(found, outcomes, strict=True)]
    output.results(session, [{'name': target.name, **outcome} for target, outcome in
                             zip(found, outcomes, strict=True)], several=len(found) > 1)
    return worst(codes)


def tell(session: Session, outcome: Result, done: str) -> int:
    """Say *done* of a success, or what went wrong; return the exit code."""
    error = outcome.error
    if error is None:
        session.say(done)
        return 0
    return report(error)


def change(session: Session, name: str, outcome: Result, done: str) -> int:
    """Tell the outcome of one change in words, and as data for programs."""
    code = tell(session, outcome, done)
    output.results(session, [{'name': name, **outcome}], several=False)
    return code


def changes(session: Session, names: Sequence[str], work: Callable[[str], Result], done: str) -> int:
    """Do *work* to each of *names*, one after another; *done* is a phrase with ``{}`` for the name."""
    from kvirt.result import Result as Outcome
    outcomes = []
    codes = []
    for name in dict.fromkeys(names):
        try:
            outcome = work(name)
        except KvirtError as error:
            outcome = Outcome.failure(error)
        codes.append(tell(session, outcome, done.format(name)))
        outcomes.append({'name': name, **outcome})
    output.results(session, outcomes, several=len(outcomes) > 1)
    return worst(codes)


