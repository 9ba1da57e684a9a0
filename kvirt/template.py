"""Templates in what a guest is given: ``{{ variable }}`` and ``{% if %}``, in Jinja's sandbox.

``{# #}`` is no comment here: ``${#array[@]}`` is shell, and stays. A text without a template stays as it is, byte for
byte; so does everything between templates, line ends included.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kvirt.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from jinja2 import Environment, TemplateSyntaxError

_RAW_HINT = 'What is not meant as a template stands between {% raw %} and {% endraw %}'
_SPACES = '\x1c\x1d\x1e\x1f'  # white space to Jinja, and in no text


def is_template(text: str) -> bool:
    """Tell if there is anything to expand in *text*."""
    return '{{' in text or '{%' in text


def expand(text: str, variables: Mapping[str, Any], *, where: str = '', hint: str = _RAW_HINT) -> str:
    """Return *text* with its templates expanded. Every name that it uses must be among *variables*.

    InvalidInput names *where* (a file, or what the text is) and the line of what is wrong, with *hint* as the next step.
    """
    if not is_template(text):
        return text
    # Jinja makes all line ends alike, so carriage returns are hidden from it.
    hidden = next((space for space in _SPACES if space not in text), '\r')
    compiled = _checked(text.replace('\r', hidden), where, hint)
    try:
        return str(compiled.render(variables)).replace(hidden, '\r')
    except Exception as error:  # a template is a program of the user's: whatever it raises is a fault of the input
        line = next((frame.lineno for frame in reversed(traceback.extract_tb(error.__traceback__))
                     if frame.filename == '<template>'), None)
        message = str(error).rstrip('.') or type(error).__name__
        problem = Problem(f'the template can not be expanded: {message}', _place(where, line))
        raise InvalidInput(problem, hint=hint) from error


def variables_of(text: str, *, where: str = '', hint: str = _RAW_HINT) -> set[str]:
    """Return the names that the templates in *text* use and do not set themselves."""
    if not is_template(text):
        return set()
    from jinja2 import TemplateSyntaxError, meta
    try:
        return meta.find_undeclared_variables(_environment().parse(text))
    except TemplateSyntaxError as error:
        raise _wrong(error, where, hint) from None


def _checked(text: str, where: str, hint: str) -> Any:
    from jinja2 import TemplateSyntaxError
    try:
        return _environment().from_string(text)
    except TemplateSyntaxError as error:
        raise _wrong(error, where, hint) from None


def _wrong(error: TemplateSyntaxError, where: str, hint: str) -> InvalidInput:
    message = str(error.message).rstrip('.')
    return InvalidInput(Problem(f'this is no template: {message}', _place(where, error.lineno)), hint=hint)


def _place(where: str, line: int | None) -> str:
    return ':'.join(part for part in (where, str(line) if line else '') if part)


@functools.cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False,
                                         extensions=['jinja2.ext.do'],
                                         comment_start_string='{#kvirt:comment#', comment_end_string='#kvirt:comment#}')
