"""What make check-images finds, with a table whose vendor is a server on the loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.webserver import Web, serving

ROOT = Path(__file__).parents[3]
BODY = bytes(2 * 1024**2)
SUM = sha256(BODY).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        web.files |= {f'/{name}': BODY for name in ('a-amd64.img', 'a-arm64.img', 'b-x86_64.img')}
        web.files |= {'/SUMS': f'{SUM}  a-amd64.img\n{SUM}  a-arm64.img\n'.encode(),
                      '/b-x86_64.img.sha256': f'{SUM}  b-20260101.img\n'.encode(), '/page.img': b'<html>'}
        yield web


def check(web: Web, tmp_path: Path, *words: str, **rows: object) -> tuple[int, list[str]]:
    table = tmp_path / 'images.yaml'
    table.write_text(yaml.safe_dump({'images': rows}).replace('WEB', web.url))
    command = [sys.executable, ROOT / 'extras' / 'check_images.py', '--table', table, *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    return done.returncode, (done.stdout + done.stderr).replace(web.url, 'WEB').splitlines()


A = {'url': 'WEB/a-{arch}.img', 'arch': {'x86_64': 'amd64', 'aarch64': 'arm64'}, 'checksums': 'SUMS'}
B = {'url': 'WEB/b-{arch}.img', 'arch': {'x86_64': 'x86_64'}, 'checksums': 'b-{arch}.img.sha256'}


def test_a_table_that_is_right(web: Web, tmp_path: Path) -> None:
    assert check(web, tmp_path, a=A, b=B) == (0, [
        'ok   a aarch64', 'ok   a x86_64', 'ok   b x86_64', '3 images, 0 with a fault'])
    assert sorted(web.paths()) == [
        '/SUMS', '/SUMS', '/a-amd64.img', '/a-arm64.img', '/b-x86_64.img', '/b-x86_64.img.sha256']


def test_what_is_wrong_is_told(web: Web, tmp_path: Path) -> None:
    only = {'arch': {'x86_64': 'x86_64'}, 'checksums': 'SUMS'}
    assert check(web, tmp_path, a=A, gone={**only, 'url': 'WEB/gone.img'}, page={**only, 'url': 'WEB/page.img'},
                 unlisted={**only, 'url': 'WEB/b-x86_64.img'}, unlisted2={**B, 'checksums': 'absent'},
                 bare={'url': 'WEB/b-{arch}.img', 'arch': {'x86_64': 'x86_64'}}) == (1, [
        'ok   a aarch64', 'ok   a x86_64', 'FAIL bare x86_64: WEB/b-x86_64.img has no checksum',
        'FAIL gone x86_64: WEB/gone.img: the server answered 404', 'FAIL page x86_64: WEB/page.img has 6 bytes only',
        'FAIL unlisted x86_64: WEB/SUMS does not list b-x86_64.img',
        'FAIL unlisted2 x86_64: WEB/absent does not exist: the server answered 404', '7 images, 5 with a fault'])


def test_some_images_only(web: Web, tmp_path: Path) -> None:
    assert check(web, tmp_path, 'b', a=A, b=B) == (0, ['ok   b x86_64', '1 images, 0 with a fault'])
    code, lines = check(web, tmp_path, 'c', a=A, b=B)
    assert (code, lines[-1]) == (2, 'check_images.py: error: the table has no c')


def test_a_vendor_that_does_not_answer(web: Web, tmp_path: Path) -> None:
    code, lines = check(web, tmp_path, x={'url': 'http://127.0.0.1:9/x.img', 'arch': {'x86_64': 'x'}})
    assert code == 1 and lines[0].startswith('FAIL x x86_64: ') and 'refused' in lines[0] and len(lines) == 2
