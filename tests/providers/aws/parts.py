"""What there is in an account, in words without ids, so that two runs can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kvirt.providers.aws import Kaws
from kvirt.testing.sweep import BROKEN_CALLS, Deed, Stage, faults, report, sweep
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import ACCOUNT, REGION, Account

_ID = re.compile(r'\b(vpc|subnet|igw|rtb|eni|sg|vol|i|dopt|eipalloc)-[0-9a-f]{8,17}\b|\b\d+\.\d+\.\d+\.\d+\b')
_REQUEST = re.compile(r'\bkvirt-[0-9a-f]{8}\b')


def parts(account: Account) -> list[str]:
    """Return everything, sorted: with the rules of groups and the routes of tables, which make things whole."""
    from moto.ec2.models import ec2_backends
    ec2 = ec2_backends[ACCOUNT][REGION]
    more = [*(f'rules of {group.name} {len(group.ingress_rules)}' for groups in ec2.groups.values()
              for group in groups.values()),
            *(f'{len(table.routes)} routes' for table in ec2.route_tables.values())]
    return sorted(_REQUEST.sub('kvirt-*', _ID.sub('*', line)) for line in [*account.everything(), *more])


def whole_or_nothing(aws: Kaws, wire: Wire, account: Account, deed: Deed, breakages: Sequence[str] = BROKEN_CALLS,
                     before: Callable[[], None] = lambda: None) -> None:
    """Fail unless *deed* is done whole or not at all, whichever call breaks."""
    class Again(Kaws):
        def close(self) -> None:
            """Stay open: a client takes long to make."""

    def connect() -> Kaws:
        aws.recent.forget()
        aws.__class__ = Again
        return aws
    outcomes = sweep(Stage(wire=wire, connect=connect, left=lambda: parts(account), deeds=(deed,)), breakages)
    assert outcomes
    assert not faults(outcomes), report(outcomes)
