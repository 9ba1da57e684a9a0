"""From My Cloud's words to those of the contract, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from kvirt.providers.families import marks
from kvirt.shapes import DiskShape, Flavor, Status, VmInfo, VmRow

Thing = Mapping[str, Any]

STATUS: Mapping[str, Status] = {'creating': 'pending', 'starting': 'pending', 'on': 'running', 'stopping': 'stopping',
                                'off': 'stopped', 'deleting': 'terminating', 'error': 'failed'}
"""Every status of a server, and the standard one."""

IMAGES = {'debian12': 'debian-12', 'debian13': 'debian-13', 'ubuntu2404': 'ubuntu-24.04'}
"""The well-known names of images, and the platform's own."""


def vm_row(server: Thing) -> VmRow:
    """Map a server to a row."""
    fields = marks.from_labels(server['labels'])
    return {'name': server['name'], 'status': STATUS.get(server['status'], 'unknown'), 'ip': server['address'],
            'image': fields.get('image') or image_name(server['image']), 'plan': fields.get('plan', ''),
            'profile': fields.get('profile', ''), 'id': str(server['id']), 'flavor': server['type']['name'],
            'numcpus': server['type']['cpus'], 'memory': server['type']['memory'], 'location': server['region']}


def vm_info(server: Thing) -> VmInfo:
    """Map a server to all that is known of it."""
    row = vm_row(server)
    fields = marks.unshown(marks.from_labels(server['labels']))
    return cast(VmInfo, {
        **fields, **row, 'nets': [{'device': 'eth0', 'net': 'default', 'type': 'virtio'}],
        'disks': [disk(number, size) for number, size in enumerate([server['type']['disk'], *server['disks']])],
        'snapshots': [], 'autostart': False, 'creationdate': marks.iso_date(server['created']),
        'native_status': server['status'], 'stoppable': True, 'rebootable': True, 'resizable': False,
        'preemptible': False, 'firewall': False})


def disk(number: int, size: int) -> DiskShape:
    """Map the *number*-th disk of a server."""
    device = f'vd{chr(ord("a") + number)}'
    return {'device': device, 'size': size, 'format': 'raw', 'type': 'local', 'path': f'/dev/{device}'}


def location(region: Thing) -> dict[str, Any]:
    """Map a region."""
    return {'name': region['name'], 'description': region['description'], 'country': region['country']}


def flavor(native: Thing, location: str) -> Flavor:
    """Map a type of server."""
    return Flavor(name=native['name'], numcpus=native['cpus'], memory=native['memory'], disk=native['disk'],
                  price_hourly=native['price_hourly'], price_monthly=native['price_monthly'], currency='EUR',
                  location=location, available=native['available'], resizable=False)


def image_name(native: str) -> str:
    """Return what ``create`` calls an image: its well-known name where it has one."""
    return next((short for short, name in IMAGES.items() if name == native), native)
