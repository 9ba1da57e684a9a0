"""Images in plans: what the provider is asked for."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kvirt.config import Kconfig
from kvirt.guest import images
from kvirt.plan.engine import Plan

Opened = Callable[..., Plan]


@pytest.fixture
def asked(config: Kconfig, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The URLs and checksums of the images that the provider is asked to bring."""
    seen: list[tuple[Any, ...]] = []
    real = type(config.k)._add_image

    def spy(self: Any, url: str, *args: Any) -> Any:
        seen.append((url, args[-1]))
        return real(self, url, *args)
    monkeypatch.setattr(type(config.k), '_add_image', spy)
    return seen


def test_an_image_is_that_of_the_hosts_architecture(
        config: Kconfig, opened: Opened, asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.k, 'arch', 'aarch64', raising=False)
    config.k.delete_image('debian13').expect()
    assert opened('debian13: {type: image}').create().ok
    known = images.find('debian13', 'aarch64')
    assert known and asked == [(known.url, None)]
    config.k.delete_image('flatcar').expect()
    refused = opened('flatcar: {type: image}').create()
    assert not refused.ok and "image 'flatcar' is not published for aarch64, only for x86_64" in str(refused)


def test_an_image_is_verified(config: Kconfig, opened: Opened, asked: list[tuple[Any, ...]], tmp_path: Path) -> None:
    file = tmp_path / 'mine.img'
    file.write_bytes(bytes(1024))
    right = f'sha256:{sha256(file.read_bytes()).hexdigest()}'
    refused = opened(f'mine: {{type: image, url: {file}, checksum: "sha256:{"0" * 64}"}}').create()
    assert not refused.ok and 'another checksum' in str(refused) and 'mine' not in config.k.volumes()
    assert opened(f'mine: {{type: image, url: {file}, checksum: "{right}"}}').create().ok
    assert asked[-1] == (str(file), right) and 'mine' in config.k.volumes()
