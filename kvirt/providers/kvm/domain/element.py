"""libvirt XML as elements: the helpers that every part of this package is written with.

Whatever a user wrote goes into the text or an attribute of an element, where the serializer escapes it; nothing here
or above ever joins markup.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvirt.errors import InvalidInput

# Everything outside the production "Char" of XML 1.0: control characters, lone surrogates, U+FFFE and U+FFFF.
_NOT_XML = '[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]'


def check_text(keyword: str, value: str) -> str:
    """Return *value* if XML can carry it; else raise InvalidInput that names *keyword* and the character."""
    if value.isprintable():  # as most are: compiling the expression takes longer than all else here
        return value
    found = re.search(_NOT_XML, value)
    if found:
        raise InvalidInput(f'{keyword} contains the character U+{ord(found[0]):04X}, which libvirt can not store')
    return value


def check_path(keyword: str, path: str) -> str:
    """Return *path* if it is absolute, so that it means the same on any host; else raise InvalidInput."""
    if not path.startswith('/') or '\n' in path:
        raise InvalidInput(f'{keyword}: {path!r} is not an absolute path on the hypervisor')
    return path


def add(parent: Element, tag: str, text: str | int | None = None, /, **attributes: str | int | None) -> Element:
    """Append an element to *parent* and return it. Attributes that are None are left out."""
    child = SubElement(parent, tag)
    if text is not None:
        child.text = check_text(tag, str(text))
    for name, value in attributes.items():
        if value is not None:
            child.set(name, check_text(f'{tag} {name}', str(value)))
    return child


def local(tag: str) -> str:
    """Return the name of a tag without its namespace."""
    return tag.rpartition('}')[2]


def parse(xml: str) -> Element:
    """Return the root element of *xml*, a text that libvirt gave."""
    return ElementTree.fromstring(xml)


def to_text(element: Element) -> str:
    """Return *element* as indented text that parses back to the same elements; *element* itself is not changed."""
    element = copy.deepcopy(element)
    ElementTree.indent(element)
    # The serializer leaves a carriage return in an element's text as it is, and a parser reads that as a newline.
    return ElementTree.tostring(element, encoding='unicode').replace('\r', '&#13;') + '\n'


def to_metadata(element: Element) -> str:
    """Return *element* as text without namespaces, for setMetadata: libvirt adds them, and refuses to add them twice."""
    element = copy.deepcopy(element)
    for part in element.iter():
        part.tag = local(part.tag)
    return to_text(element)


def metadata_children(domain: Element, tag: str) -> Iterator[Element]:
    """Yield the elements under ``<metadata>`` with the qualified name *tag*."""
    return domain.iterfind(f'metadata/{tag}')
