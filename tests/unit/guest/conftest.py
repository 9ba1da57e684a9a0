"""What tests of guests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvirt.guest.guest import Guest
from kvirt.guest.keys import HostKey
from kvirt.spec import decode_vm

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFfNXE176h6IO2/f1i3zxKl56PgslMZXWngSlDWZ4xHr me@here'
HOST_KEY = HostKey('-----BEGIN OPENSSH PRIVATE KEY-----\nnot a real one\n-----END OPENSSH PRIVATE KEY-----\n',
                   'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFfNXE176h6IO2/f1i3zxKl56PgslMZXWngSlDWZ4xHr')
MACS = tuple(f'52:54:00:00:00:{index:02x}' for index in range(1, 9))

Make = Callable[..., Guest]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that prepares a guest; its host key is always the same."""
    def make(name: str = 'web', image: str | None = 'debian12', variables: dict[str, Any] | None = None,
             **keywords: Any) -> Guest:
        spec = decode_vm({'image': image, 'keys': [KEY], **keywords})
        guest = Guest.prepare(name, spec, basedir=tmp_path, variables=variables, image=image)
        return replace(guest, host_key=HOST_KEY) if guest.host_key else guest
    return make
