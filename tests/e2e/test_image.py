"""The container image of kvirt, built by the real podman on a Debian that is made here: no registry is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kvirt.version import __version__

from .podman import engine

pytestmark = [pytest.mark.e2e, pytest.mark.minutes(2), pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
STEM = os.environ.get('KVIRT_TEST_PREFIX', 'kvt')
BASE, IMAGE = f'localhost/{STEM}-base:1', f'localhost/{STEM}-kvirt:1'
CA = Path('/etc/ssl/certs/ca-certificates.crt')
# As in slim images, which leave these out as well.
LEFT_OUT = [f'--dpkgopt=path-exclude=/usr/share/{folder}/*' for folder in ('doc', 'locale', 'man')]


def debian(folder: Path) -> Path:
    """Make the file system of a small Debian, and return it packed. It trusts whom this machine trusts."""
    packed = folder / 'base.tar'
    subprocess.run(['mmdebstrap', '--quiet', '--variant=apt', *LEFT_OUT, f'--customize-hook=copy-in {CA} /etc', 'bookworm',
                    packed], check=True, timeout=600, capture_output=True)
    return packed


def test_its_entry_point_is_kvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    podman = engine(tmp_path, monkeypatch, timeout=900)
    try:
        podman('import', '--quiet', str(debian(tmp_path)), BASE)
        podman('build', '--quiet', '--isolation=chroot', '--layers=false', '--build-arg', f'BASE={BASE}', '--build-arg',
               f'PIP_CERT=/etc/{CA.name}', '-t', IMAGE, '-f', str(ROOT / 'extras/container/Containerfile'), str(ROOT))
        told = json.loads(podman('image', 'inspect', IMAGE))[0]
        assert told['Config']['User'] == 'kvirt' and told['Labels']['org.opencontainers.image.title'] == 'kvirt'
        assert podman('run', '--rm', IMAGE, '--version') == f'kvirt {__version__}'
        script = ('kvirt -q -C fake create vm -i debian12 -P nokeys=true web && kvirt -C fake list vm -o json '
                  '&& kvirt list provider -P installed=false -o name && id -u && python3 -c "import libvirt, mcp, boto3"')
        done = podman('run', '--rm', '--entrypoint', 'sh', IMAGE, '-c', script)
        rows, _, rest = done.rpartition(']')
        assert [row['name'] for row in json.loads(rows + ']')] == ['web']
        assert rest.split() == ['1000'], 'all providers are there, and nobody is root'
    finally:
        podman('rmi', '--all', '--force')
