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


S3 = ('boto3>=1.36',)
FAMILIES = {'s3': S3}
"""What those need that use a part of a platform which is optional: buckets wherever object storage speaks S3."""

CATALOG: tuple[Entry, ...] = (
    Entry('aws', 'Amazon EC2', 'kvirt.providers.aws:Kaws', S3, finished=True),
    Entry('digitalocean', 'DigitalOcean', 'kvirt.providers.digitalocean:Kdigitalocean', aliases=('do',),
          finished=True),
    Entry('fake', 'Pretend cloud, for demos and for the tests of your scripts', 'kvirt.providers.fake:Kfake',
          finished=True),
    Entry('hcloud', 'Hetzner Cloud', 'kvirt.providers.hcloud:Khcloud', ('hcloud>=2.18',), aliases=('hetzner',),
          finished=True),
    Entry('kvm', 'libvirt and QEMU/KVM, local or remote', 'kvirt.providers.kvm:Kvirt', ('libvirt-python>=8.0',),
          aliases=('libvirt', 'qemu')),
)


def extras() -> dict[str, list[str]]:
    """Return pip's extras: one for each provider or family that needs something, and ``all``."""
    single = {name: sorted(requires) for name, requires in FAMILIES.items()}
    single |= {entry.name: sorted(entry.requires) for entry in CATALOG if entry.requires}
    return {**single, 'all': sorted({requirement for needs in single.values() for requirement in needs})}
