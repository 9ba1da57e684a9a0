"""A real guest: it boots, configures itself as it was told, and answers over ssh with the key it was born with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvirt.config import Kconfig
from kvirt.settings import Settings

from .conftest import IMAGE, URI, Leftovers

pytestmark = pytest.mark.e2e

SCRIPT = '#!/bin/bash\n# a script, kept whole: "quotes", $dollars, `ticks` and {braces}\narray=(one two three)\n' \
         'cat > /root/from-script <<EOF\n    indented ${#array[@]}\n\n\ttab\nEOF\n'
COMMAND = '[ -f /etc/hostname ] && echo "a: b" > /root/from-command'
BINARY = bytes(range(256)) * 8


def kvirt(home: Path, *arguments: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    done = subprocess.run([sys.executable, '-m', 'kvirt', *arguments], capture_output=True, text=True, timeout=900,
                          stdin=subprocess.DEVNULL, env={**os.environ, 'KVIRT_HOME': str(home), **environment})
    assert not ok or done.returncode == 0, f'{arguments}: {done.stdout}\n{done.stderr}'
    assert 'Traceback' not in done.stderr
    return done


@pytest.fixture
def key(home: Path) -> Path:
    path = home / 'id_ed25519'  # where kvirt looks first
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(path)], check=True)
    return path


@pytest.fixture
def second_network(config: Kconfig, prefix: str):
    name = f'{prefix}-net'
    for third in range(150, 200):  # whichever is free on this machine
        made = config.k.create_network(name, cidr=f'192.168.{third}.0/24', dhcp=False, nat=False)
        if made.ok:
            break
        assert made['error'] == 'Conflict', made
    assert made.ok
    yield name, f'192.168.{third}'
    assert config.k.delete_network(name).ok


def remote(home: Path, key: Path, name: str, command: str) -> str:
    return kvirt(home, 'ssh', '-i', str(key), name, command).stdout


@pytest.mark.minutes(3)
def test_the_whole_life_of_a_guest(home: Path, key: Path, prefix: str, second_network, tmp_path: Path,
                                   leftovers: Leftovers) -> None:
    name, (network, base) = f'{prefix}-vm', second_network
    folder = tmp_path / 'tree'
    (folder / 'sub').mkdir(parents=True)
    (folder / 'plain.txt').write_text('plain {{ name }}\n')
    (folder / 'sub' / 'blob').write_bytes(BINARY)
    (folder / 'run.sh').write_text(SCRIPT)
    (home / 'profiles.yml').write_text(json.dumps({'small': {
        'image': IMAGE, 'memory': 512, 'numcpus': 2, 'keys': [str(key.with_suffix('.pub'))], 'disks': [6, 1],
        'nets': ['default', {'name': network, 'ip': f'{base}.50', 'netmask': 24}],
        'cmds': [COMMAND], 'scripts': [str(folder / 'run.sh')], 'GREETING': "it's $HOME \"here\"",
        'files': [{'path': '/root/inline', 'content': 'inline: "x"\n'}, {'path': '/root/tree', 'origin': str(folder)}]}}))
    created = kvirt(home, 'create', 'vm', name, '-p', 'small', '--wait')
    assert name in created.stdout + created.stderr

    rows = {row['name']: row for row in json.loads(kvirt(home, 'list', 'vm', '-o', 'json').stdout)}
    assert rows[name]['status'] == 'running' and rows[name]['ip']
    facts = json.loads(kvirt(home, 'info', 'vm', name, '-o', 'json').stdout)
    assert [nic['net'] for nic in facts['nets']] == ['default', network]
    assert facts['hostkey'].startswith('SHA256:')

    assert remote(home, key, name, 'hostname').strip() == name
    assert remote(home, key, name, 'sudo cat /root/from-command') == 'a: b\n'
    assert remote(home, key, name, 'sudo cat /root/from-script') == '    indented 3\n\n\ttab\n'
    assert remote(home, key, name, 'sudo cat /root/inline') == 'inline: "x"\n'
    assert remote(home, key, name, 'sudo cat /root/tree/plain.txt') == f'plain {name}\n'
    assert remote(home, key, name, 'sudo md5sum /root/tree/sub/blob').split()[0] == _md5(BINARY)
    assert remote(home, key, name, 'sudo cat /root/tree/run.sh') == SCRIPT
    assert f'{base}.50/24' in remote(home, key, name, 'ip -4 -o addr')
    assert '1G' in remote(home, key, name, 'lsblk -dno SIZE')
    assert remote(home, key, name, 'bash -lc "printenv GREETING"') == "it's $HOME \"here\"\n"

    back = tmp_path / 'back'
    kvirt(home, 'scp', '-i', str(key), f'{name}:/etc/hostname', str(back))
    assert back.read_text().strip() == name

    second = tmp_path / 'second-machine'  # knows the VM's fingerprint, but has never seen its key
    second.mkdir()
    (second / 'config.yml').write_text((home / 'config.yml').read_text())
    assert remote(second, key, name, 'hostname').strip() == name
    with Kconfig(settings=Settings(home)) as config:  # as if another machine had taken the guest's address
        config.k.update_metadata(name, 'hostkey', 'SHA256:' + 'A' * 43).expect()
        refused = kvirt(home, 'ssh', '-i', str(key), name, 'hostname', ok=False)
        assert refused.returncode == 1 and not refused.stdout
        assert 'ssh host key' in refused.stderr
        config.k.update_metadata(name, 'hostkey', facts['hostkey']).expect()

    kvirt(home, 'stop', 'vm', '--soft', name)
    with Kconfig(settings=Settings(home)) as config:
        from kvirt.wait import StatusBoard
        StatusBoard(config.k).wait(name, {'stopped'}, timeout=180)
        clone = f'{prefix}-clone'
        kvirt(home, 'clone', '-b', name, clone)
        copied = config.k.info(clone)
        assert {nic['mac'] for nic in copied['nets']}.isdisjoint(nic['mac'] for nic in facts['nets'])
        assert copied['id'] != facts['id'] and copied['hostkey'] != facts['hostkey']
        kvirt(home, 'start', 'vm', clone)
        assert config.wait_vm(clone).ok
    assert remote(home, key, clone, 'hostname').strip() == clone
    assert remote(home, key, clone, 'sudo cat /root/from-command') == 'a: b\n'
    kvirt(home, 'delete', 'vm', '-y', name, clone)
    gone = kvirt(home, 'info', 'vm', name, ok=False)
    assert gone.returncode == 1
    left = leftovers.now(prefix)
    assert left == {f'network {network}'}, left


@pytest.mark.minutes(1)
def test_a_guest_that_fails_to_configure_itself_is_told(home: Path, key: Path, prefix: str) -> None:
    name = f'{prefix}-bad'
    done = kvirt(home, 'create', 'vm', name, '-i', IMAGE, '-P', f'keys=[{key}.pub]', '-P', 'cmds=[exit 7]', '--wait',
                 ok=False)
    assert done.returncode == 1, done
    assert 'exit 7' in done.stderr
    kvirt(home, 'delete', 'vm', '-y', name)


def _md5(content: bytes) -> str:
    import hashlib
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_kvirt_and_the_daemon_speak_of_the_same_host(config: Kconfig) -> None:
    assert config.k.info_host()['connection'] == URI
