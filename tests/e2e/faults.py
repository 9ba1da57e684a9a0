"""Faults at a chosen libvirt call: an error before it, a lost answer after it, or the death of the process there.

Every call that Python makes to libvirt is counted, reads included; calls that libvirt-python makes within one are not.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

CLASSES = (libvirt.virConnect, libvirt.virDomain, libvirt.virStoragePool, libvirt.virStorageVol, libvirt.virStream,
           libvirt.virNetwork)
LOCAL = {'name', 'c_pointer', 'connect', 'UUID', 'UUIDString', 'get_conn'}
"""Methods that ask nobody: they read what the object holds."""

WAYS = ('error before', 'answer lost', 'killed before', 'killed after')


class InjectedError(libvirt.libvirtError):
    """What libvirt raises when its daemon fails."""

    def __init__(self, call: str) -> None:
        Exception.__init__(self, f'injected at {call}')
        self.err = (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, f'injected at {call}', libvirt.VIR_ERR_ERROR,
                    None, None, None, -1, -1)


class Faults:
    """Counts calls, and does harm at call number *at* (from 0) in one of the WAYS."""

    def __init__(self, at: int | None = None, way: str = WAYS[0]) -> None:
        self.at, self.way = at, way
        self.calls: list[str] = []
        self._inside = threading.local()

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return *method* under observation."""
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, 'now', False):
                return method(*args, **kwargs)
            here = len(self.calls) == self.at
            self.calls.append(name)
            if here and self.way == 'killed before':
                os.kill(os.getpid(), signal.SIGKILL)
            if here and self.way == 'error before':
                raise InjectedError(name)
            self._inside.now = True
            try:
                answer = method(*args, **kwargs)
            finally:
                self._inside.now = False
                if here and self.way == 'killed after':
                    os.kill(os.getpid(), signal.SIGKILL)
            if here and self.way == 'answer lost':
                raise InjectedError(name)
            return answer
        return call

    @contextmanager
    def armed(self) -> Iterator[Faults]:
        """Observe libvirt for as long as the block runs."""
        saved = [(owner, name, method) for owner in CLASSES for name, method in vars(owner).items()
                 if callable(method) and not name.startswith('_') and name not in LOCAL]
        for owner, name, method in saved:
            setattr(owner, name, self.wrap(f'{owner.__name__}.{name}', method))
        try:
            yield self
        finally:
            for owner, name, method in saved:
                setattr(owner, name, method)
