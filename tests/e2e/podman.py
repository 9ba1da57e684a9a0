"""The real podman of this machine, with images and containers in a world of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CONF = """\
[containers]
netns = "host"
default_ulimits = []
seccomp_profile = "unconfined"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = '[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'

Podman = Callable[..., str]


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, timeout: float = 120) -> Podman:
    """Return a function that asks podman, which keeps all that it has in *folder*."""
    below = subprocess.run(['stat', '-f', '-c', '%T', folder], capture_output=True, text=True, check=True).stdout.strip()
    driver = 'vfs' if below == 'overlayfs' else 'overlay'  # which can't lie on its like; vfs copies whole images
    for variable, name, text in (('CONTAINERS_CONF', 'containers.conf', CONF),
                                 ('CONTAINERS_STORAGE_CONF', 'storage.conf', STORAGE.format(folder=folder, driver=driver))):
        (folder / name).write_text(text)
        monkeypatch.setenv(variable, str(folder / name))

    def run(*words: str) -> str:
        done = subprocess.run(['podman', *words], capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()
    return run
