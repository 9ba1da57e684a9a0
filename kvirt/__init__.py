"""kvirt: one interface for every place a virtual machine can run.

    from kvirt import Kconfig
    config = Kconfig(client='local')
    config.create_vm('web', overrides={'image': 'debian12'}).expect()
    config.k.list()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kvirt.version import __version__

if TYPE_CHECKING:
    from kvirt import errors
    from kvirt.base import Kbase
    from kvirt.config import Kconfig
    from kvirt.result import Result

_LAZY = {'Kconfig': 'kvirt.config', 'Kbase': 'kvirt.base', 'Result': 'kvirt.result'}

__all__ = ['Kbase', 'Kconfig', 'Result', '__version__', 'errors']


def __getattr__(name: str) -> Any:
    if name == 'errors':
        return importlib.import_module('kvirt.errors')
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
