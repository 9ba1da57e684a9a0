"""The parameters of a plan: what it declares, what files beside it and the user say, and what comes of that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvirt import yamlfile
from kvirt.errors import InvalidInput, Problem
from kvirt.plan.locate import Source

REQUIRED, SECRET = '?required', '?secret'
_BLOCK = re.compile(r'parameters:(?:\s.*)?')
_DESCRIBED = frozenset({'default', 'description', 'choices', 'secret', 'required'})
_ABOUT = ('description', 'info', 'baseplan', 'minimum_version')
"""Keys of the block that tell of the plan itself, and are no parameters."""


@dataclass(frozen=True)
class Parameter:
    """A parameter: its default, and what may be given for it. *where* is its place, as ``file:line``."""

    name: str
    default: Any = None
    description: str = ''
    choices: tuple[Any, ...] = ()
    required: bool = False
    secret: bool = False
    where: str = ''

    def check(self, value: Any) -> Any:
        """Return *value* if it may be given for this parameter. InvalidInput."""
        wanted = None if self.default is None or self.required else type(self.default)
        value = _as(wanted, value)
        if wanted is not None and value is not None and type(value) is not wanted:
            raise InvalidInput(f"parameter {self.name} is {_article(wanted)}, and {value!r} is not")
        if self.choices and value not in self.choices:
            raise InvalidInput(f"parameter {self.name} is one of {', '.join(map(str, self.choices))}, and not {value!r}")
        return value


def _as(wanted: type | None, value: Any) -> Any:
    """Return *value*, as it was typed, in the type of the default where that is what it means."""
    if wanted is str and isinstance(value, bool):
        return 'true' if value else 'false'
    if wanted is str and isinstance(value, (int, float)):
        return str(value)
    if wanted is float and (isinstance(value, int) and not isinstance(value, bool) or
                            isinstance(value, str) and re.fullmatch(r'[-+]?\d+(\.\d*)?([eE][-+]?\d+)?', value)):
        return float(value)
    if wanted is int and isinstance(value, str) and re.fullmatch(r'[-+]?\d{1,18}', value):
        return int(value)
    if wanted is list and isinstance(value, str):
        return [part.strip() for part in value.split(',')] if value.strip() else []
    return [value] if wanted is list and isinstance(value, (int, float)) else value


def _article(kind: type) -> str:
    return {str: 'a text', int: 'a whole number', float: 'a number', bool: 'true or false', list: 'a list',
            dict: 'a mapping'}.get(kind, kind.__name__)


@dataclass(frozen=True)
class Declared:
    """What a plan and the files of defaults beside it declare. *about* is what it says of itself."""

    parameters: Mapping[str, Parameter]
    about: Mapping[str, Any]


def declared(source: Source) -> Declared:
    """Return the parameters of a plan: those of the files of defaults, the plan's own block on top.

    The block is read before templates are expanded, so it must stand at the left margin and hold none.
    """
    parameters: dict[str, Parameter] = {}
    about: dict[str, Any] = {}
    for document in [*map(yamlfile.load_file, source.defaults), *_own(source)]:
        if document.data is None:
            continue
        if not isinstance(document.data, dict):
            raise InvalidInput(Problem('expected a mapping of parameters by name', document.where()))
        for name, value in document.data.items():
            if name in _ABOUT:
                about[name] = value
            else:
                parameters[name] = _parameter(name, value, document.where(name))
    return Declared(parameters, about)


def values(known: Declared, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter, what was *given* on top. InvalidInput names every one at fault."""
    problems: list[Problem] = []
    result: dict[str, Any] = {}
    for name, parameter in known.parameters.items():
        try:
            if name in given:
                result[name] = parameter.check(given[name])
            elif parameter.required:
                told = f' ({parameter.description})' if parameter.description else ''
                raise InvalidInput(f'parameter {name} is required{told}')
            else:
                result[name] = parameter.default
        except InvalidInput as error:
            problems += [Problem(problem.message, parameter.where) for problem in error.problems]
    if problems:
        raise InvalidInput(problems, hint='Give them with -P NAME=VALUE, or --paramfile')
    return {**result, **{name: value for name, value in given.items() if name not in known.parameters}}


def _parameter(name: str, value: Any, where: str) -> Parameter:
    if isinstance(value, Mapping) and value and set(value) <= _DESCRIBED and {'default', 'description'} & set(value):
        default = value.get('default')
        choices = value.get('choices') or ()
        if not isinstance(choices, (list, tuple)):
            raise InvalidInput(Problem(f'the choices of parameter {name} must be a list', where))
        return Parameter(name, None if default in (REQUIRED, SECRET) else default, str(value.get('description', '')),
                         tuple(choices), bool(value.get('required')) or default in (REQUIRED, SECRET),
                         bool(value.get('secret')) or default == SECRET, where)
    if value in (REQUIRED, SECRET):
        return Parameter(name, required=True, secret=value == SECRET, where=where)
    return Parameter(name, value, where=where)


def _own(source: Source) -> Iterator[yamlfile.Document]:
    """Yield the plan's own block, with the lines that it has in the file."""
    lines = source.text.splitlines()
    start = next((index for index, line in enumerate(lines) if _BLOCK.fullmatch(line)), None)
    if start is None:
        return
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in ' \t#'):
        end += 1
    # What stands before is kept as empty lines, so that each line keeps its number.
    document = yamlfile.load('\n' * start + '\n'.join(lines[start:end]), source.name)
    block = document.data['parameters'] or {}
    inner = {path[1:]: line for path, line in document.lines.items() if path[:1] == ('parameters',)}
    yield yamlfile.Document(block, source.name, inner)
