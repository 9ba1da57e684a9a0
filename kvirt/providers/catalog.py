"""The providers that kvirt ships: pure data, read by setup.py too, so it imports nothing."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A provider. ``requires`` are the pip requirements of the extra that bears its name."""

    name: str
    title: str
    path: str  # module:class
    requires: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    finished: bool = False  # nothing of the contract is "not yet"; the conformance suite holds it to that


CATALOG: tuple[Entry, ...] = (
    Entry('fake', 'Pretend cloud, for demos and for the tests of your scripts', 'kvirt.providers.fake:Kfake',
          finished=True),
    Entry('kvm', 'libvirt and QEMU/KVM, local or remote', 'kvirt.providers.kvm:Kvirt', ('libvirt-python>=8.0',),
          aliases=('libvirt', 'qemu')),
)


def extras() -> dict[str, list[str]]:
    """Return pip's extras: one for each provider that needs something, and ``all``."""
    single = {entry.name: sorted(entry.requires) for entry in CATALOG if entry.requires}
    return {**single, 'all': sorted({requirement for needs in single.values() for requirement in needs})}
