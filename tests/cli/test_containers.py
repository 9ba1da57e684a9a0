from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from kvirt.containers import Engine

from .conftest import Run


def rows(kvirt: Run, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(kvirt('list', *words, '-o', 'json').out)
    return found


def test_the_life_of_a_container(kvirt: Run, podman: Path) -> None:
    made = kvirt('create', 'container', '-i', 'nginx', '-P', 'ports=[8080:80]', '-P', 'cmds=[run, it]', 'web')
    assert (made.code, made.err) == (0, 'Container web created on lab\n')
    assert rows(kvirt, 'containers') == [{'name': 'web', 'status': 'running', 'image': 'nginx', 'plan': 'kvirt',
                                          'ports': ['8080->80/tcp'], 'command': 'run it'}]
    assert 'already exists' in kvirt('create', 'container', '-i', 'nginx', 'web').errors[0]
    assert kvirt('stop', 'container', 'web').err == 'Container web stopped on lab\n'
    assert kvirt('list', 'container', '-P', 'status=running', '--short').out == ''
    assert kvirt('start', 'container', 'web').code == kvirt('restart', 'container', 'web').code == 0
    assert kvirt('attach', 'container', 'web').code == 7, 'the code of what it ran'
    assert 'Nobody can be asked' in kvirt('delete', 'container', 'web').errors[0]
    assert kvirt('delete', 'container', '-y', 'web').code == 0
    assert rows(kvirt, 'container') == []
    for words in (('start',), ('stop',), ('delete', '-y'), ('attach',)):
        done = kvirt(words[0], 'container', *words[1:], 'web')
        assert (done.code, done.errors[0].partition('.')[0]) == (1, 'Error: there is no container web')


def test_what_can_not_be_is_refused_and_leaves_nothing(kvirt: Run, podman: Path, home: Path) -> None:
    assert 'a container needs an image' in kvirt('create', 'container', 'web').errors[0]
    assert "did you mean 'ports'?" in kvirt('create', 'container', '-i', 'x', '-P', 'prots=[80]', 'web').errors[0]
    assert 'no port to publish' in kvirt('create', 'container', '-i', 'x', '-P', 'ports=[http]', 'web').errors[0]
    assert "'small' is no profile of a container" in kvirt('create', 'container', '-p', 'small', 'web').errors[0]
    assert 'container web: crun: no such file' in kvirt('create', 'container', '-i', 'broken', 'web').errors[0]
    assert rows(kvirt, 'container') == []
    assert kvirt('create', 'container', '-i', 'x', '-P', 'cmds=[dies]', 'web').code == 0
    assert 'container web is exited after the engine said' in kvirt('restart', 'container', 'web').errors[0]


def test_profiles_and_images(kvirt: Run, podman: Path, home: Path) -> None:
    (home / 'profiles.yml').write_text('small: {memory: 512}\nbox: {type: container, image: busybox, cmd: [sleep, 9]}\n')
    assert [(row['name'], row['image']) for row in rows(kvirt, 'container-profiles')] == [('box', 'busybox')]
    assert kvirt('list', 'container-images', '-o', 'name').out == 'localhost/busybox:1\n'
    assert kvirt('create', 'container', '-p', 'box', '-P', 'plan=shop', 'web').code == 0
    (row,) = rows(kvirt, 'container')
    assert (row['image'], row['command'], row['plan']) == ('busybox', 'sleep 9', 'shop')


def test_on_another_host_the_words_stay_what_they_are(podman: Path, tmp_path: Path) -> None:
    """As ssh does, the stranger joins the words, and a shell reads them once more."""
    ssh = tmp_path / 'ssh'
    ssh.write_text(f'#!{sys.executable}\nimport os, sys\nos.execvp("sh", ["sh", "-c", " ".join(sys.argv[2:])])\n')
    ssh.chmod(0o755)
    engine = Engine([os.fspath(ssh), 'host'])
    engine.run('web', 'shop', 'nginx', cmds=('sh', '-c', 'echo "$HOME"; ls *'))
    assert json.loads(podman.read_text())['web']['cmd'] == ['sh', '-c', 'echo "$HOME"; ls *']
