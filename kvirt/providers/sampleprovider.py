"""A provider to start from: copy this file, rename the class, and fill the hooks that your platform has.

Every hook raises when something is wrong and returns what its public method (in kvirt/base) documents. Leave out what
you have not written yet: it is then reported as "not yet". State what the platform will never have with its reason, and
see the result with ``kvirt info provider NAME``. A package of your own offers its provider by an entry point::

    [project.entry-points."kvirt.providers"]
    mycloud = "mypackage.provider:Kmycloud"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from kvirt.base import Kbase, Options, option, unsupported
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, KvirtError, NotFound, Unavailable
from kvirt.guest.guest import Guest
from kvirt.shapes import VmInfo, VmRow
from kvirt.spec import VmSpec

STATUS = {'on': 'running', 'off': 'stopped'}
"""Every word of the platform, and the standard one. Look words up with ``STATUS.get(word, 'unknown')``."""


class SampleOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of this provider may have in config.yml."""

    region: Annotated[str, option('Where VMs are made')] = 'here'
    token: Annotated[str | None, option('Key of the account', secret=True, env=('SAMPLE_TOKEN',))] = None


class Ksample(Kbase):
    """A platform that keeps its VMs in a dictionary."""

    Options = SampleOptions
    honours = frozenset({'virttype'})

    def __init__(self, region: str = 'here', token: str | None = None, home: str | None = None,
                 debug: bool = False) -> None:
        """Connect. Where the platform can't be reached, leave ``conn`` None and say why in ``unreachable``."""
        self.debug = debug
        self.region = region
        self.conn: dict[str, dict[str, Any]] | None = {}

    # One function finds a native thing or None, one raises NotFound, and one maps it. Nothing else knows the native form.

    def _vms(self) -> dict[str, dict[str, Any]]:
        if self.conn is None:
            raise Unavailable(self.unreachable or 'not connected')
        return self.conn

    def _get(self, name: str) -> dict[str, Any]:
        try:
            return self._vms()[name]
        except KeyError:
            raise NotFound(f'VM {name} does not exist') from None

    def vm_row(self, native: Mapping[str, Any]) -> VmRow:
        """Map a native VM to a row."""
        return {'name': native['name'], 'status': STATUS.get(native['power'], 'unknown'),  # type: ignore[typeddict-item]
                'ip': None, 'plan': native['plan'], 'numcpus': native['numcpus'], 'memory': native['memory']}

    def translate(self, error: Exception) -> KvirtError | None:
        """Map the SDK's exceptions; return None for what is a bug."""
        return Unavailable(f'the platform answered: {error}') if isinstance(error, ConnectionError) else None

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        if name in self._vms():
            raise AlreadyExists(f'VM {name} exists')
        # With several steps: ``with Undo() as undo:`` and an inverse by mark before each step (see kvirt/undo.py).
        self._vms()[name] = {'name': name, 'power': 'on' if spec.start else 'off', 'plan': spec.plan,
                             'numcpus': spec.numcpus, 'memory': spec.memory}
        return None

    def _start(self, name: str) -> None:
        self._get(name)['power'] = 'on'

    def _stop(self, name: str, soft: bool = False) -> None:
        self._get(name)['power'] = 'off'

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        self._get(name)
        del self._vms()[name]
        return None

    def _list(self) -> Rows:
        return sorted((self.vm_row(native) for native in self._vms().values()), key=lambda row: row['name'])

    def _info(self, name: str) -> VmInfo:
        known: VmInfo = {**self.vm_row(self._get(name)), 'native_status': self._get(name)['power']}  # type: ignore
        return known

    _create_bucket = unsupported('the sample platform has no object storage')


__all__ = ['Kbase', 'Ksample']
