"""From a provider's name to its class, importing nothing that is not needed."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import Any

from kvirt.errors import InvalidInput, MissingDependency
from kvirt.names import did_you_mean
from kvirt.providers.catalog import CATALOG, Entry

GROUP = 'kvirt.providers'
"""Entry-point group where other packages offer providers: ``mycloud = mypackage.module:Kmycloud``."""

# The module that a requirement installs, where it is not the requirement's own name.
_MODULES = {'libvirt-python': 'libvirt', 'google-cloud-compute': 'google.cloud.compute_v1'}


def entries() -> list[Entry]:
    """Return every provider there is, ours and those of other packages, sorted by name."""
    from importlib import metadata  # slow to load, and only needed where other packages matter
    known = {entry.name: entry for entry in CATALOG}
    for point in metadata.entry_points(group=GROUP):
        package = point.dist.name if point.dist else 'another package'
        known.setdefault(point.name, Entry(point.name, f'from {package}', point.value))
    return sorted(known.values())


def find(name: str) -> Entry:
    """Return the provider called *name*, or by one of its aliases; InvalidInput suggests the likely one."""
    for entry in CATALOG:  # entry points cost a scan of what is installed, so they come last
        if name == entry.name or name in entry.aliases:
            return entry
    others = entries()
    for entry in others:
        if name == entry.name:
            return entry
    words = [entry.name for entry in others] + [alias for entry in CATALOG for alias in entry.aliases]
    raise InvalidInput(f"unknown provider '{name}'{did_you_mean(name, words)}",
                       hint="'kvirt list provider' shows them all")


def missing(entry: Entry) -> list[str]:
    """Return the requirements of a provider that are not installed."""
    return [requirement for requirement in entry.requires if not _installed(_module(requirement))]


def load(name: str) -> type[Any]:
    """Return the class of provider *name*.

    MissingDependency names the command that installs what is absent. Any other ImportError is a bug and stays one.
    """
    entry = find(name)
    module, _, attribute = entry.path.partition(':')
    try:
        found: type[Any] = getattr(importlib.import_module(module), attribute)
        return found
    except ModuleNotFoundError as error:
        absent = [_module(requirement) for requirement in entry.requires]
        if error.name not in {part for path in absent for part in _prefixes(path)}:
            raise
        needs = ' '.join(missing(entry) or entry.requires)
        raise MissingDependency(f'provider {entry.name} needs {needs}',
                                hint=f"Run: pip install 'kvirt[{entry.name}]'") from error


def _module(requirement: str) -> str:
    project = re.split(r'[^A-Za-z0-9_.-]', requirement.partition('[')[0])[0].rstrip('.-')
    return _MODULES.get(project, project.replace('-', '_'))


def _prefixes(path: str) -> list[str]:
    parts = path.split('.')
    return ['.'.join(parts[:count]) for count in range(1, len(parts) + 1)]


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
