"""What is remembered on VMs."""

from __future__ import annotations

import pytest

from kvirt.errors import NotFound
from kvirt.providers.families.machines import Machine, Machines
from kvirt.testing.platform import ok, refused


class Toy(Machines):
    """A platform with one VM, in memory."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def machine(self, name: str) -> Machine:
        if name != 'web':
            raise NotFound(f'VM {name} does not exist')
        return Machine(id='1', name=name, fields=self.fields)

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        self.fields = {**self.fields, key: text} if text is not None else {
            other: value for other, value in self.fields.items() if other != key}


def test_fields_are_set_added_to_and_taken_away() -> None:
    toy = Toy()
    for text, append, told in (('a', True, 'a'), ('b', True, 'a,b'), ('c', False, 'c'), (None, True, None)):
        ok(toy.update_metadata('web', 'role', text, append=append))
        assert toy.fields.get('role') == told


@pytest.mark.parametrize('key', ['kvirt', 'maker', 'dnsrecords', 'ip', 'a b', ''])
def test_marks_and_what_the_platform_tells_are_no_fields(key: str) -> None:
    refused(Toy().update_metadata('web', key, 'x'), 'InvalidInput')


def test_a_vm_that_is_not_there() -> None:
    assert Toy().find_machine('db') is None
    refused(Toy().update_metadata('db', 'role', 'x'), 'NotFound', names='db')
