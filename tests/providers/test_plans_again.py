"""The second run of a plan changes nothing, on any platform: neither by a call of a provider, nor by one of the cloud's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.base.area import Area
from kvirt.config import Kconfig
from kvirt.settings import Settings
from kvirt.testing.platform import KEY
from kvirt.testing.sweep import Haste

VMS = """\
net: {type: network, cidr: 10.77.0.0/24}
web: {image: debian12, keys: [%(key)s], nets: [net]}
db: {image: debian12, keys: [%(key)s], depends_on: web}
"""
FURTHER = {
    'create_security_group': 'guard: {type: securitygroup, ports: [80, 443]}\n',
    'create_loadbalancer': 'front: {type: loadbalancer, ports: [80], vms: [web]}\n',
    'create_disk': 'data: {type: disk, size: 10, vms: [db]}\n',
    'create_bucket': 'files: {type: bucket}\n',
    'create_pool': 'more: {type: pool, path: %(home)s/pool}\n',
}
ON_THE_TEST_DRIVER = """\
net: {type: network, cidr: 10.77.0.0/24}
more: {type: pool, path: /more}
web: {nets: [net], pool: more, disks: [], cloudinit: false}
db: {nets: [net, default], pool: more, disks: [], cloudinit: false, start: false, depends_on: web}
"""


@contextmanager
def settings(home: Path, **section: Any) -> Iterator[Kconfig]:
    (home / 'config.yml').write_text(yaml.safe_dump({'lab': section}))
    with Kconfig('lab', settings=Settings(home)) as config:
        yield config


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The changes that were asked of any provider, as the names of their hooks."""
    asked: list[str] = []
    attempt = Area._attempt

    def noted(self: Any, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        asked.append(getattr(operation, '__name__', str(operation)))
        return attempt(self, operation, *args, **kwargs)
    monkeypatch.setattr(Area, '_attempt', noted)
    return asked


def twice(config: Kconfig, text: str, changes: list[str], calls: Callable[[], list[str]] = list) -> list[str]:
    """Make a plan, and run, compare and update it again; return the calls of the cloud from then on."""
    first = config.open_plan('shop', inputstring=text).create()
    assert first.ok, (first.failed, first.skipped)
    assert changes
    assert set(first.changed()) == set(config.open_plan('shop', inputstring=text).checked.items)
    changes.clear()
    before = len(calls())
    again = config.open_plan('shop', inputstring=text)
    assert (again.create().changed(), changes) == ([], [])
    found = again.diff()
    assert {key: change for key, change in found.items() if change.action != 'nothing' or change.differences} == {}
    assert (again.update(found).changed(), changes) == ([], [])
    made = calls()[before:]
    gone = config.open_plan('shop', inputstring=text).delete()
    assert gone.ok, gone.failed
    assert [row['name'] for row in config.k.list() if row.get('plan') == 'shop'] == []
    return made


def plan_for(config: Kconfig, home: Path, without: tuple[str, ...] = ()) -> str:
    words = {'key': KEY, 'home': home}
    more = [text for operation, text in FURTHER.items() if config.k.supports(operation) and operation not in without]
    return ''.join([VMS, *more]) % words


def test_on_the_fake(tmp_path: Path, changes: list[str]) -> None:
    with settings(tmp_path, type='fake') as config:
        twice(config, plan_for(config, tmp_path), changes)


def test_on_the_test_driver_of_libvirt(tmp_path: Path, changes: list[str]) -> None:
    pytest.importorskip('libvirt')
    with settings(tmp_path, type='kvm', url='test:///default') as config:
        twice(config, ON_THE_TEST_DRIVER, changes)


def test_on_digitalocean(tmp_path: Path, changes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from kvirt.providers.digitalocean import Kdigitalocean
    from tests.providers.digitalocean.cloud import DigitalOcean
    from tests.providers.digitalocean.conftest import DESCRIPTION, Judge, Wire, refusal
    from tests.providers.digitalocean.parts import TOKEN
    monkeypatch.setattr(Kdigitalocean, 'clock', Haste())
    with Wire(DigitalOcean(), judge=Judge.of(DESCRIPTION), refusal=refusal) as wire, \
            settings(tmp_path, type='digitalocean', token=TOKEN, api=f'{wire.url}/v2') as config:
        made = twice(config, plan_for(config, tmp_path, without=('create_bucket',)), changes, lambda: wire.calls)
        assert wire.verdicts == []
    assert [call for call in made if not call.startswith('GET ')] == []
    assert made


def test_on_hetzner_cloud(tmp_path: Path, changes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('hcloud')
    from kvirt.providers.hcloud import Khcloud
    from tests.providers.hcloud.cloud import HetznerCloud
    from tests.providers.hcloud.conftest import open_wire
    monkeypatch.setattr(Khcloud, 'clock', Haste())
    with open_wire(HetznerCloud()) as wire, \
            settings(tmp_path, type='hcloud', token=HetznerCloud.token, api=f'{wire.url}/v1') as config:
        made = twice(config, plan_for(config, tmp_path, without=('create_bucket',)), changes, lambda: wire.calls)
        assert wire.verdicts == []
    assert [call for call in made if not call.startswith('GET ')] == []
    assert made


@pytest.mark.slow
def test_on_aws(tmp_path: Path, changes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('moto')
    from kvirt.providers.aws import Kaws
    from kvirt.testing.wire import Wire
    from tests.providers.aws.cloud import CREDENTIALS, REGION, Account, Aws, Hurried
    monkeypatch.setattr(Kaws, 'clock', Hurried())
    monkeypatch.setenv('MOTO_EC2_LOAD_DEFAULT_AMIS', 'false')
    app = Aws()
    with Wire(app) as wire, Wire(app) as side:
        app.url = side.url
        Account(app)  # with the images that there are
        with settings(tmp_path, type='aws', endpoint_url=wire.url, location=REGION, **CREDENTIALS) as config:
            # A disk that is for no VM yet is made in the first zone, and only VMs of that can have it.
            text = plan_for(config, tmp_path).replace('depends_on: web', f'depends_on: web, sublocation: {REGION}a')
            twice(config, text.replace('nets: [net]', 'nets: [default]'), changes)
        assert app.faults == []
