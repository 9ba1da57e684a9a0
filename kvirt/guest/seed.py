"""The seed image: an ISO with what a guest reads at its first boot.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
https://docs.openstack.org/nova/latest/user/metadata.html#config-drives
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import PurePosixPath

NOCLOUD = 'cidata'
CONFIG_DRIVE = 'config-2'
SUSE = 'ignition'


def iso_image(files: Mapping[str, str], label: str = NOCLOUD) -> bytes:
    """Return an ISO 9660 image called *label*, with *files* by their paths in it, with Joliet and Rock Ridge names."""
    import pycdlib
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge='1.09', vol_ident=label)
    short: dict[str, str] = {'.': ''}  # a folder's path, and its path in the plain ISO's few letters
    for number, (name, text) in enumerate(files.items()):
        path = PurePosixPath(name)
        for folder in reversed([parent for parent in path.parents if str(parent) not in short]):
            short[str(folder)] = f'{short[str(folder.parent)]}/D{len(short)}'
            image.add_directory(short[str(folder)], rr_name=folder.name, joliet_path=f'/{folder}')
        content = text.encode()
        image.add_fp(io.BytesIO(content), len(content), f'{short[str(path.parent)]}/F{number}.;1', rr_name=path.name,
                     joliet_path=f'/{path}')
    target = io.BytesIO()
    image.write_fp(target)
    image.close()
    return target.getvalue()
