"""Scripts before plans, load balancers where there are none, and what changes cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt.base import unsupported
from kvirt.config import Kconfig
from kvirt.errors import InvalidInput
from kvirt.plan.engine import Plan
from kvirt.plan.kinds import haproxy

Opened = Callable[..., Plan]


class TestScripts:
    """kcli_pre.sh and its like."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / 'kvirt_plan.yml').write_text("parameters: {size: 700}\na: {image: debian12, files: [made.txt]}\n")
        (tmp_path / 'kvirt_pre.sh').write_text('echo "{{ size }} {{ plan }}" > made.txt\n')
        return tmp_path

    def test_it_runs_before_the_plan_is_read_when_trusted(self, config: Kconfig, folder: Path) -> None:
        plan = config.open_plan('shop', folder, trust=True)
        assert (folder / 'made.txt').read_text() == '700 shop\n'
        assert plan.create().ok

    def test_it_is_refused_otherwise(self, config: Kconfig, folder: Path) -> None:
        with pytest.raises(InvalidInput, match='this script would be run on this machine'):
            config.open_plan('shop', folder)
        assert not (folder / 'made.txt').exists()

    def test_it_can_be_left_out(self, config: Kconfig, folder: Path) -> None:
        (folder / 'made.txt').write_text('there\n')
        assert config.open_plan('shop', folder, overrides={'pre': False}).create().ok
        assert (folder / 'made.txt').read_text() == 'there\n'

    def test_one_that_fails_ends_it(self, config: Kconfig, folder: Path) -> None:
        (folder / 'kvirt_pre.sh').write_text('echo trouble; exit 4\n')
        outcome = config.plan('shop', folder, trust=True)
        assert 'ended with 4: trouble' in outcome['reason']
        assert config.k.list() == []


class TestBalancersAsVms:
    """A VM with haproxy where the platform has no load balancers."""

    PLAN = 'a: {image: debian12}\nb: {image: debian12}\nfront: {type: loadbalancer, ports: [80, 443], vms: [a, b]}\n'

    @pytest.fixture(autouse=True)
    def without(self, config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> None:
        for operation in ('create', 'delete', 'list'):
            name = f"_{operation}_loadbalancer{'s' if operation == 'list' else ''}"
            monkeypatch.setattr(type(config.k), name, unsupported('none here'))

    def test_it_is_made_once_and_goes_with_the_plan(self, opened: Opened, config: Kconfig) -> None:
        assert opened(self.PLAN).create().ok
        assert config.k.info('front')['image'] == 'debian12'
        assert opened(self.PLAN).create().changed() == []
        assert all(change.action == 'nothing' for change in opened(self.PLAN).diff().values())
        assert opened(self.PLAN).delete().ok
        assert config.k.list() == []

    def test_its_configuration_names_every_vm_and_has_a_password_of_its_own(self) -> None:
        made: list[tuple[dict[str, Any], str]] = [haproxy.values(
            image='debian12', ports=[80, 443], backends={'a': '10.0.0.1', 'b': '10.0.0.2'}, checkpath='/ok', checkport=80,
            nets=['default'], ip=None) for _ in range(2)]
        text = made[0][0]['files'][0]['content']
        for line in ('server a 10.0.0.1:80 check port 80', 'server b 10.0.0.2:443 check port 80', 'bind :::443 v4v6',
                     'option httpchk GET /ok', 'bind 127.0.0.1:1936'):
            assert line in text
        assert f'stats auth kvirt:{made[0][1]}' in text
        assert made[0][1] != made[1][1]
        assert len(made[0][1]) >= 20

    @pytest.mark.parametrize('path', ['/a b', '/x\n    stats admin', 'x', ''])
    def test_a_hostile_path_is_refused(self, opened: Opened, path: str) -> None:
        with pytest.raises(InvalidInput, match='no path of a URL'):
            opened(self.PLAN.replace('vms: [a, b]', f'checkpath: {path!r}'.replace("'", '"')))


class TestCosts:
    """What changes cost each month."""

    def test_of_what_is_new_and_of_what_grows(self, opened: Opened, config: Kconfig) -> None:
        plan = opened('a: {image: debian12, flavor: small}\nb: {image: debian12, flavor: medium}\nnet: {type: bucket}')
        prices = {flavor.name: flavor.price_monthly or 0 for flavor in config.k.list_flavors()}
        assert plan.costs(plan.diff()) == ({'EUR': round(prices['small'] + prices['medium'], 2)}, [])
        assert plan.create().ok
        assert plan.costs(opened('a: {image: debian12, flavor: small}\nb: {image: debian12, flavor: medium}').diff()) == (
            {}, [])
        config.k.stop('a')
        grown = opened('a: {image: debian12, flavor: large}')
        assert grown.costs(grown.diff()) == ({'EUR': round(prices['large'] - prices['small'], 2)}, [])

    def test_what_has_no_price_is_named(self, opened: Opened) -> None:
        plan = opened('a: {image: debian12, flavor: small, disks: [20, 30]}')
        assert plan.costs(plan.diff())[1] == ['VM a: disk of 30 GiB']


class TestNames:
    """What is made may be called otherwise than its entry, so that two clients can each have one of that name."""

    BOTH = ("lan: {type: network, cidr: 10.71.0.0/24}\n"
            "other-lan: {type: network, name: lan, client: other, cidr: 10.72.0.0/24}\n"
            "web: {image: debian12, nets: [lan]}\n"
            "other-web: {image: debian12, name: web, client: other, nets: [lan]}\n")

    def test_two_clients_have_one_of_the_same_name(self, opened: Opened, config: Kconfig) -> None:
        plan = opened(self.BOTH)
        assert plan.checked.needs['vm', 'web'] == (('network', 'lan'),)
        assert plan.checked.needs['vm', 'other-web'] == (('network', 'other-lan'),)
        assert plan.create().ok
        other = config.for_client('other')
        assert [known.k.list_networks()['lan']['cidr'] for known in (config, other)] == ['10.71.0.0/24', '10.72.0.0/24']
        assert {change.action for change in opened(self.BOTH).diff().values()} == {'nothing'}
        assert opened(self.BOTH).delete().ok
        assert [known.k.list() for known in (config, other)] == [[], []]
        assert not any('lan' in known.k.list_networks() for known in (config, other))

    def test_one_client_has_only_one(self, opened: Opened) -> None:
        with pytest.raises(InvalidInput, match='network b makes the same as network a: lan on fake'):
            opened('a: {type: network, name: lan, cidr: 10.71.0.0/24}\n'
                   'b: {type: network, name: lan, cidr: 10.72.0.0/24}\n')
