"""What the pretended DigitalOcean sells: regions, sizes, images."""

from __future__ import annotations

from typing import Any

REGION_NAMES = {'ams3': 'Amsterdam 3', 'nyc3': 'New York 3', 'sfo3': 'San Francisco 3'}

_SIZES: tuple[tuple[str, int, int, int, float, tuple[str, ...]], ...] = (
    # slug, CPUs, memory, disk, a month in dollars, where
    ('s-1vcpu-512mb-10gb', 1, 512, 10, 4, ('ams3', 'nyc3', 'sfo3')),
    ('s-1vcpu-1gb', 1, 1024, 25, 6, ('ams3', 'nyc3', 'sfo3')),
    ('s-1vcpu-2gb', 1, 2048, 50, 12, ('ams3', 'nyc3', 'sfo3')),
    ('s-2vcpu-2gb', 2, 2048, 60, 18, ('ams3', 'nyc3', 'sfo3')),
    ('s-2vcpu-4gb', 2, 4096, 80, 24, ('ams3', 'nyc3', 'sfo3')),
    ('s-4vcpu-8gb', 4, 8192, 160, 48, ('ams3', 'nyc3', 'sfo3')),
    ('c-2', 2, 4096, 25, 42, ('ams3',)),
    ('gpu-h100x1-80gb', 20, 245760, 720, 2473.92, ('nyc3',)),
    ('m-2vcpu-16gb', 2, 16384, 50, 84, ()),
)

_IMAGES: tuple[tuple[str, str, str, int], ...] = (
    ('centos-stream-9-x64', '9 Stream x64', 'CentOS', 10), ('debian-11-x64', '11 x64', 'Debian', 7),
    ('debian-12-x64', '12 x64', 'Debian', 7), ('debian-13-x64', '13 x64', 'Debian', 7),
    ('fedora-42-x64', '42 x64', 'Fedora', 10), ('rockylinux-9-x64', '9 x64', 'Rocky Linux', 10),
    ('ubuntu-22-04-x64', '22.04 (LTS) x64', 'Ubuntu', 7), ('ubuntu-24-04-x64', '24.04 (LTS) x64', 'Ubuntu', 7),
)


def sizes() -> list[dict[str, Any]]:
    """Return the sizes, as the API shows them."""
    return [{'slug': slug, 'vcpus': vcpus, 'memory': memory, 'disk': disk, 'transfer': 1.0, 'price_monthly': float(month),
             'price_hourly': month / 672, 'regions': list(where), 'available': bool(where), 'description': 'Basic',
             **({'gpu_info': {'count': 1, 'model': 'nvidia_h100', 'vram': {'amount': 80, 'unit': 'gib'}}}
                if slug.startswith('gpu') else {})}
            for slug, vcpus, memory, disk, month, where in _SIZES]


def regions() -> list[dict[str, Any]]:
    """Return the regions, as the API shows them."""
    return [{'slug': slug, 'name': name, 'available': True, 'features': ['backups', 'ipv6', 'metadata', 'storage'],
             'sizes': [size['slug'] for size in sizes() if slug in size['regions']]} for slug, name in REGION_NAMES.items()]


def images() -> list[dict[str, Any]]:
    """Return DigitalOcean's own images, as the API shows them."""
    return [{'name': name, 'slug': slug, 'distribution': distribution, 'type': 'base', 'public': True,
             'regions': list(REGION_NAMES), 'created_at': '2025-05-05T17:00:00Z', 'min_disk_size': least,
             'size_gigabytes': 2.5, 'description': f'{distribution} {name}', 'tags': [], 'status': 'available'}
            for slug, name, distribution, least in _IMAGES]
