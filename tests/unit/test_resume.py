"""Downloads that are interrupted, by a server on loopback that cuts connections and renews its files."""

from __future__ import annotations

import datetime
import functools
import os
import shutil
import ssl
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from kvirt import space
from kvirt.download import downloaded
from kvirt.errors import Cancelled, InvalidInput, NotFound, OutOfCapacity, Unavailable
from kvirt.partial import Partial
from kvirt.wait import CANCEL
from tests.webserver import Web, serving

SIZE = 5_000_000
BODY = bytes(range(250)) * (SIZE // 250)
OTHER = bytes(reversed(range(250))) * (SIZE // 250)
SUM = f'sha256:{sha256(BODY).hexdigest()}'


class Clock:
    """Time in which nothing takes any."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


fetch = functools.partial(downloaded, clock=Clock())


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        web.files['/a.img'] = BODY
        yield web


def interrupted(web: Web, keep: Path, **more: object) -> None:
    """Begin a download that the server never lets come further than 4,000,000 bytes."""
    web.cuts = [4_000_000, *[0] * 5]
    with pytest.raises(Unavailable, match='4000000 of 5000000 bytes'), fetch(f'{web.url}/a.img', keep=keep, **more):
        pass
    web.cuts = []


@pytest.mark.parametrize(('tags', 'condition'), [('strong', '"'), ('date', 'Sat, '), ('weak and date', 'Sat, '),
                                                 ('weak', ''), ('none', '')])
def test_only_what_is_missing_is_asked_for(web: Web, tmp_path: Path, tags: str, condition: str) -> None:
    web.tags, web.cuts = tags, [1_000_000, 2_000_000]
    told: list[int] = []
    with fetch(f'{web.url}/a.img', keep=tmp_path, progress=lambda done, total: told.append(done)) as path:
        assert path.read_bytes() == BODY
    assert [(asked, status) for _, asked, _, status in web.asked] == [
        ('', 200), ('bytes=1000000-', 206), ('bytes=3000000-', 206)]
    assert all(sent.startswith(condition) and bool(sent) == bool(condition) for _, _, sent, _ in web.asked[1:])
    assert told == sorted(told) and told[-1] == SIZE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('tags', ['strong', 'date'])
def test_a_file_that_was_renewed_meanwhile_is_not_spliced(web: Web, tags: str) -> None:
    web.tags, web.cuts, web.renewals = tags, [1_000_000], {'/a.img': [OTHER]}
    with fetch(f'{web.url}/a.img') as path:
        assert path.read_bytes() == OTHER
    assert [each[3] for each in web.asked] == [200, 200]


def test_a_server_that_knows_no_conditions_is_found_out(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer names the file's new tag or date, or another length: without any of them nobody can tell."""
    web.cuts, web.renewals = [1_000_000], {'/a.img': [OTHER]}
    monkeypatch.setattr(Partial, 'condition', lambda self: {'Range': f'bytes={self.size}-'} if self.size else {})
    with fetch(f'{web.url}/a.img') as path:
        assert path.read_bytes() == OTHER
    assert [each[3] for each in web.asked] == [200, 206, 200]
    web.tags, web.cuts, web.renewals = 'date', [1_000_000], {'/a.img': [BODY]}
    with fetch(f'{web.url}/a.img') as path:
        assert path.read_bytes() == BODY
    web.tags, web.cuts, web.renewals = 'none', [1_000_000], {'/a.img': [BODY + b'longer']}
    with fetch(f'{web.url}/a.img') as path:
        assert path.read_bytes() == BODY + b'longer'


def test_a_line_that_always_breaks_is_used_as_long_as_it_brings_something(web: Web) -> None:
    web.cuts = [400_000] * 12
    clock = Clock()
    with downloaded(f'{web.url}/a.img', clock=clock) as path:
        assert path.read_bytes() == BODY
    assert len(web.asked) == 13 and clock.slept == [1.0] * 12


def test_the_next_download_goes_on(web: Web, tmp_path: Path) -> None:
    keep = tmp_path / 'downloads'
    interrupted(web, keep)
    assert sorted(path.suffix for path in keep.iterdir()) == ['.json', '.part']
    assert keep.stat().st_mode & 0o777 == 0o700
    web.asked.clear()
    with fetch(f'{web.url}/a.img', keep=keep, checksums=SUM) as path:
        assert path.read_bytes() == BODY
    assert web.asked == [('/a.img', 'bytes=4000000-', web.validator('/a.img')['ETag'], 206)]
    assert list(keep.iterdir()) == []


def test_the_next_download_begins_anew_when_the_file_was_renewed(web: Web, tmp_path: Path) -> None:
    interrupted(web, tmp_path)
    web.files['/a.img'] = OTHER[:-1000]
    with fetch(f'{web.url}/a.img', keep=tmp_path) as path:
        assert path.read_bytes() == OTHER[:-1000]


@pytest.mark.parametrize('tags', ['weak', 'none'])
def test_what_can_not_be_known_again_is_not_kept(web: Web, tmp_path: Path, tags: str) -> None:
    web.tags = tags
    interrupted(web, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_error_says_what_is_kept(web: Web, tmp_path: Path) -> None:
    web.cuts = [4_000_000, *[0] * 5]
    with pytest.raises(Unavailable) as raised, fetch(f'{web.url}/a.img', keep=tmp_path):
        pass
    assert raised.value.hint == '3.8 MiB of it are kept for a week: the same command goes on from there'


def test_a_complete_file_that_was_not_used_is_not_fetched_again(web: Web, tmp_path: Path) -> None:
    with pytest.raises(Cancelled), fetch(f'{web.url}/a.img', keep=tmp_path):
        raise Cancelled('cancelled')
    web.asked.clear()
    with fetch(f'{web.url}/a.img', keep=tmp_path) as path:
        assert path.read_bytes() == BODY
    assert [each[3] for each in web.asked] == [416]


@pytest.mark.parametrize('error', [InvalidInput('x'), OutOfCapacity('x'), ValueError('x')])
def test_after_an_error_nothing_is_kept(web: Web, tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), fetch(f'{web.url}/a.img', keep=tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_what_has_arrived(web: Web, tmp_path: Path) -> None:
    def progress(done: int, total: int | None) -> None:
        if done > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fetch(f'{web.url}/a.img', keep=tmp_path, progress=progress):
        pass
    web.asked.clear()
    with fetch(f'{web.url}/a.img', keep=tmp_path) as path:
        assert path.read_bytes() == BODY
    assert web.asked[0][3] == 206 and int(web.asked[0][1][6:-1]) > 2_000_000


def test_a_thread_that_is_cancelled_keeps_what_has_arrived(web: Web, tmp_path: Path) -> None:
    """Ctrl-C reaches the main thread alone; those of a plan look at the token."""
    try:
        with pytest.raises(Cancelled), fetch(f'{web.url}/a.img', keep=tmp_path, progress=lambda done, total: CANCEL.set()):
            pass
    finally:
        CANCEL.clear()
    [part] = tmp_path.glob('*.part')
    assert 0 < part.stat().st_size < SIZE


def test_two_that_fetch_the_same_do_not_disturb_each_other(web: Web, tmp_path: Path) -> None:
    url = f'{web.url}/a.img'
    with fetch(url, keep=tmp_path / 'kept', folder=tmp_path) as first, \
            fetch(url, keep=tmp_path / 'kept', folder=tmp_path) as second:
        assert first != second
        assert first.read_bytes() == second.read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ['kept'] and not list((tmp_path / 'kept').iterdir())


def test_what_nobody_went_on_with_is_removed(web: Web, tmp_path: Path) -> None:
    interrupted(web, tmp_path)
    [part] = tmp_path.glob('*.part')
    web.files['/b.img'] = b'b'
    six = time.time() - 6 * 24 * 3600
    os.utime(part, (six, six))
    with fetch(f'{web.url}/b.img', keep=tmp_path):
        assert part.exists()
    os.utime(part, (six - 2 * 24 * 3600, six - 2 * 24 * 3600))
    with fetch(f'{web.url}/b.img', keep=tmp_path):
        assert not part.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('note', ['', '[]', '{"total": 5, "validator": ""}', '{"total": "x", "validator": "y"}'])
def test_a_note_that_says_nothing_is_no_reason_to_trust(web: Web, tmp_path: Path, note: str) -> None:
    interrupted(web, tmp_path)
    next(tmp_path.glob('*.json')).write_text(note)
    web.asked.clear()
    with fetch(f'{web.url}/a.img', keep=tmp_path) as path:
        assert path.read_bytes() == BODY
    assert [each[3] for each in web.asked] == [200]


def test_where_nothing_can_be_kept_it_is_fetched_all_the_same(web: Web, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with fetch(f'{web.url}/a.img', keep=tmp_path / 'file' / 'downloads') as path:
        assert path.read_bytes() == BODY


def test_a_wrong_checksum_keeps_nothing(web: Web, tmp_path: Path) -> None:
    interrupted(web, tmp_path)
    with pytest.raises(InvalidInput, match='another checksum'), \
            fetch(f'{web.url}/a.img', keep=tmp_path, checksums=f'sha256:{"0" * 64}'):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_list_is_read_before_the_file_and_again_when_it_does_not_match(web: Web) -> None:
    """The file and its list were renewed between the two requests, as that of a nightly build is."""
    web.files['/SUMS'] = f'{"0" * 64}  a.img\n'.encode()
    url, right = f'{web.url}/a.img', f'{sha256(BODY).hexdigest()}  a.img\n'.encode()

    def progress(done: int, total: int | None) -> None:
        web.files['/SUMS'] = right

    with fetch(url, checksums=f'{web.url}/SUMS', progress=progress) as path:
        assert path.read_bytes() == BODY
    assert web.paths() == ['/SUMS', '/a.img', '/SUMS']
    web.asked.clear()
    web.files['/SUMS'] = b''
    with pytest.raises(NotFound, match='does not list a.img'), fetch(url, checksums=f'{web.url}/SUMS'):
        pass
    assert web.paths() == ['/SUMS'], 'nothing is fetched that could not be verified'


@pytest.mark.parametrize('lengths', [True, False])
def test_a_list_that_is_no_list_is_not_read_to_its_end(web: Web, lengths: bool) -> None:
    web.lengths = lengths
    with pytest.raises(InvalidInput, match='a list of checksums has no 4'), \
            fetch(f'{web.url}/a.img', checksums=f'{web.url}/a.img'):
        pass


def test_what_comes_encoded_is_refused(web: Web) -> None:
    """It would be written as it is, and nobody would know it again."""
    web.coding = 'gzip'
    with pytest.raises(InvalidInput, match='as gzip'), fetch(f'{web.url}/a.img'):
        pass
    web.files['/a.img.gz'] = BODY
    with fetch(f'{web.url}/a.img.gz') as path:
        assert path.read_bytes() == BODY


def test_a_file_that_does_not_fit_is_refused_before_it_is_fetched(web: Web, monkeypatch: pytest.MonkeyPatch,
                                                                  tmp_path: Path) -> None:
    told: list[int] = []
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: (100_000_000, 0, 9_000_000))
    with pytest.raises(OutOfCapacity, match='needs 4.8 MiB, and .* has 8.6 MiB free'), fetch(
            f'{web.url}/a.img', keep=tmp_path, progress=lambda done, total: told.append(done)):
        pass
    assert told == []
    web.lengths = False
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: (100_000_000, 0, 9_000_000 - sum(told[-1:])))
    with pytest.raises(OutOfCapacity, match='larger than the room for it: after 4'), fetch(
            f'{web.url}/a.img', keep=tmp_path, progress=lambda done, total: told.append(done)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(web: Web) -> None:
    with pytest.raises(OutOfCapacity, match='does not fit in /x: No space left on device'), \
            space.Space(Path('/x')).told('it'), open('/dev/full', 'wb') as full:
        full.write(b'x')


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    clock = Clock()
    with serving(context) as web:
        web.files['/a.img'] = BODY
        with pytest.raises(Unavailable, match='can not be trusted: .*self-signed'), \
                downloaded(f'{web.url}/a.img', clock=clock):
            pass
        assert web.asked == [] and clock.slept == []


def self_signed(folder: Path) -> Path:
    """Return a file with a key and a certificate for 127.0.0.1 that vouches for itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))])
    day = datetime.timedelta(1)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
                   .add_extension(address, critical=True).sign(key, hashes.SHA256()))
    path = folder / 'server.pem'
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) + certificate.public_bytes(serialization.Encoding.PEM))
    return path
