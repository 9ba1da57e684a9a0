"""What the conformance suite has to know of My Cloud."""

from __future__ import annotations

from pathlib import Path

from kvirt.testing import Harness
from kvirt.testing.sweep import Child, Deed, Haste, Stage
from kvirt.testing.wire import Wire

from .cloud import TOKEN, MyCloud
from .conftest import open_wire


class MyCloudHarness(Harness):
    """An account of the pretended My Cloud, open from the start until it is closed."""

    provider = 'mycloud'
    image = 'debian12'
    portable = ('debian12', 'debian13', 'ubuntu2404')
    boots = True
    interval = 0.002
    many = 7
    without = frozenset({'mac', 'cardless', 'cards', 'card twice', 'disk image'})
    userdata_limit = 32 * 1024
    sees_all = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = MyCloud()
        self.wire: Wire = open_wire(self.cloud).__enter__()
        self.options = {'token': TOKEN, 'api': f'{self.wire.url}/v1', 'location': 'north'}
        self.extras = {'clock': Haste()}

    def close(self) -> None:
        self.wire.__exit__(None, None, None)
        assert self.wire.verdicts == []

    def leftovers(self) -> list[str]:
        return self.cloud.words()

    def stage(self) -> Stage:
        """Return where calls are broken."""
        return Stage(wire=self.wire, connect=self.make, left=self.cloud.words,
                     deeds=[Deed({'image': 'debian12', 'nokeys': True, 'disks': [10, 5]})],
                     child=Child('mycloud', self.options))
