"""Clouds that are only pretended, for tests: stateful, slow to change, with small pages.

Subclass :class:`FakeCloud`, write a method for each route, and serve it with :class:`kvirt.testing.wire.Wire`::

    class Toy(FakeCloud):
        prefix = '/v1'

        @route('POST', '/servers')
        def create_server(self, request):
            server = self.add('servers', {'name': request.json['name'], 'status': 'off'})
            self.become(server, status=('starting', 'running'))
            return {'server': server}, 201

        @route('GET', '/servers/{id}')
        def server(self, request, id):
            return {'server': self.look('servers', id)}

What is deleted is gone; what is made is not ready at once: a change is complete after it was looked at ``slow`` times, so
no test waits for a clock.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from kvirt.testing.wire import Answer, Request

Thing = dict[str, Any]


class Refusal(Exception):
    """An answer that says no. *code* and *message* are put where the cloud has them, by its ``refusal``."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def route(method: str, template: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a method answer requests for *template*, whose ``{parts}`` it is given by name.

    It returns data (200, or 204 for None), data and a status, or an Answer; or it raises Refusal.
    """
    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.routes = [*getattr(function, 'routes', ()), (method, template)]  # type: ignore[attr-defined]
        return function
    return mark


class FakeCloud:
    """A cloud in memory. Its things are dicts in ``things[kind][id]``, in the shape of the vendor's own answers."""

    prefix: ClassVar[str] = ''
    """What stands before each route."""

    token: ClassVar[str | None] = None
    """The bearer token that requests must have, None for any."""

    slow: int = 2
    """How many looks at a thing it takes until a change of it is complete."""

    page: int = 2
    """The most things on a page."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Thing]] = {}
        self._number = 1000
        self._changes: list[_Change] = []
        self._lock = threading.RLock()
        self._routes = list(self._compiled())

    def _compiled(self) -> Iterator[tuple[str, re.Pattern[str], Callable[..., Any]]]:
        found: list[tuple[int, str, str, Callable[..., Any]]] = []
        for name in dir(type(self)):
            for method, template in getattr(getattr(type(self), name), 'routes', ()):
                # The one with fewer open parts is the more precise one: /servers/actions before /servers/{id}.
                pattern = re.sub(r'\{(\w+)\}', r'(?P<\1>[^/]+)', self.prefix + template)
                found.append((template.count('{'), method, pattern, getattr(self, name)))
        for _, method, pattern, function in sorted(found, key=lambda each: each[0]):
            yield method, re.compile(pattern), function

    def __call__(self, request: Request) -> Answer:
        """Answer *request*, one at a time."""
        with self._lock:
            try:
                self.admit(request)
                return self._answer(request)
            except Refusal as no:
                return Answer.of(self.refusal(no), no.status)

    def _answer(self, request: Request) -> Answer:
        known = False
        for method, pattern, function in self._routes:
            match = pattern.fullmatch(request.path)
            known = known or match is not None
            if match and method == request.method:
                told = function(request, **match.groupdict())
                if isinstance(told, Answer):
                    return told
                data, status = told if isinstance(told, tuple) else (told, 200)
                return Answer.of(copy.deepcopy(data), status)
        raise Refusal(405 if known else 404, 'not_found', f'no such route: {request}')

    # what a cloud may override

    def admit(self, request: Request) -> None:
        """Refuse a request without the right token."""
        if self.token is not None and request.headers.get('authorization') != f'Bearer {self.token}':
            raise Refusal(401, 'unauthorized', 'unable to authenticate')

    def refusal(self, no: Refusal) -> Any:
        """Return the body of an answer that says no."""
        return {'error': {'code': no.code, 'message': no.message, **no.more}}

    # things

    def number(self) -> int:
        """Return a number that nothing has yet."""
        self._number += 1
        return self._number

    def add(self, kind: str, thing: Thing, *, key: str = 'id') -> Thing:
        """Keep *thing*; it gets a number as its ``id`` if it has none."""
        if key == 'id':
            thing = {'id': self.number(), **thing}
        self.things.setdefault(kind, {})[str(thing[key])] = thing
        return thing

    def all(self, kind: str) -> list[Thing]:
        """Return the things of a kind, oldest first, after a look at each."""
        things = list(self.things.get(kind, {}).values())
        for thing in things:
            self._looked(thing)
        return [thing for thing in things if thing in self.things.get(kind, {}).values()]

    def look(self, kind: str, key: Any) -> Thing:
        """Return a thing after a look at it. Refusal 404."""
        thing = self.get(kind, key)
        self._looked(thing)
        return self.get(kind, key)

    def get(self, kind: str, key: Any) -> Thing:
        """Return a thing without looking at it. Refusal 404."""
        try:
            return self.things[kind][str(key)]
        except KeyError:
            raise Refusal(404, 'not_found', f'{kind} {key} not found') from None

    def drop(self, kind: str, key: Any) -> Thing:
        """Remove a thing. Refusal 404."""
        thing = self.get(kind, key)
        del self.things[kind][str(key)]
        self._changes = [change for change in self._changes if change.thing is not thing]
        return thing

    def find(self, kind: str, **fields: Any) -> Thing | None:
        """Return the first thing of a kind with these fields, without a look at it."""
        return next((thing for thing in self.things.get(kind, {}).values()
                     if all(thing.get(key) == value for key, value in fields.items())), None)

    # changes that take time

    def become(self, thing: Thing, after: Callable[[], object] | None = None, **fields: tuple[Any, Any]) -> None:
        """Give each field its first value now, and its second one when *thing* was looked at ``slow`` times.

        *after* is called then: ``lambda: self.drop('servers', id)`` for what goes away.
        """
        for key, (now, _) in fields.items():
            thing[key] = now
        self._changes.append(_Change(thing, {key: last for key, (_, last) in fields.items()}, self.slow, after))
        if self.slow == 0:
            self._looked(thing)

    def changing(self, thing: Thing) -> bool:
        """Tell if a change of *thing* is under way."""
        return any(change.thing is thing for change in self._changes)

    def settle(self) -> None:
        """Complete every change that is under way."""
        while self._changes:
            self._complete(self._changes[0])

    def _looked(self, thing: Thing) -> None:
        for change in [change for change in self._changes if change.thing is thing]:
            change.looks -= 1
            if change.looks < 0 or self.slow == 0:
                self._complete(change)

    def _complete(self, change: _Change) -> None:
        self._changes.remove(change)
        change.thing.update(change.fields)
        if change.after:
            change.after()

    # pages

    def paged(self, request: Request, things: Iterable[Thing], *, size: str = 'per_page') -> tuple[list[Thing], int, int]:
        """Return a page of *things*, its number and that of the last one. No page is larger than ``page``."""
        known = list(things)
        number = max(1, int(request.asked('page') or 1))
        length = min(self.page, int(request.asked(size) or self.page))
        last = max(1, -(-len(known) // length))
        return known[(number - 1) * length:number * length], number, last


class _Change:
    def __init__(self, thing: Thing, fields: Thing, looks: int, after: Callable[[], object] | None) -> None:
        self.thing, self.fields, self.looks, self.after = thing, fields, looks, after
