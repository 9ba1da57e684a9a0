"""The first-boot runner, run by real shells on this machine, with its folder, log and profile moved to a temporary one."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kvirt.guest import state
from kvirt.guest.firstboot import RUNNER, first_boot
from kvirt.guest.guest import Guest
from tests.unit.guest.conftest import Make

SHELLS = {'sh': ['sh'], 'bash': ['bash', '--posix'], 'busybox': ['busybox', 'sh']}


@dataclass
class Boot:
    """What a first boot did: its exit status, its log, and the answer to kvirt's question about its state."""

    status: int
    log: str
    result: list[str]
    answer: str


class Machine:
    """A folder that plays the root of a guest."""

    def __init__(self, root: Path, shell: list[str]) -> None:
        self.root, self.shell = root, shell
        self.bin = root / 'bin'
        self.bin.mkdir()
        # What would change the machine that runs the tests says only what it was asked.
        for name in ('reboot', 'mount', 'chpasswd', 'sync'):
            self.tool(name, f'echo "{name} $*"; cat')
        self.tool('sh', f'exec {" ".join(shutil.which(word) or word for word in shell)} "$@"')

    def tool(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f'#!/bin/sh\n{script}\n')
        (self.bin / name).chmod(0o755)

    def path(self, path: str) -> Path:
        return self.root / path.lstrip('/')

    def moved(self, text: str) -> str:
        folders = r'(/var/(lib|log)/kvirt|/etc/(profile\.d|fstab)|/(tmp|home|srv)\b)'
        return re.sub(folders, lambda match: f'{self.root}{match[1]}', text).replace('sleep 600', 'exit 77')

    def boot(self, guest: Guest) -> Boot:
        for folder in ('var/log', 'tmp', 'etc', 'home'):
            self.path(folder).mkdir(parents=True, exist_ok=True)
        self.path('etc/fstab').touch()
        for file in first_boot(guest):
            target = self.path(file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.moved(file.content.decode()).encode() if b'\xff' not in file.content else file.content)
            target.chmod(int(file.mode, 8))
        environment = {'PATH': f'{self.bin}:{os.environ["PATH"]}'}
        done = subprocess.run([*self.shell, self.path(RUNNER)], env=environment, timeout=60)
        answer = subprocess.run([*self.shell, '-s'], input=self.moved(state.QUESTION), text=True, capture_output=True,
                                env={'PATH': str(self.bin)} | environment, check=True).stdout
        return Boot(done.returncode, self.path('/var/log/kvirt.log').read_text(),
                    self.path('/var/lib/kvirt/result').read_text().splitlines(), answer)


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    shell = SHELLS[request.param]
    if not shutil.which(shell[0]):
        pytest.skip(f'{shell[0]} is not installed')
    root = tmp_path / 'root of guest'.replace(' ', '-')
    root.mkdir()
    return Machine(root, shell)


def answered(boot: Boot, **parts: Any) -> state.State:
    """Return what the guest's answer means where cloud-init is not there: only our own part is looked at."""
    return state.read(boot.answer.partition('[cloud-init]')[0] + '[cloud-init]\n\n[end]\n', **parts)


def test_nothing_to_do(machine: Machine, make: Make) -> None:
    boot = machine.boot(make())
    assert (boot.status, boot.result) == (0, ['finished'])
    assert answered(boot) == state.State(True)


def test_commands_run_byte_for_byte_in_one_shell(machine: Machine, make: Make) -> None:
    boot = machine.boot(make(cmds=[
        'touch /tmp/x', '[ -f /tmp/x ] && echo "a: b" >/tmp/out', 'cd /tmp; word="two  words"; export seen=yes',
        'echo "$word" $PWD $seen >>/tmp/out', 'cat >>/tmp/out <<"E"\n  # $indented: \'x\' \\n\nE', '# only a comment', '',
        'for i in 1 2; do\n  [ "$i" = 1 ] && continue\n  echo "i=$i"\ndone >>/tmp/out']))
    assert boot.result == [*(f'0 command {number}' for number in range(1, 9)), 'finished']
    assert machine.path('/tmp/out').read_text() == (
        f"a: b\ntwo  words {machine.path('/tmp')} yes\n  # $indented: 'x' \\n\ni=2\n")
    assert boot.status == 0


def test_a_failure_is_told_and_stops_nothing(machine: Machine, make: Make, tmp_path: Path) -> None:
    (tmp_path / 'bad.sh').write_text('#!/bin/sh\nset -e\nfalse\necho never\n')
    (tmp_path / 'good').write_text('echo from the script; exit 0\n')
    cmds = ['echo one', '(exit 7)', 'if then fi', 'no-such-program', 'echo "last $?"']
    boot = machine.boot(make(cmds=cmds, scripts=['bad.sh', 'good']))
    assert [line for line in boot.result if not line.startswith('2 command 3')] == [
        '0 command 1', '7 command 2', '127 command 4', '0 command 5', '1 script bad.sh', '0 script good', 'finished']
    assert boot.status == 1
    assert 'from the script' in boot.log and 'never' not in boot.log
    failures = answered(boot, cmds=cmds).failures
    assert failures == ('command 2 ((exit 7)) ended with status 7', 'command 3 (if then fi) ended with status 2',
                        'command 4 (no-such-program) ended with status 127', 'script bad.sh ended with status 1')


@pytest.mark.parametrize(('cmd', 'told'), [
    ('exit 3', '3 command 2'), ('exit 0', '0 command 2'), ('set -e; false; true', '1 command 2'),
    ('trap "echo bye; exit 9" EXIT; exit 1', '9 command 2'), ('kill -9 $$', '137 command 2'),
    ('exec true', '0 command 2'), ('set -u; echo $nope', None)])
def test_a_command_may_end_its_shell_but_not_the_rest(machine: Machine, make: Make, tmp_path: Path, cmd: str,
                                                      told: str | None) -> None:
    (tmp_path / 'after').write_text('#!/bin/sh\necho after >/tmp/after\n')
    boot = machine.boot(make(cmds=['true', cmd, 'touch /tmp/never'], scripts=['after']))
    assert boot.result[0] == '0 command 1'
    assert boot.result[1] == told if told else boot.result[1].endswith(' command 2') and boot.result[1][0] != '0'
    assert boot.result[2:] == ['0 script after', 'finished']
    assert machine.path('/tmp/after').exists() and not machine.path('/tmp/never').exists()


def test_environment_reaches_commands_and_scripts(machine: Machine, make: Make, tmp_path: Path) -> None:
    (tmp_path / 's').write_text('#!/bin/sh\necho "$COLOR/$name/$HOME" >>/tmp/out\n')
    env = {'COLOR': "it's {red}", 'name': 'x'}
    machine.boot(make(cmds=['echo "$COLOR/$name/$HOME" >/tmp/out'], scripts=['s'], env=env))
    assert machine.path('/tmp/out').read_text() == "it's {red}/x//root\n" * 2


@pytest.mark.skipif(os.getuid() != 0, reason='only root can give files away')
def test_files_of_users_come_to_their_place(machine: Machine, make: Make) -> None:
    owner = pwd.getpwnam('nobody')
    machine.path('/home/ops').mkdir(parents=True)
    boot = machine.boot(make(files=[
        {'path': '/home/ops/.config/app/it\'s "mine"', 'content': b'\xffx', 'owner': 'nobody', 'mode': '4750'},
        {'path': '/home/ops/plain', 'content': 'x'}, {'path': '/srv/x', 'content': 'x', 'owner': 'no-such-user'},
        {'path': '/srv/a b/link', 'target': '/home/ops/plain'}]))
    placed = machine.path('/home/ops/.config/app/it\'s "mine"')
    assert placed.read_bytes() == b'\xffx'
    assert (placed.stat().st_uid, placed.stat().st_gid) == (owner.pw_uid, owner.pw_gid)
    assert placed.stat().st_mode & 0o7777 == 0o4750
    assert {machine.path(f'/home/ops/{folder}').stat().st_uid for folder in ('.config', '.config/app')} == {owner.pw_uid}
    assert machine.path('/home/ops').stat().st_uid == 0
    assert machine.path('/home/ops/plain').stat().st_mode & 0o777 == 0o600
    assert machine.path('/srv/a b/link').readlink() == machine.path('/home/ops/plain')
    assert boot.result == [f'0 file {placed}', f"0 file {machine.path('/home/ops/plain')}",
                           f"1 file {machine.path('/srv/x')}", f"0 link {machine.path('/srv/a b/link')}", 'finished']
    assert boot.status == 1


def test_password_shares_and_reboot(machine: Machine, make: Make) -> None:
    from dataclasses import replace
    guest = replace(make(rootpassword='hunter22', cmds=['reboot', 'echo first >/tmp/first']),
                    mounts=(('share0', '/srv/my data', 'virtiofs', 'nofail'),))
    boot = machine.boot(guest)
    assert boot.status == 77  # it would sleep until the reboot ends it
    assert boot.log.index('command 1') < boot.log.index('reboot')
    assert not machine.path('/var/lib/kvirt/password').exists()
    assert 'chpasswd' in boot.log and 'root:hunter22' in boot.log  # said by our chpasswd, to show what it was given
    share = machine.path('/srv/my data')
    assert f'mount {share}' in boot.log and share.is_dir()
    fstab = machine.path('/etc/fstab').read_text()
    assert fstab == f"share0 {machine.path('/srv')}/my\\040data virtiofs nofail 0 0\n"
    assert boot.result == ['0 root password', f'0 folder {share}', '0 command 1', 'finished']


def test_a_second_first_boot_begins_anew(machine: Machine, make: Make) -> None:
    """As in a clone, whose disk has all that its original had."""
    machine.boot(make(cmds=['echo ran >>/tmp/runs', 'false']))
    boot = machine.boot(make('clone'))
    assert (boot.status, boot.result) == (0, ['finished'])
    assert machine.path('/tmp/runs').read_text() == 'ran\n'


def test_the_log_is_for_root_and_the_result_for_all(machine: Machine, make: Make) -> None:
    machine.boot(make(cmds=['echo secret']))
    assert machine.path('/var/log/kvirt.log').stat().st_mode & 0o777 == 0o600
    assert machine.path('/var/lib/kvirt/result').stat().st_mode & 0o777 == 0o644
    assert 'secret' not in machine.path('/var/lib/kvirt/result').read_text()
