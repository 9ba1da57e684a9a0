"""Changes to a VM that exists, asked for by keywords: which operation of the provider each of them means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kvirt.errors import InvalidInput, KvirtError, NotSupported, Problem
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.spec import KEYWORDS, decode_vm

_IN_METADATA = frozenset({'plan', 'profile', 'image', 'owner', 'tags', 'domain'})


def update_vm(provider: Any, name: str, values: Mapping[str, Any]) -> Result:
    """Change VM *name* as *values* say; what is no keyword becomes a field of its metadata.

    All values are looked at before anything is changed. The success lists in ``updated`` what was changed; a failure too,
    since the changes before it stay.
    """
    try:
        if not values:
            raise InvalidInput('nothing to change was given', hint='Give it with -P: -P memory=2048')
        steps = _steps(provider, name, values)
    except KvirtError as error:
        return Result.failure(error)
    updated: list[str] = []
    for key, step in steps.items():
        result = Result.of(step())
        if not result.ok:
            done = f"{result['reason']}. Already changed: {', '.join(updated)}" if updated else result['reason']
            return Result({**result, 'reason': done, 'updated': updated})
        updated.append(key)
    return Result.success(name=name, updated=updated)


def _steps(provider: Any, name: str, values: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    checked = {key: values[key] for key in ('numcpus', 'memory', 'autostart', 'cloudinit', 'tags', 'plan', 'owner')
               if key in values}
    spec = decode_vm(checked)
    known: dict[str, Callable[[], Any]] = {
        'numcpus': lambda: provider.update_cpus(name, spec.numcpus),
        'memory': lambda: provider.update_memory(name, spec.memory),
        'autostart': lambda: provider.update_start(name, spec.autostart),
        'flavor': lambda: provider.update_flavor(name, str(values['flavor'])),
        'iso': lambda: provider.update_iso(name, str(values['iso']) if values['iso'] else None),
        'information': lambda: provider.update_information(name, str(values['information'])),
        'cloudinit': lambda: provider.remove_cloudinit(name)}
    problems = [Problem(f'keyword {key} can not be changed on a VM that exists') for key in values
                if key in KEYWORDS and key not in known and key not in _IN_METADATA]
    if 'cloudinit' in values and spec.cloudinit:
        problems.append(Problem('cloudinit can only be taken away', 'cloudinit'))
    if problems:
        raise NotSupported('; '.join(problem.message for problem in problems))
    for key in values:
        safe_name('field', key)
    return {key: known.get(key) or _metadata_step(provider, name, key, values[key]) for key in values}


def _metadata_step(provider: Any, name: str, key: str, value: Any) -> Callable[[], Any]:
    if isinstance(value, (list, tuple)):
        value = ','.join(str(item) for item in value)
    text = None if value is None else str(value)
    return lambda: provider.update_metadata(name, key, text)

