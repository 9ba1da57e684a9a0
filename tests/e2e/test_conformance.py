"""The conformance suite on kvm, against the real libvirtd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.base import Kbase
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403

from .conftest import IMAGE, URI, Leftovers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group('orphans')]  # neither sees what the other leaves


class KvmHarness(Harness):
    """libvirt on this machine. VMs are started, and not waited for: their boot is the subject of other tests."""

    provider = 'kvm'
    options = {'url': URI}
    keywords = {'virttype': 'qemu'}
    image = IMAGE
    pool = 'default'
    network = 'default'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folders: list[Path] = []

    def make(self) -> Kbase:
        provider = super().make()
        provider.let_go_seconds = 1  # type: ignore[attr-defined] # no guest is there that could let go of a device
        return provider

    def leftovers(self) -> list[str]:
        """Return what is on the host, seen past kvirt."""
        return sorted(Leftovers().now(self.prefix))

    def pool_path(self, name: str) -> str:
        """Return a folder that QEMU may look into."""
        self.folders.append(Path('/var/lib/libvirt', name))
        return str(self.folders[-1])

    def image_file(self) -> str:
        """Return a small image in the format that libvirt is told it has."""
        path = self.folder / f"{self.name('image')}.qcow2"
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', str(path), '64M'], check=True)
        return str(path)


@pytest.fixture(scope='module')
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KvmHarness]:
    harness = KvmHarness(tmp_path_factory.mktemp('kvm'))
    yield harness
    for folder in harness.folders:  # a pool that is deleted leaves its folder, which was there before it
        if folder.is_dir():
            folder.rmdir()
