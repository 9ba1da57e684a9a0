"""Seed images, read back."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import pycdlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.guest.seed import iso_image
from tests.unit.guest.conftest import MACS, Make

TEXT = st.characters(exclude_categories=['Cs'])


def read(image: bytes, how: str) -> tuple[str, dict[str, str]]:
    """Return the label of an ISO and its files, by their Rock Ridge (rr_path) or Joliet (joliet_path) names."""
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    found = {}
    for folder, _, names in iso.walk(**{how: '/'}):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            target = io.BytesIO()
            iso.get_file_from_iso_fp(target, **{how: path})
            found[path.lstrip('/')] = target.getvalue().decode()
    label = iso.pvd.volume_identifier.decode().strip()
    iso.close()
    return label, found


@pytest.mark.parametrize('how', ['rr_path', 'joliet_path'])
def test_the_seed_of_cloud_init(make: Make, how: str) -> None:
    guest = make(nets=['default', 'lan'], cmds=['x' * 5000])
    label, found = read(guest.seed(MACS[:2], '4242'), how)
    assert label == 'cidata'
    assert found == {'user-data': guest.user_data(), 'meta-data': guest.meta_data('4242'),
                     'network-config': guest.network_config(MACS[:2])}


def test_a_vm_without_cards_leaves_the_network_to_its_image(make: Make) -> None:
    assert set(read(make(nets=[]).seed([], '1'), 'rr_path')[1]) == {'user-data', 'meta-data'}


@pytest.mark.parametrize('how', ['rr_path', 'joliet_path'])
def test_the_seed_of_coreos(make: Make, how: str) -> None:
    guest = make(image='fcos', domain='example.com')
    label, found = read(guest.seed(MACS[:1], '4242'), how)
    assert label == 'config-2'
    assert found.pop('openstack/latest/user_data') == guest.user_data(MACS[:1])
    assert json.loads(found.pop('openstack/latest/meta_data.json')) == {
        'uuid': '4242', 'name': 'web', 'hostname': 'web.example.com'}
    assert found == {}


def test_the_seed_of_suse(make: Make) -> None:
    guest = make(image='openSUSE-MicroOS.x86_64-kvm-and-xen.qcow2')
    expected = {'ignition/config.ign': guest.user_data(MACS[:1])}
    assert read(guest.seed(MACS[:1], '1'), 'joliet_path') == ('ignition', expected)


@given(st.dictionaries(st.from_regex(r'[a-z]{1,8}(/[a-z]{1,8}){0,3}\.[a-z]{3}', fullmatch=True), st.text(TEXT), max_size=4))
@settings(deadline=None)
def test_any_text_comes_back(files: dict[str, str]) -> None:
    if any(other.startswith(f'{path}/') for path in files for other in files):
        return
    assert read(iso_image(files), 'rr_path')[1] == files


def test_another_program_reads_it_too(make: Make, tmp_path: Path) -> None:
    if not shutil.which('blkid'):
        pytest.skip('blkid is not installed')
    (tmp_path / 'seed.iso').write_bytes(make().seed(MACS[:1], '1'))
    told = subprocess.run(['blkid', '-p', '-o', 'export', tmp_path / 'seed.iso'], capture_output=True, text=True).stdout
    assert 'LABEL=cidata' in told and 'TYPE=iso9660' in told
