"""Ssh against a real OpenSSH server on the loopback, with its own configuration and keys."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kvirt.errors import Conflict, InvalidInput, NotFound, TimedOut, Unauthorized, Unavailable
from kvirt.guest import hostkeys, ssh
from kvirt.guest.jump import Jump
from kvirt.guest.keys import HostKey
from kvirt.guest.ssh import Target

SSHD = shutil.which('sshd', path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(not SSHD, reason='no ssh server is installed (openssh-server)')

ME = pwd.getpwuid(os.getuid()).pw_name


class Clock:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Server:
    """A running sshd: its folder, port, host key, and the private key of the one user that it lets in."""

    folder: Path
    port: int
    host_key: HostKey
    identity: Path

    @property
    def target(self) -> Target:
        return Target('127.0.0.1', ME, 'vm-1.kvirt', self.port, self.host_key.fingerprint, str(self.identity))


def keypair(path: Path) -> Path:
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', path], check=True)
    return path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope='module')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp('sshd')
    host_key, port = HostKey.generate(), free_port()
    (folder / 'host').write_text(host_key.private)
    (folder / 'host').chmod(0o600)
    identity = keypair(folder / 'id')
    shutil.copy(folder / 'id.pub', folder / 'authorized')
    (folder / 'config').write_text(
        f'Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n'
        'PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n'
        'PermitRootLogin yes\nSubsystem sftp internal-sftp\nAllowTcpForwarding yes\nMaxStartups 100\n')
    if os.getuid() == 0:
        Path('/run/sshd').mkdir(exist_ok=True)  # where a server that root runs wants to be
    arguments = [str(SSHD), '-D', '-e', '-f', folder / 'config']
    with (folder / 'log').open('w') as log, subprocess.Popen(arguments, stderr=log) as daemon:
        try:
            for _ in range(100):
                if 'listening' in (folder / 'log').read_text():
                    break
                threading.Event().wait(0.05)
            yield Server(folder, port, host_key, identity)
        finally:
            daemon.terminate()


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    return tmp_path / 'a "folder" of 100%' / 'known_hosts'


# host keys


def test_pinning_and_forgetting(hosts: Path) -> None:
    one, two = HostKey.generate().public, HostKey.generate().public
    assert hostkeys.known(hosts, 'a') is None
    hostkeys.forget(hosts, 'a')
    hostkeys.pin(hosts, 'a', f'{one} a comment')
    hostkeys.pin(hosts, 'b', one)
    hostkeys.pin(hosts, 'a', two)
    assert (hostkeys.known(hosts, 'a'), hostkeys.known(hosts, 'b')) == (two, one)
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o600
    hostkeys.forget(hosts, 'a')
    assert hosts.read_text() == f'b {one}\n'


def test_many_pin_at_once(hosts: Path) -> None:
    key = HostKey.generate().public
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: hostkeys.pin(hosts, f'vm-{index}', key), range(40)))
    assert {line.split()[0] for line in hosts.read_text().splitlines()} == {f'vm-{index}' for index in range(40)}
    assert {path.name for path in hosts.parent.iterdir()} == {'known_hosts', '.known_hosts.lock'}


def test_the_first_connection_is_verified_by_the_fingerprint(server: Server, hosts: Path) -> None:
    ssh.learn(server.target, hosts)
    assert hostkeys.known(hosts, 'vm-1.kvirt') == server.host_key.public
    ssh.learn(replace(server.target, port=1), hosts)  # known, so nobody is asked


def test_a_wrong_pin_is_replaced_when_the_vm_tells_another(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', HostKey.generate().public)
    assert ssh.run(server.target, hosts, 'true').status == 0
    assert hostkeys.known(hosts, 'vm-1.kvirt') == server.host_key.public


def test_another_machine_is_not_learnt(server: Server, hosts: Path) -> None:
    other = HostKey.generate().fingerprint
    with pytest.raises(Unauthorized) as caught:
        ssh.learn(replace(server.target, fingerprint=other), hosts)
    assert server.host_key.fingerprint in str(caught.value) and other in str(caught.value)
    assert not hosts.exists()


def test_a_vm_without_fingerprint(server: Server, hosts: Path) -> None:
    with pytest.raises(Unauthorized, match='insecure'):
        ssh.run(replace(server.target, fingerprint=None), hosts, 'true')
    assert ssh.run(replace(server.target, fingerprint=None, insecure=True), hosts, 'true').status == 0
    assert not hosts.exists()


def test_a_server_without_ed25519(server: Server, hosts: Path, tmp_path: Path) -> None:
    subprocess.run(['ssh-keygen', '-q', '-t', 'ecdsa', '-N', '', '-f', tmp_path / 'host'], check=True)
    config = (server.folder / 'config').read_text().replace(f'{server.folder}/host', f'{tmp_path}/host')
    (tmp_path / 'config').write_text(config.replace(f'Port {server.port}', 'Port 22'))
    ours, theirs = socket.socketpair()
    arguments = [str(SSHD), '-i', '-f', tmp_path / 'config']
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL):
        theirs.close()
        import paramiko
        with ours, pytest.raises(paramiko.ssh_exception.IncompatiblePeer):
            ssh._offered(ours)


def test_the_key_can_be_fetched_over_another_host(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's own ssh makes the way; here a stand-in for it notes its arguments, and connects."""
    stand_in = tmp_path / 'ssh'
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments\nexec {shutil.which("ssh")} -F none '
                        f'-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -i {server.identity} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv('PATH', f"{tmp_path}:{os.environ['PATH']}")
    target = replace(server.target, jump=f'{ME}@127.0.0.1:{server.port}')
    assert ssh.fetch_host_key(target) == server.host_key.public
    arguments = (tmp_path / 'arguments').read_text().splitlines()
    assert arguments[-6:] == ['-l', ME, '-p', str(server.port), '--', '127.0.0.1']
    assert arguments[arguments.index('-W') + 1] == f'127.0.0.1:{server.port}'


# commands


def test_a_command_and_its_outcome(server: Server, hosts: Path) -> None:
    answer = ssh.run(server.target, hosts, '[ -f /etc/passwd ] && echo "a: b"; echo \'it\'\\\'\'s\' >&2; exit 3')
    assert (answer.status, answer.output, answer.errors) == (3, 'a: b\n', "it's\n")


@pytest.mark.parametrize('status', [0, 1, 254, 255])
def test_any_exit_status_is_the_commands_own(server: Server, hosts: Path, status: int) -> None:
    answer = ssh.run(server.target, hosts, f'echo out; echo err >&2; exit {status}')
    assert (answer.status, answer.output, answer.errors) == (status, 'out\n', 'err\n')


def test_bytes_that_are_no_text(server: Server, hosts: Path) -> None:
    assert '\ufffd' in ssh.run(server.target, hosts, r"printf '\377'").output


def test_a_wrong_user_key(server: Server, hosts: Path, tmp_path: Path) -> None:
    with pytest.raises(Unauthorized, match=f'does not let {ME} in: .*Permission denied'):
        ssh.run(replace(server.target, identity=str(keypair(tmp_path / 'other'))), hosts, 'true')


def test_another_host_key_than_the_pinned_one(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', HostKey.generate().public)
    with pytest.raises(Unauthorized, match='another ssh host key'):
        ssh.run(replace(server.target, fingerprint=None), hosts, 'true')


def test_nobody_listens(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', server.host_key.public)
    with pytest.raises(Unavailable, match='Connection refused'):
        ssh.run(replace(server.target, port=free_port()), hosts, 'true')
    with pytest.raises(Unavailable, match='does not answer'):
        ssh.fetch_host_key(replace(server.target, port=free_port()))


def test_a_server_that_hangs_up(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', server.host_key.public)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()
        thread = threading.Thread(target=hang_up)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable):
            ssh.run(replace(server.target, port=port), hosts, 'true')
        with pytest.raises(Unavailable):
            ssh.fetch_host_key(replace(server.target, port=port))
        thread.join()


def test_a_connection_that_breaks(server: Server, hosts: Path) -> None:
    with pytest.raises(Unavailable):
        ssh.run(server.target, hosts, 'kill -9 $PPID; sleep 5')


def test_a_name_that_is_unknown(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', server.host_key.public)
    with pytest.raises(Unavailable, match='Could not resolve'):
        ssh.run(replace(server.target, host='nobody.invalid'), hosts, 'true')


def test_a_command_that_takes_too_long(server: Server, hosts: Path) -> None:
    with pytest.raises(TimedOut, match='within 0.5 seconds'):
        ssh.run(server.target, hosts, 'sleep 30', timeout=0.5)


def test_copies_both_ways(server: Server, hosts: Path, tmp_path: Path) -> None:
    ssh.learn(server.target, hosts)
    source, there, back = tmp_path / 'a:b', tmp_path / 'there', tmp_path / 'back'
    source.mkdir()
    (source / 'file').write_bytes(b'\x00\xff')
    subprocess.run(ssh.copy_command(server.target, hosts, 'a:b', f':{there}', recursive=True), cwd=tmp_path, check=True)
    subprocess.run(ssh.copy_command(server.target, hosts, f':{there}/file', str(back)), check=True)
    assert back.read_bytes() == b'\x00\xff'


def test_who_runs_a_command_may_end_it(server: Server, hosts: Path) -> None:
    heard = 0

    def heed() -> None:
        nonlocal heard
        heard += 1
        if heard == 100:
            raise Conflict('the VM died')
    assert ssh.run(server.target, hosts, 'sleep 0.5; echo whole', heed=heed, every=0.1).output == 'whole\n'
    assert heard > 0
    heard = 98
    with pytest.raises(Conflict, match='the VM died'):
        ssh.run(server.target, hosts, 'sleep 30', heed=heed, every=0.01)


# arguments


def test_arguments_of_ssh(hosts: Path) -> None:
    target = Target('10.0.0.5', 'debian', 'id.kvirt', jump='ops@gate:2222')
    arguments = ssh.command(target, Path('/home/me/known_hosts'), ['uptime'], extra=['-L', '80:localhost:80'])
    assert arguments[0] == 'ssh' and arguments[-5:] == ['-l', 'debian', '--', '10.0.0.5', 'uptime']
    for option in ('StrictHostKeyChecking=yes', 'UserKnownHostsFile="/home/me/known_hosts"', 'HostKeyAlias=id.kvirt',
                   'GlobalKnownHostsFile=/dev/null', 'ConnectTimeout=10'):
        assert option in arguments
    assert arguments[arguments.index('-J') + 1] == 'ops@gate:2222'
    insecure = ssh.command(replace(target, insecure=True), hosts)
    assert 'StrictHostKeyChecking=no' in insecure and 'UserKnownHostsFile=/dev/null' in insecure
    assert 'LogLevel=ERROR' in insecure and not any('HostKeyAlias' in word for word in insecure)


def test_arguments_of_scp() -> None:
    target = Target('fe80::1', 'debian', 'id.kvirt', port=2222)
    arguments = ssh.copy_command(target, Path('/k'), '-r', ':/srv/x')
    assert arguments[-3:] == ['--', './-r', 'debian@[fe80::1]:/srv/x'] and arguments[-5:-3] == ['-P', '2222']


@pytest.mark.parametrize('wrong', [
    {'host': '-oProxyCommand=x'}, {'host': ''}, {'host': 'a b'}, {'host': 'a\nb'}, {'user': '-l'}, {'user': 'a b'},
    {'user': ''}, {'alias': '*'}, {'alias': 'a,b'}, {'alias': '@x'}, {'jump': '-oProxyCommand=x'}, {'jump': 'a b'},
    {'jump': 'user@-x'}, {'jump': 'a;b c'}, {'jump': ''}, {'jump': 'a:99999999'}])
def test_words_that_would_be_options(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        Target(**{'host': 'h', 'user': 'u', 'alias': 'a', **wrong})


# waiting


def configured(server: Server, hosts: Path, clock: Clock, **parts: object) -> list[float]:
    """Wait for this machine, which has no cloud-init of kvirt's, and return what was told about it."""
    told: list[float] = []
    ssh.wait_configured(server.target, hosts, timeout=60, clock=clock, tick=told.append, **parts)  # type: ignore[arg-type]
    return told


@pytest.fixture
def answers(server: Server) -> Iterator[list[str]]:
    """What the server's shell answers to everything, in turn; the last for ever."""
    given: list[str] = []
    (server.folder / 'answer').mkdir(exist_ok=True)
    authorized = server.folder / 'authorized'
    plain = authorized.read_text()
    script = server.folder / 'answer' / 'next'
    script.write_text(f'#!/bin/sh\ncd {server.folder}/answer || exit\nset -- [0-9]*\ncat "$1"\n[ $# -lt 2 ] || rm "$1"\n')
    script.chmod(0o755)
    authorized.write_text(f'command="{script}" {plain}')
    yield given
    authorized.write_text(plain)
    shutil.rmtree(server.folder / 'answer')


def give(server: Server, *texts: str) -> None:
    for number, text in enumerate(texts):
        (server.folder / 'answer' / f'{number}').write_text(text)


WORKING = '[kvirt]\nexpected\n0 command 1\n[cloud-init]\nworking\n\n[end]\n'
DONE = '[kvirt]\nexpected\n0 command 1\nfinished\n[cloud-init]\n{"v1": {"errors": []}}\n[end]\n'
FAILED = DONE.replace('0 command 1', '9 command 1')


def test_a_guest_is_waited_for(server: Server, hosts: Path, answers: list[str]) -> None:
    give(server, '', WORKING, WORKING, DONE)
    clock = Clock()
    assert configured(server, hosts, clock, interval=3.0) == [0.0, 3.0, 6.0]


def test_a_guest_that_fails_is_told(server: Server, hosts: Path, answers: list[str]) -> None:
    give(server, WORKING, FAILED)
    with pytest.raises(Conflict, match=r'command 1 \(make it so\) ended with status 9') as caught:
        configured(server, hosts, Clock(), cmds=['make it so'])
    assert '/var/log/kvirt.log' in (caught.value.hint or '')


def test_a_guest_that_takes_too_long(server: Server, hosts: Path, answers: list[str]) -> None:
    give(server, WORKING)
    with pytest.raises(TimedOut, match='configuring itself did not happen within 60 seconds'):
        configured(server, hosts, Clock(), interval=20.0)


def test_a_guest_that_is_not_up_yet(server: Server, hosts: Path) -> None:
    hostkeys.pin(hosts, 'vm-1.kvirt', server.host_key.public)
    absent = replace(server.target, port=free_port())
    with pytest.raises(TimedOut, match='Connection refused'):
        ssh.wait_configured(absent, hosts, timeout=10, interval=5, clock=Clock())


def test_a_guest_may_refuse_while_it_boots_but_not_for_ever(server: Server, hosts: Path, tmp_path: Path) -> None:
    clock, stranger = Clock(), str(keypair(tmp_path / 'stranger'))
    with pytest.raises(Unauthorized):
        ssh.wait_configured(replace(server.target, identity=stranger), hosts, timeout=600, interval=60, clock=clock)
    assert clock.time == 120
    clock = Clock()
    with pytest.raises(Unauthorized, match='has the ssh host key'):
        ssh.wait_configured(replace(server.target, fingerprint=HostKey.generate().fingerprint), hosts, timeout=600,
                            interval=60, clock=clock)
    assert clock.time == 120


def test_a_command_is_waited_for(server: Server, hosts: Path, tmp_path: Path) -> None:
    script = f'echo x >>{tmp_path}/tries; [ $(wc -l <{tmp_path}/tries) -ge 3 ] && echo "there: it is"'
    assert ssh.wait_command(server.target, hosts, script, timeout=60, clock=Clock()) == 'there: it is\n'
    with pytest.raises(TimedOut, match='the command false succeeding'):
        ssh.wait_command(server.target, hosts, 'false', timeout=10, clock=Clock())


# files that are brought from a guest


class TestFetch:
    """A file or folder of a guest, brought here."""

    @pytest.fixture
    def guest(self, tmp_path: Path) -> Path:
        folder = tmp_path / "a guest's"
        (folder / 'logs').mkdir(parents=True)
        (folder / 'token').write_bytes(bytes(range(256)))
        (folder / 'logs/one.log').write_text('one')
        (folder / 'link').symlink_to('token')
        return folder

    def test_a_file_takes_a_place(self, server: Server, hosts: Path, guest: Path, tmp_path: Path) -> None:
        final = ssh.fetch(server.target, hosts, f'{guest}/token', tmp_path / 'new/here')
        assert final.read_bytes() == bytes(range(256))
        (guest / 'token').write_text('second')
        assert ssh.fetch(server.target, hosts, f'{guest}/link', final).read_text() == 'second'
        assert [path.name for path in final.parent.iterdir()] == ['here']

    def test_a_folder_goes_into_a_folder(self, server: Server, hosts: Path, guest: Path, tmp_path: Path) -> None:
        (tmp_path / 'here').mkdir()
        for _ in range(2):
            final = ssh.fetch(server.target, hosts, f'{guest}/logs', tmp_path / 'here')
            assert final == tmp_path / 'here/logs'
            assert {path.name: path.read_text() for path in final.iterdir()} == {'one.log': 'one'}

    @pytest.mark.parametrize(('origin', 'kind', 'words'), [
        ('{guest}/absent', NotFound, 'absent'), ('absent-from-home', NotFound, '/root/absent-from-home'),
        ('{guest}/..', InvalidInput, 'names no file'), ('{guest}/$(touch x)', NotFound, 'touch')])
    def test_what_can_not_be_had(self, server: Server, hosts: Path, guest: Path, tmp_path: Path, origin: str,
                                 kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words):
            ssh.fetch(server.target, hosts, origin.format(guest=guest), tmp_path / 'here')
        assert not (tmp_path / 'here').exists()

    def test_what_can_not_be_written(self, server: Server, hosts: Path, guest: Path, tmp_path: Path) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(InvalidInput, match='can not be written'):
            ssh.fetch(server.target, hosts, f'{guest}/token', tmp_path / 'file/below')


# over another host


@pytest.fixture
def jump(server: Server, tmp_path: Path) -> Jump:
    """The server as a host on the way, where nothing is known of it but what is said here."""
    known = tmp_path / 'hosts of 100%'
    known.write_text(f'[127.0.0.1]:{server.port} {server.host_key.public}\n')
    return Jump('127.0.0.1', ME, server.port, str(server.identity), str(known))


def test_a_guest_is_reached_over_the_host(server: Server, hosts: Path, jump: Jump, tmp_path: Path) -> None:
    target = replace(server.target, jump=jump)
    assert ssh.fetch_host_key(target) == server.host_key.public
    assert ssh.run(target, hosts, 'echo "$SSH_CONNECTION"').output.startswith('127.0.0.1')
    subprocess.run(ssh.copy_command(target, hosts, ':/etc/passwd', str(tmp_path / 'copy')), check=True)
    assert (tmp_path / 'copy').stat().st_size


def test_the_host_on_the_way_is_the_one_that_is_named(server: Server, hosts: Path, jump: Jump, tmp_path: Path) -> None:
    """Not the guest is blamed for it, whose key is known."""
    ssh.learn(server.target, hosts)
    changed = tmp_path / 'changed'
    changed.write_text(f'[127.0.0.1]:{server.port} {HostKey.generate().public}\n')
    for wrong, words in ((replace(jump, known_hosts=str(changed)), f'another ssh host key than the one in {changed}:1'),
                         (replace(jump, known_hosts='/dev/null'), 'the ssh host key of 127.0.0.1 is not known'),
                         (replace(jump, identity=str(keypair(tmp_path / 'other'))), '127.0.0.1 lets nobody in by ssh')):
        for attempt in (lambda target: ssh.run(target, hosts, 'true'), ssh.fetch_host_key):
            with pytest.raises(Unauthorized, match=words):
                attempt(replace(server.target, jump=wrong))
    for way, port, words in ((replace(jump, port=free_port()), server.port, '127.0.0.1 failed: connect to host .* refused'),
                             (jump, free_port(), '127.0.0.1 failed: channel 0: .* Connection refused')):
        with pytest.raises(Unavailable, match=words):
            ssh.run(replace(server.target, jump=way, port=port), hosts, 'true')
    with pytest.raises(Unavailable, match='ssh on 127.0.0.1 does not answer'):
        ssh.fetch_host_key(replace(server.target, jump=jump, port=free_port()))


def test_a_program_that_is_ssh_with_these_options(server: Server, jump: Jump, tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "cache"'
    program = jump.program(folder)
    assert jump.program(folder) == program == next(folder.iterdir())
    assert replace(jump, known_hosts='/k').program(folder) != program
    done = subprocess.run([program, '-i', server.identity, '-p', str(server.port), '-l', ME, '127.0.0.1', 'echo $0'],
                          capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert done.stdout
    program.write_text('#!/bin/sh\nevil\n')
    assert 'evil' not in jump.program(folder).read_text()
