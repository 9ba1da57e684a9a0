"""What speaks as EC2 does, and the services around it: lists in pages, filters, tags, what takes a while to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from kvirt.errors import Conflict, NotFound
from kvirt.providers.families import boto
from kvirt.providers.families.machines import Machines
from kvirt.providers.families.marks import MAKER, MARK
from kvirt.wait import until

T = TypeVar('T')
Filters = Mapping[str, Sequence[str]]
"""What is looked for: ``{'tag:plan': ['web']}``. What is a pattern to EC2 is taken literally."""

_TAG_CHARACTERS = 256


class Ec2(Machines):
    """A platform where what was made takes a while to be there, and bears the mark of its maker until it is complete."""

    @staticmethod
    def completed(ec2: Any, *things: str) -> None:
        """Take the mark of the maker off *things* (ids) that are complete: without it, they are no orphans."""
        ec2.delete_tags(Resources=list(things), Tags=[{'Key': MAKER}])

    def await_state(self, ec2: Any, kind: str, thing: str, wanted: str, *, seconds: float, interval: float = 5.0) -> None:
        """Wait until a *kind* of thing (image, snapshot, volume), given by its id, is *wanted*. Conflict when it failed."""
        def reached() -> bool:
            found = list(described(ec2, kind, {f'{kind}-id': [thing]}))
            states = {each['State'] for each in found}
            if states & {'error', 'failed', 'invalid'}:
                told = found[0].get('StateMessage') or found[0].get('StateReason')
                raise Conflict(f'{kind} {thing} failed{f": {told}" if told else ""}')
            return states == {wanted}
        until(reached, what=f'{kind} {thing} becoming {wanted}', timeout=seconds, interval=interval, clock=self.clock)

    def soon(self, call: Callable[[], T]) -> T:
        """Call as soon as all of EC2 knows what was made a moment ago."""
        return boto.patiently(call, NotFound, what='what was just made being known', clock=self.clock)

    def patiently(self, what: str, call: Callable[[], T], *, seconds: float,
                  passing: boto.Kind | tuple[boto.Kind, ...] = Conflict) -> T:
        """Call as soon as EC2 has let go of what it still holds: while it fails with *passing*. TimedOut."""
        return boto.patiently(call, passing, what=what, clock=self.clock, timeout=seconds)


# lists

def pages(client: Any, operation: str, key: str, filters: Filters | None = None, size: int | None = None,
          **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield what is under *key* on all pages (of *size*) of an *operation* of a client."""
    if filters:
        arguments['Filters'] = [{'Name': name, 'Values': [literal(value) for value in values]}
                                for name, values in filters.items()]
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(PaginationConfig={'PageSize': size}, **arguments):
            yield from page.get(key, ())
    else:
        yield from getattr(client, operation)(**arguments).get(key, ())


def described(ec2: Any, kind: str, filters: Filters | None = None, size: int | None = None,
              **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield what there is of a *kind* of thing (``route_table``), as EC2 describes it; see :func:`pages`."""
    return pages(ec2, f'describe_{kind}s', f"{kind.title().replace('_', '')}s", filters, size, **arguments)


def bearing(request: str) -> dict[str, list[str]]:
    """Return the filter for what bears the mark of a *request*."""
    return {f'tag:{MARK}': [request]}


def literal(text: str) -> str:
    """Return *text* as a filter of EC2 takes it, to which ``*`` and ``?`` are patterns."""
    return text.replace('\\', '\\\\').replace('*', '\\*').replace('?', '\\?')


# tags

def tags_of(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a thing; a text that was spread over several is put together."""
    tags = {tag['Key']: tag['Value'] for tag in thing.get('Tags') or ()}
    fields = {}
    for key, value in tags.items():
        first, _, number = key.rpartition('.')
        if first in tags and number.isdigit():
            continue
        part = 1
        while f'{key}.{part}' in tags:
            value += tags[f'{key}.{part}']
            part += 1
        fields[key] = value
    return fields


def to_tags(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """Return *fields* as tags. What is longer than a tag may be goes on in ``key.1``, ``key.2``, ..."""
    return [{'Key': f'{key}.{start // _TAG_CHARACTERS}' if start else key, 'Value': value[start:start + _TAG_CHARACTERS]}
            for key, value in fields.items() for start in range(0, max(len(value), 1), _TAG_CHARACTERS)]


def retag(ec2: Any, thing: Mapping[str, Any], native: str, key: str, text: str | None) -> None:
    """Let *text* stand under *key* on a thing, given by its id as well; nothing when *text* is None."""
    tags = [] if text is None else to_tags({key: text})
    if tags:
        ec2.create_tags(Resources=[native], Tags=tags)
    # What is left of a longer text goes after the new one stands, so that a reader never finds nothing.
    left = {tag['Key'] for tag in to_tags({key: tags_of(thing).get(key, '')})} - {tag['Key'] for tag in tags}
    there = {tag['Key'] for tag in thing.get('Tags', ())}
    if left & there:
        ec2.delete_tags(Resources=[native], Tags=[{'Key': each} for each in sorted(left & there)])


def marked(kind: str, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the ``TagSpecifications`` of a thing of a *kind* that is about to be made."""
    return [{'ResourceType': kind, 'Tags': to_tags(fields)}]


def name_of(thing: Mapping[str, Any]) -> str | None:
    """Return the name of a thing, None when it has none."""
    return tags_of(thing).get('Name') or None


# making

def made_once(ec2: Any, kind: str, marks: Mapping[str, str], **arguments: Any) -> dict[str, Any]:
    """Make a *kind* of thing (``route_table``) and return it. One that an attempt made whose answer was lost is deleted."""
    word, title = kind.replace('_', '-'), kind.title().replace('_', '')
    answer = getattr(ec2, f'create_{kind}')(TagSpecifications=marked(word, marks), **arguments)
    made: dict[str, Any] = answer[title]
    if boto.retried(answer):
        native = f'{title}Id'
        for twin in list(described(ec2, kind, bearing(marks[MARK]))):
            if twin[native] != made[native]:
                getattr(ec2, f'delete_{kind}')(**{native: twin[native]})
    return made
