"""The third step: from the text of a plan to its entries, each with its kind and the place of every key."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvirt.errors import InvalidInput, Problem
from kvirt.names import did_you_mean
from kvirt.plan.render import Rendered
from kvirt.yamlfile import Document, load_entries

KINDS = ('vm', 'profile', 'network', 'pool', 'image', 'disk', 'bucket', 'dns', 'securitygroup', 'loadbalancer',
         'container', 'ansible', 'workflow', 'plan', 'kube')
"""What an entry may be; a vm when it does not say."""

OTHER_WORDS = {'template': 'image', 'cluster': 'kube'}


@dataclass(frozen=True)
class Entry:
    """An entry of a plan: ``values`` are its keys but ``type``. ``folder`` is where its relative files are looked for.

    One that is *trusted* may read files and run commands of this machine.
    """

    kind: str
    name: str
    values: Mapping[str, Any]
    document: Document = field(repr=False)
    folder: Path = Path('.')
    compat: bool = False
    trusted: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What tells an entry from all others: its kind and name."""
        return self.kind, self.name

    @property
    def called(self) -> str:
        """The name of what the entry makes."""
        return str(self.values.get('name') or self.name)

    def where(self, *path: Hashable) -> str:
        """Return ``file:line`` of one of the entry's keys, or of the entry."""
        return self.document.where(*path)

    def __str__(self) -> str:
        return f'{self.kind} {self.name}'


def parse(rendered: Rendered, problems: list[Problem]) -> list[Entry]:
    """Return the entries of a plan in their order. What is wrong with single ones is added to *problems*.

    InvalidInput where the text is no YAML at all.
    """
    source = rendered.source
    line_of = dict(enumerate(rendered.lines, 1))
    entries: dict[tuple[str, str], Entry] = {}
    for name, document in load_entries(rendered.text, source.name, lambda line: line_of.get(line, line)):
        if name == 'parameters':
            continue
        try:
            entry = _entry(name, document, rendered)
        except InvalidInput as error:
            problems += error.problems
            continue
        first = entries.setdefault(entry.key, entry)
        if first is not entry:
            problems.append(Problem(f'{entry} stands here again, after {first.where()}', entry.where()))
    return list(entries.values())


def _entry(name: str, document: Document, rendered: Rendered) -> Entry:
    values = document.data
    if not name.isprintable():
        raise InvalidInput(Problem(f'{name!r} can not name an entry', document.where()))
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InvalidInput(Problem(f"entry '{name}' must be a mapping of keys", document.where()))
    written = values.get('type', 'vm')
    kind = OTHER_WORDS.get(written, written) if isinstance(written, str) else written
    if kind not in KINDS:
        words = [*KINDS, *OTHER_WORDS]
        hint = did_you_mean(kind, words) if isinstance(kind, str) else ''
        raise InvalidInput(Problem(f"entry '{name}' is of no known type: {written!r}{hint}", document.where('type')))
    return Entry(kind, name, {key: value for key, value in values.items() if key != 'type'}, document,
                 rendered.source.folder, rendered.source.compat, rendered.source.trusted)
