"""Text for people: nothing in it can move a terminal's cursor."""

from __future__ import annotations

import sys
from typing import Any, Literal


def is_terminal(name: Literal['stdin', 'stdout', 'stderr']) -> bool:
    """Tell if a standard stream is there and a terminal."""
    stream = getattr(sys, name)
    return stream is not None and bool(stream.isatty())


def folded(text: str, front: str = '', behind: str = '    ') -> str:
    """Return *front* and *text* as they fit a terminal: folded between words, each further line after *behind*.

    Elsewhere it stays one line. A word is never taken apart, so that it can be copied.
    """
    if not is_terminal('stdout'):
        return front + text
    import shutil  # into a pipe neither is needed
    import textwrap
    room = shutil.get_terminal_size().columns
    if len(front + text) <= room:
        return front + text
    return textwrap.fill(text, room, initial_indent=front, subsequent_indent=behind, break_long_words=False,
                         break_on_hyphens=False)


def plain(text: str) -> str:
    """Return *text* with control characters made visible, so that a name from elsewhere can't play with the terminal."""
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode() for char in text)


def cell(value: Any) -> str:
    """Return *value* as people read it in a table or a line: nothing, yes, no, or ``a, b``."""
    if value is None:
        return ''
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.4f}'.rstrip('0').rstrip('.')
    if isinstance(value, dict):
        return ' '.join(f'{key}={cell(item)}' for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ', '.join(cell(item) for item in value)
    return plain(str(value))
