"""Platforms whose only marks are flat tags, which VMs and volumes can bear, and other things can not.

A tag may be there without being borne by anything. So it can keep what a thing has no room for, as a note:
``kvirt-<kind>:<text>:<text>``. What VMs share, security groups and keys, is told by a label that they bear,
``kvirt-group:<name>:<number>`` or ``kvirt-key:<name>``; the note ``kvirt-maker:<process>:<label>`` tells who made it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar

from kvirt.providers.families import marks
from kvirt.providers.families.balancers import Balancer, CloudBalancers
from kvirt.providers.families.births import GROUP, CloudCreate, Draft, Left
from kvirt.providers.families.floating import Address, Floating
from kvirt.providers.families.machines import Machine, Machines

_KVIRT = 'kvirt-'
"""What tags begin with that are no fields of a VM."""

_MAKER = f'{_KVIRT}maker:'


def to_tags(fields: Mapping[str, str], longest: int = 255) -> list[str]:
    """Return *fields* as tags, without capitals: some platforms take ``Web`` for the tag ``web`` that was there first."""
    return [_plain(tag) for tag in marks.to_tags(fields, longest=longest // 3)]


def _plain(tag: str) -> str:
    """Return a tag with its capitals escaped, as the other odd characters are."""
    return re.sub('[A-Z]', lambda match: f'_{ord(match[0]):02x}', tag)


def note(kind: str, *texts: str) -> str:
    """Return the tag that keeps one or two texts; with a name alone it is the label of what VMs share."""
    return ':'.join([f'{_KVIRT}{kind}', *(_plain(marks.encode(text, dots=False)) for text in texts)])


def noted(kind: str, tags: Iterable[str]) -> list[tuple[str, str]]:
    """Return what the notes of a *kind* among *tags* keep; the second text is empty where there is but one."""
    parts = [tag.split(':') for tag in tags if tag.startswith(f'{_KVIRT}{kind}:')]
    return [(marks.decode(first), marks.decode(rest[0]) if rest else '') for _, first, *rest in parts]


def names_of(kind: str, tags: Iterable[str]) -> list[str]:
    """Return the names of what VMs with these *tags* share."""
    return sorted(name for name, _ in noted(kind, tags))


class Tags(Machines):
    """The tags of an account over five primitives."""

    # primitives

    def counted(self) -> Mapping[str, int]:
        """Return every tag, and how many things bear it."""
        raise NotImplementedError

    def make_tag(self, name: str) -> None:
        """Make a tag that nothing bears yet. One that is there is fine."""
        raise NotImplementedError

    def drop_tag(self, name: str) -> None:
        """Remove a tag. One that is gone is fine."""
        raise NotImplementedError

    def give_tag(self, name: str, kind: str, thing_id: str) -> None:
        """Give a tag that is there to a thing, in the platform's word for its *kind*."""
        raise NotImplementedError

    def take_tag(self, name: str, kind: str, thing_id: str) -> None:
        """Take a tag from a thing."""
        raise NotImplementedError
    # for the areas beside this one

    def tag(self, names: Iterable[str], kind: str, thing_id: str) -> None:
        """Make tags, and give them to a thing."""
        for name in sorted(names):
            self.make_tag(name)
            self.give_tag(name, kind, thing_id)

    def untag(self, names: Iterable[str], kind: str, thing_id: str) -> None:
        """Take tags from a thing, and remove those that nothing bears any more."""
        for name in sorted(names):
            self.take_tag(name, kind, thing_id)
        self.forget_tags(names)

    def forget_tags(self, names: Iterable[str]) -> None:
        """Remove those of some tags that nothing bears."""
        counted = self.counted() if names else {}
        for name in sorted(counted.keys() & set(names)):
            if not counted[name]:
                self.drop_tag(name)


class NamedAddresses(Floating, Tags):
    """Floating addresses that can bear nothing: ``kvirt-ip:<name>:<address>`` keeps the name of one."""

    addresses_bear_marks = False

    def kept_names(self) -> dict[str, str]:
        """Return the names that are kept, by address."""
        return {address.replace('-', '.'): name for name, address in noted('ip', self.counted())}

    def keep_name(self, address: Address) -> None:
        self.make_tag(_named(address))

    def forget_name(self, address: Address) -> None:
        self.drop_tag(_named(address))


class NotedBalancers(CloudBalancers, Tags):
    """Load balancers that can bear nothing: ``kvirt-lb:<id>:<record>`` keeps a DNS record that was made for one."""

    balancers_bear_marks = False

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        return {marks.RECORDS: ','.join(record for its, record in noted('lb', self.counted()) if its == balancer.id)}

    def keep_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        for tag in _records(balancer, fields):
            self.make_tag(tag)

    def forget_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        for tag in _records(balancer, fields):
            self.drop_tag(tag)


class TaggedVms(CloudCreate, Tags):
    """VMs whose fields are tags, and what they share: tags tell when nobody needs that any more.

    What ``needs_of`` returns has all ``tags`` that a VM is to bear, those of what it shares included.
    """

    vm_kind: ClassVar[str]
    """The platform's word for a VM, where tags are given to one."""

    # primitives

    def drop_shared(self, kind: str, name: str, label: str) -> bool:
        """Remove the group or key of this name that is shared under a label; False when it had to stay after all."""
        raise NotImplementedError

    # what VMs bear

    def set_field(self, machine: Machine, key: str, text: str | None) -> None:
        before = {tag for tag in machine.tags if key in marks.from_tags([tag])}
        after = set(to_tags({key: text})) if text else set()
        self.tag(after - before, self.vm_kind, machine.id)
        self.untag(before - after, self.vm_kind, machine.id)

    # what VMs share

    def announce(self, label: str) -> None:
        """Say that this process is about to make what is shared under *label*."""
        maker = _plain(marks.maker(time.time()))
        self.make_tag(f'{_MAKER}{maker}:{label.removeprefix(_KVIRT)}')  # first, so that all is ours
        self.make_tag(label)

    def reap(self, tags: Iterable[str]) -> None:
        """Remove those of *tags* that nothing bears any more, and what was shared under them if kvirt made it."""
        counted = self.counted()
        makers = _makers(counted)
        for tag in sorted(set(tags)):
            if counted.get(tag) and not _is_request(tag):
                continue
            if tag in makers:
                self.unshare(tag, counted)
            elif tag in counted and not tag.startswith(note('group', '')):  # to which the user's own group is bound
                self.drop_tag(tag)

    def unshare(self, label: str, known: Iterable[str]) -> None:
        """Remove what is shared under *label*, and the tags that speak for it."""
        kind = _kind(label)
        [name] = names_of(kind, [label])
        if self.drop_shared(kind, name, label):
            self.retract(label, known)

    def retract(self, label: str, known: Iterable[str]) -> None:
        """Remove *label*, and those of the *known* tags that tell who made what is shared under it."""
        for tag in [label, *_makers(known).get(label, ())]:
            self.drop_tag(tag)

    def forget_birth(self, draft: Draft) -> None:
        self.reap(draft.needs.tags)

    def forget_vm(self, machine: Machine) -> None:
        self.reap(machine.tags)

    def left_shared(self, but_by: Collection[str]) -> list[Left]:
        """Return what no VM shares, and whose makers are gone."""
        counted, now = self.counted(), time.time()
        labels = sorted(label for label, makers in _makers(counted).items() if not counted.get(label)
                        and all(marks.abandoned(marks.decode(maker.split(':')[1]), now) for maker in makers))
        return [Left(kind=GROUP if _kind(label) == 'group' else _kind(label), name=names_of(_kind(label), [label])[0],
                     detail='made for VMs that are not there', native=label) for label in labels]

    def drop_left(self, left: Left) -> None:
        if isinstance(left.native, str):
            self.unshare(left.native, self.counted())
        else:
            super().drop_left(left)


def _named(address: Address) -> str:
    return note('ip', address.name, address.ip.replace('.', '-'))


def _records(balancer: Balancer, fields: Mapping[str, str]) -> list[str]:
    return [note('lb', balancer.id, record) for record in fields.get(marks.RECORDS, '').split(',') if record]


def _kind(label: str) -> str:
    return label.removeprefix(_KVIRT).partition(':')[0]


def _is_request(tag: str) -> bool:
    """Tell if a tag is the mark of a request. No other VM can bear it, whatever is counted."""
    return tag.startswith(f'{marks.MARK}:') and tag.count(':') == 1


def _makers(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return the notes that tell who made what, by label."""
    found: dict[str, list[str]] = {}
    for tag in tags:
        if tag.startswith(_MAKER) and tag.count(':') > 2:
            found.setdefault(_KVIRT + tag.split(':', 2)[2], []).append(tag)
    return found
