"""Where the well-known images are on EC2: who owns them, what they are called, and who logs in.

The same owner has them in all regions of the partition ``aws``. The newest that matches is meant.
"""

from __future__ import annotations

import fnmatch
import re
from typing import NamedTuple

_WORDS = {'x86_64': 'amd64', 'aarch64': 'arm64'}
_NATIVE = {'aarch64': 'arm64'}


class Source(NamedTuple):
    """The vendor's account, the pattern of names, and the user who logs in.

    ``{arch}`` stands for x86_64 or aarch64 in a pattern, ``{native}`` for x86_64 or arm64, ``{deb}`` for amd64 or arm64.
    """

    owner: str
    pattern: str
    user: str

    def name(self, arch: str) -> str:
        """Return the pattern for an architecture."""
        return self.pattern.format(arch=arch, native=native_arch(arch), deb=_WORDS.get(arch, arch))


_AMAZON, _DEBIAN, _UBUNTU, _FEDORA = '137112412989', '136693071363', '099720109477', '125523088429'
_ALMA, _ROCKY, _RHEL, _FLATCAR, _COREOS = '764336703387', '792107900819', '309956199498', '075585003325', '531415883065'

WELL_KNOWN: dict[str, Source] = {
    'al2': Source(_AMAZON, 'amzn2-ami-hvm-2.0.*-{native}-gp2', 'ec2-user'),
    'al2023': Source(_AMAZON, 'al2023-ami-2023.*-kernel-*-{native}', 'ec2-user'),
    **{f'almalinux{n}': Source(_ALMA, f'AlmaLinux OS {n}.* {{arch}}*', 'ec2-user') for n in (8, 9, 10)},
    **{f'centos{n}stream': Source(_FEDORA, f'CentOS Stream {n} {{arch}} *', 'ec2-user') for n in (9, 10)},
    **{f'debian{n}': Source(_DEBIAN, f'debian-{n}-{{deb}}-*', 'admin') for n in (11, 12, 13)},
    'fcos': Source(_FEDORA, 'fedora-coreos-*.*.3.*-{arch}', 'core'),
    **{f'fedora{n}': Source(_FEDORA, f'Fedora-Cloud-Base-*{{arch}}-{n}-*', 'fedora') for n in (41, 42, 43, 44)},
    'flatcar': Source(_FLATCAR, 'Flatcar-stable-*-hvm*', 'core'),
    **{f'rhcos{n}': Source(_COREOS, f'rhcos-{n}.*-{{arch}}', 'core') for n in (414, 415, 416, 417, 418)},
    **{f'rhel{n}': Source(_RHEL, f'RHEL-{n}.*_HVM-*-{{native}}-*-Hourly2-GP*', 'ec2-user') for n in (8, 9, 10)},
    **{f'rockylinux{n}': Source(_ROCKY, f'Rocky-{n}-EC2-Base-{n}.*.{{arch}}*', 'rocky') for n in (8, 9, 10)},
    **{f'ubuntu{n}{m}': Source(_UBUNTU, f'ubuntu/images/hvm-ssd*/ubuntu-*-{n}.{m}-{{deb}}-server-*', 'ubuntu')
       for n, m in ((20, '04'), (22, '04'), (24, '04'), (25, '10'), (26, '04'))},
}

_ALIASES = ((r'alma(\d+)', r'almalinux\1'), (r'rocky(\d+)', r'rockylinux\1'), (r'centos(\d+)s', r'centos\1stream'),
            (r'amzn2', 'al2'), (r'amazonlinux(2|2023)', r'al\1'), (r'rhcos4\.?(\d\d)', r'rhcos4\1'))


def native_arch(arch: str) -> str:
    """Return the word of EC2 for an architecture."""
    return _NATIVE.get(arch, arch)


def short_name(image: str) -> str | None:
    """Return the name in the table that *image* means, None when it is no well-known one."""
    for pattern, name in _ALIASES:
        image = re.sub(f'^{pattern}$', name, image)
    return image if image in WELL_KNOWN else None


def short_of(owner: str, name: str) -> str | None:
    """Return which well-known image one of this owner and *name* is, None when it is none."""
    return next((short for short, source in WELL_KNOWN.items() if source.owner == owner
                 and any(fnmatch.fnmatchcase(name, source.name(arch)) for arch in _WORDS)), None)
