"""kvirt's own file of ssh host keys: one line for each VM, under an alias that no other VM ever has."""

from __future__ import annotations

from pathlib import Path

from kvirt.yamlfile import locked, write_private


def known(known_hosts: Path, alias: str) -> str | None:
    """Return the public key that is kept for *alias*, None when there is none."""
    for line in _lines(known_hosts):
        words = line.split(None, 1)
        if len(words) == 2 and words[0] == alias:
            return words[1]
    return None


def pin(known_hosts: Path, alias: str, public_key: str) -> None:
    """Keep *public_key* for *alias*, in place of another one."""
    kind, blob = public_key.split()[:2]
    _rewrite(known_hosts, alias, [f'{alias} {kind} {blob}'])


def forget(known_hosts: Path, alias: str) -> None:
    """Keep no key for *alias* any longer."""
    if known(known_hosts, alias) is not None:
        _rewrite(known_hosts, alias, [])


def _rewrite(known_hosts: Path, alias: str, added: list[str]) -> None:
    with locked(known_hosts):
        kept = [line for line in _lines(known_hosts) if line.split(None, 1)[:1] != [alias]]
        write_private(known_hosts, ''.join(f'{line}\n' for line in [*kept, *added]))


def _lines(known_hosts: Path) -> list[str]:
    try:
        return known_hosts.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        return []
