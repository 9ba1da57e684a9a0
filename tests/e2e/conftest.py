"""The real libvirtd. These tests fail, rather than skip, where it is missing: that is what they are for."""

from __future__ import annotations

import contextlib
import os
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from kvirt.config import Kconfig
from kvirt.errors import TimedOut
from kvirt.providers.kvm import Kvirt
from kvirt.providers.kvm.lookup import still_there
from kvirt.settings import Settings
from kvirt.wait import until

URI = os.environ.get('KVIRT_TEST_URI', 'qemu:///system')
IMAGE = os.environ.get('KVIRT_TEST_IMAGE', 'debian12')
STEM = os.environ.get('KVIRT_TEST_PREFIX', 'kvt')  # of names: who shares a host with others can tell what is whose

SKIPPED = pytest.StashKey[dict[str, str]]()
"""Why tests were skipped, by their ids."""


@pytest.hookimpl(tryfirst=True)  # before groups are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin first, so that the workers end together.

    The short ones keep to one worker: they use the same addresses, and look at all that is on the host.
    """
    for item in items:
        if not item.get_closest_marker('minutes'):
            item.add_marker(pytest.mark.xdist_group('orphans'))
            item.add_marker(pytest.mark.minutes(4))
    def minutes(item: pytest.Item) -> float:
        mark = item.get_closest_marker('minutes')
        return -mark.args[0] if mark else 0
    items.sort(key=minutes)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Write down why a test was skipped."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and isinstance(report.longrepr, tuple):
        item.config.stash.setdefault(SKIPPED, {})[item.nodeid] = report.longrepr[2]


class Leftovers:
    """What exists on the host, seen past kvirt, so that what a test left behind can be told."""

    def __init__(self, uri: str = URI) -> None:
        self.conn = libvirt.open(uri)

    def now(self, prefix: str) -> set[str]:
        """Return everything whose name begins with *prefix*: domains, volumes, files, networks, pools, leases."""
        found = {f'domain {each.name()}' for each in self.conn.listAllDomains()}
        found |= {f'network {each.name()}' for each in self.conn.listAllNetworks()}
        # Pools and networks of others come and go meanwhile.
        found = found.union(*still_there(self.conn.listAllStoragePools(), self._in_pool))
        with contextlib.suppress(TimedOut):  # a server lists what was given back for a moment longer
            until(lambda: not self._leases(prefix), what='an end of leases', timeout=2, interval=0.1)
        return {each for each in found if each.partition(' ')[2].startswith(prefix)} | self._leases(prefix)

    def _leases(self, prefix: str) -> set[str]:
        networks = self.conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        names = {lease.get('hostname') or '' for leases in still_there(networks, lambda network: network.DHCPLeases())
                 for lease in leases}
        return {f'lease {name}' for name in names if name.startswith(prefix)}

    @staticmethod
    def _in_pool(pool: libvirt.virStoragePool) -> set[str]:
        found = {f'pool {pool.name()}'}
        if pool.isActive():
            Kvirt.refresh(pool)
            found |= {f'volume {each.name()}' for each in pool.listAllVolumes()}
            folder = ET.fromstring(pool.XMLDesc()).findtext('target/path')
            if folder and Path(folder).is_dir():
                found |= {f'file {each.name.lstrip(".")}' for each in Path(folder).iterdir()}
        return found

    def remove(self, prefix: str) -> None:
        """Remove what a test that failed left of them, so that the next ones find a clean host."""
        for native in self.conn.listAllDomains():
            if native.name().startswith(prefix):
                if native.isActive():
                    native.destroy()
                native.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                                     | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
        for network in self.conn.listAllNetworks():
            if network.name().startswith(prefix):
                network.destroy()
                network.undefine()
        for pool in self.conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            for volume in pool.listAllVolumes():
                if volume.name().startswith(prefix):
                    volume.delete()
        for pool in self.conn.listAllStoragePools():
            if pool.name().startswith(prefix):
                if pool.isActive():
                    pool.destroy()
                pool.undefine()


@pytest.fixture(scope='session')
def libvirt_uri() -> str:
    """The libvirt that is tested: this machine's own, where no module says otherwise."""
    return URI


@pytest.fixture(scope='session')
def leftovers() -> Leftovers:
    return Leftovers()


@pytest.fixture
def prefix(leftovers: Leftovers) -> Iterator[str]:
    """A prefix for names; after the test nothing that bears it may be there."""
    chosen = f'{STEM}{secrets.token_hex(3)}'
    yield chosen
    left = leftovers.now(chosen)
    leftovers.remove(chosen)
    assert not left, f'left behind: {sorted(left)}'


@pytest.fixture
def libvirt_folder() -> Path:
    """Where the libvirt that is tested keeps what it has."""
    return Path('/var/lib/libvirt')


@pytest.fixture
def home(tmp_path: Path, libvirt_uri: str) -> Path:
    folder = tmp_path / 'home'
    folder.mkdir()
    (folder / 'config.yml').write_text(
        f'default:\n  client: here\n  virttype: qemu\nhere:\n  type: kvm\n  url: {libvirt_uri}\n')
    return folder


@pytest.fixture
def config(home: Path) -> Iterator[Kconfig]:
    with Kconfig(settings=Settings(home)) as config:
        yield config


@pytest.fixture
def kvm(home: Path, libvirt_uri: str) -> Iterator[Kvirt]:
    with Kvirt(url=libvirt_uri, home=str(home)) as provider:
        yield provider


@pytest.fixture
def pool(kvm: Kvirt, prefix: str) -> Iterator[str]:
    """A pool in a folder that QEMU may look into."""
    name, folder = f'{prefix}-pool', Path('/var/lib/libvirt', f'{prefix}-pool')
    kvm.create_pool(name, str(folder)).expect()
    yield name
    if name in kvm.list_pools():
        kvm.delete_pool(name, full=True).expect()
    folder.rmdir()
