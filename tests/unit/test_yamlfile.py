import os
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt import yamlfile
from kvirt.errors import InvalidInput, NotFound

TEXT = """\
# clients
default:
  client: lab

# the lab
lab:
  type: kvm
  nets:
  - default
  - name: other
    ip: 10.0.0.5
"""


def test_places_of_keys_and_entries():
    document = yamlfile.load(TEXT, 'config.yml')
    assert document.where('default', 'client') == 'config.yml:3'
    assert document.where('lab', 'nets', 1, 'ip') == 'config.yml:11'
    assert document.where('lab', 'absent') == 'config.yml:6'  # the nearest thing around it


def test_every_key_is_text():
    assert yamlfile.load('off: 1\n10: 2\nx: &a {b: 1}\ny: {<<: *a, no: 2}\n', 'f').data == {
        'off': 1, '10': 2, 'x': {'b': 1}, 'y': {'b': 1, 'no': 2}}


def test_a_duplicate_key_names_both_lines():
    with pytest.raises(InvalidInput, match=r"f:3: key 'a' stands here again, after line 1"):
        yamlfile.load('a: 1\nb: 2\na: 3\n', 'f')


@pytest.mark.parametrize('text', ['a: [1', 'a: b: c', '\tx: 1', 'a: !!python/object:os.system {}',
                                 '- &x\n- *y', 'a: &x\n  b: *x', '- &x [*x]', 'a: \x01'])
def test_what_is_not_yaml_names_file_and_line(text):
    with pytest.raises(InvalidInput, match=r'^f:\d'):
        yamlfile.load(text, 'f')


def test_an_absent_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match='absent.yml does not exist'):
        yamlfile.load_file(tmp_path / 'absent.yml')


def test_editing_a_section_leaves_all_else_as_it_is():
    edited = yamlfile.edit_section(TEXT, 'default', {'client': 'other'})
    assert edited == TEXT.replace('client: lab', 'client: other')
    assert yamlfile.edit_section(TEXT, 'lab', None) == '# clients\ndefault:\n  client: lab\n\n# the lab\n'
    assert yamlfile.edit_section('a: 1', 'b', {'c': 2}) == 'a: 1\nb:\n  c: 2\n'


_values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abc', min_size=1), inner,
                                                                                   max_size=3), max_leaves=5)


@given(st.dictionaries(st.text('abcdef', min_size=1, max_size=4), _values, max_size=4),
       st.text('abcdef', min_size=1, max_size=4), st.dictionaries(st.text('xyz', min_size=1), _values, max_size=3))
def test_editing_changes_that_section_only(data, name, values):
    text = yamlfile.dump(data) if data else ''
    edited = yamlfile.load(yamlfile.edit_section(text, name, values), 'f').data
    assert edited == {**data, name: values}


def test_a_private_file_is_whole_and_for_its_owner(tmp_path):
    path = tmp_path / 'sub' / 'file'
    yamlfile.write_private(path, 'one')
    yamlfile.write_private(path, 'two')
    assert path.read_text() == 'two'
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(path.parent) == ['file']


def test_the_lock_lets_one_in_at_a_time(tmp_path):
    path = tmp_path / 'counter'
    path.write_text('0')

    def add():
        for _ in range(50):
            with yamlfile.locked(path):
                path.write_text(str(int(path.read_text()) + 1))
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == '200'
