"""The VMs that were created last, which commands mean when they are given no name."""

from __future__ import annotations

from kvirt import yamlfile
from kvirt.settings import Settings

_KEPT = 100


class LastVms:
    """The file ``vm`` in home: ``client name``, a line each, the newest first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.home / 'vm'

    def newest(self, client: str) -> str | None:
        """Return the VM created last with *client*, None when there is none."""
        return next((name for known, name in self._read() if known == client), None)

    def add(self, client: str, *names: str) -> None:
        """Remember *names*, of which the last one is the newest."""
        self._change([(client, name) for name in reversed(names)], ())

    def remove(self, client: str, *names: str) -> None:
        """Forget *names*."""
        self._change([], [(client, name) for name in names])

    def rename(self, client: str, old: str, new: str) -> None:
        """Remember *new* in the place of *old*."""
        if (client, old) in self._read():
            self._change([(client, new)], [(client, old)])

    def _read(self) -> list[tuple[str, str]]:
        path = self._path if self._path.is_file() else self._settings.path('vm')
        if path is None:
            return []
        words = [line.split() for line in path.read_text(encoding='utf-8', errors='replace').splitlines()]
        return [(word[0], word[1]) for word in words if len(word) == 2]

    def _change(self, added: list[tuple[str, str]], gone: list[tuple[str, str]] | tuple[()]) -> None:
        with yamlfile.locked(self._path):
            before = self._read()
            after = [*added, *(line for line in before if line not in added and line not in gone)][:_KEPT]
            if after != before:
                yamlfile.write_private(self._path, ''.join(f'{client} {name}\n' for client, name in after))
