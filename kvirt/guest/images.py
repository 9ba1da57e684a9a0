"""What is known of images by their name: where to download them, who logs in, and how the guest is configured."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

Kind = Literal['cloudinit', 'ignition']

_IGNITION = re.compile(r'coreos|rhcos|fcos|scos|flatcar|sle-?micro|suse-?micro|micro\.', re.IGNORECASE)

# The first pattern that is found in the name of an image tells who logs in.
_LOGINS = tuple((re.compile(pattern, re.IGNORECASE), user) for pattern, user in (
    (r'coreos|rhcos|fcos|scos|flatcar', 'core'), (r'debian', 'debian'),
    (r'ubuntu|focal|jammy|noble|bionic|resolute', 'ubuntu'), (r'centos-?stream-?(9|10)|centos(9|10)', 'cloud-user'),
    (r'centos', 'centos'), (r'rocky', 'rocky'), (r'alma', 'almalinux'), (r'rhel', 'cloud-user'), (r'fedora', 'fedora'),
    (r'cirros', 'cirros'), (r'opensuse|leap', 'opensuse'), (r'freebsd', 'freebsd'), (r'netbsd', 'netbsd'),
    (r'openbsd', 'openbsd'), (r'gentoo', 'gentoo'), (r'amzn|amazon|al20', 'ec2-user'),
    (r'(^|[^a-z])arch(?!64)', 'arch')))


@dataclass(frozen=True)
class Image:
    """A well-known image of one architecture. ``checksums`` is the URL of the vendor's list, None when there is none."""

    short: str
    url: str
    checksums: str | None


def login_user(image: str) -> str:
    """Return who to log in as in a guest of *image*, by its name; root when it tells nothing."""
    return next((user for pattern, user in _LOGINS if pattern.search(image)), 'root')


def kind_of(image: str) -> Kind:
    """Return how a guest of *image* is configured, by its name."""
    return 'ignition' if _IGNITION.search(image) else 'cloudinit'


def find(short: str, arch: str = 'x86_64') -> Image | None:
    """Return the image with this short name for an architecture, None when there is none."""
    row = _table()['images'].get(short)
    if row is None or arch not in row.get('archs', _table()['archs']):
        return None
    words = {'arch': arch, **_table()['archs'].get(arch, {})}
    try:
        url = row['url'].format_map(words)
    except KeyError:
        return None  # the vendor has no image for this architecture
    checksums = row.get('checksums')
    return Image(short, url, f"{url.rpartition('/')[0]}/{checksums.format_map(words)}" if checksums else None)


def names() -> list[str]:
    """Return the short names of the well-known images, sorted."""
    return sorted(_table()['images'])


@functools.cache
def _table() -> dict[str, Any]:
    import yaml
    text = resources.files('kvirt.data').joinpath('images.yaml').read_text(encoding='utf-8')
    table: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
    return table
