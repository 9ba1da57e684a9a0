"""What plans made that can bear no mark: disks, DNS records, security groups, load balancers and buckets.

VMs, networks and containers carry the name of their plan on the platform itself. For the rest, each is written down in
kvirt's home before it is made, ``plans/NAME.yml``; what was there before is never in it, and so outlives the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvirt import yamlfile
from kvirt.errors import AlreadyExists, InvalidInput, Problem
from kvirt.result import Result

FOLDER = 'plans'
Thing = dict[str, str]
"""What tells a thing from all others: its ``type``, ``client`` and ``name``, and the ``zone`` of a record."""


class Ledger:
    """What plan *name* made, in the *home* of kvirt."""

    def __init__(self, home: Path, name: str) -> None:
        self._path = home / FOLDER / f'{name}.yml'

    def all(self) -> list[Thing]:
        """Return what is written down. InvalidInput when the file is no list of things."""
        if not self._path.is_file():
            return []
        document = yamlfile.load_file(self._path)
        written = document.data or []
        if not isinstance(written, list) or not all(isinstance(thing, dict) for thing in written):
            raise InvalidInput(Problem('expected a list of what the plan made', str(self._path)))
        return [{str(key): str(value) for key, value in thing.items()} for thing in written]

    def making(self, thing: Thing, make: Callable[[], Result]) -> Result:
        """Write down *thing*, and make it. What somebody else made in between is not the plan's."""
        new = thing not in self.all()
        if new:
            self._change(lambda things: [*things, thing])
        result = make()
        if new and not result.ok and result['error'] == AlreadyExists.__name__:
            self.forget(thing)
        return result

    def forget(self, thing: Thing) -> None:
        """Strike out *thing*, which is gone."""
        if thing in self.all():
            self._change(lambda things: [each for each in things if each != thing])

    def _change(self, change: Callable[[list[Thing]], list[Thing]]) -> None:
        with yamlfile.locked(self._path.parent / 'all'):
            things: list[Any] = change(self.all())
            if things:
                yamlfile.write_private(self._path, yamlfile.dump(things))
            else:
                self._path.unlink(missing_ok=True)
