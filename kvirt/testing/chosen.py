"""The harness that the command line of pytest describes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.testing.harness import Harness


def harness_of(config: pytest.Config, folder: Path) -> Harness:
    """Return the harness that ``--kvirt-provider`` or ``--kvirt-harness`` names, with what the other options say."""
    kind: type[Harness] = Harness
    named = config.getoption('--kvirt-harness')
    if named:
        module, _, attribute = named.partition(':')
        kind = getattr(importlib.import_module(module), attribute)
    provider = config.getoption('--kvirt-provider') or kind.provider
    if not provider:
        pytest.exit('which provider? give --kvirt-provider NAME', returncode=pytest.ExitCode.USAGE_ERROR)
    harness = kind(folder)
    harness.provider = provider
    if not named:  # nobody says how quick the platform is
        harness.lag = harness.timeout
    harness.options = {**harness.options, **_pairs(config, '--kvirt-option')}
    harness.keywords = {**harness.keywords,
                        **{key: yaml.safe_load(value) for key, value in _pairs(config, '--kvirt-create').items()}}
    for name in ('image', 'network', 'pool', 'zone'):
        if config.getoption(f'--kvirt-{name}'):
            setattr(harness, name, config.getoption(f'--kvirt-{name}'))
    return harness


def _pairs(config: pytest.Config, option: str) -> dict[str, Any]:
    given: list[str] = config.getoption(option)
    for pair in given:
        if '=' not in pair:
            pytest.exit(f"{option} needs KEY=VALUE, not '{pair}'", returncode=pytest.ExitCode.USAGE_ERROR)
    return {key: value for key, _, value in (pair.partition('=') for pair in given)}
