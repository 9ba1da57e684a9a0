"""Every call of a create goes wrong in every way, and nothing is left behind."""

from __future__ import annotations

import pytest

from kvirt.providers.aws import Kaws
from kvirt.testing.conformance.sweep import TestFaultSweep  # noqa: F401
from kvirt.testing.sweep import Child, Deed, Stage
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import CREDENTIALS, KEY, REGION, ZONE, Account, connect
from tests.providers.aws.parts import parts
from tests.providers.aws.test_conformance import AwsHarness, harness  # noqa: F401

pytestmark = pytest.mark.slow

CREATE = {'image': 'debian12', 'flavor': 't3.micro', 'keys': [KEY], 'disks': [10, 5]}


class Kept(Kaws):
    """A connection that stays open: its clients take long to make. It remembers nothing from one run to the next."""

    def close(self) -> None:
        self.recent.forget()
        self.forget()


@pytest.fixture(scope='module')
def stage(wire: Wire, account: Account) -> Stage:
    kept = connect(wire.url)
    kept.__class__ = Kept
    return Stage(wire=wire, connect=lambda: kept, left=lambda: parts(account), deeds=(Deed(CREATE),),
                 child=Child('aws', {**CREDENTIALS, 'location': REGION, 'zone': ZONE, 'endpoint_url': wire.url}))
