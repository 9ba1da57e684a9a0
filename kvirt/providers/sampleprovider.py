"""A provider to start from: copy this file, rename the class, and fill the hooks that your platform has.

Every hook raises when something is wrong and returns what its public method (in kvirt/base) documents. Leave out what
you have not written yet: it is then reported as "not yet". State what the platform will never have with its reason, and
see the result with ``kvirt info provider NAME``. A package of your own offers its provider by an entry point::

    [project.entry-points."kvirt.providers"]
    mycloud = "mypackage.provider:Kmycloud"
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any

from kvirt.base import Kbase, Options, option, unsupported
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, KvirtError, NotFound, NotSupported, Unavailable
from kvirt.guest.guest import Guest
from kvirt.names import did_you_mean
from kvirt.shapes import DiskShape, NetworkShape, NicShape, VmInfo, VmRow
from kvirt.spec import VmSpec

STATUS = {'on': 'running', 'off': 'stopped'}
"""Every word of the platform, and the standard one. Look words up with ``STATUS.get(word, 'unknown')``."""

IMAGES = ('debian12', 'ubuntu2404')
NETWORKS: dict[str, NetworkShape] = {'default': {'cidr': '10.0.0.0/24', 'dhcp': True, 'mode': 'nat'}}

Native = dict[str, Any]


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
        self.conn: dict[str, Native] | None = {}
        self._lock = threading.Lock()  # what an SDK can't share between threads is guarded where it is used

    def translate(self, error: Exception) -> KvirtError | None:
        """Map the SDK's exceptions; return None for what is a bug."""
        return Unavailable(f'the platform answered: {error}') if isinstance(error, ConnectionError) else None

    # One function finds a native thing or None, one raises NotFound, and one maps it. Nothing else knows the native form.

    def _find(self, name: str) -> Native | None:
        if self.conn is None:
            raise Unavailable(self.unreachable or 'not connected')
        return self.conn.get(name) or next((vm for vm in list(self.conn.values()) if vm['id'] == name), None)

    def _get(self, name: str) -> Native:
        native = self._find(name)
        if native is None:
            raise NotFound(f'VM {name} does not exist')
        return native

    def vm_row(self, native: Mapping[str, Any]) -> VmRow:
        """Map a native VM to a row."""
        fields = native['fields']
        return {'name': native['name'], 'status': STATUS.get(native['power'], 'unknown'),  # type: ignore[typeddict-item]
                'ip': None, 'id': native['id'], 'image': fields.get('image', ''), 'plan': fields.get('plan', ''),
                'profile': fields.get('profile', ''), 'numcpus': native['numcpus'], 'memory': native['memory'],
                'location': self.region}

    def _list(self) -> Rows:
        return sorted((self.vm_row(native) for native in list((self.conn or {}).values())), key=lambda row: row['name'])

    def _info(self, name: str) -> VmInfo:
        native = self._get(name)
        known: VmInfo = {**native['fields'], **self.vm_row(native),  # type: ignore[typeddict-item]
                         'native_status': native['power'], 'creationdate': native['created'], 'nets': native['nets'],
                         'disks': native['disks']}
        return known

    # Look everything up first, then make it. With several steps: ``with Undo().translating(self.translate) as undo:`` and
    # an inverse by mark before each step (see kvirt/undo.py).

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        self._refuse(spec)
        native = {'id': str(uuid.uuid4()), 'name': name, 'power': 'on' if spec.start else 'off', 'numcpus': spec.numcpus,
                  'memory': spec.memory, 'created': datetime.now(timezone.utc).isoformat(), 'nets': self._nets(spec),
                  'disks': self._disks(spec), 'fields': marks(spec, guest)}
        with self._lock:
            if self._find(name) is not None:
                raise AlreadyExists(f'VM {name} exists')
            assert self.conn is not None
            self.conn[name] = native
        return {'id': native['id']}

    @staticmethod
    def _refuse(spec: VmSpec) -> None:
        """Refuse what is asked for and can't be had: nothing that a user writes is ignored."""
        if spec.pool != 'default' or any(disk.pool for disk in spec.disks):
            raise NotSupported('the sample platform has no storage pools')
        if spec.autostart:
            raise NotSupported('the sample platform has no host that VMs could start with')

    def _disks(self, spec: VmSpec) -> list[DiskShape]:
        if spec.iso:
            raise NotFound(f"ISO '{spec.iso}' does not exist: the sample platform has none")
        for image in (spec.image, *(disk.image for disk in spec.disks)):
            if image is not None and image not in IMAGES:
                raise NotFound(f"image '{image}' does not exist{did_you_mean(image, IMAGES)}",
                               hint="'kvirt list image' shows what is there")
        return [{'device': f'disk{index}', 'size': spec.disk_size(disk)} for index, disk in enumerate(spec.disks)]

    def _nets(self, spec: VmSpec) -> list[NicShape]:
        cards = spec.cards()
        for card in cards:
            if card.name not in NETWORKS:
                raise NotFound(f"network '{card.name}' does not exist{did_you_mean(card.name, NETWORKS)}",
                               hint="'kvirt list network' shows what is there")
        return [{'device': f'eth{index}', 'net': card.name, 'mac': card.mac or fresh_mac()}
                for index, card in enumerate(cards)]

    def _start(self, name: str) -> None:
        self._get(name)['power'] = 'on'

    def _stop(self, name: str, soft: bool = False) -> None:
        self._get(name)['power'] = 'off'

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        with self._lock:
            native = self._get(name)
            assert self.conn is not None
            del self.conn[native['name']]
        return None

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        names = [] if iso else sorted(IMAGES)
        return [{'name': name} for name in names] if extended else names

    def _list_networks(self) -> dict[str, NetworkShape]:
        return NETWORKS

    _create_bucket = unsupported('the sample platform has no object storage')


def fresh_mac() -> str:
    """Return a MAC address that no other card has."""
    return f"52:54:00:{secrets.token_bytes(3).hex(':')}"


def marks(spec: VmSpec, guest: Guest) -> dict[str, str]:
    """Return what is kept on a VM, as labels, tags or whatever the platform has: how it is found and shown again."""
    known = {'plan': spec.plan, 'profile': spec.profile, 'image': spec.image, 'owner': spec.owner, 'domain': spec.domain,
             'tags': ','.join(spec.tags), 'user': guest.user,
             'hostkey': guest.host_key.fingerprint if guest.host_key else None, **spec.metadata}
    return {key: value for key, value in known.items() if value}


__all__ = ['Kbase', 'Ksample']
