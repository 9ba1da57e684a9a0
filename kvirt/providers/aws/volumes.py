"""EBS volumes: their types, which are the pools here, and the devices that they are attached as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kvirt.errors import Conflict, NotFound
from kvirt.names import did_you_mean

DEFAULT_POOL = 'default'
DEFAULT_TYPE = 'gp3'

POOLS: Mapping[str, str] = {
    'gp2': 'general purpose SSD, whose speed grows with its size', 'gp3': 'general purpose SSD',
    'io1': 'SSD with a promised speed', 'io2': 'durable SSD with a promised speed', 'sc1': 'cold HDD, from 125 GiB',
    'st1': 'HDD for throughput, from 125 GiB', 'standard': 'magnetic, of the previous generation'}
"""The types of volumes. The pool ``default`` is gp3."""

_SPEED = {'io1': 50, 'io2': 500}  # the most operations a second that a GiB may have
_USUAL_SPEED = 3000  # operations a second, what gp3 has of itself

# The first that EC2 recommends for data; the guest sees NVMe names of its own in any case.
_DEVICES = [f'/dev/sd{letter}' for letter in 'fghijklmnop'] + [f'/dev/xvd{first}{second}' for first in 'bc'
                                                               for second in 'abcdefghijklmnopqrstuvwxyz']


def volume_type(pool: str | None) -> str:
    """Return the type of volumes that *pool* means. NotFound."""
    if pool in (None, DEFAULT_POOL):
        return DEFAULT_TYPE
    if pool not in POOLS:
        raise NotFound(f"pool '{pool}' does not exist{did_you_mean(str(pool), POOLS)}",
                       hint=f"A pool is a type of EBS volumes here: {', '.join(POOLS)}")
    return str(pool)


def speed_of(kind: str, size: int) -> dict[str, int]:
    """Return the speed that a volume of this type and size must be asked for with, where it must."""
    return {'Iops': max(100, min(_USUAL_SPEED, _SPEED[kind] * size))} if kind in _SPEED else {}


def block_device(device: str, size: int, pool: str | None, snapshot: str | None = None) -> dict[str, Any]:
    """Return a disk of RunInstances, which goes with its VM."""
    kind = volume_type(pool)
    return {'DeviceName': device, 'Ebs': {
        'VolumeSize': size, 'VolumeType': kind, 'DeleteOnTermination': True, **speed_of(kind, size),
        **({'SnapshotId': snapshot} if snapshot else {})}}


def free_device(taken: Iterable[str]) -> str:
    """Return the first device that is not taken. Conflict when all are."""
    used = set(taken)
    device = next((device for device in _DEVICES if device not in used), None)
    if device is None:
        raise Conflict(f'the VM has {len(used)} disks, and no room for more')
    return device
