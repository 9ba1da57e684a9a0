"""The conformance suite on AWS: moto's server, past which the account is looked at."""

from __future__ import annotations

import pytest

from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import CREDENTIALS, REGION, ZONE, Account

pytestmark = pytest.mark.slow


class AwsHarness(Harness):
    """An account of AWS."""

    provider = 'aws'
    image = 'debian12'
    portable = ('debian12', 'ubuntu2404', 'rocky9', 'fcos')
    interval = 0.01
    many = 7
    userdata_limit = 16384
    without = frozenset({'mac', 'cardless', 'snapshot state', 'dhcp', 'first card'})
    thorough = False
    sees_all = True
    account: Account

    def leftovers(self) -> list[str]:
        return self.account.left()


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory, wire: Wire, account: Account) -> AwsHarness:
    harness = AwsHarness(tmp_path_factory.mktemp('aws'))
    harness.account = account
    harness.options = {**CREDENTIALS, 'location': REGION, 'zone': ZONE, 'endpoint_url': wire.url}
    return harness
