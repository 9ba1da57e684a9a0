"""How an image gets into the folder of a pool: whole, under its name, once."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from kvirt.errors import AlreadyExists, Conflict, InvalidInput, KvirtError, Unavailable
from kvirt.partial import lock
from kvirt.providers.kvm.arrivals import Arrival
from tests.webserver import Web, serving

BODY = bytes(range(256)) * 400


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        web.files |= {'/a.img': BODY, '/b.img.gz': gzip.compress(BODY)}
        yield web


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / 'pool'
    folder.mkdir()
    return folder


@contextmanager
def arriving(web: Web, pool: Path, path: str) -> Iterator[Arrival]:
    arrival = Arrival(f'{web.url}/{path}', None, None)
    with arrival.fetched(None, pool.parent / 'downloads', None, None, None):
        yield arrival


def bring(web: Web, pool: Path, path: str) -> None:
    with arriving(web, pool, path) as arrival:
        arrival.place(pool)


@pytest.fixture(params=['links', 'no links'])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems that know hard links, and such as do not."""
    def without(*names: object) -> NoReturn:
        raise OSError(errno.EPERM, 'Operation not permitted')
    if request.param == 'no links':
        monkeypatch.setattr(os, 'link', without)


@pytest.mark.usefixtures('links')
@pytest.mark.parametrize(('path', 'name'), [('a.img', 'a.img'), ('b.img.gz', 'b.img')])
def test_an_image_has_its_name_and_can_be_read_by_all(web: Web, pool: Path, path: str, name: str) -> None:
    bring(web, pool, path)
    [file] = pool.iterdir()
    assert (file.name, file.read_bytes(), file.stat().st_mode & 0o777, file.stat().st_nlink) == (name, BODY, 0o644, 1)
    assert list((pool.parent / 'downloads').iterdir()) == []
    with pytest.raises(AlreadyExists, match=f'{name} exists'):
        bring(web, pool, path)
    assert [file.name for file in pool.iterdir()] == [name]


def test_a_file_of_this_machine_is_copied(pool: Path) -> None:
    own = pool.parent / 'own.img'
    own.write_bytes(BODY)
    own.chmod(0o600)
    arrival = Arrival(str(own), 'mine', None)
    with arrival.fetched(None, None, None, None, None):
        arrival.place(pool)
    assert (pool / 'mine').read_bytes() == BODY and not (pool / 'mine').samefile(own)
    assert own.stat().st_mode & 0o777 == 0o600, 'it stays as it was'


def test_what_a_killed_process_left_is_written_over(web: Web, pool: Path) -> None:
    (pool / '.b.img.part').write_bytes(b'x' * 999_999)
    bring(web, pool, 'b.img.gz')
    assert [file.name for file in pool.iterdir()] == ['b.img'] and (pool / 'b.img').read_bytes() == BODY


def test_only_one_process_writes_an_image(web: Web, pool: Path) -> None:
    held = lock(pool / '.b.img.part')
    assert held
    with held, pytest.raises(Conflict, match=r'\.b\.img\.part is being written by another process'):
        bring(web, pool, 'b.img.gz')


def test_a_folder_that_can_not_be_written_to_is_told(web: Web, pool: Path) -> None:
    pool.rmdir()
    for path in ('a.img', 'b.img.gz'):
        with pytest.raises(Unavailable, match='pool/.*img can not be written: No such file'):
            bring(web, pool, path)


@pytest.mark.parametrize(('name', 'size', 'error'), [
    ('x.qcow2', None, 'is called qcow2, but is not'), (None, None, 'not an image'), ('../x', None, 'can not name')])
def test_what_is_no_image_gets_no_name(web: Web, pool: Path, name: str | None, size: int | None, error: str) -> None:
    web.files['/c.img'] = BODY if name else b'<html>' * 200
    with pytest.raises(InvalidInput, match=error):
        arrival = Arrival(f'{web.url}/c.img', name, size)
        with arrival.fetched(None, pool.parent / 'downloads', None, None, None):
            arrival.place(pool)
    assert list(pool.iterdir()) == []


def test_room_is_asked_for_where_the_file_goes(web: Web, pool: Path) -> None:
    arrival = Arrival(f'{web.url}/a.img', None, None)
    assert arrival.admission(pool, pool.parent / 'downloads') is None, 'it goes there at once'
    admit = arrival.admission(Path('/proc'), pool.parent / 'not' / 'yet')
    assert admit
    with pytest.raises(KvirtError, match='needs 1.0 MiB, and /proc has 0 bytes free'):
        admit(1024**2)
