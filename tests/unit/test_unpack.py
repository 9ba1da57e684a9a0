"""Packed files: each kind, broken ones, and those that would fill the disk."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kvirt import space
from kvirt.download import downloaded, file_name, local_copy
from kvirt.errors import InvalidInput, MissingDependency, OutOfCapacity
from kvirt.space import Space
from kvirt.unpack import packing, unpack, unpacker

BODY = bytes(range(256)) * 500


def as_zstd(data: bytes) -> bytes:
    """Return *data* packed with a checksum, as the program zstd does it."""
    zstd = unpacker('.zst')
    return bytes(zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}))


PACK: dict[str, Callable[[bytes], bytes]] = {
    '.gz': gzip.compress, '.xz': lzma.compress, '.bz2': bz2.compress, '.zst': as_zstd}


@pytest.mark.parametrize('suffix', PACK)
def test_each_kind_is_unpacked(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f'a.img{suffix}'
    file.write_bytes(PACK[suffix](BODY) + PACK[suffix](b'a second member'))
    assert (packing(file.name), file_name(file.name)) == (suffix, 'a.img')
    with local_copy(str(file), folder=tmp_path) as path:
        assert path.read_bytes() == BODY + b'a second member'
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize('suffix', PACK)
@pytest.mark.parametrize('broken', ['cut', 'nonsense', 'page', 'changed'])
def test_what_is_broken_is_told(suffix: str, broken: str, tmp_path: Path) -> None:
    whole = PACK[suffix](BODY)
    changed = whole[:60] + bytes(byte ^ 255 for byte in whole[60:80]) + whole[80:]
    file = tmp_path / f'a.img{suffix}'
    file.write_bytes({'cut': whole[:-10], 'nonsense': b'nonsense', 'page': b'<html>Log in', 'changed': changed}[broken])
    with pytest.raises(InvalidInput, match=f'a.img{suffix} can not be unpacked: ') as raised, local_copy(str(file)):
        pass
    assert ('web page' in str(raised.value)) == (broken == 'page')


@pytest.mark.parametrize('suffix', PACK)
def test_what_would_fill_the_disk_is_ended_in_time(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, target = tmp_path / f'a.img{suffix}', tmp_path / 'a.img'
    file.write_bytes(PACK[suffix](bytes(12 * 1024**2)))
    assert file.stat().st_size < 20_000, 'a few bytes, that become millions'

    def usage(folder: Path) -> tuple[int, int, int]:
        return 100 * 1024**2, 0, 10 * 1024**2 - target.stat().st_size

    monkeypatch.setattr('kvirt.unpack._LOOK', 1)
    monkeypatch.setattr(shutil, 'disk_usage', usage)
    full = pytest.raises(OutOfCapacity, match='larger than the room for it: after 6.0 MiB')
    with target.open('wb', buffering=0) as out, full:
        unpack(file, out, suffix, Space(tmp_path), 'it')
    assert usage(tmp_path)[2] == 4 * 1024**2, 'others still have room'


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    file = tmp_path / 'a.img.gz'
    file.write_bytes(gzip.compress(BODY))
    with open('/dev/full', 'wb', buffering=0) as full, pytest.raises(OutOfCapacity, match='No space left on device'):
        unpack(file, full, '.gz', Space(tmp_path), 'it')


def test_a_missing_package_is_told_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def lacking(name: str) -> object:
        if 'zstd' in name:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, 'import_module', lacking)
    with pytest.raises(MissingDependency, match='backports.zstd.*kvirt.zstd'), \
            downloaded('http://127.0.0.1:9/never/asked.img.zst'):
        pass
    assert packing('a.img.zst') == '.zst', 'its name needs no package'


def test_bytes_are_shown_for_people() -> None:
    assert [space.shown(size) for size in (0, 1023, 1024, 1536 * 1024, 3 * 1024**3)] == [
        '0 bytes', '1023 bytes', '1.0 KiB', '1.5 MiB', '3.0 GiB']
