"""What an author of a provider tests with: one suite that says what every provider promises.

For a provider that kvirt knows, ours or of an installed package, nothing has to be written::

    pytest --pyargs kvirt.testing --kvirt-provider mycloud --kvirt-option region=here

In a package of your own, a test module says what the suite can't find out by itself::

    from kvirt.testing import Harness
    from kvirt.testing.conformance import *

    class MyHarness(Harness):
        provider = 'mycloud'
        options = {'region': 'here'}
        boots = True

    @pytest.fixture(scope='module')
    def harness(tmp_path_factory):
        return MyHarness(tmp_path_factory.mktemp('kvirt'))

A test that needs what the provider lacks is skipped, with the provider's own reason. See :class:`Harness`, and
:mod:`kvirt.testing.structure` for what can be told of a provider without running it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvirt.testing.harness import Harness

__all__ = ['Harness']


def __getattr__(name: str) -> Any:
    # Lazily, since the plug-in in this package is loaded by every run of pytest where kvirt is installed.
    if name == 'Harness':
        from kvirt.testing.harness import Harness
        return Harness
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
