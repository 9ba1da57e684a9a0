"""The fields that a VM carries: ``<kvirt:info>`` under ``<metadata>``, in the form that kcli reads and writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput
from kvirt.providers.kvm.domain.element import check_text, local, metadata_children

INFO_PREFIX = 'kvirt'
INFO_URI = 'kvirt'
"""The arguments ``key`` and ``uri`` of libvirt's setMetadata."""

TAG = f'{{{INFO_URI}}}info'
_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_.-]*')
_DATE = '%d-%m-%Y %H:%M'

ElementTree.register_namespace(INFO_PREFIX, INFO_URI)


def info_element(fields: Mapping[str, str]) -> Element:
    """Return ``<kvirt:info>`` with one child per field. Raises InvalidInput for a name or text that XML can't carry."""
    info = Element(TAG)
    for name, value in fields.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(f'metadata: {name!r} can not name a field', hint='Use letters, digits and _ . -')
        ElementTree.SubElement(info, f'{{{INFO_URI}}}{name}').text = check_text(name, value)
    return info


def fields_of(info: Element) -> dict[str, str]:
    """Return the fields of an ``<info>``, with or without namespace; those we do not know as well."""
    return {local(child.tag): child.text or '' for child in info}


def read_info(domain: Element) -> dict[str, str]:
    """Return the fields that *domain* carries, none when it was made by others."""
    return next((fields_of(info) for info in metadata_children(domain, TAG)), {})


def creation_date(moment: datetime) -> str:
    """Return *moment* as the field ``creationdate`` holds it: to the minute, in UTC."""
    return moment.astimezone(timezone.utc).strftime(_DATE)


def iso_date(creationdate: str) -> str | None:
    """Return the field ``creationdate`` as ISO 8601, None when it is no date."""
    try:
        return datetime.strptime(creationdate, _DATE).strftime('%Y-%m-%dT%H:%M:00Z')
    except ValueError:
        return None
