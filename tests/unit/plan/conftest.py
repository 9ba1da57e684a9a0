"""Plans on a fake world of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvirt.config import Kconfig
from kvirt.plan.engine import Plan
from kvirt.settings import Settings

CONFIG = """\
fake:
  type: fake
far:
  type: fake
  location: oslo
other:
  type: fake
  state: {home}/other.db
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / 'home'
    folder.mkdir()
    (folder / 'config.yml').write_text(CONFIG.format(home=folder))
    return folder


@pytest.fixture
def config(home: Path) -> Iterator[Kconfig]:
    with Kconfig('fake', settings=Settings(home)) as config:
        yield config


@pytest.fixture
def opened(config: Kconfig) -> Callable[..., Plan]:
    """Return a function from a text, or a file, and parameters to a plan called shop."""
    def made(what: str | Path, **given: Any) -> Plan:
        if isinstance(what, Path):
            return config.open_plan('shop', what, overrides=given)
        return config.open_plan('shop', inputstring=what, overrides=given)
    return made
