"""What a VM carries: readable by kcli, changeable by kcli, and any text survives libvirt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

import libvirt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import InvalidInput
from kvirt.providers.kvm import domain
from kvirt.providers.kvm.domain import Host, Journal, read
from kvirt.spec import VmSpec

UUID = '0f2b6e53-5c8c-4b7b-8a3c-0c7c8a2d7f10'
TEST = Host('i686', 'test')
JOURNAL = Journal('creating', 'b00t', 1, '2', '2025-11-21T08:00:00Z', (('default', 'a "0" <&>.img'),))
ELEMENT = libvirt.VIR_DOMAIN_METADATA_ELEMENT

# Everything that XML 1.0 can carry.
TEXT = st.text(st.characters(exclude_categories=['Cs', 'Cc'], exclude_characters='\ufffe\uffff')
               | st.sampled_from('\t\n\r'))
NAME = st.from_regex(r'[A-Za-z_][A-Za-z0-9_.-]{0,20}', fullmatch=True)


def build(fields: dict[str, str], journal: Journal | None = None) -> str:
    return domain.to_text(domain.build('a', UUID, VmSpec(), TEST, [], [], None, fields,
                                       journal.to_element() if journal else None))


@pytest.fixture(scope='module')
def conn() -> Iterator[libvirt.virConnect]:
    conn = libvirt.open('test:///default')
    yield conn
    conn.close()


@given(st.dictionaries(NAME, TEXT, max_size=4))
def test_any_text_survives(fields: dict[str, str]) -> None:
    assert read(build(fields)).info == fields


@given(st.dictionaries(NAME, TEXT.filter(str.strip), max_size=4), TEXT.filter(str.strip))
@settings(max_examples=50)
def test_any_text_survives_libvirt(conn: libvirt.virConnect, fields: dict[str, str], volume: str) -> None:
    journal = Journal('done', 'h', 1, '2', 's', (('p', volume),))
    native = conn.defineXMLFlags(build(fields, journal), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    view = read(native.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    native.undefine()
    assert view.info == fields
    assert view.journal == journal


@given(st.text(st.characters(categories=['Cs', 'Cc'], exclude_characters='\t\n\r\x7f'
                             + ''.join(map(chr, range(0x80, 0xa0)))), min_size=1))
def test_what_xml_can_not_carry_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match='owner'):
        domain.info_element({'owner': text})


def test_form_is_the_one_that_kcli_finds() -> None:
    info = ElementTree.fromstring(build({'plan': 'p', 'image': 'debian12'})).find('metadata/{kvirt}info')
    assert info is not None
    assert {child.tag: child.text for child in info} == {'{kvirt}plan': 'p', '{kvirt}image': 'debian12'}


def test_libvirt_takes_updates_and_keeps_the_rest(conn: libvirt.virConnect) -> None:
    native = conn.defineXMLFlags(build({'plan': 'p', 'owner': 'o'}, JOURNAL), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        config = libvirt.VIR_DOMAIN_AFFECT_CONFIG
        text = domain.to_metadata(domain.info_element({'plan': 'p', 'a': '<&>'}))
        native.setMetadata(ELEMENT, text, domain.INFO_PREFIX, domain.INFO_URI, config)
        done = Journal('done', 'b00t', 1, '2', JOURNAL.since)
        native.setMetadata(ELEMENT, done.to_metadata(), domain.JOURNAL_PREFIX, domain.JOURNAL_URI, config)
        view = read(native.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert view.info == {'plan': 'p', 'a': '<&>'}
        assert view.journal == done
    finally:
        native.undefine()


def test_update_in_kclis_manner_keeps_the_journal(conn: libvirt.virConnect) -> None:
    native = conn.defineXMLFlags(build({'plan': 'p'}, JOURNAL), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        # kcli reads its element, which libvirt hands out without namespaces, adds a child, and writes it back.
        root = ElementTree.fromstring(native.metadata(ELEMENT, 'kvirt', 0))
        assert root.tag == 'info'
        ElementTree.SubElement(root, 'information').text = 'mine'
        native.setMetadata(ELEMENT, ElementTree.tostring(root, encoding='unicode'), 'kvirt', 'kvirt',
                           libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        view = read(native.XMLDesc(0))
        assert view.info == {'plan': 'p', 'information': 'mine'}
        assert view.journal == JOURNAL
    finally:
        native.undefine()


def test_journal_survives_its_own_form() -> None:
    assert Journal.from_element(ElementTree.fromstring(JOURNAL.to_metadata())) == JOURNAL
    assert Journal.from_element(JOURNAL.to_element()) == JOURNAL


def test_dates_are_kclis() -> None:
    moment = datetime(2025, 11, 21, 9, 30, 59, tzinfo=timezone(timedelta(hours=1)))
    assert domain.creation_date(moment) == '21-11-2025 08:30'
    assert domain.iso_date('21-11-2025 08:30') == '2025-11-21T08:30:00Z'
    assert domain.iso_date('yesterday') is None
