"""What kvirt made for a VM, kept on the VM: ``<journal:owned>`` under ``<metadata>``.

It is written when the domain is defined, before any volume is made, so that whoever comes after a kill can tell what
the unfinished VM owns, and if the process that was making it still lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kvirt.providers.kvm.domain.element import add, local, metadata_children, to_metadata

JOURNAL_PREFIX = 'journal'
JOURNAL_URI = 'urn:kvirt:journal:1'
"""The arguments ``key`` and ``uri`` of libvirt's setMetadata."""

TAG = f'{{{JOURNAL_URI}}}owned'

ElementTree.register_namespace(JOURNAL_PREFIX, JOURNAL_URI)


@dataclass(frozen=True)
class Journal:
    """The state of a VM's creation, who does it, and the volumes (pool, name) made for it.

    ``host``, ``pid`` and ``started`` (of the process) name a process beyond doubt; ``since`` is when it began, ISO
    8601.
    """

    state: Literal['creating', 'done']
    host: str
    pid: int
    started: str
    since: str
    volumes: tuple[tuple[str, str], ...] = ()

    def to_element(self) -> Element:
        """Return ``<journal:owned>``."""
        owned = Element(TAG)
        for name in ('state', 'host', 'pid', 'started', 'since'):
            owned.set(name, str(getattr(self, name)))
        for pool, name in self.volumes:
            add(owned, f'{{{JOURNAL_URI}}}volume', pool=pool, name=name)
        return owned

    def to_metadata(self) -> str:
        """Return the text for libvirt's setMetadata."""
        return to_metadata(self.to_element())

    @classmethod
    def from_element(cls, owned: Element) -> Journal:
        """Return the journal of an ``<owned>``, with or without namespace. What can't be read is empty."""
        pid = owned.get('pid', '')
        volumes = tuple((child.get('pool', ''), child.get('name', '')) for child in owned
                        if local(child.tag) == 'volume' and child.get('name'))
        return cls(state='creating' if owned.get('state') == 'creating' else 'done', host=owned.get('host', ''),
                   pid=int(pid) if pid.isdecimal() else 0, started=owned.get('started', ''),
                   since=owned.get('since', ''), volumes=volumes)


def read_journal(domain: Element) -> Journal | None:
    """Return the journal of *domain*, None when kvirt did not make it."""
    return next((Journal.from_element(owned) for owned in metadata_children(domain, TAG)), None)
