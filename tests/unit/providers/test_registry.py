"""From a provider's name to its class: ours and those of other packages, whole and broken."""

from __future__ import annotations

import runpy
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvirt
from kvirt.errors import InvalidInput, MissingDependency
from kvirt.providers import catalog, registry
from kvirt.providers.catalog import CATALOG, Entry

ROOT = Path(kvirt.__file__).parents[1]


def python(code: str, *paths: Path) -> str:
    """Run *code* in a fresh interpreter, and return what it printed."""
    setup = f'import sys; sys.path[:0] = {[str(path) for path in (*paths, ROOT)]!r}\n'
    done = subprocess.run([sys.executable, '-c', setup + textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of somebody else, which offers two providers."""
    (tmp_path / 'theircloud.py').write_text(textwrap.dedent('''
        from kvirt.providers.sampleprovider import Kbase

        class Ktheir(Kbase):
            """A provider of another package, in kcli's manner."""
            def list(self):
                return [{'name': 'theirs', 'status': 'running'}]
            def start(self, name):
                return {'result': 'success'}
    '''))
    info = tmp_path / 'theircloud-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: theircloud\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('[kvirt.providers]\ntheir = theircloud:Ktheir\nfake = theircloud:Ktheir\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop('theircloud', None)


def test_the_catalog_is_sound() -> None:
    names = [word for entry in CATALOG for word in (entry.name, *entry.aliases)]
    assert len(set(names)) == len(names), 'a name or alias means one provider'
    assert list(CATALOG) == sorted(CATALOG)
    assert all(entry.title and entry.path.count(':') == 1 for entry in CATALOG)


@pytest.mark.parametrize('entry', CATALOG, ids=lambda entry: str(entry.name))
def test_every_provider_loads_by_name_and_alias_or_names_its_extra(entry: Entry) -> None:
    for word in (entry.name, *entry.aliases):
        assert registry.find(word) is entry
        if registry.missing(entry):
            with pytest.raises(MissingDependency):
                registry.load(word)
        else:
            assert registry.load(word).__name__ == entry.path.partition(':')[2]


def test_an_unknown_provider_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match="unknown provider 'kmv', did you mean 'kvm'?"):
        registry.load('kmv')
    with pytest.raises(InvalidInput, match="unknown provider 'libvrt', did you mean 'libvirt'?"):
        registry.find('libvrt')


def test_extras_are_computed_from_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = catalog.extras()
    assert extras['kvm'] == ['libvirt-python>=8.0']
    assert 'fake' not in extras
    monkeypatch.setattr(catalog, 'CATALOG', (Entry('a', 'A', 'a:A', ('y>=2', 'x')), Entry('b', 'B', 'b:B', ('x',)),
                                             Entry('c', 'C', 'c:C')))
    monkeypatch.setattr(catalog, 'FAMILIES', {'f': ('z',)})
    assert catalog.extras() == {'a': ['x', 'y>=2'], 'b': ['x'], 'f': ['z'], 'all': ['x', 'y>=2', 'z']}


def test_setup_reads_the_catalog_without_importing_kvirt() -> None:
    assert runpy.run_path(str(ROOT / 'kvirt/providers/catalog.py'))['extras']() == catalog.extras()
    assert "catalog['extras']()" in (ROOT / 'setup.py').read_text()


def test_the_catalog_imports_nothing() -> None:
    loaded = python('''
        before = set(sys.modules)
        import kvirt.providers.catalog
        print(*sorted(set(sys.modules) - before))
    ''').split()
    ours = {name for name in loaded if name.startswith('kvirt')}
    assert ours == {'kvirt', 'kvirt.version', 'kvirt.providers', 'kvirt.providers.catalog'}
    assert {name.partition('.')[0] for name in loaded} - ours <= {'kvirt', *sys.stdlib_module_names}


def test_listing_providers_imports_none_of_them() -> None:
    loaded = python('''
        from kvirt.providers import registry
        registry.entries()
        registry.find('kvm')
        registry.missing(registry.find('kvm'))
        print(*(name for name in sys.modules if name.startswith(('kvirt.providers.', 'libvirt'))))
    ''').split()
    assert sorted(loaded) == ['kvirt.providers.catalog', 'kvirt.providers.registry']


# other packages

def test_a_provider_of_another_package_is_found_and_works(foreign: Path) -> None:
    assert [entry.title for entry in registry.entries() if entry.name == 'their'] == ['from theircloud']
    provider = registry.load('their')()
    assert provider.list() == [{'name': 'theirs', 'status': 'running'}]
    assert provider.start('theirs') == {'result': 'success'}
    assert provider.exists('theirs')


def test_another_package_can_not_take_the_name_of_one_of_ours(foreign: Path) -> None:
    assert registry.find('fake').path.startswith('kvirt.')
    assert [entry.path for entry in registry.entries() if entry.name == 'fake'] == [registry.find('fake').path]


def test_a_misspelled_provider_of_another_package_is_suggested_as_well(foreign: Path) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'their'?"):
        registry.find('thier')


# what is missing, and what is broken

BLOCK = '''
    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition('.')[0] == 'libvirt':
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    sys.meta_path.insert(0, Blocker())
    sys.modules.pop('libvirt', None)
'''


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    said = python(BLOCK + '''
    from kvirt.errors import MissingDependency
    from kvirt.providers import registry
    assert registry.missing(registry.find('kvm')) == ['libvirt-python>=8.0']
    try:
        registry.load('kvm')
    except MissingDependency as error:
        print(error)
    ''')
    assert said == "provider kvm needs libvirt-python>=8.0. Run: pip install 'kvirt[kvm]'"


def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, requires: tuple[str, ...]) -> None:
    """Put a provider whose module says *text* into the catalog, as ``broken``."""
    (tmp_path / 'brokencloud.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, 'brokencloud', raising=False)
    monkeypatch.setattr(registry, 'CATALOG', (Entry('broken', 'Broken', 'brokencloud:K', requires),))


@pytest.mark.parametrize(('text', 'error'), [
    ('import kvirt.no_such_module', ModuleNotFoundError), ('from kvirt.errors import NoSuchError', ImportError),
    ('import yaml.no_such_module', ModuleNotFoundError), ('from yaml import no_such_name', ImportError),
    ('1/0', ZeroDivisionError),
    ('import some_other_package', ModuleNotFoundError), ('class NotK: pass', AttributeError)])
def test_a_bug_of_a_provider_is_never_told_as_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str,
                                                                error: type[Exception]) -> None:
    broken(monkeypatch, tmp_path, text, requires=('PyYAML>=6',))
    monkeypatch.setitem(registry._MODULES, 'PyYAML', 'yaml')
    with pytest.raises(error) as caught:
        registry.load('broken')
    assert not isinstance(caught.value, MissingDependency)


@pytest.mark.parametrize('text', ['import no_such_sdk', 'import no_such_sdk.compute', 'from no_such_sdk.compute import v1'])
def test_a_package_that_is_missing_is_told_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    broken(monkeypatch, tmp_path, text, requires=('PyYAML', 'no-such-sdk[fast]>=2,<3'))
    monkeypatch.setitem(registry._MODULES, 'PyYAML', 'yaml')
    with pytest.raises(MissingDependency) as caught:
        registry.load('broken')
    assert str(caught.value) == "provider broken needs no-such-sdk[fast]>=2,<3. Run: pip install 'kvirt[broken]'"


def test_a_package_inside_a_namespace_that_is_there_is_missing_as_well(monkeypatch: pytest.MonkeyPatch,
                                                                       tmp_path: Path) -> None:
    (tmp_path / 'somespace' / 'storage').mkdir(parents=True)
    broken(monkeypatch, tmp_path, 'from somespace.compute import v1', requires=('somespace-compute',))
    monkeypatch.setitem(registry._MODULES, 'somespace-compute', 'somespace.compute.v1')
    with pytest.raises(MissingDependency, match='somespace-compute'):
        registry.load('broken')
