"""An account of AWS for each module: moto's server behind a wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import create_loader
from botocore.session import Session

from kvirt.providers.aws import Kaws
from kvirt.providers.families.boto import Clients
from kvirt.result import Result
from kvirt.testing.botojudge import BotoJudge
from kvirt.testing.wire import Wire
from tests.providers.aws.cloud import KEY, Account, Aws, Hurried, connect, refusal


@pytest.fixture(scope='module', autouse=True)
def no_pauses() -> Iterator[None]:
    """Let waits and retries take next to no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kaws, 'clock', Hurried())
        patch.setattr('botocore.endpoint.time', SimpleNamespace(sleep=lambda seconds: None))
        yield


@pytest.fixture(scope='session', autouse=True)
def light() -> Iterator[None]:
    """Spare what takes time and tells nothing: the 1,300 images of moto, and reading boto3's descriptions again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MOTO_EC2_LOAD_DEFAULT_AMIS', 'false')
        loader = create_loader()
        patch.setattr(Session, '_register_data_loader',
                      lambda self: self._components.register_component('data_loader', loader))
        yield


@pytest.fixture(scope='module')
def wire() -> Iterator[Wire]:
    """The wire to the account. What is asked or answered there that AWS would not know fails the module."""
    app = Aws()
    with Wire(app, judge=BotoJudge(), refusal=refusal) as wire, Wire(app) as side:
        app.url = side.url
        yield wire
    assert app.faults == []
    assert wire.verdicts == []


@pytest.fixture(scope='module')
def account(wire: Wire) -> Account:
    """The account, past the provider; anew for each module."""
    assert isinstance(wire.app, Aws)
    return Account(wire.app)


@pytest.fixture(scope='module')
def clients(wire: Wire, account: Account) -> Iterator[Clients]:
    """The clients of boto3, shared by the connections of a module: they take long to make."""
    with connect(wire.url) as connection:
        yield connection.conn


@pytest.fixture
def aws(wire: Wire, clients: Clients) -> Iterator[Kaws]:
    """A connection of a test's own, which remembers nothing yet."""
    connection = connect(wire.url)
    connection.conn = clients
    yield connection
    wire.calm()


@pytest.fixture
def vm(aws: Kaws) -> Callable[..., str]:
    """Return a function that makes a VM, and returns its name."""
    def make(name: str = 'web', **keywords: Any) -> str:
        ok(create(aws, name, **keywords))
        return name
    return make


def create(aws: Kaws, name: str, **keywords: Any) -> Result:
    return aws.create(name, **{'image': 'debian12', 'flavor': 't3.micro', 'keys': [KEY], **keywords})


def ok(result: Result) -> Result:
    assert result['result'] == 'success', result
    return result


def refused(result: Result, error: str, *words: str) -> None:
    """Assert that *result* is this failure, and that its reason has all *words*."""
    assert result.get('error') == error, result
    assert all(word in result['reason'] for word in words), result['reason']
