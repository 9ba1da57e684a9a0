"""The seed image: an ISO with the files that cloud-init's NoCloud source looks for.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import io
from collections.abc import Mapping

LABEL = 'cidata'


def iso_image(files: Mapping[str, str], label: str = LABEL) -> bytes:
    """Return an ISO 9660 image with *files* at its root, with Joliet and Rock Ridge names."""
    import pycdlib
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge='1.09', vol_ident=label)
    for number, (name, text) in enumerate(files.items()):
        content = text.encode()
        image.add_fp(io.BytesIO(content), len(content), f'/FILE{number}.;1', rr_name=name, joliet_path=f'/{name}')
    target = io.BytesIO()
    image.write_fp(target)
    image.close()
    return target.getvalue()
