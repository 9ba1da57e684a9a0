"""Checksums, and the lists of them as vendors write them."""

from __future__ import annotations

import pytest

from kvirt.checksums import Checksum, find, parse
from kvirt.errors import InvalidInput, NotFound

A, B, LONG = 'a' * 64, 'b' * 64, 'c' * 128


def test_checksums() -> None:
    assert parse(A) == parse(f'sha256:{A}') == parse(f' SHA256:{A.upper()} ') == Checksum('sha256', A)
    assert parse(LONG) == parse(f'sha512:{LONG}') == Checksum('sha512', LONG)


@pytest.mark.parametrize('text', ['', 'abc', f'md5:{"a" * 32}', 'a' * 32, f'sha512:{A}', f'sha256:{LONG}',
                                  f'sha256:{"g" * 64}', f'sha256:{A}0', 'SHA256SUMS', ':'])
def test_what_is_no_checksum_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match='is no checksum'):
        parse(text)


@pytest.mark.parametrize('text', [
    f'{B}  other.img\n{A}  a.img\n', f'{A} *a.img\n', f'{A}\ta.img', f'{A} *./a.img\r\n', f'{A.upper()}  a.img',
    f'# a.img: 123 bytes\nSHA256 (a.img) = {A}\nSHA256 (b.img) = {B}\n',
    f'-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256 (a.img) = {A}\n-----BEGIN PGP SIGNATURE-----\n',
    f'{"1" * 32}  a.img\n{"2" * 40}  a.img\n{A}  a.img\n', f'{A}  a.img\n{A}  a.img\n'],
    ids=['gnu', 'binary', 'tab', 'path and crlf', 'upper', 'bsd', 'signed', 'weaker kinds', 'twice'])
def test_lists(text: str) -> None:
    assert find(text, 'a.img', 'SUMS') == Checksum('sha256', A)


def test_the_strongest_counts() -> None:
    text = f'# SHA256 HASH\n{A}  a.img\n# SHA512 HASH\n{LONG}  a.img\n'
    assert find(text, 'a.img', 'DIGESTS') == Checksum('sha512', LONG)


@pytest.mark.parametrize('text', ['', f'{A}  xa.img', f'{A}  a.img.sig', f'{A}  aximg', f'{A}  sub/a.img', f'{A}',
                                  f'{"1" * 32}  a.img', f'{A}0  a.img', '<html>404</html>'])
def test_what_is_not_listed(text: str) -> None:
    with pytest.raises(NotFound, match='SUMS does not list a.img'):
        find(text, 'a.img', 'SUMS')


@pytest.mark.parametrize('text', [A, f'{A}\n', f'{A}  a-20260101.img\n', f'SHA256 (a-20260101.img) = {A}\n# a comment\n'])
def test_a_list_about_one_file_may_call_it_by_its_build(text: str) -> None:
    assert find(text, 'a.img', 'a.img.sha256', alone=True) == Checksum('sha256', A)


def test_what_is_ambiguous_is_refused() -> None:
    with pytest.raises(InvalidInput, match='with 2 different checksums'):
        find(f'{A}  a.img\n{B}  a.img\n', 'a.img', 'SUMS')
    with pytest.raises(InvalidInput, match='with 2 different checksums'):
        find(f'{A}  b.img\n{B}  c.img\n', 'a.img', 'a.img.SUMS', alone=True)
    assert find(f'{A}  a.img\n{B}  c.img\n', 'a.img', 'a.img.SUMS', alone=True).digits == A
