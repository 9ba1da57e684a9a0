"""The pytest plug-in: which provider to test, and the fixtures that tests of providers use.

It is loaded by every run of pytest where kvirt is installed, so it imports nothing of kvirt until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kvirt.base import Kbase
    from kvirt.testing.harness import Harness
    from kvirt.testing.platform import Platform
    from kvirt.testing.sweep import Stage
    from kvirt.testing.watch import Watch

pytest.register_assert_rewrite('kvirt.testing.conformance', 'kvirt.testing.platform', 'kvirt.testing.watch')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the provider to test."""
    group = parser.getgroup('kvirt', 'conformance of kvirt providers')
    group.addoption('--kvirt-provider', metavar='NAME', help='the provider to test')
    group.addoption('--kvirt-harness', metavar='MODULE:CLASS', help='a subclass of kvirt.testing.Harness to use')
    group.addoption('--kvirt-option', metavar='KEY=VALUE', action='append', default=[], help='an option of the provider')
    group.addoption('--kvirt-create', metavar='KEY=VALUE', action='append', default=[],
                    help='a keyword of every VM that is created; the value is YAML')
    for name, meaning in (('image', 'image to make VMs from'), ('network', 'network to connect VMs to'),
                          ('pool', 'storage pool to use'), ('zone', 'DNS zone to make records in')):
        group.addoption(f'--kvirt-{name}', metavar='NAME', help=f"{meaning}; the provider's first when absent")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of the suite."""
    config.addinivalue_line('markers', 'needs(*operations): skip where the provider lacks one of these operations')


@pytest.fixture(scope='module')
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return the harness of the provider that the command line names. A package of its own overrides this fixture."""
    from kvirt.testing.chosen import harness_of
    harness = harness_of(request.config, tmp_path_factory.mktemp('kvirt'))
    yield harness
    harness.close()


@pytest.fixture(scope='module')
def watch() -> Watch:
    """Return what observes the provider."""
    from kvirt.testing.watch import Watch
    return Watch()


@pytest.fixture(scope='module')
def connection(harness: Harness, watch: Watch) -> Iterator[Kbase]:
    """Return a connection under observation, one for all tests of a module."""
    with harness.make() as provider:
        assert provider.conn is not None, f'there is nothing to test: {provider.unreachable}'
        yield watch.over(provider)


@pytest.fixture
def provider(request: pytest.FixtureRequest, harness: Harness, watch: Watch, connection: Kbase) -> Iterator[Kbase]:
    """Return the provider. What a test made with it is deleted afterwards, and nothing may be left."""
    from kvirt.testing.platform import tidied
    watch.tests.add(f'{request.cls.__name__ if request.cls else ""}.{request.function.__name__}')
    for marker in request.node.iter_markers('needs'):
        for operation in marker.args:
            _need(connection, harness, operation)
    yield connection
    left = tidied(connection, harness)
    assert not left, '; '.join(left)


@pytest.fixture
def platform(provider: Kbase, harness: Harness) -> Platform:
    """Return the provider with what tests keep doing with it."""
    from kvirt.testing.platform import Platform
    return Platform(provider, harness)


@pytest.fixture
def stage(harness: Harness) -> Iterator[Stage]:
    """Return where the fault sweep is done."""
    stage = harness.stage()
    if stage is None:
        pytest.skip('the harness has no stage: no call can be broken here')
    before = stage.left()
    yield stage
    left = stage.left()
    assert left == before, f'left behind: {left}'


def _need(provider: Kbase, harness: Harness, operation: str) -> None:
    """Skip where *operation* is not supported; fail where a finished provider has not got around to it."""
    if provider.supports(operation):
        return
    capability = provider.capability(operation)
    reason = provider.lacks.get(operation) or capability.reason or capability.mark
    if harness.finished and capability.mark == 'not yet':
        pytest.fail(f'the catalog calls {harness.provider} finished, but {operation} is not written yet', pytrace=False)
    pytest.skip(f'{type(provider).__name__} does not support {operation}: {reason}')


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which provider is tested."""
    chosen: Any = config.getoption('--kvirt-provider')
    return [f'kvirt provider: {chosen}'] if chosen else []
