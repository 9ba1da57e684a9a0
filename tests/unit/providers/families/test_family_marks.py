"""Marks: every text comes back from labels and tags as it went in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.providers.families import marks

FIELD = st.from_regex(r'[a-z][a-z0-9_-]{0,20}[a-z0-9]', fullmatch=True).filter(lambda key: key != marks.MARK)
FIELDS = st.dictionaries(FIELD, st.text(st.characters(exclude_categories=['Cs']), max_size=200), max_size=5)
LABEL = re.compile(r'(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?')
TAG = re.compile(r'[a-zA-Z0-9_:-]+')


@given(FIELDS)
def test_labels_give_back_what_went_in(fields: dict[str, str]) -> None:
    labels = marks.to_labels(fields)
    assert marks.from_labels(labels) == fields
    for value in labels.values():
        assert len(value) <= 63
        assert LABEL.fullmatch(value)


@given(FIELDS)
def test_tags_give_back_what_went_in(fields: dict[str, str]) -> None:
    tags = marks.to_tags({marks.MARK: '00c0ffee', **fields})
    assert marks.from_tags(['other', 'kvirted:x', *tags]) == {marks.MARK: '00c0ffee', **fields}
    for tag in tags:
        assert len(tag) <= 255
        assert TAG.fullmatch(tag)


def test_what_is_plain_stays_readable() -> None:
    assert marks.to_labels({'plan': 'web-2.prod'}) == {'plan': 'web-2.prod'}
    assert marks.to_tags({'kvirt': '12ab34cd', 'plan': 'web'}) == ['kvirt:12ab34cd', 'kvirt:plan:web']


def test_labels_of_others_are_not_disturbed() -> None:
    assert marks.from_labels({'team': 'a_zz', 'x': '0__'}) == {'team': 'a_zz', 'x': '0__'}


@pytest.mark.parametrize('key', ['ip', 'status', 'kvirt', 'maker', 'a b', '', 'x' * 60, 'ä'])
def test_a_field_that_is_the_platforms_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        marks.check_field(key)


def test_a_maker_that_lives_has_abandoned_nothing() -> None:
    text = marks.maker(1000.0)
    assert re.fullmatch(r'[0-9A-Za-z-]+', text)
    assert not marks.abandoned(text, 1001.0)
    host, _, rest = text.partition('-')
    _, started, since = rest.split('-')
    assert marks.abandoned(f'{host}-{2**22 + 1}-{started}-{since}', 1001.0)


@pytest.mark.parametrize('text', [None, '', 'nonsense', 'a-b-c-d'])
def test_a_maker_that_can_not_be_read_has_abandoned(text: str | None) -> None:
    assert marks.abandoned(text, 0.0)
