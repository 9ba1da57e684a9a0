"""How the suite tests the provider: ``pytest --pyargs kvirt.testing --kvirt-harness toycloud.harness:ToyHarness``."""

from __future__ import annotations

from pathlib import Path

from kvirt.testing import Harness
from kvirt.testing.sweep import Child, Deed, Haste, Stage
from kvirt.testing.wire import Wire
from toycloud.cloud import ToyCloud
from toycloud.provider import Ktoycloud


class ToyHarness(Harness):
    """The toy cloud, served on loopback."""

    provider = 'toycloud'
    boots = True
    interval = 0.01
    lag = 5
    many = 13
    without = frozenset({'mac', 'cardless', 'cards', 'card twice', 'first card', 'disk image', 'disk name'})
    userdata_limit = 20_000
    portable = ('debian12', 'ubuntu2404')
    sees_all = True
    thorough = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = ToyCloud()
        self.cloud.page = 4
        self.wire = Wire(self.cloud)
        self.wire.__enter__()
        self.options = {'api': self.wire.url, 'token': ToyCloud.token}
        self.extras = {'clock': Haste()}

    def close(self) -> None:
        self.wire.__exit__(None, None, None)

    def leftovers(self) -> list[str]:
        return [line for line in self.cloud.words() if self.prefix in line]

    def stage(self) -> Stage:
        options = dict(self.options)
        return Stage(wire=self.wire, connect=lambda: Ktoycloud(**options, clock=Haste()), left=self.cloud.words,
                     deeds=(Deed({'image': 'debian12', 'numcpus': 1, 'disks': [10, 5, 6], 'nokeys': True}),),
                     child=Child('toycloud', options))
