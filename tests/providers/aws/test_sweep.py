"""Every call of a create goes wrong in every way, and nothing is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvirt.providers.aws import Kaws
from kvirt.providers.families.boto import Clients
from kvirt.testing.conformance.sweep import TestFaultSweep, slow  # noqa: F401
from kvirt.testing.sweep import Child, Deed, Stage
from kvirt.testing.wire import Wire
from kvirt.wait import SYSTEM
from tests.providers.aws.cloud import CREDENTIALS, KEY, REGION, ZONE, Account, Hurried, connect
from tests.providers.aws.parts import parts
from tests.providers.aws.test_conformance import AwsHarness, harness  # noqa: F401

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CREATE = {'image': 'debian12', 'flavor': 't3.micro', 'keys': [KEY], 'disks': [10, 5]}
WITH_DATA = {**CREATE, 'disks': [10, 'data']}


class Unhurried(Hurried):
    """Waits take a fiftieth of their time: two that make one name wait for each other."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        threading.Event().wait(seconds / 50)


class Light(Kaws):
    """A connection with the clients of another, which take long to make."""

    clock = Unhurried()

    def close(self) -> None:
        """Leave the clients open."""


@pytest.fixture(scope='module')
def stage(wire: Wire, clients: Clients, account: Account) -> Stage:
    def light() -> Kaws:
        connection = connect(wire.url)
        connection.__class__ = Light
        connection.conn = clients
        return connection
    account.ec2.create_volume(AvailabilityZone=ZONE, Size=1, TagSpecifications=[
        {'ResourceType': 'volume', 'Tags': [{'Key': 'Name', 'Value': 'data'}]}])
    return Stage(wire=wire, connect=light, left=lambda: parts(account), deeds=(Deed(CREATE), Deed(WITH_DATA)),
                 child=Child('tests.providers.aws.warm:Kaws', {**CREDENTIALS, 'location': REGION, 'zone': ZONE,
                                                               'endpoint_url': wire.url}, path=[str(ROOT)]))


def test_of_two_machines_that_take_one_name_exactly_one_wins(wire: Wire, account: Account,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Both launch before either looks, and moto tells births in seconds, as AWS does: who is older is often a draw."""
    monkeypatch.setattr(Kaws, 'clock', SYSTEM)
    monkeypatch.setattr('kvirt.providers.families.loosenames._TWINS_INTERVAL', 0.05)
    monkeypatch.setattr('kvirt.providers.families.loosenames._TWINS_SECONDS', 3.0)
    with connect(wire.url) as one, connect(wire.url) as other, ThreadPoolExecutor(2) as pool, slow(wire):
        for connection in (one, other):
            connection.list()
        for number in range(6):
            name = f'web-{number}'
            results = list(pool.map(lambda aws, name=name: aws.create(name, **CREATE), (one, other)))
            assert sorted(result.get('error', 'success') for result in results) == ['AlreadyExists', 'success'], results
            winner = next(result['id'] for result in results if result.ok)
            assert [row['id'] for row in one.list() if row['name'] == name] == [winner]
            assert one.delete(name).ok
    assert [each for each in account.left() if not each.endswith(' data')] == []
