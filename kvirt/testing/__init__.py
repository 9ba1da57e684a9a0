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
        lag = 30

    @pytest.fixture(scope='module')
    def harness(tmp_path_factory):
        return MyHarness(tmp_path_factory.mktemp('kvirt'))

A test that needs what the provider lacks is skipped, with the provider's own reason. See :class:`Harness`, and
:mod:`kvirt.testing.structure` for what can be told of a provider without running it.

Where there is a pretended cloud to run on (:mod:`kvirt.testing.cloud`, behind :mod:`kvirt.testing.wire`), a harness with
a ``stage`` gets the fault sweep as well: each call of a create goes wrong in each way, and nothing may be left behind. See
:mod:`kvirt.testing.sweep`; the tests are in :mod:`kvirt.testing.conformance.sweep`.
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
