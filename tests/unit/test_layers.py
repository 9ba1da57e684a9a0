"""The rules of the house, read from the source: who imports whom, what stands where, how large things are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import kvirt
import kvirt.base
import kvirt.cli
from kvirt import errors, result, shapes
from kvirt.providers.catalog import CATALOG

HOME = Path(kvirt.__file__).parent
MODULES = sorted(path.relative_to(HOME).as_posix() for path in HOME.rglob('*.py'))
CODE = [module for module in MODULES if not module.startswith('testing/')]

PROVIDERS = tuple(f'providers.{path.name}' for path in sorted((HOME / 'providers').iterdir())
                  if path.is_dir() and path.name not in ('families', '__pycache__'))


def read_rows() -> list[list[str]]:
    """Return the table of ARCHITECTURE.md, from the ground up; ``providers/<x>`` stands for each of them."""
    text = (HOME.parent / 'ARCHITECTURE.md').read_text(encoding='utf-8')
    block = text.partition('## Who may import whom')[2].split('```')[1]
    rows = [re.sub(r'\(.*\)', '', line).replace('/', '.').split() for line in block.strip().splitlines()]
    return [[*PROVIDERS, 'providers.sampleprovider'] if row == ['providers.<x>'] else row for row in rows]


ROWS = read_rows()
"""A module may import what stands in its own row and in the rows before it."""

ALONE = {'providers.catalog': 'setup.py reads it', 'version': 'setup.py reads it', 'errors': 'everything imports it'}
"""Modules that import nothing of ours."""

BOUNDARIES = ('base/area.py', 'undo.py')
"""The only files where every exception may be caught without being raised again."""

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 70


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((HOME / module).read_text(encoding='utf-8'))


def dotted(module: str) -> str:
    """Return the name of a module within kvirt: ``providers.kvm.vms``; of a package, the package's."""
    return module.removesuffix('.py').replace('/', '.').removesuffix('__init__').rstrip('.')


def row_of(name: str) -> int:
    """Return the row that a module stands in; the most precise entry decides."""
    found = [(len(entry), index) for index, row in enumerate(ROWS) for entry in row if f'{name}.'.startswith(f'{entry}.')]
    assert found, f'kvirt.{name} stands in no row of the table: give it its place, here and in ARCHITECTURE.md'
    return max(found)[1]


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Return the line and name of every module of ours that *module* imports, functions included."""
    for node in runtime_nodes(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{module}:{node.lineno}: imports are absolute'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'import_module':
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        else:
            continue
        for name in names:
            if name.partition('.')[0] == 'kvirt':
                yield node.lineno, existing(name.removeprefix('kvirt').lstrip('.'))


def existing(name: str) -> str:
    """Return the module part of a dotted name, whose end may be something within the module."""
    parts = name.split('.')
    for length in range(len(parts), 0, -1):
        path = HOME.joinpath(*parts[:length])
        if path.is_dir() or path.with_suffix('.py').is_file():
            return '.'.join(parts[:length])
    return ''


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, leaving out what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, 'id', '') == 'TYPE_CHECKING':
            continue
        yield child
        yield from runtime_nodes(child)


@pytest.mark.parametrize('module', MODULES)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    name = dotted(module)
    if not name:
        return  # the package itself hands out names, lazily: see below
    for line, imported in imports(module):
        if imported in ('', 'version'):
            continue
        where = f'kvirt/{module}:{line}: kvirt.{name} imports kvirt.{imported}'
        assert name not in ALONE or name == imported, f'{where}, and it may import nothing of ours: {ALONE[name]}'
        if imported != 'providers':
            assert row_of(imported) <= row_of(name), f'{where}, which stands below it'
        room, from_room = imported.partition('.')[0], name.partition('.')[0]
        assert room not in ('cli', 'testing') or from_room in (room, '__main__'), where
        ours, theirs = package_of(name), package_of(imported)
        assert not (ours and theirs and ours != theirs), f'{where}: a provider imports no other provider'


def package_of(name: str) -> str:
    """Return the provider that a module belongs to, empty for what is shared."""
    parts = name.split('.')
    return parts[1] if len(parts) > 1 and parts[0] == 'providers' and (HOME / 'providers' / parts[1]).is_dir() \
        and parts[1] != 'families' else ''


def test_the_table_names_only_what_is_there() -> None:
    assert len(ROWS) > 10
    assert {entry for row in ROWS for entry in row if existing(entry) != entry} == set()


def test_there_are_no_circles() -> None:
    above = {dotted(module): {name for _, name in imports_at_load(module)} for module in MODULES if dotted(module)}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"modules import each other: {' -> '.join((*path, name))}"
        if name not in done:
            for imported in above.get(name, ()):
                if imported != name and not name.startswith(f'{imported}.'):
                    visit(imported, (*path, name))
            done.add(name)

    for name in above:
        visit(name, ())


def imports_at_load(module: str) -> Iterator[tuple[int, str]]:
    """Return what a module imports when it is loaded, without what its functions import."""
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {line for node in functions for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return ((line, name) for line, name in imports(module) if line not in inside)


def calls(module: str) -> Iterator[tuple[int, str, ast.Call]]:
    """Return each call of a module by the dotted name of what is called."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


def offenders(module: str, forbidden: tuple[str, ...]) -> list[str]:
    return [f'kvirt/{module}:{line}: {name}' for line, name, _ in calls(module) if name in forbidden]


@pytest.mark.parametrize('module', [module for module in MODULES
                                    if not module.startswith('cli/') and module != '__main__.py'])
def test_only_the_command_line_prints_and_exits(module: str) -> None:
    assert not offenders(module, ('print', 'exit', 'quit', 'sys.exit', 'os._exit', 'sys.stdout.write', 'sys.stderr.write',
                                  'click.echo', 'input'))
    assert not [node.lineno for node in ast.walk(tree(module)) if isinstance(node, ast.Raise)
                and ast.unparse(node).startswith('raise SystemExit')]


@pytest.mark.parametrize('module', [module for module in MODULES if module != 'wait.py'])
def test_only_wait_sleeps(module: str) -> None:
    assert not offenders(module, ('time.sleep', 'sleep'))
    assert not [node.lineno for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) and node.module == 'time'
                and any(alias.name == 'sleep' for alias in node.names)]


@pytest.mark.parametrize('module', MODULES)
def test_no_shell_no_change_of_folder(module: str) -> None:
    assert not offenders(module, ('os.system', 'os.popen', 'os.chdir', 'contextlib.chdir', 'subprocess.getoutput',
                                  'subprocess.getstatusoutput', 'eval', 'exec'))
    shells = [f'kvirt/{module}:{line}' for line, _, call in calls(module)
              if any(keyword.arg == 'shell' and getattr(keyword.value, 'value', True) for keyword in call.keywords)]
    assert not shells


@pytest.mark.parametrize('module', [module for module in MODULES if module != 'settings.py'])
def test_only_settings_reads_the_environment(module: str) -> None:
    reads = [f'kvirt/{module}:{node.lineno}' for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)
             and ast.unparse(node) in ('os.environ', 'os.getenv', 'os.environb')]
    reads += [f'kvirt/{module}:{node.lineno}' for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom)
              and node.module == 'os' and {alias.name for alias in node.names} & {'environ', 'getenv'}]
    assert not reads


@pytest.mark.parametrize('module', MODULES)
def test_no_exception_is_swallowed_blindly(module: str) -> None:
    blind = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else 'everything'
            wide = {'everything', 'Exception', 'BaseException'} & set(caught.strip('()').split(', '))
            if wide and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                blind.append(f'kvirt/{module}:{node.lineno}: except {caught}')
    blind += [f'kvirt/{module}:{line}: suppress' for line, name, call in calls(module) if name.endswith('suppress')
              and any(ast.unparse(argument) in ('Exception', 'BaseException') for argument in call.args)]
    assert not blind or module in BOUNDARIES


@pytest.mark.parametrize('module', MODULES)
def test_no_default_can_be_changed(module: str) -> None:
    # An empty {} for a parameter that is a Mapping, which has no method that changes it, is kept honest by mypy.
    mutable = []
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            arguments = [*node.args.posonlyargs, *node.args.args]
            pairs = [*zip(arguments[len(arguments) - len(node.args.defaults):], node.args.defaults, strict=True),
                     *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
            for argument, default in pairs:
                read_only = argument.annotation is not None and ast.unparse(argument.annotation).startswith('Mapping')
                if isinstance(default, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp)) and not read_only:
                    mutable.append(f'kvirt/{module}:{node.lineno}: {argument.arg}')
    assert not mutable


CORE = [module for module in CODE if not package_of(dotted(module)) and module != 'providers/catalog.py']


@pytest.mark.parametrize('module', CORE)
def test_core_code_compares_no_providers_name(module: str) -> None:
    names = {word for entry in CATALOG for word in (entry.name, *entry.aliases)}
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            words = [inner.value for operand in operands for inner in ast.walk(operand) if isinstance(inner, ast.Constant)]
        elif isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            words = [node.value.value]
        else:
            continue
        found += [f"kvirt/{module}:{node.lineno}: '{word}'" for word in words if word in names]
    assert not found


@pytest.mark.parametrize('module', MODULES)
def test_files_and_functions_hold_one_idea(module: str) -> None:
    lines = len((HOME / module).read_text(encoding='utf-8').splitlines())
    assert lines <= MOST_LINES, f'kvirt/{module} has {lines} lines: split it where there are two ideas'
    long = [f'kvirt/{module}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines'
            for node in ast.walk(tree(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.end_lineno is not None and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION]
    assert not long


@pytest.mark.parametrize('module', MODULES)
def test_every_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(tree(module)), f'kvirt/{module} has no docstring'
    assert not module.endswith('utils.py')


# what is public

def test_public_names_are_pinned() -> None:
    """A name that goes breaks scripts: that must be meant, and this list changed."""
    assert kvirt.__all__ == ['Kbase', 'Kconfig', 'Result', '__version__', 'errors']
    assert kvirt.base.__all__ == ['Area', 'Capability', 'Kbase', 'Options', 'built_from', 'operations', 'option', 'serves',
                                  'unsupported', 'waits']
    assert sorted(errors.BY_NAME) == [
        'AlreadyExists', 'Cancelled', 'Conflict', 'InvalidInput', 'KvirtError', 'MissingDependency', 'NotFound',
        'NotSupported',
        'OutOfCapacity', 'QuotaExceeded', 'RateLimited', 'TimedOut', 'Unauthorized', 'Unavailable']
    assert shapes.STATUSES == ('pending', 'running', 'stopping', 'stopped', 'suspended', 'terminating', 'terminated',
                               'failed',
                               'unknown')
    assert {name for name in vars(result.Result) if not name.startswith('_')} == {'success', 'failure', 'of', 'ok', 'error',
                                                                                 'expect'}


def test_public_names_are_what_they_are_called() -> None:
    from kvirt.config import Kconfig
    assert kvirt.Kbase is kvirt.base.Kbase
    assert kvirt.Kconfig is Kconfig
    assert kvirt.Result is result.Result
    assert kvirt.errors is errors
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = kvirt.Nothing


# what is loaded

HEAVY = ('msgspec', 'yaml', 'jinja2', 'paramiko', 'requests', 'pycdlib', 'click', 'rich', 'cryptography', 'libvirt',
         'pytest')


def loaded_by(code: str) -> set[str]:
    """Return which of the HEAVY packages, and of our own modules, a fresh interpreter has loaded after *code*."""
    report = f'import sys\nprint(*sorted(name for name in sys.modules if name in {HEAVY!r} or name.startswith("kvirt")))'
    done = subprocess.run([sys.executable, '-c', f'{code}\n{report}'], capture_output=True, text=True, timeout=60,
                          cwd=HOME.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(('code', 'allowed'), [
    ('import kvirt', set()),
    ('import kvirt.errors, kvirt.result, kvirt.wait, kvirt.undo, kvirt.units, kvirt.names', set()),
    ('import kvirt.providers.registry', set()),
    ('import kvirt.spec', {'msgspec'}),
    ('import kvirt.base', {'msgspec', 'yaml'}),
    ('import kvirt.settings', {'yaml'}),
    ('from kvirt import Kconfig; Kconfig("fake")', {'msgspec', 'yaml'}),
    ('import kvirt.testing.plugin', {'pytest'}),
], ids=lambda value: value if isinstance(value, str) else '')
def test_an_import_loads_no_more_than_it_needs(code: str, allowed: set[str]) -> None:
    assert loaded_by(code) & set(HEAVY) <= allowed


def test_importing_kvirt_imports_almost_nothing_of_it() -> None:
    assert {name for name in loaded_by('import kvirt') if name.startswith('kvirt')} == {'kvirt', 'kvirt.version'}


@pytest.mark.parametrize(('code', 'unneeded'), [
    ('import kvirt.providers.kvm', {'kvirt.download', 'kvirt.unpack', 'kvirt.providers.families.diskfile', 'kvirt.guest'}),
    ('import kvirt.guest.guest', {'kvirt.download', 'kvirt.unpack', 'kvirt.checksums'}),
])
def test_neither_a_list_nor_a_create_loads_what_fetches_images(code: str, unneeded: set[str]) -> None:
    if code.endswith('kvm'):
        pytest.importorskip('libvirt')
    assert loaded_by(code) & unneeded == set()


def test_help_loads_only_click() -> None:
    code = '''
import sys
sys.argv = ["kvirt", "--help"]
from kvirt.cli.main import main
try:
    main()
except SystemExit:
    pass
'''
    loaded = loaded_by(code)
    assert loaded & set(HEAVY) <= {'click'}
    assert not {name for name in loaded if name.startswith(('kvirt.providers.', 'kvirt.base', 'kvirt.config'))} - {
        'kvirt.providers.catalog', 'kvirt.providers.registry'}
