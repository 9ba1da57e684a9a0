"""VMs as the areas around them see them: what is remembered on one, where it is reached, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from kvirt.base import Kbase
from kvirt.errors import Conflict, KvirtError, NotFound, Unavailable
from kvirt.providers.families import cloud, marks
from kvirt.shapes import Status, VmRow
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock, until

T = TypeVar('T')


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A VM."""

    id: str
    name: str
    status: Status = 'unknown'
    native_status: str = ''
    """The word of the platform that *status* stands for."""

    ip: str | None = None
    """Where it is reached, None when it has no address yet."""

    fields: Mapping[str, str] = {}
    """What is remembered on it; see :mod:`kvirt.providers.families.marks`."""

    place: str = ''
    """Where a volume must be for this VM to get it: a region, location or zone."""

    location: str = ''
    """Where it is in the words of users, where that is not *place*."""

    flavor: str = ''
    numcpus: int | None = None
    memory: int | None = None
    """MiB; like the CPUs None where only the flavor tells it."""

    disk: int | None = None
    """GiB of a root disk that is no volume."""

    image: str = ''
    """What it was made of, as the platform tells it; what is remembered on it goes first."""

    created: datetime | str | None = None
    tags: Collection[str] = ()
    """The flat tags that it bears, where the platform has such."""

    volumes: Sequence[str] | None = None
    """The ids of its volumes in the order of its disks; None where the platform does not tell them with the VM."""

    native: Any = None
    """The VM as the platform tells it."""

    @property
    def mark(self) -> str:
        """What volumes that go with this VM bear: the request that made it, or for one made elsewhere its id."""
        return self.fields.get(marks.MARK) or f'vm-{self.id}'

    @property
    def row(self) -> VmRow:
        """What ``list`` tells of it."""
        fields = self.fields
        row: VmRow = {'name': self.name, 'status': self.status, 'ip': self.ip, 'image': fields.get('image') or self.image,
                      'plan': fields.get('plan', ''), 'profile': fields.get('profile', ''), 'id': self.id,
                      'flavor': self.flavor, 'location': self.location or self.place}
        if self.numcpus is not None and self.memory is not None:
            row['numcpus'], row['memory'] = self.numcpus, self.memory
        return row


class Machines(Kbase):
    """A platform with VMs."""

    clock: Clock = SYSTEM

    machine_names: ClassVar[tuple[str, str]] = ('.*', '')
    """The names that a VM may have: an expression, and the rule in words."""

    login: ClassVar[str | None] = None
    """Whom the platform lets in to a guest that cloud-init configures, whatever its image; None where the image tells."""

    patience: ClassVar[float] = 60.0
    """Seconds that the platform may take to let go of what is being changed."""

    pause: ClassVar[float] = 2.0
    """Seconds between two looks at what is waited for."""

    def machine(self, name: str) -> Machine:
        """Return the VM with this name or id, in the client's location. NotFound; Conflict when several bear the name."""
        raise NotImplementedError

    def vm_names(self, ids: Collection[str]) -> Mapping[str, str]:
        """Return the names of the VMs with these *ids*, by id. Others may be among them; one that is gone is not."""
        raise NotImplementedError

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        """Remember *text* on a VM, in place of what stands under *key*; forget that when *text* is None."""
        raise NotImplementedError

    def check_location(self) -> None:
        """Raise InvalidInput when there is no location of the client's name, so that nothing can be found there."""

    def is_seen(self, place: str) -> bool:
        """Tell if what is at *place* is in this client's location."""
        return True

    def find_machine(self, name: str) -> Machine | None:
        """Return the VM with this name or id, None when there is none. Conflict when several bear the name."""
        try:
            return self.machine(name)
        except NotFound:
            return None

    def machine_exists(self, name: str) -> bool:
        """Tell if there is a VM of this name where this client makes them."""
        return self.find_machine(name) is not None

    def check_machine_name(self, name: str) -> str:
        """Return *name* if a VM can have it. InvalidInput."""
        return cloud.check_name('VM', name, *self.machine_names)

    @staticmethod
    def check_field(key: str) -> str:
        """Return *key* if it can name a field of a VM. InvalidInput."""
        return marks.check_field(key)

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        key, vm = self.check_field(metatype), self.machine(name)
        have = vm.fields.get(key, '')
        self.set_field(vm, key, f'{have},{metavalue}' if append and have and metavalue is not None else metavalue)

    def meaning_of(self, error: Exception) -> KvirtError | None:
        """Return what an error means; None when it is a bug."""
        return error if isinstance(error, KvirtError) else self.translate(error)

    def is_busy(self, error: Exception) -> bool:
        """Tell if an error says that the platform still holds what is to be changed, and will let go of it."""
        return isinstance(self.meaning_of(error), Conflict)

    def insist(self, call: Callable[[], T], what: str) -> T:
        """Return what *call* returns, once the platform has let go of what it still holds. TimedOut."""
        def attempt() -> tuple[T]:
            try:
                return (call(),)
            except Exception as error:
                known = self.meaning_of(error)
                if known and self.is_busy(error):
                    raise Unavailable(known.reason) from error
                raise
        return self.awaited(attempt, what, self.patience)[0]

    def awaited(self, check: Callable[[], T | None], what: str, timeout: float, pause: float | None = None) -> T:
        """Return what *check* returns as soon as that is true. Passing faults of the platform end no wait. TimedOut."""
        def understood() -> T | None:
            try:
                return check()
            except Exception as error:
                known = self.meaning_of(error)
                if known is None or known is error:
                    raise
                raise known from error
        return until(understood, what=what, timeout=timeout, interval=pause or self.pause, clock=self.clock)

    def undo(self) -> Undo:
        """Return a rollback that understands the platform's errors."""
        return Undo(clock=None if self.clock is SYSTEM else self.clock).translating(self.translate)
