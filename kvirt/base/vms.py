"""The area of virtual machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kvirt.base.area import Area, area, built_from, serves, waits
from kvirt.errors import Conflict, NotFound, NotSupported
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.shapes import VmInfo, VmRow
from kvirt.spec import VmSpec, decode_vm
from kvirt.wait import SYSTEM, Clock, StatusBoard, ring_on_change

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

Rows = list[VmRow]


@area
class Vms(Area):
    """Virtual machines: their life, what is known of them, and changes to them.

    A *name* may also be the platform's own id. A name that two VMs bear is Conflict; an unknown one is NotFound.
    """

    honours: ClassVar[frozenset[str]] = frozenset()
    """The keywords of the groups hardware and cloud (see kvirt.spec) that the provider knows what to do with."""

    starts_at_once: ClassVar[bool] = False
    """The platform can't make a VM without starting it; ``start: false`` is refused."""

    clock: Clock = SYSTEM
    """What waits go by; tests give one that hurries."""

    stop_seconds: ClassVar[float] = 600
    """How long a VM may take to stop before restart gives up."""

    tells_of_changes: ClassVar[bool] = False
    """The platform itself tells when a VM changes, so that ``watching`` asks it nothing and hears of it at once."""

    # life

    def create(self, name: str, **keywords: Any) -> Result:
        """Create VM *name* from *keywords*: the fields of :class:`kvirt.spec.VmSpec`, and these two.

        ``overrides`` are further values for the templates of files, scripts and commands; ``basedir`` is the folder that
        relative files are looked for in (the current one when absent).

        All or nothing: after a failure, or an interruption at any step, nothing that was made remains, or it is named and
        can be found by ``list_orphans``. Accepts the request and does not wait for the guest. A success holds ``name``,
        ``id`` where known, and ``hostkey``, the guest's public ssh host key, when one was made.
        AlreadyExists, InvalidInput, NotFound (image, pool, network), QuotaExceeded, OutOfCapacity.
        """
        return self._attempt(self._create_decoded, name, keywords)

    @serves('create')
    def _create_decoded(self, name: str, keywords: dict[str, Any]) -> Mapping[str, Any]:
        from kvirt.guest.guest import Guest  # what a guest is made of is not loaded for reads
        safe_name('VM', name)
        overrides: Mapping[str, Any] = keywords.pop('overrides', None) or {}
        basedir = Path(keywords.pop('basedir', None) or '.')
        home = keywords.pop('home', None)
        spec = decode_vm(keywords, honoured=self.honours, provider=type(self).__name__)
        if self.starts_at_once and not spec.start:
            raise NotSupported('the platform starts every VM that it makes', hint='Create it, and stop it afterwards')
        image = self.image_behind(spec.image)
        guest = Guest.prepare(name, spec, basedir=basedir, variables={**keywords, **overrides, 'name': name}, home=home,
                              image=image, native_user=self.login_user(image))
        made = self._create(name, spec, guest) or {}
        return {'name': name, **({'hostkey': guest.host_key.public} if guest.host_key else {}), **made}

    def image_behind(self, image: str | None) -> str | None:
        """Return the name that tells an image's kind and login user, where *image* is an opaque id of the platform."""
        return image

    def login_user(self, image: str | None) -> str:
        """Return who logs in to a guest of *image* on this platform, where the image itself was not changed."""
        from kvirt.guest import images
        return images.login_user(image or '')

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def start(self, name: str) -> Result:
        """Start VM *name*. Starting a running VM succeeds."""
        return self._attempt(self._start, name)

    def _start(self, name: str) -> None:
        raise NotSupported('')

    def stop(self, name: str, soft: bool = False) -> Result:
        """Stop VM *name*: at once, or with *soft* by asking its operating system. Stopping a stopped VM succeeds.

        A soft stop is a request; see ``status`` for when it was followed.
        """
        return self._attempt(self._stop, name, soft)

    def _stop(self, name: str, soft: bool = False) -> None:
        raise NotSupported('')

    def restart(self, name: str) -> Result:
        """Restart VM *name*: the platform's own reboot, else stop, wait until stopped, start.

        A stopped VM is started.
        """
        return self._attempt(self._restart, name)

    @waits
    @built_from('stop', 'start', 'list')
    def _restart(self, name: str) -> None:
        self._stop(name)
        StatusBoard(self, clock=self.clock).wait(name, {'stopped'}, timeout=self.stop_seconds)
        self._start(name)

    def delete(self, name: str, snapshots: bool = False) -> Result:
        """Delete VM *name* and what kvirt made for it: disks, seed, addresses; nothing else.

        A VM with snapshots is refused (Conflict) unless *snapshots*. NotFound when there is none.
        """
        return self._attempt(self._delete, name, snapshots)

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def clone(self, old: str, new: str, full: bool = False, start: bool = False) -> Result:
        """Make VM *new* from the stopped VM *old*, with a fresh identity (MAC addresses, uuid).

        *full* copies the disks; otherwise they may share blocks with those of *old*. All or nothing.
        """
        return self._attempt(self._clone_checked, old, new, full, start)

    @serves('clone')
    def _clone_checked(self, old: str, new: str, full: bool, start: bool) -> Mapping[str, Any] | None:
        safe_name('VM', new)
        return self._clone(old, new, full, start)

    def _clone(self, old: str, new: str, full: bool = False, start: bool = False) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def rename(self, name: str, new: str) -> Result:
        """Rename VM *name* to *new*. It must be stopped where the platform wants that (Conflict)."""
        return self._attempt(self._rename_checked, name, new)

    @serves('rename')
    def _rename_checked(self, name: str, new: str) -> None:
        self._rename(name, safe_name('VM', new))

    def _rename(self, name: str, new: str) -> None:
        raise NotSupported('')

    # what is known

    def list(self) -> Rows:
        """Return a row per VM, sorted by name, in a constant number of calls per page. See :class:`VmRow`.

        An odd VM degrades its own row. An empty list means that there is none.
        """
        return self._ask(self._list)

    def _list(self) -> Rows:
        raise NotSupported('')

    def info(self, name: str, output: str = 'plain', fields: Sequence[str] = (), values: bool = False,
             vm: Any = None, debug: bool = False) -> VmInfo:
        """Return all that is known of VM *name*, or of its *fields*; ``{}`` when there is no such VM.

        *output*, *values*, *vm* and *debug* are accepted for scripts that were written for kcli and change nothing: this
        never prints.
        """
        try:
            known = self._ask(self._info, name)
        except NotFound:
            return {}
        return {key: known[key] for key in fields if key in known} if fields else known  # type: ignore

    def _info(self, name: str) -> VmInfo:
        raise NotSupported('')

    def exists(self, name: str) -> bool:
        """Tell if VM *name* exists."""
        return self._ask(self._exists, name)

    @built_from('list')
    def _exists(self, name: str) -> bool:
        return any(name in (row['name'], row.get('id')) for row in self._list())

    def status(self, name: str) -> str | None:
        """Return the status of VM *name*, a word of :data:`kvirt.shapes.STATUSES`; None when there is no such VM."""
        return self._ask(self._status, name)

    @built_from('info')
    def _status(self, name: str) -> str | None:
        try:
            return self._info(name)['status']
        except NotFound:
            return None

    def ip(self, name: str) -> str | None:
        """Return the address to reach VM *name* at, None when it has none yet, or when there is no such VM."""
        return self._ask(self._ip, name)

    @built_from('info')
    def _ip(self, name: str) -> str | None:
        try:
            return self._info(name).get('ip')
        except NotFound:
            return None

    @contextmanager
    def watching(self, ring: Callable[[], None], every: float = 2.0) -> Iterator[None]:
        """Call *ring*, from another thread, each time that a VM may have changed, for as long as the context lasts.

        Where the platform does not tell of changes (``tells_of_changes``), its list is read *every* so many seconds. *ring*
        says that it is time to look, not what there is to see; it may be called once too often. The address that a guest
        gets for itself may be nothing that the platform tells of.
        """
        end = ring_on_change(self.list, ring, every)
        try:
            yield
        finally:
            end()

    def console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        """Return what is needed to open the display of VM *name*: ``url``, or ``protocol``, ``host`` and ``port``.

        ``password`` is there when the display has one, ``tunnel`` when the port is only reachable over ssh to that host.
        """
        return self._ask(self._console, name, tunnel, tunnelhost, tunnelport, tunneluser, web)

    def _console(self, name: str, tunnel: bool = False, tunnelhost: str | None = None, tunnelport: int = 22,
                 tunneluser: str = 'root', web: bool = False) -> dict[str, Any]:
        raise NotSupported('')

    def serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        """Return what is needed to open the serial console of VM *name*.

        ``command`` is a list of arguments to run on this machine, or ``output`` is the log so far where a platform has no
        interactive console.
        """
        return self._ask(self._serialconsole, name, web)

    def _serialconsole(self, name: str, web: bool = False) -> dict[str, Any]:
        raise NotSupported('')

    def dnsinfo(self, name: str) -> tuple[str | None, str | None]:
        """Return the DNS client and the domain that VM *name* was recorded with, None for each that is absent."""
        return self._ask(self._dnsinfo, name)

    @built_from('info')
    def _dnsinfo(self, name: str) -> tuple[str | None, str | None]:
        known: Mapping[str, Any] = self._info(name)
        return known.get('dnsclient'), known.get('domain')

    # changes

    def update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> Result:
        """Set field *metatype* of VM *name* to *metavalue* (None removes it); *append* adds it after a comma."""
        return self._attempt(self._update_metadata, name, metatype, metavalue, append)

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        raise NotSupported('')

    def update_memory(self, name: str, memory: int | str) -> Result:
        """Give VM *name* this much memory (MiB, or with a unit). Conflict where the VM must be stopped for that."""
        return self._attempt(self._update_memory_decoded, name, memory)

    @serves('update_memory')
    def _update_memory_decoded(self, name: str, memory: int | str) -> Mapping[str, Any] | None:
        return self._update_memory(name, decode_vm({'memory': memory}).memory)

    def _update_memory(self, name: str, memory: int) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def update_cpus(self, name: str, numcpus: int) -> Result:
        """Give VM *name* this many virtual CPUs. Conflict where the VM must be stopped for that."""
        return self._attempt(self._update_cpus_decoded, name, numcpus)

    @serves('update_cpus')
    def _update_cpus_decoded(self, name: str, numcpus: int) -> Mapping[str, Any] | None:
        return self._update_cpus(name, decode_vm({'numcpus': numcpus}).numcpus)

    def _update_cpus(self, name: str, numcpus: int) -> Mapping[str, Any] | None:
        raise NotSupported('')

    def update_flavor(self, name: str, flavor: str) -> Result:
        """Resize VM *name* to *flavor*. May block where the power must be off for it."""
        return self._attempt(self._update_flavor, name, flavor)

    def _update_flavor(self, name: str, flavor: str) -> None:
        raise NotSupported('')

    def update_start(self, name: str, start: bool = True) -> Result:
        """Let VM *name* start with its host, or not."""
        return self._attempt(self._update_start, name, start)

    def _update_start(self, name: str, start: bool = True) -> None:
        raise NotSupported('')

    def update_information(self, name: str, information: str) -> Result:
        """Set the free text that describes VM *name*."""
        return self._attempt(self._update_information, name, information)

    @built_from('update_metadata')
    def _update_information(self, name: str, information: str) -> None:
        self._update_metadata(name, 'information', information)

    def update_iso(self, name: str, iso: str | None) -> Result:
        """Put *iso* in the CD drive of VM *name*; None empties it."""
        return self._attempt(self._update_iso, name, iso)

    def _update_iso(self, name: str, iso: str | None) -> None:
        raise NotSupported('')

    def remove_cloudinit(self, name: str) -> Result:
        """Take the seed with the guest's first configuration away from VM *name*. NotFound when it has none."""
        return self._attempt(self._remove_cloudinit, name)

    def _remove_cloudinit(self, name: str) -> None:
        raise NotSupported('')

    # for providers

    @staticmethod
    def one(what: str, name: str, found: Sequence[Any]) -> Any:
        """Return the only thing in *found*; NotFound when there is none, Conflict when a name is borne by several."""
        if not found:
            raise NotFound(f'{what} {name} does not exist')
        if len(found) > 1:
            raise Conflict(f'{len(found)} {what}s are called {name}', hint='Give the id')
        return found[0]
