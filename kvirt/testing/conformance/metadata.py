"""Marks and fields that a VM carries."""

from __future__ import annotations

from typing import Any

import pytest

from kvirt.base import Kbase
from kvirt.testing.platform import Platform, ok, refused

needs = pytest.mark.needs

ODD = ['it\'s "quoted"', '<b>bold</b> & more', 'ünïcødé 日本語 🚀', 'key: value # no comment', '$(id) `id` ${HOME}',
       '{{ x }} {% y %}', 'two\nlines', ']]>', '-rf', '%s %d', 'a,b;c', '\\n', 'kvirt:plan:web',
       'a=b=c', '', ' spaced ', 'Aa09._-' * 9, 'x' * 60, 'x' * 500]
"""Texts that break what is put together from text instead of from data."""


def known(provider: Kbase, name: str) -> dict[str, Any]:
    """Return all that is known of a VM."""
    return {**provider.info(name)}


@needs('create', 'list', 'info', 'delete')
class TestMetadata:
    """What was written is what is read."""

    @pytest.mark.parametrize('text', ODD, ids=lambda text: text[:12].encode('unicode_escape').decode())
    @needs('update_metadata')
    def test_odd_texts_come_back_as_they_were(self, platform: Platform, provider: Kbase, text: str) -> None:
        most = platform.harness.longest_text
        if most is not None and len(text.encode()) > most:
            return self.too_long_or_kept(platform, text)
        name = platform.vm(metadata={'note': text}, owner=text)
        assert (known(provider, name).get('note', ''), known(provider, name).get('owner', '')) == (text, text)
        ok(provider.update_metadata(name, 'other', text))
        platform.shows(lambda: known(provider, name).get('other', ''), text)
        assert known(provider, name).get('note', '') == text
        assert known(provider, name)['status'] == platform.resting

    @staticmethod
    def too_long_or_kept(platform: Platform, text: str) -> None:
        """Fail unless a *text* that is longer than is promised is kept as it is, or refused before anything is made."""
        name = platform.harness.name('vm')
        before = platform.inventory()
        result = platform.provider.create(name, **platform.asked(metadata={'note': text}))
        if result.ok:
            assert known(platform.provider, name)['note'] == text
        else:
            refused(result, 'InvalidInput', names='note')
            platform.shows(platform.inventory, before)

    @needs('update_metadata')
    def test_a_field_is_set_added_to_and_removed(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(plan='shop')
        ok(provider.update_metadata(name, 'team', 'a'))
        assert known(provider, name)['team'] == 'a'
        ok(provider.update_metadata(name, 'team', 'b', append=True))
        assert known(provider, name)['team'] == 'a,b'
        ok(provider.update_metadata(name, 'fresh', 'c', append=True))
        assert known(provider, name)['fresh'] == 'c'
        ok(provider.update_metadata(name, 'team', 'd'))
        assert known(provider, name)['team'] == 'd'
        ok(provider.update_metadata(name, 'team', None))
        ok(provider.update_metadata(name, 'team', None))
        platform.shows(lambda: known(provider, name).get('team'), None)
        assert known(provider, name)['plan'] == 'shop', 'other fields stay'

    @needs('update_metadata')
    def test_marks_that_lists_show_can_be_changed(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm(plan='shop')
        ok(provider.update_metadata(name, 'plan', 'store'))
        platform.shows(lambda: [row['plan'] for row in provider.list() if row['name'] == name], ['store'])

    @needs('update_metadata', 'start')
    def test_fields_of_a_running_vm_outlive_a_stop(self, platform: Platform, provider: Kbase) -> None:
        name = platform.running()
        ok(provider.update_metadata(name, 'team', 'web'))
        assert known(provider, name)['team'] == 'web'
        if provider.supports('stop'):
            ok(provider.stop(name))
            platform.wait(name, 'stopped')
            assert known(provider, name)['team'] == 'web'

    @pytest.mark.parametrize('field', ['', 'a b', '<x/>', "it's", 'a\nb', '../x', 'x' * 300])
    @needs('update_metadata')
    def test_a_field_with_an_odd_name_is_refused_or_comes_back(self, platform: Platform, provider: Kbase,
                                                               field: str) -> None:
        name = platform.vm()
        before = known(provider, name)
        result = provider.update_metadata(name, field, 'value')
        if result.ok:
            assert known(provider, name)[field] == 'value'
        else:
            refused(result, 'InvalidInput')
            assert known(provider, name) == before

    @needs('update_information')
    def test_a_description(self, platform: Platform, provider: Kbase) -> None:
        name = platform.vm()
        for text in ('what it is for', ODD[1], ODD[2]):
            ok(provider.update_information(name, text))
            assert known(provider, name)['information'] == text

    def test_tags_of_a_vm_are_kept(self, platform: Platform, provider: Kbase) -> None:
        tags = known(provider, platform.vm(tags=['blue', 'green']))['tags']
        assert tags in ('blue,green', ['blue', 'green'])
