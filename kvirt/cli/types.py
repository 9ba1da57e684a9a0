"""What arguments and options may be, and how they are completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar('F', bound=Callable[..., Any])
Decorator = Callable[[F], F]

_LONGEST = 255


class Name(click.ParamType):  # type: ignore[type-arg]  # not generic in click 8.1
    """The name or id of a thing: one line of text. What it may hold beyond that, its kind decides."""

    name = 'name'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text or len(text) > _LONGEST or not text.isprintable():
            shown = repr(text if len(text) <= 60 else f'{text[:57]}...')
            self.fail(f'{shown} is no name: give 1 to {_LONGEST} characters in one line', param, ctx)
        return text


NAME = Name()


def names_argument(complete: Any = None, name: str = 'names', required: bool = False) -> Decorator[Any]:
    """Return a decorator that adds any number of names to a command."""
    return click.argument(name, nargs=-1, required=required, type=NAME, metavar='NAME...' if required else '[NAME]...',
                          shell_complete=complete)


def name_argument(complete: Any = None, name: str = 'name', required: bool = True) -> Decorator[Any]:
    """Return a decorator that adds one name to a command."""
    return click.argument(name, required=required, type=NAME, metavar='NAME' if required else '[NAME]',
                          shell_complete=complete)


def name_option(*flags: str, help: str, complete: Any = None, **settings: Any) -> Decorator[Any]:
    """Return a decorator that adds an option with a name."""
    return click.option(*flags, type=NAME, metavar='NAME', help=help, shell_complete=complete, **settings)
