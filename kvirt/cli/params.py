"""What -P key=value and parameter files say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kvirt.errors import InvalidInput, Problem
from kvirt.redact import is_secret_key

IMPLICIT = ('kvirt_parameters.yml', 'kcli_parameters.yml')
"""The parameter file that is read from the current folder when none is named; kcli's name counts as well."""

_KEY = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_WORDS = {'true': True, 'True': True, 'false': False, 'False': False, 'None': None, 'null': None}


def gather(params: Iterable[str], files: Iterable[str], *, implicit: bool = False) -> dict[str, Any]:
    """Return the parameters of *files*, later ones over earlier ones, with those of *params* on top.

    A value of ``?required`` that nothing replaces is InvalidInput.
    """
    chosen = [Path(file).expanduser() for file in files]
    if not chosen and implicit:
        chosen = [Path(name) for name in IMPLICIT if Path(name).is_file()][:1]
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for path in chosen:
        for key, (value, place) in _from_file(path).items():
            values[key], places[key] = value, place
    values.update(parse(params))
    problems = [Problem(f"parameter {key} is required: give it with -P {key}=VALUE", places.get(key, '-P'))
                for key, value in values.items() if value == '?required']
    if problems:
        raise InvalidInput(problems)
    return values


def parse(params: Iterable[str]) -> dict[str, Any]:
    """Return ``key=value`` words as a mapping. InvalidInput names each that is none, or that comes again."""
    values: dict[str, Any] = {}
    problems = []
    for word in params:
        key, equals, text = word.partition('=')
        if not equals or not _KEY.fullmatch(key):
            shown = f'{key[:60]!r}=...' if equals else repr(word[:60])
            problems.append(Problem(f"-P {shown} is no KEY=VALUE with a key of letters, digits and underscores"))
        elif key in values:
            problems.append(Problem(f'-P {key} is given more than once'))
        else:
            try:
                values[key] = coerce(text)
            except InvalidInput as error:
                shown = '' if is_secret_key(key) else f' {error.reason}'
                problems.append(Problem(f'-P {key}:{shown}. {error.hint}'))
    if problems:
        raise InvalidInput(problems)
    return values


def coerce(text: str) -> Any:
    """Return what *text* means: a number, true or false, nothing (``None``), a list, a mapping, or itself.

    A number is one only where writing it again gives the same text: ``01``, ``1.50`` and ``1e3`` are not, so that
    nothing that a user typed is lost.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _is_flow(text):
        return _flow(text)
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if repr(number) == text and text not in ('nan', 'inf', '-inf'):
            return number
    return text


def _is_flow(text: str) -> bool:
    """Tell if *text* is a list or a mapping; a template (``{{ x }}``) is neither."""
    return (text[:1], text[-1:]) in (('[', ']'), ('{', '}')) and text[:2] not in ('{{', '{%')


def _flow(text: str) -> Any:
    import yaml
    hint = 'Quote a text that begins with [ or {: \'["[ -f /x ]"]\''
    try:
        return _built(yaml.compose(text, Loader=yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError):
        raise InvalidInput('this is not a list or mapping in YAML', hint=hint) from None


def _built(node: Any) -> Any:
    """Return a YAML node as data, with the same idea of numbers as :func:`coerce` in place of YAML's octals and dates."""
    import yaml
    if isinstance(node, yaml.ScalarNode):
        return coerce(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_built(item) for item in node.value]
    built: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in built:
            raise yaml.YAMLError
        built[key.value] = _built(value)
    return built


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    from kvirt.yamlfile import load_file
    document = load_file(path)
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise InvalidInput(Problem('expected a mapping of parameters', str(path)))
    return {str(key): (value, document.where(key)) for key, value in document.data.items()}
