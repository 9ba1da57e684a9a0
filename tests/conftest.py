"""What every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing of us.
settings.register_profile('kvirt', deadline=None)
settings.load_profile('kvirt')

pytest_plugins = ['kvirt.testing.plugin']


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption('--update-golden', action='store_true', help='rewrite the golden files instead of comparing')


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with the file of that name in the folder ``golden`` beside the test."""
    folder = Path(request.path).parent / 'golden'

    def compare(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption('--update-golden'):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f'{path} is absent: run pytest --update-golden, and read what it wrote'
        assert text == path.read_text()
    return compare
