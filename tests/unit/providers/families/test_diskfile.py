"""What a file says of itself that shall become an image."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from kvirt.errors import InvalidInput
from kvirt.providers.families.diskfile import DiskFile, read


def made(*words: str | Path) -> None:
    subprocess.run(['qemu-img', *map(str, words)], check=True, capture_output=True)


def test_images_of_qemu(tmp_path: Path) -> None:
    raw, qcow, old = (tmp_path / name for name in ('a.raw', 'a.qcow2', 'old.qcow2'))
    made('create', '-f', 'raw', raw, '3M')
    made('create', '-f', 'qcow2', qcow, '5G')
    made('create', '-f', 'qcow2', '-o', 'compat=0.10', old, '1G')
    assert [read(path, 'it') for path in (raw, qcow, old)] == [
        DiskFile('raw', 3 * 1024**2), DiskFile('qcow2', 5 * 1024**3), DiskFile('qcow2', 1024**3)]


@pytest.mark.parametrize('compat', ['0.10', '1.1'])
def test_an_image_that_would_read_a_file_of_this_host_is_refused(tmp_path: Path, compat: str) -> None:
    secret, image = tmp_path / 'secret', tmp_path / 'a.qcow2'
    secret.write_bytes(bytes(1024**2))
    made('create', '-f', 'qcow2', '-o', f'compat={compat}', '-b', secret, '-F', 'raw', image)
    with pytest.raises(InvalidInput, match='https://x/a.img is an image that stands on another file.*qemu-img convert'):
        read(image, 'https://x/a.img')


def test_an_image_whose_data_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    image = tmp_path / 'a.qcow2'
    made('create', '-f', 'qcow2', '-o', f'data_file={tmp_path}/data', image, '1G')
    with pytest.raises(InvalidInput, match='stands on another file'):
        read(image, 'it')
    made('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', tmp_path / 'a.vmdk', '1G')
    with pytest.raises(InvalidInput, match='only describes an image'):
        read(tmp_path / 'a.vmdk', 'it')


@pytest.mark.parametrize('sector', [b'<' + bytes(range(128, 256)) * 4, b'\r\n<\x90\xeb' + bytes(range(256)) * 2])
def test_a_boot_sector_may_begin_with_anything(tmp_path: Path, sector: bytes) -> None:
    path = tmp_path / 'a.img'
    path.write_bytes(sector)
    assert read(path, 'it') == DiskFile('raw', len(sector))


@pytest.mark.parametrize('options', [('-o', 'compat=0.10'), ('-c',), ('-o', 'cluster_size=4k'), (),
                                     ('-o', 'extended_l2=on,cluster_size=16k')], ids=' '.join)
def test_an_image_that_was_cut_is_told_from_a_whole_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    raw, whole, cut = (tmp_path / name for name in ('raw', 'a.qcow2', 'cut.qcow2'))
    raw.write_bytes(bytes(1024**2) + os.urandom(2 * 1024**2) + bytes(5 * 1024**2) + b'text ' * 99_999)
    raw.write_bytes(raw.read_bytes().ljust(9 * 1024**2, b'\0'))
    made('convert', '-O', 'qcow2', *options, raw, whole)
    assert read(whole, 'it') == DiskFile('qcow2', 9 * 1024**2)
    content = whole.read_bytes()
    for kept in (600, len(content) // 3, len(content) * 3 // 4):
        cut.write_bytes(content[:kept])
        with pytest.raises(InvalidInput, match='it is an image of which a part is missing'):
            read(cut, 'it')


@pytest.mark.parametrize('broken', [(20, '>I', 0), (20, '>I', 63), (36, '>I', 2**32 - 1), (40, '>Q', 2**63)])
def test_a_header_that_can_not_be_is_no_reason_to_read_on(tmp_path: Path, broken: tuple[int, str, int]) -> None:
    image = tmp_path / 'a.qcow2'
    made('create', '-f', 'qcow2', image, '1G')
    content = bytearray(image.read_bytes())
    struct.pack_into(broken[1], content, broken[0], broken[2])
    image.write_bytes(content)
    with pytest.raises(InvalidInput, match='a part is missing'):
        read(image, 'it')


@pytest.mark.parametrize('content', [b'', b'short', b'<!DOCTYPE html>' + bytes(1000), b'\n  <html>' + b' ' * 1000,
                                     b'QFI\xfb' + struct.pack('>I', 3)])
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'a.img'
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match='it is not an image of a disk'):
        read(path, 'it')
