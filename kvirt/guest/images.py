"""What is known of images by their name: where to download them, who logs in, and how the guest is configured.

A name is a short one (``debian12``), a file (``debian-12-generic-amd64.qcow2``), a path or a URL.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from kvirt.errors import NotFound, NotSupported, Unavailable
from kvirt.names import did_you_mean

Kind = Literal['cloudinit', 'ignition']

_OPENSHIFT = re.compile(r'(?:rhcos|scos|ocp-v|openshift)[^0-9]{0,3}4[.-]?(?P<minor>\d{1,2})(?!\d)')
_TIMEOUT = (10, 30)  # seconds to connect, and to answer


class Image(msgspec.Struct, frozen=True):
    """A well-known image of one architecture.

    ``checksums`` is the URL of the vendor's list, or a checksum itself, None when there is none. ``file`` is the name under
    which it is kept. With ``stream`` the URL is that of a description of builds: see ``current``.
    """

    short: str
    url: str
    checksums: str | None = None
    file: str = ''
    arch: str = 'x86_64'
    stream: bool = False


def login_user(image: str) -> str:
    """Return who to log in as in a guest of *image*, by its name; root when it tells nothing."""
    return str(_family(image).get('user', 'root'))


def kind_of(image: str) -> Kind:
    """Return how a guest of *image* is configured, by its name."""
    return 'ignition' if 'ignition' in _family(image) else 'cloudinit'


def is_early(image: str) -> bool:
    """Tell if the cloud-init of *image* is one that needs another network-config (see ``network.network_config``)."""
    return bool(_family(image).get('early'))


def is_networkd(image: str) -> bool:
    """Tell if the network of an Ignition guest is systemd-networkd's."""
    return bool(_family(image).get('networkd'))


def seed_label(image: str) -> str:
    """Return the label of the volume on which an Ignition guest looks for its config."""
    return str(_family(image).get('seed', 'config-2'))


def ignition_version(image: str) -> str:
    """Return the version of the Ignition config for *image*. NotSupported for OpenShift before 4.6.

    https://coreos.github.io/butane/specs/#butane-specifications-and-ignition-specifications
    """
    match = _OPENSHIFT.search(_plain(image))
    if match is None:
        return str(_family(image).get('ignition', '3.1.0'))
    minor = int(match['minor'])
    if minor < 6:
        raise NotSupported(f'{image} reads Ignition configs of version 2, which have not been in use since 2020')
    return next(version for first, version in ((19, '3.5.0'), (14, '3.4.0'), (8, '3.2.0'), (6, '3.1.0')) if minor >= first)


def find(short: str, arch: str = 'x86_64') -> Image | None:
    """Return the image with this short name for an architecture, None when there is none."""
    row = _row(short)
    if row is None or arch not in row['arch']:
        return None
    return described(_aliases().get(short, short), row, arch)


def need(short: str, arch: str) -> Image:
    """Return the image with this short name for an architecture. NotFound."""
    image = find(short, arch)
    row = _row(short)
    if image is None and row is not None:
        raise NotFound(f"image '{short}' is not published for {arch}, only for {', '.join(sorted(row['arch']))}")
    if image is None:
        raise NotFound(f"there is no well-known image '{short}'{did_you_mean(short, names())}",
                       hint='Any other one can be had with its URL')
    return image


def described(name: str, row: dict[str, Any], arch: str) -> Image:
    """Return the image that a row of the table describes for one of its architectures."""
    from kvirt.download import file_name  # the kind and the user of an image are told without
    words = row['arch'][arch] if isinstance(row['arch'][arch], dict) else {'arch': row['arch'][arch]}
    url = row['url'].format_map(words)
    checksums = row.get('checksums')
    if checksums and '://' not in checksums:
        checksums = f"{url.rpartition('/')[0]}/{checksums}"
    return Image(name, url, checksums.format_map(words) if checksums else None,
                 row.get('file', '').format_map({'arch': arch}) or file_name(url), arch, bool(row.get('stream')))


def checksums_of(short: str | None, url: str) -> str | None:
    """Return what verifies the well-known image *short* of any architecture that comes from *url*; None when it is another.

    Of a stream it stands in the description of the current build, which is read for that. Unavailable.
    """
    row = _row(short) if short else None
    for image in (described(str(short), row, arch) for arch in row['arch']) if row else ():
        if image.stream and urlsplit(image.url).netloc == urlsplit(url).netloc:
            image = current(image)
        if image.url == url:
            return image.checksums
    return None


def names() -> list[str]:
    """Return the short names of the well-known images, sorted."""
    return sorted(_table()['images'])


def published(table: dict[str, Any] | None = None) -> list[Image]:
    """Return the well-known images of all architectures; of another *table* (its images by name) when given."""
    rows = _table()['images'] if table is None else table
    return [described(name, row, arch) for name, row in sorted(rows.items()) for arch in row['arch']]


def well_known() -> list[dict[str, Any]]:
    """Return a row for each well-known image: ``name aliases archs user kind``, sorted by name."""
    return [{'name': name, 'aliases': list(row.get('aliases', ())), 'archs': sorted(row['arch']),
             'user': login_user(name), 'kind': kind_of(name)} for name, row in sorted(_table()['images'].items())]


def current(image: Image) -> Image:
    """Return *image* with the URL of the file itself; of a stream that is its current build. NotFound, Unavailable."""
    if not image.stream:
        return image
    import requests
    try:
        answer = requests.get(image.url, timeout=_TIMEOUT)
        answer.raise_for_status()
        disk = answer.json()['architectures'][image.arch]['artifacts']['openstack']['formats']['qcow2.xz']['disk']
        checksums = f"sha256:{disk['sha256']}" if 'sha256' in disk else None
        return msgspec.structs.replace(image, url=str(disk['location']), checksums=checksums, stream=False)
    except (requests.RequestException, ValueError) as error:
        raise Unavailable(f'{image.url} can not be read: {error}') from None
    except (KeyError, TypeError):
        raise NotFound(f'{image.url} has no image for {image.arch}') from None


def _row(short: str) -> dict[str, Any] | None:
    row: dict[str, Any] | None = _table()['images'].get(_aliases().get(short, short))
    return row


def _plain(image: str) -> str:
    return image.rstrip('/').rpartition('/')[2].lower()


@functools.lru_cache(maxsize=256)
def _family(image: str) -> dict[str, Any]:
    """Return what the name of *image* tells: its last part, or of a URL when that says nothing, the whole."""
    for name in (_plain(image), *([image.lower()] if '://' in image else [])):
        for pattern, family in _families():
            if pattern.search(name):
                return family
    return {}


@functools.cache
def _families() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [(re.compile(row['match']), row) for row in _table()['families']]


@functools.cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, row in _table()['images'].items() for alias in row.get('aliases', ())}


@functools.cache
def _table() -> dict[str, Any]:
    import yaml
    text = Path(__file__).parents[1].joinpath('data', 'images.yaml').read_text(encoding='utf-8')
    table: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
    return table
