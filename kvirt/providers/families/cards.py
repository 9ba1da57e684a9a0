"""Network cards of VMs, and how users name them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from kvirt.errors import NotFound
from kvirt.names import did_you_mean

T = TypeVar('T')


def find_cards(vm: str, wanted: str, known: Iterable[tuple[T, Collection[str]]]) -> list[T]:
    """Return the cards of a VM that *wanted* names, of those *known* with the words for each.

    These are its device, MAC address in small letters, network, id; empty ones name nothing. NotFound.
    """
    cards = list(known)
    found = [card for card, words in cards if wanted and {wanted, wanted.lower()}.intersection(words)]
    if not found:
        choices = [word for _, words in cards for word in words if word]
        raise NotFound(f'VM {vm} has no network card {wanted}{did_you_mean(wanted, choices)}')
    return found
