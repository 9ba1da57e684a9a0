"""Names: which are safe, fresh ones, and what a misspelled word meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.names import ADJECTIVES, ANIMALS, counted, did_you_mean, dns_name, random_name, safe_name


@pytest.mark.parametrize('name', ['a', 'A', '7', 'web', 'web-1', 'web_1', 'web.example', 'a' * 63, '0a', 'a_'])
def test_safe_names(name: str) -> None:
    assert safe_name('VM', name) == name


@pytest.mark.parametrize('name', [
    '', ' ', '.', '..', '-', '_a', '.a', '-a', 'a-', 'a.', 'a/b', '../a', 'a..b', 'a b', 'a\n', 'a\x00', "a'b", 'a"b',
    '<a>', 'a&b',
    'a;b', '$(a)', '`a`', '{{a}}', '{%a%}', 'a' * 64, 'a' * 300, 'ä', 'a\u200b', '٣', '%s', 'a\\b', '~', '*', None, 7,
    ['a'], b'a'])
def test_names_that_are_not_safe(name: object) -> None:
    with pytest.raises(InvalidInput, match='can not name a VM') as caught:
        safe_name('VM', name)
    assert len(str(caught.value)) < 300
    assert '\n' not in str(caught.value)


@given(st.text())
def test_a_name_is_safe_everywhere_or_refused(name: str) -> None:
    try:
        safe_name('pool', name)
    except InvalidInput:
        return
    assert re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._-]{0,62}', name)
    assert '..' not in name


def test_a_fresh_name_is_safe_and_made_of_our_words() -> None:
    for _ in range(50):
        first, second = safe_name('VM', random_name()).split('-')
        assert first in ADJECTIVES
        assert second in ANIMALS


def test_every_pair_of_our_words_is_a_safe_name() -> None:
    assert len(set(ADJECTIVES)) == len(ADJECTIVES)
    assert len(set(ANIMALS)) == len(ANIMALS)
    assert all(re.fullmatch('[a-z]{3,10}', word) for word in [*ADJECTIVES, *ANIMALS])


def test_the_likely_word_is_suggested() -> None:
    assert did_you_mean('memroy', ['memory', 'numcpus']) == ", did you mean 'memory'?"
    assert did_you_mean('xyzzy', ['memory', 'numcpus']) == ''
    assert did_you_mean('x', []) == ''
    assert did_you_mean('memroy', iter(['memory'])) == ", did you mean 'memory'?"


@pytest.mark.parametrize('name', ['web', 'web-1.example.org', 'web.example.org.', '_acme-challenge.web', '*', '@',
                                  '*.apps', 'A', 'a' * 63])
def test_names_of_dns_records(name: str) -> None:
    assert dns_name(name) == name


@pytest.mark.parametrize('name', ['', '.', 'a..b', '-a', 'a-', 'a b', 'a\n', 'a/b', '<a>', "a'b", 'a.*', 'a' * 64,
                                  'a.' * 150, 'ä', None, 7])
def test_what_can_not_name_a_dns_record(name: object) -> None:
    with pytest.raises(InvalidInput, match='can not name a DNS record'):
        dns_name(name)


@pytest.mark.parametrize(('number', 'words', 'told'), [
    (1, ('second',), '1 second'), (1.0, ('second',), '1 second'), (2, ('second',), '2 seconds'), (0, ('VM',), '0 VMs'),
    (0.5, ('second',), '0.5 seconds'), (1, ('entry', 'entries'), '1 entry'), (3, ('entry', 'entries'), '3 entries')])
def test_what_is_counted_agrees_with_its_number(number: float, words: tuple[str, ...], told: str) -> None:
    assert counted(number, *words) == told
