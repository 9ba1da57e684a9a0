"""The conformance suite on kvm, against the real libvirtd."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvirt.base import Kbase
from kvirt.providers.kvm import Kvirt
from kvirt.testing import Harness
from kvirt.testing.conformance import *  # noqa: F403

from .conftest import IMAGE, SKIPPED, URI, Leftovers

pytestmark = [pytest.mark.e2e, pytest.mark.minutes(4), pytest.mark.xdist_group('orphans')]  # neither sees the other's

OF_NO_USE = ('sublocation', 'placement', 'publicip')
"""Keywords of clouds that mean nothing on a libvirt host."""

NO_LIMITS = ('a VM can have several cards on a network here', 'a guest can be told anything here')
"""Skips of tests that try what some platforms limit, and libvirt does not."""


class KvmHarness(Harness):
    """libvirt on this machine. VMs are started, and not waited for: their boot is the subject of other tests."""

    provider = 'kvm'
    options = {'url': URI}
    keywords = {'virttype': 'qemu'}
    addressed = {'boot_order': ['network']}
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


def test_nothing_is_skipped_but_what_libvirt_has_no_notion_of(request: pytest.FixtureRequest) -> None:
    """It stands last. tests/unit/providers/kvm/test_provider.py names the operations that libvirt can never have."""
    never = {each.operation for each in Kvirt.capabilities() if each.mark == 'never'}
    told = {reason.removeprefix('Skipped: ') for test, reason in request.config.stash.get(SKIPPED, {}).items()
            if test.partition('::')[0] == request.node.nodeid.partition('::')[0]}
    fine = {*NO_LIMITS, *(f'Kvirt does not honour {keyword}' for keyword in OF_NO_USE)}
    odd = [reason for reason in told - fine
           if not (found := re.match(r'Kvirt does not support (\w+)', reason)) or found[1] not in never]
    assert odd == []
