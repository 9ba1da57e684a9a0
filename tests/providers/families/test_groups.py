"""Security groups, on a platform that keeps them in a list."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.errors import AlreadyExists, Conflict, KvirtError, Unavailable
from kvirt.providers.families import rules
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.providers.families.marks import MAKER, MARK
from kvirt.rules import rules_of
from kvirt.shapes import Rule
from kvirt.testing.platform import ok, refused

SSH = rules_of([22])


class Tiny(SharedGroups):
    """Groups by id; ``native`` is the list of a group's users. ``before`` runs in front of every creation."""

    group_settings = ('network',)

    def __init__(self) -> None:
        self.kept: dict[str, Group] = {}
        self.before: Callable[[], object] = list
        self.numbers = itertools.count(1)

    def groups(self, network: str | None = None) -> Iterator[Group]:
        return iter([*self.kept.values()])

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        self.before()
        if any(group.name == name for group in self.kept.values()):
            raise AlreadyExists(f'{name} is taken')
        group = Group(id=f'g{next(self.numbers)}', name=name, rules=wanted, fields=fields, native=[])
        self.kept[group.id] = group
        return group

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        self.kept[group.id] = Group(id=group.id, name=group.name, rules=wanted, fields=group.fields, native=group.native)

    def drop_group(self, group: Group) -> None:
        if group.native:
            raise Conflict('in use')
        del self.kept[group.id]

    def users_of_group(self, group: Group) -> list[str]:
        users: list[str] = group.native
        return users

    def unused_groups(self, but_by: Collection[str] = ()) -> Iterator[Group]:
        return (group for group in self.kept.values()
                if group.fields[MARK] == 'shared' and set(group.native) <= set(but_by))


@pytest.fixture
def tiny() -> Tiny:
    return Tiny()


def test_a_group_from_birth_to_death(tiny: Tiny) -> None:
    ok(tiny.create_security_group('web', {'ports': [80, '8000-8080']}))
    assert tiny.info_security_group('web') == {'name': 'web', 'id': 'g1', 'rules': rules_of([80, '8000-8080'])}
    assert tiny.info_security_group('g1')['name'] == 'web'
    refused(tiny.create_security_group('web'), 'AlreadyExists')
    ok(tiny.update_security_group('web', {'ports': [443]}))
    assert tiny.info_security_group('web')['rules'] == rules_of([443])
    tiny.kept['g1'].native.extend(['b', 'a', 'b'])
    refused(tiny.delete_security_group('web'), 'Conflict', names='in use by a, b')
    tiny.kept['g1'].native.clear()
    ok(tiny.delete_security_group('web'))
    assert (tiny.list_security_groups(), tiny.info_security_group('web')) == ([], {})


def test_what_is_not_said_stays_as_it_is(tiny: Tiny) -> None:
    ok(tiny.create_security_group('web', {'ports': [80]}))
    ok(tiny.update_security_group('web'))
    assert tiny.info_security_group('web')['rules'] == rules_of([80])
    ok(tiny.update_security_group('web', {'ports': []}))
    assert tiny.info_security_group('web')['rules'] == []


@pytest.mark.parametrize('overrides', [{'port': [22]}, {'ports': ['x']}])
def test_settings_are_checked_before_anything_is_asked(tiny: Tiny, overrides: dict[str, Any]) -> None:
    tiny.groups = None  # type: ignore[method-assign, assignment]
    refused(tiny.create_security_group('web', overrides), 'InvalidInput')
    refused(tiny.update_security_group('web', overrides), 'InvalidInput')


def test_what_only_a_new_group_is_told_can_not_be_changed(tiny: Tiny) -> None:
    ok(tiny.create_security_group('web', {'network': 'lan'}))
    refused(tiny.update_security_group('web', {'network': 'other'}), 'InvalidInput')


def test_a_group_whose_making_was_not_answered_goes_and_no_other(tiny: Tiny) -> None:
    tiny.make_group('other', [], {MARK: 'another request'}, {})
    make = tiny.make_group

    def lost(*given: Any) -> Group:
        make(*given)
        raise Unavailable('no answer')
    tiny.make_group = lost  # type: ignore[method-assign]
    refused(tiny.create_security_group('web'), 'Unavailable')
    assert tiny.list_security_groups() == ['other']


# of VMs

def test_vms_with_the_same_rules_share_a_group_which_goes_with_the_last(tiny: Tiny) -> None:
    group = tiny.shared_group([*SSH, *rules_of([80])])
    assert group.id == tiny.shared_group([*rules_of([80, 22])]).id
    assert (group.fields[MARK], MAKER in group.fields) == ('shared', True)
    ok(tiny.create_security_group('mine'))
    group.native.append('vm')
    tiny.reap_groups()
    assert len(tiny.kept) == 2
    group.native.clear()
    tiny.reap_groups()
    assert tiny.list_security_groups() == ['mine']


def test_a_group_that_another_process_makes_meanwhile_is_used(tiny: Tiny) -> None:
    def faster() -> None:
        tiny.before = list
        tiny.shared_group(SSH)
    tiny.before = faster
    assert tiny.shared_group(SSH).id == next(iter(tiny.kept))
    assert len(tiny.kept) == 1


def test_a_group_from_which_rules_are_missing_is_mended(tiny: Tiny) -> None:
    group = tiny.shared_group(rules_of([22, 80]))
    tiny.set_rules(group, SSH)
    tiny.shared_group(rules_of([22, 80]))
    assert tiny.kept[group.id].rules == rules.ordered(rules_of([22, 80]))


def test_a_group_that_somebody_opened_is_given_to_no_vm(tiny: Tiny) -> None:
    tiny.set_rules(tiny.shared_group(SSH), rules_of([22, '1-65535']))
    with pytest.raises(Conflict, match='65535'):
        tiny.shared_group(SSH)


def test_what_is_in_use_again_when_it_is_reaped_stays(tiny: Tiny) -> None:
    group = tiny.shared_group(SSH)
    tiny.unused_groups = lambda but_by=(): iter([group])  # type: ignore[method-assign]
    group.native.append('vm')
    tiny.reap_groups()
    assert tiny.kept

    def refuse(group: Group) -> None:
        raise KvirtError('broken')
    tiny.drop_group = refuse  # type: ignore[method-assign]
    with pytest.raises(KvirtError, match='broken'):
        tiny.reap_groups()


# rules as platforms write them

PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted)
RULES = st.one_of(
    st.builds(lambda protocol, ports, cidr: {'protocol': protocol, 'cidr': cidr,
                                             'from_port': ports[0], 'to_port': ports[1]},
              st.sampled_from(['tcp', 'udp']), PORTS, st.sampled_from(['0.0.0.0/0', '10.0.0.0/8', 'fd00::/8'])),
    st.builds(lambda cidr: {'protocol': 'icmp', 'cidr': cidr}, st.sampled_from(['0.0.0.0/0', '192.0.2.0/24'])))


@given(RULES)
def test_a_rule_comes_back_as_it_was_written(rule: Rule) -> None:
    assert list(rules.from_text(rule['protocol'], rules.ports_text(rule), rules.sources(rule))) == [rule]


@pytest.mark.parametrize('every', [None, '', '0', 'all', 'any'])
def test_all_ports_are_told_in_many_ways(every: str | None) -> None:
    assert list(rules.from_text('tcp', every, ['10.0.0.0/8', '::/0'])) == [
        {'protocol': 'tcp', 'cidr': cidr, 'from_port': 1, 'to_port': 65535} for cidr in ('10.0.0.0/8', '::/0')]
    assert list(rules.from_text('icmp', every, ['::/0'])) == [{'protocol': 'icmp', 'cidr': '::/0'}]


@pytest.mark.parametrize(('cidr', 'plain'), [
    ('0.0.0.0/0', ['0.0.0.0/0', '::/0']), ('192.0.2.7', ['192.0.2.7/32']), ('FD00:0:0::/48', ['fd00::/48']),
    ('sg-1', ['sg-1'])])
def test_sources_are_compared_by_what_they_mean(cidr: str, plain: list[str]) -> None:
    rule: Rule = {'protocol': 'tcp', 'from_port': 22, 'to_port': 22, 'cidr': cidr}
    assert rules.spread([rule]) == {('tcp', 22, 22, each) for each in plain}


class Telling(Tiny):
    """Groups which tell the ids of the VMs that use them."""

    users_of_group = SharedGroups.users_of_group  # type: ignore[assignment]
    unused_groups = SharedGroups.unused_groups  # type: ignore[assignment]

    def vm_names(self, ids: Collection[str]) -> dict[str, str]:
        return {'1': 'web', '2': 'db'}


def test_who_uses_a_group_is_told_by_the_group_where_it_can() -> None:
    telling = Telling()
    for name, mark, vms in (('used', 'shared', ['1']), ('free', 'shared', []), ('mine', 'r1', ['2', 'a balancer'])):
        telling.kept[name] = Group(id=name, name=name, rules=[], vms=vms, fields={MARK: mark})
    assert [group.name for group in telling.unused_groups()] == ['free']
    assert [group.name for group in telling.unused_groups(but_by=['1', '2'])] == ['used', 'free']
    refused(telling.delete_security_group('mine'), 'Conflict', names='a balancer, db')
