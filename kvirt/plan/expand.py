"""Between parsing and checking: plans that build on others, VMs that build on others, and the plan's own profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvirt.errors import InvalidInput, NotFound, Problem
from kvirt.names import did_you_mean
from kvirt.plan.locate import Source, locate
from kvirt.plan.parse import Entry, parse
from kvirt.plan.render import Rendered

_ADDED = ('disks', 'nets', 'files', 'scripts', 'cmds')
"""Keys of a VM that are added to those of the VM it builds on, where all others take their place."""

_DEEPEST = 10

Render = Callable[[Source], Rendered]


def expand(rendered: Rendered, render: Render, problems: list[Problem], *, above: tuple[str, ...] = ()) -> list[Entry]:
    """Return the entries of a plan with those of its ``baseplan`` and of the plans that it names.

    *render* expands the templates of those plans with what the user gave. What is wrong with single entries is added to
    *problems*. InvalidInput where nothing can be told of the plan.
    """
    here = rendered.source.name
    if here in above or len(above) > _DEEPEST:
        raise InvalidInput(Problem(f"plans name each other: {' -> '.join([*above, here])}", here))
    own = parse(rendered, problems)
    entries: dict[tuple[str, str], Entry] = {}
    base = rendered.declared.about.get('baseplan')
    if base:
        for entry in _of(str(base), here, rendered.source, render, problems, (*above, here)):
            entries[entry.key] = entry
    for entry in own:
        if entry.kind == 'plan':
            for inner in _named(entry, rendered.source, render, problems, (*above, here)):
                entries.setdefault(inner.key, inner)
        else:
            entries[entry.key] = entry
    built = []
    for entry in entries.values():
        try:
            built.append(_built(entry, entries, rendered.source, render, (*above, here)))
        except InvalidInput as error:
            problems += error.problems
    return built


def _of(what: str, where: str, source: Source, render: Render, problems: list[Problem],
        above: tuple[str, ...]) -> list[Entry]:
    path = what if '://' in what else str(source.folder / Path(what).expanduser())
    if '://' not in what and source.origin == 'url':
        raise InvalidInput(Problem(f'{what} is a file of this machine, and the plan is not', where))
    return expand(render(locate(path)), render, problems, above=above)


def _named(entry: Entry, source: Source, render: Render, problems: list[Problem],
           above: tuple[str, ...]) -> list[Entry]:
    """Return the entries of the plan that an entry of type plan names."""
    odd = [key for key in entry.values if key not in ('url', 'file', 'run')]
    if odd:
        raise InvalidInput(Problem(f"unknown key of a plan '{odd[0]}'{did_you_mean(odd[0], ['url', 'file'])}",
                                   entry.where(odd[0])))
    what = entry.values.get('url') or entry.values.get('file')
    if not what:
        raise InvalidInput(Problem(f'{entry} needs a url or a file', entry.where()))
    try:
        return _of(str(what), entry.where(), source, render, problems, above)
    except NotFound as error:
        raise InvalidInput(Problem(error.reason, entry.where())) from None


def _built(entry: Entry, entries: Mapping[tuple[str, str], Entry], source: Source, render: Render,
           above: tuple[str, ...]) -> Entry:
    """Return a VM with what it takes from its ``basevm``."""
    wanted = entry.values.get('basevm')
    if entry.kind != 'vm' or wanted is None:
        return entry
    if entry.values.get('baseplan'):
        others = {other.key: other for other in _of(
            str(entry.values['baseplan']), entry.where('baseplan'), source, render, [], above)}
    else:
        others = dict(entries)
    base = others.get(('vm', str(wanted)))
    if base is None or base.key == entry.key and not entry.values.get('baseplan'):
        names = [name for kind, name in others if kind == 'vm']
        raise InvalidInput(Problem(f"{entry} builds on VM '{wanted}', which is not there{did_you_mean(str(wanted), names)}",
                                   entry.where('basevm')))
    if base.values.get('basevm'):
        base = _built(base, {key: other for key, other in others.items() if key != entry.key}, source, render, above)
    values: dict[str, Any] = {**base.values, **entry.values}
    for key in _ADDED:
        if key in base.values and key in entry.values:
            values[key] = [*_listed(base.values[key]), *_listed(entry.values[key])]
    return replace(entry, values={key: value for key, value in values.items() if key not in ('basevm', 'baseplan')},
                   trusted=entry.trusted and base.trusted)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
