"""The second step: templates expanded, in a sandbox, and every fault of them told at once with its line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    FunctionLoader,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    meta,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing as _NO_OBJECT

from kvirt import redact
from kvirt.errors import InvalidInput, KvirtError, Problem
from kvirt.names import did_you_mean
from kvirt.plan.filters import Info, filters
from kvirt.plan.locate import Source
from kvirt.plan.parameters import Declared, declared, values

_NAME = '<plan>'
_LARGEST = 16 * 1024**2
_AHEAD = 60


@dataclass(frozen=True)
class Rendered:
    """A plan without templates. ``lines`` holds, for each line of ``text``, the line of the source that it comes from."""

    text: str
    lines: tuple[int, ...]
    source: Source
    declared: Declared
    variables: Mapping[str, Any]
    uses: frozenset[str] | None = frozenset()
    """The names that its templates use; None when that can not be told, since it includes other files."""

    def where(self, line: int) -> str:
        """Return the place, in the source, of a line of ``text``."""
        return f'{self.source.name}:{self.lines[min(line, len(self.lines)) - 1] if self.lines else 1}'


def render(source: Source, given: Mapping[str, Any] | None = None, context: Mapping[str, Any] | None = None, *,
           info: Info | None = None) -> Rendered:
    """Return *source* with its templates expanded.

    *given* is what the user gave for parameters, *context* what kvirt adds (``plan``, ``type``, ``config_*``). InvalidInput
    names every undefined name and unknown filter, with file and line.
    """
    known = declared(source)
    variables = {**(context or {}), **values(known, given or {})}
    for name, parameter in known.parameters.items():
        if parameter.secret:
            redact.remember(variables.get(name))
    missing: list[tuple[int, str]] = []
    environment = _environment(source, info, missing)
    tree = _checked(environment, source)
    text, lines = _expanded(environment, source, variables)
    if missing:
        names = [*variables]
        raise InvalidInput([Problem(f"'{name}' is not defined{did_you_mean(name, names)}", f'{source.name}:{line}')
                            for line, name in dict.fromkeys(missing)],
                           hint='Declare it under parameters, or give it with -P')
    uses = None if any(meta.find_referenced_templates(tree)) else frozenset(meta.find_undeclared_variables(tree))
    return Rendered(text, lines, source, known, variables, uses)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a small template can't fill the memory either."""

    intercepted_binops = frozenset({'*', '**'})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        number, other = (left, right) if isinstance(left, int) else (right, left)
        if operator == '**':
            large = isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _LARGEST
        else:
            large = isinstance(number, int) and hasattr(other, '__len__') and len(other) * number > _LARGEST
        if large:
            raise OverflowError(f'the outcome of {operator} is too large')
        return super().call_binop(context, operator, left, right)


def _environment(source: Source, info: Info | None, missing: list[tuple[int, str]]) -> Environment:
    folder = source.folder if source.trusted or source.origin != 'url' else None
    environment = _Sandbox(
        undefined=_recording(missing), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
        extensions=['jinja2.ext.do'], loader=FileSystemLoader(folder) if folder else FunctionLoader(_refuse))
    environment.filters.update(filters(folder, trusted=source.trusted, info=info))
    return environment


def _refuse(name: str) -> None:
    raise InvalidInput(f'{name} is a file of this machine, and the plan comes from elsewhere',
                       hint='Read the plan, and give --trust')


def _recording(missing: list[tuple[int, str]]) -> type[Undefined]:
    """Return what stands for an undefined name: it remembers where it was used, and is empty, so that all are found."""
    class Recorded(Undefined):
        __slots__ = ()

        def _use(self, *args: Any, **kwargs: Any) -> Any:
            of = '' if self._undefined_obj is _NO_OBJECT else f' of a {type(self._undefined_obj).__name__}'
            missing.append((_line_in_use(), f'{self._undefined_name}{of}'))
            return self

        def __str__(self) -> str:
            self._use()
            return ''

        def __iter__(self) -> Iterator[Any]:
            self._use()
            return iter(())

        def __bool__(self) -> bool:
            self._use()
            return False

        def __len__(self) -> int:
            self._use()
            return 0

        def __getattr__(self, name: str) -> Any:
            if name[:2] == '__':
                raise AttributeError(name)
            return self._use()

        def __eq__(self, other: object) -> bool:
            self._use()
            return False

        def __hash__(self) -> int:
            return id(type(self))

        __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __floordiv__ = _use
        __mod__ = __rmod__ = __pos__ = __neg__ = __call__ = __getitem__ = __lt__ = __le__ = __gt__ = __ge__ = _use

        def __int__(self) -> int:  # type: ignore[override]
            self._use()
            return 0

        def __float__(self) -> float:  # type: ignore[override]
            self._use()
            return 0.0

        def __index__(self) -> int:
            return int(self)
    return Recorded


def _line_in_use() -> int:
    """Return the line of the template whose code runs."""
    frame = sys._getframe(1)
    while frame is not None:
        template: Any = frame.f_globals.get('__kvirt_template__')
        if template is not None:
            return int(template.get_corresponding_lineno(frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return 1


def _checked(environment: Environment, source: Source) -> nodes.Template:
    """Return the syntax tree. InvalidInput with every unknown filter and test, which Jinja would tell one at a time."""
    try:
        tree = environment.parse(source.text)
    except TemplateSyntaxError as error:
        raise InvalidInput(Problem(f'this is no template: {str(error.message).rstrip(".")}',
                                   f'{source.name}:{error.lineno}')) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(Problem(f'this is no template: {error}', source.name)) from None
    problems = []
    for kind, name, known in (('filter', nodes.Filter, environment.filters), ('test', nodes.Test, environment.tests)):
        for node in tree.find_all(name):
            if node.name not in known:
                problems.append(Problem(f"there is no {kind} '{node.name}'{did_you_mean(node.name, known)}",
                                        f'{source.name}:{node.lineno}'))
    if problems:
        raise InvalidInput(problems)
    return tree


def _expanded(environment: Environment, source: Source, variables: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    """Return the expanded text, and for each of its lines the line that it comes from."""
    template: Any = environment.from_string(source.text)
    template.root_render_func.__globals__['__kvirt_template__'] = template
    parts: list[str] = []
    lines: list[int] = [1]
    written = source.text.splitlines()
    size = 0
    stream = template.root_render_func(template.new_context(dict(variables)))
    line = 1
    try:
        for part in stream:
            frame = stream.gi_frame
            line = template.get_corresponding_lineno(frame.f_lineno) if frame else line
            size += len(part)
            if size > _LARGEST:
                raise InvalidInput(Problem('the plan gets too large', f'{source.name}:{line}'))
            _place(lines, part, _aligned(part, line, written), fresh=not parts or parts[-1].endswith('\n'))
            parts.append(part)
    except KvirtError as error:
        raise InvalidInput(Problem(str(error), f'{source.name}:{_line_of(error, template)}')) from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        message = str(error).rstrip('.') or type(error).__name__
        raise InvalidInput(Problem(f'the template can not be expanded: {message}',
                                   f'{source.name}:{_line_of(error, template)}')) from error
    return ''.join(parts), tuple(lines)


def _place(lines: list[int], part: str, line: int, *, fresh: bool) -> None:
    """Note where the lines of *part* come from, which begins at *line* of the source, on a *fresh* line or not."""
    if fresh:
        lines[-1] = line
    lines.extend(line + number + 1 for number in range(part.count('\n')))


def _aligned(part: str, line: int, written: Sequence[str]) -> int:
    """Return the line where *part* begins, at *line* or a little later.

    Jinja knows the lines of what it computes, and for plain text between only that of what stands before.
    """
    head, *rest = part.split('\n')
    whole = [(number, text) for number, text in enumerate(rest[:-1], 1)]
    for later in range(_AHEAD):
        at = line + later - 1
        if at < len(written) and head in written[at] and all(
                at + number < len(written) and written[at + number] == text for number, text in whole):
            return line + later
    return line


def _line_of(error: BaseException, template: Any) -> int:
    """Return the line of the template where *error* was raised."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        running: Any = trace.tb_frame.f_globals.get('__kvirt_template__')
        if running is template:
            line = int(running.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return line

