"""The whole suite, for the provider of the command line: ``pytest --pyargs kvirt.testing --kvirt-provider NAME``."""

from __future__ import annotations

from kvirt.testing.conformance import *  # noqa: F403
from kvirt.testing.conformance.sweep import TestFaultSweep  # noqa: F401
