"""Names: which are safe, a fresh one at random, which one a misspelled word meant. And things with their number."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from kvirt.errors import InvalidInput

_SAFE = re.compile(r'[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9_])?')

UNPLANNED = 'kvirt'
"""The plan of VMs that were made without one."""

_LABEL = r'[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
_DNS = re.compile(rf'(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?|[@*]')

ADJECTIVES = """amber brave calm clever crisp daring eager fair gentle golden happy humble jolly keen kind lively lucky
    mellow merry nimble noble plucky proud quick quiet rapid silver smart steady sunny swift tidy vivid warm wise""".split()  # noqa: SIM905
ANIMALS = """badger beaver bison crane dolphin eagle falcon ferret finch fox gecko hare heron ibex jackal kestrel koala
    lark lemur lynx marten mole moose newt otter owl panda puffin quail raven robin seal stork tapir tern vole
    wren""".split()  # noqa: SIM905


def safe_name(kind: str, name: object) -> str:
    """Return *name* if it can name a *kind* (``VM``, ``pool``, ``network``...) everywhere, else raise InvalidInput.

    1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit: safe as a file name, as a
    host name, in XML, and as a word of a command line.
    """
    if isinstance(name, str) and _SAFE.fullmatch(name) and '..' not in name:
        return name
    raise InvalidInput(f'{_shown(name)} can not name a {kind}',
                       hint='Use 1 to 63 letters, digits, dots, dashes, underscores, beginning with a letter or digit')


def dns_name(name: object) -> str:
    """Return *name* if it can name a DNS record, relative to its zone (``@`` for the zone itself) or not."""
    if isinstance(name, str) and _DNS.fullmatch(name) and len(name) <= 253:
        return name
    raise InvalidInput(f'{_shown(name)} can not name a DNS record',
                       hint='Use labels of letters, digits, dashes and underscores, joined by dots')


def _shown(name: object) -> str:
    return repr(name if not isinstance(name, str) or len(name) <= 70 else name[:67] + '...')


def random_name() -> str:
    """Return a fresh, pronounceable name: ``swift-otter``."""
    return f'{_any_of(ADJECTIVES)}-{_any_of(ANIMALS)}'


def _any_of(words: list[str]) -> str:
    return words[int.from_bytes(os.urandom(4), 'big') % len(words)]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?`` for the most likely of *choices*, or an empty string."""
    import difflib  # only what was misspelled needs it
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ''


def counted(number: float, thing: str, things: str = '') -> str:
    """Return a number with what it counts: ``1 second``, ``2 seconds``, ``0.5 seconds``. *things* is an odd plural."""
    return f'{number:g} {thing if number == 1 else things or f"{thing}s"}'
