"""A provider of another package: installed by pip, found by its entry point, and held to the same suite as ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kvirt
from kvirt.testing.wire import Wire

pytestmark = pytest.mark.slow

ROOT = Path(kvirt.__file__).parents[1]
PACKAGE = Path(__file__).parent / 'toycloud'
HARNESS = ('--kvirt-harness', 'toycloud.harness:ToyHarness')


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package of the toy cloud is installed, without any network."""
    site = tmp_path_factory.mktemp('site')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
                    '--no-index', '--no-build-isolation', '--target', str(site), str(PACKAGE)], check=True, timeout=60)
    return site


def python(site: Path, folder: Path, *arguments: str) -> str:
    """Run Python with the package installed, and return what it printed."""
    environment = {'PYTHONPATH': f'{ROOT}:{site}', 'PATH': '/usr/bin:/bin', 'HOME': str(folder)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=folder,
                          env=environment)
    return done.stdout + done.stderr


def suite(site: Path, folder: Path, *arguments: str) -> tuple[str, dict[str, int]]:
    """Run the suite for the provider; return what it printed, and how many tests ended how."""
    output = python(site, folder, '-m', 'pytest', '-q', '-c', '/dev/null', '--rootdir', str(folder), '-rfE',
                    '-p', 'no:cacheprovider', '-p', 'kvirt.testing.plugin', '--pyargs', 'kvirt.testing', *arguments)
    return output, {word.rstrip('s'): int(count)
                    for count, word in re.findall(r'(\d+) (passed|failed|skipped|errors?)', output)}


def test_the_whole_suite_and_the_fault_sweep_pass(site: Path, tmp_path: Path) -> None:
    output, found = suite(site, tmp_path, *HARNESS)
    assert 'failed' not in found, output
    assert 'error' not in found, output
    assert found['passed'] > 230, output
    assert 'kvirt provider' not in output, 'it was the harness that named it'


def test_the_suite_can_do_without_a_harness(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    from toycloud.cloud import ToyCloud  # type: ignore[import-not-found]
    with Wire(ToyCloud()) as wire:
        output, found = suite(site, tmp_path, '--kvirt-provider', 'toycloud', '--kvirt-option', f'api={wire.url}',
                              '--kvirt-option', f'token={ToyCloud.token}', '-k', 'TestHost')
    assert found['passed'] > 5, output
    assert 'failed' not in found, output


def test_the_provider_is_listed_and_described_like_ours(site: Path, tmp_path: Path) -> None:
    assert 'toycloud' in python(site, tmp_path, '-m', 'kvirt', 'list', 'provider')
    described = python(site, tmp_path, '-m', 'kvirt', 'info', 'provider', 'toycloud', '-o', 'json')
    assert '"the toy cloud has no storage pools"' in described
    assert '"starts_at_once"' not in described


def test_its_shape_is_as_the_contract_wants_it(site: Path, tmp_path: Path) -> None:
    code = ('from kvirt.providers.registry import load; from kvirt.testing.structure import faults; '
            'print(faults(load("toycloud")))')
    assert python(site, tmp_path, '-c', code).strip() == '[]'
