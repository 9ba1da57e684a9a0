"""libvirt's events: it tells by itself when a domain changes, so nobody has to ask again and again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import libvirt

from kvirt.errors import KvirtError
from kvirt.providers.kvm.connection import KEEPALIVE, Connection, EventLoop

log = logging.getLogger(__name__)

_EVENTS = (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
           libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
           libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
           libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED)
"""What can change a row of the list, or what is known of a VM. An address that a guest gets is no event."""


class Events(Connection):
    """What libvirt tells by itself, heard on one connection by all who watch."""

    tells_of_changes: ClassVar[bool] = True

    @contextmanager
    def watching(self, ring: Callable[[], None], every: float = 2.0) -> Iterator[None]:
        """Call *ring* each time that libvirt tells of a change; see the contract."""
        try:
            heard: contextlib.AbstractContextManager[object] = self._hear(ring)
        except (libvirt.libvirtError, KvirtError) as error:
            log.info('libvirt tells nothing of changes here, so its list is read every %g seconds: %s', every, error)
            heard = super().watching(ring, every)
        with heard:
            yield

    def _hear(self, ring: Callable[[], None]) -> contextlib.ExitStack:
        """Have *ring* called until what is returned is closed."""
        EventLoop.start()
        with contextlib.ExitStack() as stack:
            conn = self.opened(libvirt.openReadOnly)  # one that was opened before the loop ran would tell nothing
            stack.callback(_let_go, conn.close)
            conn.setKeepAlive(*KEEPALIVE)
            conn.registerCloseCallback(lambda *told: ring(), None)
            stack.callback(_let_go, conn.unregisterCloseCallback)
            for event in _EVENTS:
                heard = conn.domainEventRegisterAny(None, event, lambda *told: ring(), None)
                stack.callback(_let_go, conn.domainEventDeregisterAny, heard)
            return stack.pop_all()


def _let_go(action: Callable[..., object], *args: object) -> None:
    """Do what ends the hearing; a connection that broke meanwhile has nothing to be ended."""
    with contextlib.suppress(libvirt.libvirtError):
        action(*args)
