"""Templates: what is expanded, what stays byte for byte, and what is refused with its place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.template import expand, variables_of


def test_variables_and_blocks_are_expanded() -> None:
    text = 'a={{ a }}\n{% for x in xs %}{{ x }};{% endfor %}\n{% if b is defined %}b{% else %}no b{% endif %}\n'
    assert expand(text, {'a': 1, 'xs': [2, 3]}) == 'a=1\n2;3;\nno b\n'


@given(st.text())
@settings(deadline=None)
def test_a_text_without_a_template_stays_as_it_is(text: str) -> None:
    if '{{' not in text and '{%' not in text:
        assert expand(text, {}) == text


@given(st.text(alphabet=st.characters(exclude_characters='{}', exclude_categories=['Cs'])),
       st.text(alphabet=st.characters(exclude_characters='{}', exclude_categories=['Cs'])))
@settings(deadline=None)
def test_what_stands_around_a_template_stays_as_it_is(before: str, after: str) -> None:
    assert expand(f'{before}{{{{ x }}}}{after}', {'x': 'X'}) == f'{before}X{after}'


def test_the_value_of_a_variable_is_not_expanded_again() -> None:
    assert expand('{{ x }}', {'x': '{{ y }}\r\n'}) == '{{ y }}\r\n'


def test_length_of_a_shell_array_is_no_comment() -> None:
    assert expand('n=${#names[@]} {{ x }} {# stays #}', {'x': 1}) == 'n=${#names[@]} 1 {# stays #}'


@pytest.mark.parametrize(('text', 'line', 'said'), [
    ('one\n{{ nope }}\n', 2, "'nope' is undefined"),
    ('one\ntwo\n{% if x %}\n', 3, 'endif'),
    ('{{ x', 1, 'end of'),
    ("docker ps --format '{{.Names}}'", 1, "unexpected '.'"),
    ('\n{{ 1 / 0 }}', 2, 'division by zero'),
    ('{{ x.y.z }}', 1, 'no attribute'),
    ("{{ ''.__class__.__mro__ }}", 1, 'unsafe'),
    ("{% include '/etc/passwd' %}", 1, 'no loader'),
    ('{{ x.append(4) }}', 1, 'is unsafe'),
])
def test_a_faulty_template_is_refused_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        expand(text, {'x': [1]}, where='setup.sh', hint='do this')
    assert caught.value.problems[0].where == f'setup.sh:{line}'
    assert said in str(caught.value)
    assert caught.value.hint == 'do this'


@given(st.text(alphabet='{}%#x \n|.()', min_size=1))
@settings(deadline=None)
def test_no_text_ends_in_anything_but_a_text_or_invalid_input(text: str) -> None:
    try:
        assert isinstance(expand(text, {'x': 1}), str)
        variables_of(text)
    except InvalidInput as error:
        assert error.problems


def test_variables_that_a_text_needs() -> None:
    text = '{{ a }} {% for x in b %}{{ x }}{% endfor %} {% set c = 1 %}{{ c }} {{ d.e | default(f) }}'
    assert variables_of(text) == {'a', 'b', 'd', 'f'}
    assert variables_of('${#x[@]}') == set()
    with pytest.raises(InvalidInput, match='here:1'):
        variables_of('{{', where='here')


def test_jinja_is_loaded_only_for_templates() -> None:
    code = """import sys, kvirt.template as t
t.expand('plain {#', {}), t.variables_of('plain')
print('jinja2' in sys.modules)"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'False\n'
