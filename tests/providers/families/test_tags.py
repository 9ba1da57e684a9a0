"""Flat tags that keep what a platform has no room for, and tell who shares what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kvirt.errors import Unavailable
from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer, NewBalancer
from kvirt.providers.families.floating import Address
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.tags import NamedAddresses, NotedBalancers, TaggedVms, Tags, names_of, note, noted, to_tags
from kvirt.testing.platform import ok, refused

from .pretended import Memory


class TagBook(Tags):
    """Tags, each with the ids of what bears it."""

    borne: dict[str, set[str]]

    def counted(self) -> Mapping[str, int]:
        return {name: len(bearers) for name, bearers in self.borne.items()}

    def make_tag(self, name: str) -> None:
        self.borne.setdefault(name, set())

    def drop_tag(self, name: str) -> None:
        self.borne.pop(name, None)

    def give_tag(self, name: str, kind: str, thing_id: str) -> None:
        self.borne[name].add(f'{kind} {thing_id}')

    def take_tag(self, name: str, kind: str, thing_id: str) -> None:
        self.borne[name].remove(f'{kind} {thing_id}')


class Tagged(TaggedVms, TagBook, Memory):
    """VMs whose fields are tags, in memory. ``held`` is what is shared and can not go."""

    vm_kind = 'vm'

    def __init__(self) -> None:
        super().__init__()
        self.borne: dict[str, set[str]] = {}
        self.shared: list[tuple[str, str]] = []
        self.held: list[str] = []
        self.vms = {'1': Machine(id='1', name='web')}

    def machine(self, name: str) -> Machine:
        tags = [tag for tag, bearers in self.borne.items() if 'vm 1' in bearers]
        return msgspec.structs.replace(super().machine(name), tags=tags, fields=marks.from_tags(tags))

    def drop_shared(self, kind: str, name: str, label: str) -> bool:
        if name not in self.held:
            self.shared.remove((kind, name))
        return name not in self.held

    def share(self, kind: str, name: str) -> str:
        """Make what is shared, for VM web, and return its label."""
        label = note(kind, name)
        self.announce(label)
        self.shared.append((kind, name))
        self.tag([label], 'vm', '1')
        return label


class Addresses(NamedAddresses, TagBook, Memory):
    """Addresses that bear nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.borne: dict[str, set[str]] = {}

    def addresses(self) -> list[Address]:
        names = self.kept_names()
        return [msgspec.structs.replace(each, name=names.get(each.ip, each.ip), request=None) for each in self.ips.values()]


@pytest.mark.parametrize('text', ['web', 'Web-1', 'a.b:c', '', 'ünï', 'X' * 300])
def test_texts_come_back_and_have_no_capitals(text: str) -> None:
    tags = to_tags({'Owner': text, 'kvirt': '1a2b'})
    assert marks.from_tags(tags) == {'Owner': text, 'kvirt': '1a2b'}
    keeping = [note('ip', text, '192-0-2-1'), note('ipx', 'other'), *tags, 'prod', 'kvirt-ip']
    assert noted('ip', keeping) == [(text, '192-0-2-1')]
    assert names_of('group', [note('group', text), note('key', 'x')]) == [text]
    assert all(tag == tag.lower() and len(tag) <= 255 for tag in tags)


def test_a_field_is_set_and_taken_away_and_no_tag_is_left() -> None:
    tagged = Tagged()
    for text in ('x' * 300, 'short'):
        ok(tagged.update_metadata('web', 'note', text))
        assert tagged.machine('web').fields == {'note': text}
    assert [*tagged.borne] == ['kvirt:note:short']
    ok(tagged.update_metadata('web', 'note', None))
    assert tagged.borne == {}


def test_what_vms_shared_goes_with_the_last_that_bears_its_label() -> None:
    tagged = Tagged()
    labels = [tagged.share('group', 'kvirt-ssh'), tagged.share('key', 'kvirt-1')]
    tagged.borne['theirs'] = set()
    vm = tagged.machine('web')
    tagged.forget_vm(vm)
    assert len(tagged.shared) == 2, 'the VM still bears the labels'
    for label in labels:
        tagged.take_tag(label, 'vm', '1')
    tagged.forget_vm(vm)
    assert (tagged.shared, [*tagged.borne]) == ([], ['theirs'])


def test_what_had_to_stay_keeps_its_label_and_its_maker() -> None:
    tagged = Tagged()
    label = tagged.share('group', 'kvirt-ssh')
    before, tagged.held = set(tagged.borne), ['kvirt-ssh']
    tagged.take_tag(label, 'vm', '1')
    tagged.forget_birth(SimpleNamespace(needs=SimpleNamespace(tags={label})))  # type: ignore[arg-type]
    assert set(tagged.borne) == before


def test_the_group_of_a_user_keeps_its_label() -> None:
    tagged = Tagged()
    tagged.make_tag(note('group', 'office'))
    tagged.reap([note('group', 'office'), 'kvirt:plan:shop'])
    assert [*tagged.borne] == [note('group', 'office')]


def test_what_is_shared_by_none_and_whose_maker_is_gone_is_an_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged = Tagged()
    label = tagged.share('group', 'kvirt-ssh')
    monkeypatch.setattr('kvirt.providers.families.marks.abandoned', lambda maker, now: True)
    assert tagged.left_shared([]) == [], 'a VM shares it'
    tagged.take_tag(label, 'vm', '1')
    [left] = tagged.left_shared([])
    assert (left.kind, left.name) == ('security group', 'kvirt-ssh')
    tagged.drop_left(left)
    assert (tagged.shared, tagged.borne, tagged.left_shared([])) == ([], {}, [])


def test_the_name_of_an_address_is_kept_as_long_as_the_address() -> None:
    memory = Addresses()
    ok(memory.create_floating_ip('Front'))
    assert list(memory.list_floating_ips()) == ['Front']
    ok(memory.delete_floating_ip('Front'))
    assert (memory.ips, memory.borne) == ({}, {})


def test_an_address_whose_name_can_not_be_kept_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Addresses()

    def lost(name: str) -> None:
        raise Unavailable('lost')
    monkeypatch.setattr(memory, 'make_tag', lost)
    refused(memory.create_floating_ip('front'), 'Unavailable')
    assert memory.ips == {}


def test_an_address_whose_answer_is_lost_may_have_been_taken() -> None:
    memory = Addresses()
    memory.answers = [Unavailable('lost')]
    refused(memory.create_floating_ip('front'), 'Unavailable', names='may have been taken')


class Balancers(NotedBalancers, TagBook):
    """Load balancers that bear nothing."""

    def __init__(self) -> None:
        self.borne: dict[str, set[str]] = {}
        self.there: list[Balancer] = []

    def balancers(self) -> Sequence[Balancer]:
        return self.there

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        self.there.append(Balancer(id='lb-1', name=wanted.name, ports=wanted.ports))
        return self.there[-1]

    def drop_balancer(self, balancer: Balancer) -> None:
        self.there.remove(balancer)


def test_the_records_of_a_balancer_are_kept_as_long_as_it() -> None:
    toy = Balancers()
    made, fields = Balancer(id='lb-1', name='web', ports=[80]), {marks.RECORDS: 'A/web@a.example,CNAME/www@a.example'}
    toy.keep_fields(made, fields)
    toy.keep_fields(msgspec.structs.replace(made, id='lb-2'), {marks.RECORDS: 'A/other@a.example'})
    assert toy.balancer_fields(made) == fields
    toy.forget_fields(made, fields)
    assert len(toy.borne) == 1


def test_a_balancer_that_could_not_be_finished_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Balancers()

    def lost(balancer: Balancer, fields: Mapping[str, str]) -> None:
        raise Unavailable('lost')
    monkeypatch.setattr(toy, 'keep_fields', lost)
    refused(toy.create_loadbalancer('web', ports=[80]), 'Unavailable')
    assert (toy.there, toy.borne) == ([], {})
