"""The page of libvirt names every setting there is, and its plans can be made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.providers.kvm.netxml import SETTINGS
from kvirt.providers.kvm.pools import SETTINGS as OF_POOLS
from kvirt.settings import Settings

PAGE = (Path(__file__).parents[4] / 'docs' / 'providers' / 'kvm.md').read_text()
PLANS = [text for text in re.findall(r'```yaml\n(.*?)```', PAGE, re.DOTALL) if re.search('type: (network|pool)', text)]


@pytest.mark.parametrize('setting', sorted({*SETTINGS, *(key for keys in OF_POOLS.values() for key in keys)}))
def test_every_setting_is_named(setting: str) -> None:
    way = re.fullmatch(r'bandwidth_(\w+)_(\w+)', setting)
    for word in way.groups() if way else [setting]:
        assert re.search(rf'`{word}[`:]' if not way else rf'[`_]{word}', PAGE), word


@pytest.mark.parametrize('text', PLANS, ids=lambda text: text.splitlines()[0].strip('# '))
def test_its_plans_can_be_made(text: str, tmp_path: Path) -> None:
    (tmp_path / 'config.yml').write_text('here: {type: kvm, url: "test:///default"}\n')
    with Kconfig('here', settings=Settings(tmp_path)) as config:
        plan = config.open_plan('shop', inputstring=text)
        made = plan.create()
        assert made.ok and len(made.changed()) == len(plan.checked.items) >= 2, made.failed
        for kind, name in plan.checked.items:
            (config.k.delete_network if kind == 'network' else config.k.delete_pool)(name).expect()


def test_there_are_such_plans() -> None:
    assert len(PLANS) == 2
