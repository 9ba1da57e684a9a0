from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.cli.params import coerce, gather, parse
from kvirt.errors import InvalidInput


@pytest.mark.parametrize(('text', 'value'), [
    ('1', 1), ('-5', -5), ('0', 0), ('01', '01'), ('0x10', '0x10'), ('1_000', '1_000'), (' 1', ' 1'),
    ('1.5', 1.5), ('1.50', '1.50'), ('1e3', '1e3'), ('1.2.3.4', '1.2.3.4'), ('nan', 'nan'), ('inf', 'inf'),
    ('true', True), ('False', False), ('yes', 'yes'), ('off', 'off'), ('None', None), ('null', None), ('', ''), ('~', '~'),
    ('[]', []), ('[1,2]', [1, 2]), ('[a, "b c", 01]', ['a', 'b c', '01']), ('{}', {}),
    ("[{'name': 'lab', 'ip': 10.0.0.1}]", [{'name': 'lab', 'ip': '10.0.0.1'}]),
    ('[{"thin": True, "size": 10, "pool": None}]', [{'thin': True, 'size': 10, 'pool': None}]),
    ('["1", "true"]', ['1', 'true']), ('52:54:00:12:34:56', '52:54:00:12:34:56'), ('1:30', '1:30'),
    ('[1:30, 2026-01-02]', ['1:30', '2026-01-02']), ('2026-01-02', '2026-01-02'), ('{{ name }}', '{{ name }}'),
    ('{% if x %}y{% endif %}', '{% if x %}y{% endif %}'), ('[ -f /x ] && echo "a: b"', '[ -f /x ] && echo "a: b"'),
    ('a=b', 'a=b'), ('4g', '4g'), ('$(reboot)', '$(reboot)'),
])
def test_a_value_is_what_people_mean_by_it(text: str, value: Any) -> None:
    assert coerce(text) == value
    assert type(coerce(text)) is type(value)


@given(st.text())
def test_no_value_is_lost_or_a_bug(text: str) -> None:
    try:
        value = coerce(text)
    except InvalidInput as error:
        assert text[0] in '[{'
        assert error.hint
        return
    if type(value) in (int, float):
        assert str(value) == text
    elif isinstance(value, str):
        assert value == text


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_a_plain_value_comes_back(value: Any) -> None:
    assert coerce(str(value)) == value


@pytest.mark.parametrize('word', ['memory', '=5', 'a-b=1', 'a b=1', '1a=1', 'a\nb=1', '', '../x=1', 'é=1'])
def test_what_is_no_key_and_value_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput, match='is no KEY=VALUE') as caught:
        parse([word])
    assert '\n' not in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(['a=1', 'a=2', 'nonsense', 'c=[1,'.replace(',', ',]]')])
    assert [problem.message.split(':')[0].split(' is ')[0] for problem in caught.value.problems] == [
        '-P a', "-P 'nonsense'", '-P c']


def test_a_broken_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(['password={hunter2: [}'])
    assert 'hunter2' not in str(caught.value)


def test_files_lie_below_words(tmp_path: Path) -> None:
    (tmp_path / 'one.yml').write_text('a: 1\nb: 1\nc: 1\n')
    (tmp_path / 'two.yml').write_text('b: 2\nc: 2\n')
    assert gather(['c=3'], [str(tmp_path / 'one.yml'), str(tmp_path / 'two.yml')]) == {'a': 1, 'b': 2, 'c': 3}


def test_a_required_parameter_must_be_given(tmp_path: Path) -> None:
    file = tmp_path / 'p.yml'
    file.write_text('a: 1\ntoken: ?required\n')
    with pytest.raises(InvalidInput, match=f'{file}:2: parameter token is required: give it with -P token=VALUE'):
        gather([], [str(file)])
    assert gather(['token=x'], [str(file)]) == {'a': 1, 'token': 'x'}


@pytest.mark.parametrize('name', ['kcli_parameters.yml', 'kvirt_parameters.yml'])
def test_the_file_of_the_folder_counts_only_where_none_is_named(name: str, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text('a: 1\n')
    Path('other.yml').write_text('b: 1\n')
    assert gather([], [], implicit=True) == {'a': 1}
    assert gather([], ['other.yml'], implicit=True) == {'b': 1}
    assert gather([], []) == {}


@pytest.mark.parametrize('text', ['- a\n- b\n', 'just text'])
def test_a_file_must_hold_parameters(text: str, tmp_path: Path) -> None:
    (tmp_path / 'p.yml').write_text(text)
    with pytest.raises(InvalidInput, match='expected a mapping'):
        gather([], [str(tmp_path / 'p.yml')])


def test_an_empty_file_holds_none(tmp_path: Path) -> None:
    (tmp_path / 'p.yml').write_text('# nothing\n')
    assert gather([], [str(tmp_path / 'p.yml')]) == {}
