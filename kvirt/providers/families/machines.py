"""VMs as the areas around them see them."""

from __future__ import annotations

from kvirt.base import Kbase
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock


class Machines(Kbase):
    """A platform with VMs."""

    clock: Clock = SYSTEM

    def undo(self) -> Undo:
        """Return a rollback that understands the platform's errors."""
        return Undo(clock=None if self.clock is SYSTEM else self.clock).translating(self.translate)
