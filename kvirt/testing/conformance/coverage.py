"""The last word: nothing that a provider supports went untested, and a finished one lacks nothing it could have."""

from __future__ import annotations

import inspect

import pytest

from kvirt.base import Kbase
from kvirt.testing.harness import Harness
from kvirt.testing.watch import Watch


class TestCoverage:
    """Judged at the end of a run of the whole suite."""

    def test_every_supported_operation_was_used_with_success(self, request: pytest.FixtureRequest, connection: Kbase,
                                                             watch: Watch) -> None:
        missing = sorted(whole_suite() - watch.tests)
        if missing and whole_run_was_asked_for(request.config):
            pytest.fail('the suite was spread over several processes: run pytest-xdist with --dist loadfile',
                        pytrace=False)
        if missing:
            pytest.skip(f'only a part of the suite ran in this process; {missing[0]} did not')
        assert watch.never_entered(connection) == [], 'these are supported, and no test entered their hooks'
        assert watch.never_done(connection) == [], 'these are supported, and never succeeded'

    def test_a_finished_provider_lacks_nothing_it_could_have(self, connection: Kbase, harness: Harness) -> None:
        waiting = [each.operation for each in connection.capabilities() if each.mark == 'not yet']
        if waiting and not harness.finished:
            pytest.skip(f'{type(connection).__name__} is not called finished: not yet {len(waiting)} operations')
        assert waiting == [], 'the catalog calls the provider finished'


def whole_run_was_asked_for(config: pytest.Config) -> bool:
    """Tell if this is one of several processes that share a run of everything."""
    marked = config.option.markexpr not in ('', 'slow', 'not slow')  # these divide files, and not the suite
    chosen = config.option.keyword or marked or any('::' in argument for argument in config.args)
    return hasattr(config, 'workerinput') and not chosen


def whole_suite() -> set[str]:
    """Return every test of the suite but these, as ``Class.function``."""
    from kvirt.testing import conformance
    areas = {name: getattr(conformance, name) for name in conformance.__all__ if name != TestCoverage.__name__}
    return {f'{name}.{method}' for name, area in areas.items()
            for method, _ in inspect.getmembers(area, inspect.isfunction) if method.startswith('test_')}
