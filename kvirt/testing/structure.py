"""What can be told of a provider without running it: that it is shaped as the contract wants it.

``faults(Kmycloud)`` returns what is wrong, one line each; an empty list is what a test asserts.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kvirt.base import Area, Kbase, operations
from kvirt.decode import field_types
from kvirt.shapes import STATUSES
from kvirt.spec import SPECIAL

FOR_PROVIDERS = frozenset({'image_behind', 'login_user', 'extra_costs', 'flavor_for', 'flavor_named', 'made_in',
                           'watching'})
"""Public methods of areas that are no operations: providers override or call them."""


def faults(provider: type[Kbase]) -> list[str]:
    """Return everything that is wrong with the shape of a provider."""
    checks = (_signatures, _reasons, _answers_that_lie, _options, _keywords, _statuses, _documentation)
    return [f'{provider.__name__}: {fault}' for check in checks for fault in check(provider)]


def faults_of_contract() -> list[str]:
    """Return everything that is wrong with the shape of the contract itself."""
    found = []
    known = set(operations())
    for area in areas():
        for name, method in vars(area).items():
            if name.startswith('_') or not inspect.isfunction(method) or name in FOR_PROVIDERS:
                continue
            where = f'{area.__name__}.{name}'
            if name not in known:
                found.append(f'{where} has no hook _{name}')
            elif inspect.signature(method).return_annotation is inspect.Signature.empty:
                found.append(f'{where} does not say what it returns')
            if not inspect.getdoc(method):
                found.append(f'{where} has no docstring')
    return found


def areas() -> list[type[Area]]:
    """Return the areas of the contract."""
    return [base for base in Kbase.__mro__ if issubclass(base, Area) and base not in (Kbase, Area)]


def _signatures(provider: type[Kbase]) -> Iterator[str]:
    for operation in operations():
        for name in (operation, f'_{operation}'):
            ours, theirs = getattr(Kbase, name), getattr(provider, name)
            if theirs is ours or getattr(theirs, 'never', None) is not None or theirs.__name__ == 'hook':
                continue
            fault = signature_fault(ours, theirs)
            if fault:
                yield f'{name} is not called as the contract says: {fault}'


def signature_fault(ours: Callable[..., Any], theirs: Callable[..., Any]) -> str:
    """Return why a call that is right for *ours* is wrong for *theirs*, empty when it is right for both."""
    wanted, given = list(_parameters(ours)), list(_parameters(theirs))
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted):  # create: the keywords are VmSpec's
        takes = any(parameter.kind is parameter.VAR_KEYWORD or parameter.name == 'image' for parameter in given)
        return '' if takes and given[:1] and given[0].name == wanted[0].name else 'it does not take keywords'
    for index, parameter in enumerate(wanted):
        if index >= len(given):
            return f"parameter '{parameter.name}' is missing"
        if given[index].kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return ''
        if given[index].name != parameter.name:
            return f"parameter {index + 1} is '{given[index].name}' instead of '{parameter.name}'"
        if parameter.default is not parameter.empty and given[index].default != parameter.default:
            return f"'{parameter.name}' is {_default(given[index])} by default instead of {_default(parameter)}"
    extra = [parameter.name for parameter in given[len(wanted):] if parameter.default is parameter.empty
             and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
    return f"it wants '{extra[0]}' as well" if extra else ''


def _parameters(method: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    return (parameter for name, parameter in inspect.signature(method).parameters.items() if name != 'self')


def _default(parameter: inspect.Parameter) -> str:
    return 'nothing' if parameter.default is parameter.empty else repr(parameter.default)


def _reasons(provider: type[Kbase]) -> Iterator[str]:
    for capability in provider.capabilities():
        if capability.mark == 'never' and len(capability.reason.strip()) < 5:
            yield f'{capability.operation} is never supported, without a reason'


def _answers_that_lie(provider: type[Kbase]) -> Iterator[str]:
    for operation in operations():
        for name in (operation, f'_{operation}'):
            hook = getattr(provider, name)
            if hook is getattr(Kbase, name) or getattr(hook, 'never', None) is not None:
                continue
            body = _body(hook)
            if len(body) == 1 and _raises_not_supported(body[0]):
                yield f'{name} only raises NotSupported, and counts as supported: write {name} = unsupported(reason)'
            elif provider.capability(operation).kind == 'change' and name == operation and _answers_nothing(body):
                yield f'{name} does nothing, and does not say so'
            elif name != operation and all(_is_nothing(statement) for statement in body):
                yield f'{name} does nothing, which is told as success'


def _body(function: Callable[..., Any]) -> list[ast.stmt]:
    """Return the statements of a function without its docstring; none when there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return [ast.Expr(ast.Constant('unknown'))]
    [definition] = tree.body
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [definition]
    return definition.body[1:] if ast.get_docstring(definition) else definition.body


def _raises_not_supported(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise) or statement.exc is None:
        return False
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return (raised.attr if isinstance(raised, ast.Attribute) else getattr(raised, 'id', '')) == 'NotSupported'


def _is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and statement.value.value is ...
    return isinstance(statement, ast.Pass)


def _answers_nothing(body: list[ast.stmt]) -> bool:
    """Tell if a public method in kcli's manner is a stub: nothing, or at most a message and a success."""
    return all(_is_nothing(statement) or isinstance(statement, (ast.Return, ast.Expr)) and _is_stub(statement)
               for statement in body)


def _is_stub(statement: ast.Return | ast.Expr) -> bool:
    value = statement.value
    if isinstance(statement, ast.Expr):
        return isinstance(value, ast.Call) and getattr(value.func, 'id', '') == 'print'
    return value is None or isinstance(value, ast.Constant) or (
        isinstance(value, ast.Dict) and all(isinstance(each, ast.Constant) for each in value.values)
        and any(getattr(each, 'value', '') == 'success' for each in value.values))


def _options(provider: type[Kbase]) -> Iterator[str]:
    accepted = inspect.signature(provider).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return
    for name in field_types(provider.Options):
        if name not in accepted:
            yield f"option '{name}' is declared, and the constructor does not take it"
    for name, parameter in accepted.items():
        if name not in field_types(provider.Options) and name != 'debug' and parameter.default is parameter.empty:
            yield f"the constructor wants '{name}', which is no declared option"


def _keywords(provider: type[Kbase]) -> Iterator[str]:
    for name in sorted(provider.honours - SPECIAL):
        yield f"honours names '{name}', which is no keyword of the groups hardware and cloud"


def _statuses(provider: type[Kbase]) -> Iterator[str]:
    package = provider.__module__
    for name, module in list(sys.modules.items()):
        if name != package and not name.startswith(f'{package}.'):
            continue
        table = getattr(module, 'STATUS', None)
        if isinstance(table, Mapping):
            for word, status in table.items():
                if status not in STATUSES:
                    yield f"{name}.STATUS says '{status}' for {word!r}, which is no status of the contract"


def _documentation(provider: type[Kbase]) -> Iterator[str]:
    if not inspect.getdoc(provider) or inspect.getdoc(provider) == inspect.getdoc(Kbase):
        yield 'it has no docstring'
    for name, method in inspect.getmembers(provider, inspect.isfunction):
        if name.startswith('_') or hasattr(Kbase, name):
            continue
        if not inspect.getdoc(method):
            yield f'public method {name} has no docstring'
