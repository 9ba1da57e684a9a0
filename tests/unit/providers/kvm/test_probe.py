import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kvirt.providers.kvm import probe


@pytest.mark.skipif(not (shutil.which('gcc') and shutil.which('ld')), reason='needs an assembler and a linker')
def test_the_bytes_are_the_assembled_source(tmp_path):
    source = Path(probe.__file__).with_name('probe.S')
    subprocess.run(['gcc', '-c', str(source), '-o', 'probe.o'], cwd=tmp_path, check=True)
    subprocess.run(['ld', '-Ttext', '0x7c00', '--oformat', 'binary', '-m', 'elf_x86_64', 'probe.o', '-o', 'probe.bin'],
                   cwd=tmp_path, check=True)
    assert (tmp_path / 'probe.bin').read_bytes() == probe.SECTOR
    assert len(probe.SECTOR) == 512


def test_an_answer_is_remembered_for_its_time(tmp_path, monkeypatch):
    memory = tmp_path / 'cache' / 'kvm.json'
    now = 1000000.0
    monkeypatch.setattr(probe.time, 'time', lambda: now)
    assert probe._recall(memory, 'host') is None
    probe._remember(memory, 'host', True)
    probe._remember(memory, 'other', False)
    assert probe._recall(memory, 'host') is True
    assert probe._recall(memory, 'other') is False
    now += 2 * 3600
    assert probe._recall(memory, 'host') is True
    assert probe._recall(memory, 'other') is None


@pytest.mark.parametrize('text', ['', 'nonsense', '[]', '{"host": 7}', '{"host": {"works": "yes"}}'])
def test_an_odd_memory_is_no_answer(tmp_path, text):
    memory = tmp_path / 'kvm.json'
    memory.write_text(text)
    assert probe._recall(memory, 'host') is None
    probe._remember(memory, 'host', False)
    assert json.loads(memory.read_text())['host']['works'] is False
