"""Decoding mappings into typed structs: every fault at once, each with its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.decode import decode, field_types, plain, type_name
from kvirt.errors import InvalidInput
from kvirt.shapes import Rule


def even(value: Any) -> int:
    if not isinstance(value, int) or value % 2:
        raise InvalidInput(f'{value!r} is not even', hint='Write 2')
    return value


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """A struct with a field of each sort."""

    name: str
    size: int = 1
    pair: Annotated[int, msgspec.Meta(description='Even', extra={'parse': even})] = 2
    kind: Literal['big', 'small'] | None = None
    on: bool = False
    words: tuple[str, ...] = ()


def places(key: str) -> str:
    return f'file.yml:{len(key)}'


def test_what_is_right_is_decoded() -> None:
    decoded = decode(Thing, {'name': 'x', 'size': '7', 'pair': 4, 'kind': 'big', 'on': 'true', 'words': ['a']}, what='key')
    assert decoded == Thing(name='x', size=7, pair=4, kind='big', on=True, words=('a',))


def test_every_fault_is_reported_at_once_with_its_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(Thing, {'sise': 3, 'size': 'big', 'pair': 3, 'kind': 'bog', 'on': [], 'words': 'x'}, what='key',
               where=places)
    said = {problem.message: problem.where for problem in caught.value.problems}
    assert said.pop("unknown key 'sise', did you mean 'size'?") == 'file.yml:4'
    assert said.pop('key pair: 3 is not even. Write 2') == 'file.yml:4'
    assert said.pop('key name is missing') == 'file.yml:0'
    assert {message.partition(':')[0] for message in said} == {'key size', 'key kind', 'key on', 'key words'}
    assert all(where == places(message.partition(':')[0].removeprefix('key ')) for message, where in said.items())


def test_suggestions_may_come_from_elsewhere() -> None:
    with pytest.raises(InvalidInput, match="unknown option 'memroy', did you mean 'memory'?"):
        decode(Thing, {'name': 'x', 'memroy': 1}, what='option', choices=['memory'])


@given(st.dictionaries(st.one_of(st.text(), st.integers(), st.none(), st.sampled_from(sorted(field_types(Thing)))),
                       st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
                                    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
                                    max_leaves=5)))
def test_any_mapping_is_decoded_or_is_invalid_input(values: dict[Any, Any]) -> None:
    try:
        assert isinstance(decode(Thing, values, what='key'), Thing)
    except InvalidInput as error:
        assert error.problems


def test_a_decoders_message_is_put_into_words() -> None:
    assert plain(msgspec.ValidationError('Expected `int`, got `str`'), int) == 'expected a whole number, got text'


@pytest.mark.parametrize(('hint', 'value'), [
    (Literal['virtio', 'scsi'], 'virtoi'), (Literal['virtio', 'scsi'] | None, 'virtoi'),
    (list[Literal['virtio', 'scsi']], ['scsi', 'virtoi']), (Annotated[Literal['virtio', 'scsi'], 'a note'], 'virtoi')])
def test_a_word_that_is_none_of_those_there_are_is_told_beside_them(hint: Any, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, hint)
    assert plain(caught.value, hint) == "'virtoi' is none of virtio, scsi, did you mean 'virtio'?"


def test_types_have_names_that_people_know() -> None:
    names = {key: type_name(hint) for key, hint in field_types(Thing).items()}
    assert names == {'name': 'text', 'size': 'whole number', 'pair': 'whole number', 'kind': 'big or small',
                     'on': 'true or false', 'words': 'list of text'}
    assert type_name(dict[str, str]) == 'mapping'
    assert type_name(list[Rule]) == 'list of mapping'
    assert type_name(str | bytes | None) == 'text or bytes'
    assert type_name(tuple[Thing, ...]) == 'list of mapping'
