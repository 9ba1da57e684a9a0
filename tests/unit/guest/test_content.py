"""What a guest is given: read from disk, expanded, and refused with every fault at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.guest import content
from kvirt.guest.content import Content, gather, template_variables
from kvirt.spec import decode_vm


def collect(basedir: Path, variables: dict[str, Any] | None = None, **keywords: Any) -> Content:
    return gather(decode_vm(keywords), basedir, variables or {})


def problems(basedir: Path, variables: dict[str, Any] | None = None, **keywords: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        collect(basedir, variables, **keywords)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of all kinds below tmp_path/site."""
    site = tmp_path / 'site'
    (site / 'sub' / 'empty').mkdir(parents=True)
    (site / 'index.html').write_text('<h1>{{ title }}</h1>\n')
    (site / 'sub' / 'run').write_text('#!/bin/sh\necho ${#x[@]}\n')
    (site / 'sub' / 'run').chmod(0o755)
    (site / 'index.html').chmod(0o640)
    (site / 'logo.bin').write_bytes(b'\x00\xff{{ title }}')
    (site / 'logo.bin').chmod(0o644)
    (site / 'sub' / 'round').symlink_to(site)
    return tmp_path


def test_inline_text_bytes_and_defaults(tmp_path: Path) -> None:
    found = collect(tmp_path, {'x': 'X'}, files=[
        {'path': '/etc/a', 'content': 'a {{ x }}\r\nno newline at end'},
        {'path': '/usr/bin/b.sh', 'content': ''},
        {'path': '/c', 'content': b'\xff{{ x }}', 'mode': 644, 'owner': 'debian:users'},
        {'path': '/d', 'content': '{{ x }}', 'render': False}], extra_files=[{'path': '/e', 'target': '/etc/a'}])
    assert [(file.path, file.content, file.mode, file.owner, file.target) for file in found.files] == [
        ('/etc/a', b'a X\r\nno newline at end', '0600', 'root', None), ('/usr/bin/b.sh', b'', '0700', 'root', None),
        ('/c', b'\xff{{ x }}', '0644', 'debian:users', None), ('/d', b'{{ x }}', '0600', 'root', None),
        ('/e', b'', '0600', 'root', '/etc/a')]


def test_a_directory_comes_whole(tree: Path) -> None:
    found = collect(tree, {'title': 'Hello'}, files=[{'path': '/srv/www', 'origin': 'site'}])
    assert {file.path: (file.content, file.mode) for file in found.files} == {
        '/srv/www/index.html': (b'<h1>Hello</h1>\n', '0640'), '/srv/www/logo.bin': (b'\x00\xff{{ title }}', '0644'),
        '/srv/www/sub/run': (b'#!/bin/sh\necho ${#x[@]}\n', '0755')}


def test_where_files_go_when_it_is_not_said(tree: Path) -> None:
    (tree / 'plain').write_text('p')
    found = collect(tree, {'title': ''}, files=['plain', 'site/sub/run', 'site'])
    assert [(file.path, file.mode) for file in found.files if '/site/' not in file.path] == [
        ('/root/plain', '0600'), ('/root/run', '0700')]
    assert '/root/site/sub/run' in {file.path for file in found.files}
    assert collect(tree, files=[{'path': '/opt/', 'origin': 'plain'}]).files[0].path == '/opt/plain'


def test_a_file_named_by_itself_counts_more_than_one_of_a_directory(tree: Path) -> None:
    files = [{'path': '/s', 'origin': 'site'}, {'path': '/s/index.html', 'content': 'mine'},
             {'path': '/s/index.html', 'content': 'late'}]
    found = collect(tree, {'title': 'x'}, files=files)
    assert [file.content for file in found.files if file.path == '/s/index.html'] == [b'mine']


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'notes').write_text('n')
    assert collect(Path('/nowhere'), files=['~/notes']).files[0].content == b'n'


@given(st.binary())
@settings(deadline=None)
def test_scripts_are_kept_whole(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    if b'{{' in body or b'{%' in body:
        return
    folder = tmp_path_factory.mktemp('scripts')
    script = b'#!/usr/bin/env python3\n' + body
    (folder / 'a b.py').write_bytes(script)
    found = collect(folder, scripts=['a b.py']).scripts
    assert [(file.path, file.content, file.mode) for file in found] == [(f'{content.SCRIPTS}/001-a_b.py', script, '0700')]


def test_commands_are_kept_and_expanded(tmp_path: Path) -> None:
    cmds = ['[ -f /x ] && echo "a: b"', 'cat <<E\n  indented: {{ x }}\nE\n', '# a comment', "echo 'ü' \\n"]
    assert collect(tmp_path, {'x': 1}, cmds=cmds).cmds == (
        cmds[0], 'cat <<E\n  indented: 1\nE\n', '# a comment', "echo 'ü' \\n")


def test_every_fault_is_told_at_once(tree: Path) -> None:
    (tree / 'bad.sh').write_text('one\n{{ nope }}\n')
    os.mkfifo(tree / 'pipe')
    told = problems(tree, files=['missing', {'path': 'relative', 'content': ''}, {'path': '/x', 'content': '{% if %}'},
                                 {'path': '/a\nb', 'content': ''}, {'path': '/d'}, {}, {'path': '/e', 'origin': 'pipe'},
                                 {'path': '/f', 'content': '', 'owner': 'a;b'}, {'path': '/', 'content': ''},
                                 {'path': '/g', 'content': '', 'origin': 'bad.sh'}, {'path': '/h', 'target': ''}],
                    scripts=['bad.sh', 'gone.sh', 'site'], cmds=['ok', '{{', 'a\0b', 'a\udcffb'])
    for said in (f'{tree}/missing does not exist', f'{tree}/gone.sh does not exist', f'{tree}/site is not a file',
                 f"{tree}/bad.sh:2: the template can not be expanded: 'nope' is undefined", '/x:1: this is no template',
                 "'relative' can not be the path", r"'/a\nb' can not be the path", 'file /d has neither origin nor content',
                 'a file has neither path nor origin', f'{tree}/pipe is not a file', "'a;b' can not own a file",
                 "'/' can not be the path", 'file /g has both origin and content', "'' can not be the target",
                 'cmds 2:1: this is no template', 'cmds 3: a command is text', 'cmds 4: a command is text'):
        assert any(said in problem for problem in told), (said, told)
    assert len(told) == 17


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / 'secret').write_text('s')
    (tmp_path / 'secret').chmod(0)
    if os.access(tmp_path / 'secret', os.R_OK):
        pytest.skip('root may read everything')
    assert problems(tmp_path, files=['secret']) == [f"'{tmp_path}/secret' can not be read: Permission denied"]


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, 'LIMIT', 1024**2)
    (tmp_path / 'big').write_bytes(b'x' * (1024**2 + 1))
    (tmp_path / 'half').write_bytes(b'x' * 600_000)
    assert 'has more than 1 MiB' in problems(tmp_path, files=['big'])[0]
    assert 'more than 1 MiB in all' in problems(tmp_path, files=['half', {'path': '/b', 'origin': 'half'}])[0]


def test_the_hint_for_files_is_to_leave_them_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match='render: false'):
        collect(tmp_path, files=[{'path': '/x', 'content': "{{.Names}}"}])


def test_variables_that_templates_need(tree: Path) -> None:
    (tree / 's.sh').write_text('{{ from_script }} ${#a[@]}')
    keywords = {'cmds': 'echo {{ a }}', 'scripts': ['s.sh', 'missing.sh'], 'memory': 'nonsense',
                'files': ['site', {'path': '/x', 'content': '{{ b }}'},
                          {'path': '/y', 'content': '{{ c }}', 'render': False}],
                'extra_files': [{'wrong': 1}]}
    assert template_variables(keywords, tree) == {'a', 'b', 'title', 'from_script'}
    assert template_variables({}, tree) == set()
    with pytest.raises(InvalidInput, match='cmds 1:1'):
        template_variables({'cmds': ['{{']}, tree)


def test_contents_are_not_shown() -> None:
    spec = decode_vm({'cmds': ['hush'], 'files': [{'path': '/a', 'content': 'hush'}]})
    assert 'hush' not in repr(gather(spec, Path('.'), {}))
