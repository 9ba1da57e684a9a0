"""Downloads from a real server on loopback that misbehaves on demand."""

import functools
import gzip
import hashlib
import http.server
import threading

import pytest

from kvirt.download import file_name, local_copy
from kvirt.errors import InvalidInput, NotFound, Unauthorized, Unavailable

BODY = bytes(range(256)) * 20000


class Clock:
    """Time in which nothing takes any."""

    def now(self):
        return 0.0

    def sleep(self, seconds):
        pass


class Server(http.server.BaseHTTPRequestHandler):
    """Drops the connection halfway as often as it is told to, and serves ranges."""

    drops = 0
    ranges = True
    seen: list[str] = []

    def do_GET(self):
        cls = type(self)
        cls.seen.append(self.headers.get('Range', ''))
        bodies = {'/image.qcow2': BODY, '/image.qcow2.gz': gzip.compress(BODY), '/bad.gz': b'nonsense',
                  '/SUMS': f'{hashlib.sha256(BODY).hexdigest()} *image.qcow2\n'.encode(),
                  '/LIES': f'{"0" * 64}  image.qcow2\n'.encode()}
        if self.path in ('/403', '/500'):
            self.send_error(int(self.path[1:]))
            return
        if self.path not in bodies:
            self.send_error(404)
            return
        body = bodies[self.path]
        start = 0
        if cls.ranges and self.headers.get('Range'):
            start = int(self.headers['Range'][6:-1])
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        else:
            self.send_response(200)
        self.send_header('Content-Length', str(len(body) - start))
        self.end_headers()
        if cls.drops:
            cls.drops -= 1
            self.wfile.write(body[start:start + (len(body) - start) // 2])
            self.close_connection = True
            return
        self.wfile.write(body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    handler = type('Handler', (Server,), {'seen': []})
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        handler.url = f'http://127.0.0.1:{running.server_port}'
        yield handler
        running.shutdown()
        thread.join()


copy = functools.partial(local_copy, clock=Clock())


def test_a_file_arrives_with_progress(server, tmp_path):
    told = []
    url = f'{server.url}/image.qcow2'
    with copy(url, folder=tmp_path, progress=lambda done, total: told.append((done, total))) as path:
        assert path.read_bytes() == BODY
        assert path.is_relative_to(tmp_path)
    assert told[-1] == (len(BODY), len(BODY))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('ranges', [True, False])
def test_a_connection_that_drops_twice_is_taken_up_again(server, ranges):
    server.drops, server.ranges = 2, ranges
    with copy(f'{server.url}/image.qcow2') as path:
        assert path.read_bytes() == BODY
    assert len(server.seen) == 3
    assert server.seen[1].startswith('bytes=')


def test_one_that_always_drops_is_unavailable(server):
    server.drops, server.ranges = 99, False
    with pytest.raises(Unavailable, match='5 attempts'), copy(f'{server.url}/image.qcow2'):
        pass


@pytest.mark.parametrize(('path', 'error'), [('/absent', NotFound), ('/403', Unauthorized), ('/500', Unavailable)])
def test_what_the_server_says_is_told(server, path, error):
    with pytest.raises(error, match=path), copy(f'{server.url}{path}'):
        pass


def test_checksums_are_verified(server):
    url = f'{server.url}/image.qcow2'
    with copy(url, checksums=f'{server.url}/SUMS') as path:
        assert path.read_bytes() == BODY
    with pytest.raises(InvalidInput, match='another checksum'), copy(url, checksums=f'{server.url}/LIES'):
        pass
    with pytest.raises(NotFound, match='does not list'), copy(f'{server.url}/bad.gz', checksums=f'{server.url}/SUMS'):
        pass


def test_a_checksum_can_be_given_itself(server, tmp_path):
    url, local = f'{server.url}/image.qcow2', tmp_path / 'image.qcow2'
    local.write_bytes(BODY)
    for kind in (hashlib.sha256, hashlib.sha512):
        digits = kind(BODY).hexdigest()
        for source in (url, str(local), f'file://{local}'):
            for given in (digits, f'{kind().name}:{digits.upper()}'):
                with copy(source, checksums=given) as path:
                    assert path.read_bytes() == BODY
            with pytest.raises(InvalidInput, match='another checksum'), copy(source, checksums='0' * len(digits)):
                pass


def test_packed_files_are_unpacked(server, tmp_path):
    with copy(f'{server.url}/image.qcow2.gz') as path:
        assert path.read_bytes() == BODY
    with pytest.raises(InvalidInput, match='can not be unpacked'), copy(f'{server.url}/bad.gz'):
        pass


def test_local_files_and_odd_urls(tmp_path):
    file = tmp_path / 'a b.img'
    file.write_bytes(b'x')
    for url in (str(file), f'file://{tmp_path}/a%20b.img'):
        with copy(url) as path:
            assert path == file
    with pytest.raises(NotFound), copy(str(tmp_path / 'absent')):
        pass
    with pytest.raises(InvalidInput, match='can not be downloaded'), copy('ftp://host/file'):
        pass


@pytest.mark.parametrize(('url', 'name'), [('http://h/a/b.qcow2?x=1', 'b.qcow2'), ('http://h/b.img.xz', 'b.img'),
                                           ('/tmp/c.raw.gz', 'c.raw'), ('https://h/d%20e.img', 'd e.img')])
def test_names(url, name):
    assert file_name(url) == name
