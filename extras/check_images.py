#!/usr/bin/env python3
"""Ask the vendors if the well-known images are where the table says, and if their lists of checksums name them.

    make check-images
    make check-images ARGS='debian12 debian13'

Each image of each architecture is asked for with HEAD, and its list of checksums is read; no image is downloaded. One line
tells the outcome of each; the exit code is 1 when something is wrong. It needs the Internet, and is no part of the tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import requests
import yaml

from kvirt.download import cause, checksum_of
from kvirt.errors import KvirtError
from kvirt.guest import images
from kvirt.parallel import in_parallel
from kvirt.space import shown

TIMEOUT = (10, 30)
SMALLEST = 1024**2
"""What is smaller than this many bytes is no image of a system, but a page that tells of one."""


def main(arguments: Sequence[str]) -> int:
    """Check the images that *arguments* name, all when they name none, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='IMAGE', help='short name; all when absent')
    parser.add_argument('--table', type=Path, metavar='FILE', help="another table in the form of kvirt's own")
    options = parser.parse_args(arguments)
    table = yaml.safe_load(options.table.read_text())['images'] if options.table else None
    known = images.published(table)
    unknown = set(options.names) - {image.short for image in known}
    if unknown:
        parser.error(f"the table has no {', '.join(sorted(unknown))}")
    chosen = [image for image in known if not options.names or image.short in options.names]
    faults = in_parallel(chosen, fault, workers=8)
    for image, trouble in zip(chosen, faults, strict=True):
        print(f'{"FAIL" if trouble else "ok":4} {image.short} {image.arch}{f": {trouble}" if trouble else ""}')
    wrong = sum(map(bool, faults))
    print(f'{len(chosen)} images, {wrong} with a fault')
    return 1 if wrong else 0


def fault(image: images.Image) -> str:
    """Return what is wrong with an entry, empty when nothing is."""
    try:
        image = images.current(image)
        with requests.head(image.url, timeout=TIMEOUT, allow_redirects=True) as answer:
            length = answer.headers.get('Content-Length', '')
            if answer.status_code != 200:
                return f'{image.url}: the server answered {answer.status_code}'
            if length.isdigit() and int(length) < SMALLEST:
                return f'{image.url} has {shown(int(length))} only'
        if image.checksums is None:
            return f'{image.url} has no checksum'
        checksum_of(image.url, image.checksums)
    except KvirtError as error:
        return error.reason
    except requests.RequestException as error:
        return f'{image.url}: {cause(error)}'
    return ''


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
