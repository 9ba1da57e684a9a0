"""CPUs and memory of VMs that exist, running ones too.

What a VM is given while it runs, its guest has to put to use. The kernels of most distributions leave that to somebody, so
the guest agent is asked to do it; where none answers, that is said.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from kvirt.base import waits
from kvirt.errors import Conflict, TimedOut
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.snapshots import Snapshots
from kvirt.wait import until

log = logging.getLogger(__name__)

_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
_KEPT = (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_FAILED,
         libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)
"""What libvirt may answer when CPUs are to be taken away and stay."""

_MIB = 1024**2
_NONE: tuple[set[int], set[int]] = (set(), set())


class Growth(Snapshots):
    """Changing how many CPUs and how much memory a VM has."""

    def redefine(self, text: str) -> None:
        """Define a domain that exists anew."""
        self.libvirt.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    # memory

    @waits
    def _update_memory(self, name: str, memory: int) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        view = self.persistent(native)
        if not native.isActive():
            self.redefine(domain.with_memory(self.persistent_xml(native), memory))
            return None
        most = native.maxMemory() // 1024
        if memory > most and view.max_memory > most:  # made with memoryhotplug: it has free slots
            return self._plug_memory(native, memory - most)
        if memory > most:
            raise Conflict(f'VM {name} is running and was made with at most {most} MiB', hint='Stop it first')
        if memory != _held(native):
            self._balloon(native, memory)
        if memory != view.memory:
            native.setMemoryFlags(memory * 1024, _CONFIG)
        return None

    def _plug_memory(self, native: libvirt.virDomain, more: int) -> Mapping[str, Any] | None:
        module = domain.memory_module(more)
        known = self._blocks(native)
        native.attachDeviceFlags(domain.to_text(module), self.affected(native))
        if known is not None:
            with contextlib.suppress(libvirt.libvirtError):  # an agent that fails does not take the memory away again
                return self._use_memory(native, known, more)
        self._not_known(native, f'{more} MiB more', known is not None)
        return None

    def _use_memory(self, native: libvirt.virDomain, known: Mapping[int, bool], more: int) -> Mapping[str, Any] | None:
        """Have a guest use the memory that it was given, having had the blocks that are *known*."""
        size = self._ask_agent(native, 'guest-get-memory-block-info')['size'] // _MIB
        fresh = self._seen(lambda: {index for index in (self._blocks(native) or {}) if index not in known},
                           lambda blocks: len(blocks) * size >= more)
        self._ask_agent(native, 'guest-set-memory-blocks', {'mem-blks': [
            {'phys-index': index, 'online': True} for index in sorted(fresh)]})
        used = sum((self._blocks(native) or {}).values()) * size
        if used < sum(known.values()) * size + more:
            self._not_known(native, f'{more} MiB more', True)
            return None
        return {'in_use': used}

    def _balloon(self, native: libvirt.virDomain, memory: int) -> None:
        """Have a guest give memory back, or take it again. Conflict when it does not, and then nothing has changed."""
        had = _held(native)

        def follows(wanted: int) -> None:
            native.setMemoryFlags(wanted * 1024, _LIVE)
            until(lambda: _held(native) == wanted, what=f'memory of VM {native.name()}', timeout=self.let_go_seconds,
                  interval=0.2)
        try:
            follows(memory)
        except TimedOut:
            with contextlib.suppress(TimedOut):
                follows(had)
            raise Conflict(f'the guest of VM {native.name()} does not change its memory from {had} to {memory} MiB',
                           hint='Wait until it has booted, or stop it first') from None

    def _blocks(self, native: libvirt.virDomain) -> dict[int, bool] | None:
        """Return which blocks of memory a guest has, and which of them it uses; None when its agent does not answer."""
        with contextlib.suppress(libvirt.libvirtError):
            return {block['phys-index']: block['online']
                    for block in self._ask_agent(native, 'guest-get-memory-blocks')}
        return None

    # CPUs

    @waits
    def _update_cpus(self, name: str, numcpus: int) -> Mapping[str, Any] | None:
        native = self.domain_of(name)
        if not native.isActive():
            self.redefine(domain.with_cpus(self.persistent_xml(native), numcpus))
            return None
        most = native.vcpusFlags(libvirt.VIR_DOMAIN_VCPU_MAXIMUM | _LIVE)
        if numcpus > most:
            raise Conflict(f'VM {name} is running and was made with at most {most} CPUs', hint='Stop it first')
        had = native.vcpusFlags(_LIVE)
        if numcpus < had:
            self._unplug_cpus(native, numcpus)
        native.setVcpusFlags(numcpus, self.affected(native))
        return self._use_cpus(native, numcpus) if numcpus > had else None

    def _unplug_cpus(self, native: libvirt.virDomain, numcpus: int) -> None:
        """Take CPUs away. Conflict when they are fixed, the guest keeps them, or libvirt is not told that they are gone."""
        while not self._unplugged(native, numcpus):
            pass
        if native.vcpusFlags(_LIVE) <= numcpus:
            return
        name, seen = native.name(), self._guest_count(native)
        if seen is not None and seen < native.vcpusFlags(_LIVE):
            raise Conflict(f'the guest of VM {name} let go of CPUs, and QEMU has not told libvirt, as happens where it '
                           'emulates', hint='Stop it first')
        raise Conflict(f'VM {name} is running and does not let go of its CPUs', hint='Stop it first; those it was born '
                       'with can be taken away only if it was made with cpuhotplug')

    def _unplugged(self, native: libvirt.virDomain, numcpus: int) -> bool:
        """Have CPUs taken away. Return False when it is worth another try, since some went.

        libvirt waits five seconds for QEMU to tell of each. A busy guest takes longer; and where QEMU emulates it tells
        nothing, of which libvirt hears (as of 11, not of 9) when it asks for the same again.
        """
        had = self._guest_count(native)
        try:
            native.setVcpusFlags(numcpus, _LIVE)
            return True
        except libvirt.libvirtError as error:
            code = error.get_error_code()
            if code not in _KEPT:
                raise
            log.debug('the CPUs of VM %s stay: %s', native.name(), error)
        if code != libvirt.VIR_ERR_OPERATION_TIMEOUT:
            return True

        def went() -> bool:
            now = self._guest_count(native)
            return had is not None and now is not None and now < had
        with contextlib.suppress(TimedOut):
            until(lambda: native.vcpusFlags(_LIVE) <= numcpus or went(), what='its CPUs', timeout=self.let_go_seconds)
        return native.vcpusFlags(_LIVE) <= numcpus or not went()

    def _guest_count(self, native: libvirt.virDomain) -> int | None:
        """Return how many CPUs a guest says that it has; None when it does not say."""
        seen = self._cpus(native)
        return None if seen is None else len(seen[0])

    def _use_cpus(self, native: libvirt.virDomain, numcpus: int) -> Mapping[str, Any] | None:
        """Have a guest use the CPUs that it was given."""
        answers = self._cpus(native) is not None
        with contextlib.suppress(libvirt.libvirtError):  # an agent that fails does not take the CPUs away again
            cpus = self._seen(lambda: (self._cpus(native) or _NONE)[0],
                              lambda there: len(there) >= numcpus or not answers)
            idle = cpus - (self._cpus(native) or _NONE)[1]
            if idle:
                native.setGuestVcpus(','.join(map(str, sorted(idle))), 1, 0)
            used = len((self._cpus(native) or _NONE)[1])
            if used >= numcpus:
                return {'in_use': used}
        self._not_known(native, f'{numcpus} CPUs', answers)
        return None

    @staticmethod
    def _cpus(native: libvirt.virDomain) -> tuple[set[int], set[int]] | None:
        """Return which CPUs a guest has, and which of them it uses; None when its agent does not answer."""
        with contextlib.suppress(libvirt.libvirtError):
            known = native.guestVcpus(0)
            if known is None:  # so the binding tells of a fault here
                return None
            from kvirt.providers.kvm.domain.cpu import cpu_set  # not for a list of VMs
            return set(cpu_set('vcpus', known['vcpus'])), set(cpu_set('online', known['online']))
        return None

    # the guest

    @staticmethod
    def _not_known(native: libvirt.virDomain, what: str, answers: bool) -> None:
        log.warning('VM %s has %s now; whether its guest uses them is not known%s', native.name(), what,
                    '' if answers else ', as no guest agent answers in it')

    def _seen(self, look: Callable[[], set[int]], enough: Callable[[set[int]], bool]) -> set[int]:
        """Return what a guest has, as soon as it is enough; what it has by then when it takes too long."""
        found: set[int] = set()

        def there() -> bool:
            nonlocal found
            found = look()
            return enough(found)
        with contextlib.suppress(TimedOut):
            until(there, what='what the guest sees', timeout=self.let_go_seconds, interval=0.3)
        return found

    @staticmethod
    def _ask_agent(native: libvirt.virDomain, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Return what the guest agent answers. Raises libvirtError."""
        import libvirt_qemu
        told = {'execute': command, **({'arguments': arguments} if arguments else {})}
        return json.loads(libvirt_qemu.qemuAgentCommand(native, json.dumps(told), 5, 0))['return']


def _held(native: libvirt.virDomain) -> int:
    """Return how much memory a guest holds at this moment, in MiB."""
    return int(native.info()[2]) // 1024
