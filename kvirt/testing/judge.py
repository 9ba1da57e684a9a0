"""The vendor as the judge: requests and answers are compared with the vendor's own description of its API.

Descriptions are not part of kvirt: they lie in the folder that ``KVIRT_SPECS`` names. Without it there is no judge::

    judge = Judge.of('digitalocean/digitalocean-v2-bundled.json')  # None when KVIRT_SPECS is not set
    fault = judge.fault_of_request(request)  # '' when the vendor would take it
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kvirt.names import did_you_mean
from kvirt.settings import specs
from kvirt.testing.openapi import Description, Match, Node, Operation, load
from kvirt.testing.schemas import Fault, Schemas

if TYPE_CHECKING:
    from kvirt.testing.wire import Answer, Request

SIZES_AND_FORMS = ('pattern', 'format', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'minLength',
                   'maxLength', 'minItems', 'maxItems')
"""Keywords to ignore in the answers of a vendor whose description states wishes there."""

MOST = 5
"""So many faults of one message are told."""

_SEPARATORS = {'form': ',', 'simple': ',', 'spaceDelimited': ' ', 'pipeDelimited': '|'}
_JSON = re.compile(r'application/(?:[\w.+-]+\+)?json')


@dataclass(frozen=True)
class Excuse:
    """Where a description is wrong, as the real service proves.

    *operation* is a method and a path template, and *place* where the fault stands (``query.alt``, ``body.size``,
    ``answer.server``); ``*`` stands for anything in both.
    """

    operation: str
    place: str
    reason: str
    evidence: str

    def covers(self, operation: str, place: str) -> bool:
        """Tell if a fault is excused."""
        return _fits(self.operation, operation) and _fits(self.place, place)


def _fits(pattern: str, text: str) -> bool:
    return fnmatchcase(text, pattern.replace('[', '[[]'))


class Judge:
    """Says what a vendor would not take, or never answer.

    ``unknown`` collects what answers held that is not described: no fault, since vendors add fields without a word.
    *ignored* are keywords that are not checked in answers.
    """

    def __init__(self, description: Description, *, exceptions: Sequence[Excuse] = (),
                 ignored: Collection[str] = ()) -> None:
        self.description = description
        self.exceptions = tuple(exceptions)
        self.used: set[Excuse] = set()
        self.unknown: set[str] = set()
        self.asked = _schemas(description, True, frozenset())
        self.told = _schemas(description, False, frozenset(ignored))

    @classmethod
    def of(cls, description: str, *, base: str = '', exceptions: Sequence[Excuse] = (),
           ignored: Collection[str] = ()) -> Judge | None:
        """Return the judge by a description, named by its path within ``KVIRT_SPECS``; None when that is not set.

        *base* is the path before every path of the description, where that is not the one of its servers.
        """
        folder = specs()
        return None if folder is None else cls(load(folder / description, base), exceptions=exceptions, ignored=ignored)

    def fault_of_request(self, request: Request) -> str:
        """Return what is wrong with a request: method, path, place and what is wrong there; empty when nothing is."""
        match, faults = self._understand(request)
        if match is not None:
            faults += self._in_request(match, request)
        return self._sentence(request, match, faults)

    def fault_of_answer(self, request: Request, answer: Answer) -> str:
        """Return what is wrong with the answer to a request, empty when nothing is."""
        match, faults = self._understand(request)
        if match is None:
            return '' if answer.status >= 400 else self._sentence(request, match, faults)
        return self._sentence(request, match, list(self._in_answer(match.operation, request, answer)), answer.status)

    def unused(self) -> list[Excuse]:
        """Return the exceptions that excused nothing so far: the description may have been put right."""
        return [excuse for excuse in self.exceptions if excuse not in self.used]

    def _understand(self, request: Request) -> tuple[Match | None, list[Fault]]:
        """Return the operation that a request means, and what is wrong with the values in its path."""
        meanings = self.description.meanings(request.path)
        if not meanings:
            return None, [('path', 'is not described')]
        if request.method not in meanings:
            return None, [('method', f"is not described for this path, which has {', '.join(sorted(meanings))}")]
        verdicts = [(match, list(self._in_path(match))) for match in meanings[request.method]]
        return min(verdicts, key=lambda verdict: len(verdict[1]))

    def _sentence(self, request: Request, match: Match | None, faults: Iterable[Fault], status: int | None = None) -> str:
        names = (str(match.operation) if match else '', f'{request.method} {request.path}')
        found = []
        for place, message in faults:
            excuse = next((each for each in self.exceptions if any(each.covers(name, place) for name in names)), None)
            if excuse is None:
                found.append(f'{place}: {message}')
            else:
                self.used.add(excuse)
        if not found:
            return ''
        more = [f'and {len(found) - MOST} more'] if len(found) > MOST else []
        return f"{names[1]}{f' -> {status}' if status else ''}: {'; '.join(found[:MOST] + more)}"

    # requests

    def _in_path(self, match: Match) -> Iterator[Fault]:
        for parameter in match.operation.parameters:
            if parameter['in'] == 'path' and parameter['name'] in match.values:
                yield from self._value(parameter, [match.values[parameter['name']]])

    def _in_request(self, match: Match, request: Request) -> Iterator[Fault]:
        yield from self._in_query(match.operation, request)
        for parameter in match.operation.parameters:
            name = parameter['name'].lower()
            if parameter['in'] == 'header' and name not in ('accept', 'content-type', 'authorization'):
                yield from self._given(parameter, [request.headers[name]] if name in request.headers else [])
        yield from self._in_body(match.operation.body, request)

    def _in_query(self, operation: Operation, request: Request) -> Iterator[Fault]:
        left: dict[str, list[str]] = {}
        for name, value in request.query:
            left.setdefault(name, []).append(value)
        described = [parameter for parameter in operation.parameters if parameter['in'] == 'query']
        for parameter in described:
            name = parameter['name']
            if parameter.get('style') == 'deepObject':
                yield from self._members(parameter, left)
            else:
                yield from self._given(parameter, [*left.pop(name, ()), *left.pop(f'{name}[]', ())])
        for name in left:
            yield f'query.{name}', f"is not described{did_you_mean(name, (each['name'] for each in described))}"

    def _members(self, parameter: Node, left: dict[str, list[str]]) -> Iterator[Fault]:
        """Check an object that a query spells out: ``filter[name]=web&filter[size]=1``."""
        properties = (self.description.resolve(parameter.get('schema')) or {}).get('properties', {})
        for name in [name for name in left if name.startswith(f"{parameter['name']}[") and name.endswith(']')]:
            member = name[len(parameter['name']) + 1:-1]
            values = left.pop(name)
            if member in properties:
                yield from self._value({**parameter, 'name': name, 'schema': properties[member]}, values)
            else:
                yield f'query.{name}', f'is not described{did_you_mean(member, properties)}'

    def _given(self, parameter: Node, values: list[str]) -> Iterator[Fault]:
        if values:
            yield from self._value(parameter, values)
        elif parameter.get('required'):
            yield f"{parameter['in']}.{parameter['name']}", 'is missing'

    def _value(self, parameter: Node, values: Sequence[str]) -> Iterator[Fault]:
        """Check what a query, path or header says: text, which may be read as what the schema wants."""
        schema, place = parameter.get('schema'), f"{parameter['in']}.{parameter['name']}"
        for content in (parameter.get('content') or {}).values():
            yield from self.asked.verdict(content.get('schema'), values[0].encode(), place)[0]
            return
        style = parameter.get('style', 'form' if parameter['in'] == 'query' else 'simple')
        listed = list(values)
        if not parameter.get('explode', style == 'form'):
            listed = [item for value in values for item in value.split(_SEPARATORS.get(style, ','))]
        kinds = (self.description.resolve(schema) or {}).get('type', ())
        verdicts = (list(self.asked.faults(schema, reading, place)) for reading in _readings(values, listed, kinds))
        faults = next(verdicts)
        if faults and all(verdicts):
            yield from faults

    def _in_body(self, described: Node | None, request: Request) -> Iterator[Fault]:
        if not request.body:
            if described and described.get('required'):
                yield 'body', 'is missing'
        elif not described:
            if request.body.strip() not in (b'{}', b'null'):
                yield 'body', 'is not described: this request has none'
        else:
            content = _content(described, request.headers)
            if content is None:
                yield 'header.Content-Type', (f"is {_media_type(request.headers) or 'missing'} instead of "
                                              f"{' or '.join(described['content'])}")
            elif _JSON.fullmatch(_media_type(request.headers)):
                yield from self.asked.verdict(content.get('schema'), request.body, 'body')[0]

    # answers

    def _in_answer(self, operation: Operation, request: Request, answer: Answer) -> Iterator[Fault]:
        found = operation.response(answer.status)
        if found is None:
            if 200 <= answer.status < 300:
                yield 'status', f"is {answer.status}, where {', '.join(operation.responses)} are described"
            return
        described = found[1]
        if not described.get('content'):
            if answer.body and answer.status == 204:
                yield 'answer', 'has a body, and a status that says it has none'
        elif not answer.body:
            if request.method != 'HEAD' and 200 <= answer.status < 300 and answer.status != 204:
                yield 'answer', 'is empty'
        else:
            content = _content(described, answer.headers)
            if content is None:
                if answer.status < 300:
                    yield 'header.Content-Type', (f"is {_media_type(answer.headers) or 'missing'} instead of "
                                                  f"{' or '.join(described['content'])}")
            elif _JSON.fullmatch(_media_type(answer.headers)):
                faults, unknown = self.told.verdict(content.get('schema'), answer.body, 'answer')
                self.unknown.update(f'{operation} {answer.status}: {place}' for place in unknown)
                yield from faults



@lru_cache(maxsize=128)
def _schemas(description: Description, closed: bool, ignored: frozenset[str]) -> Schemas:
    return Schemas(description, closed=closed, ignored=ignored)


def _readings(values: Sequence[str], listed: Sequence[str], kinds: Collection[str]) -> list[Any]:
    """Return what text may stand for, the likeliest first: what is wrong with that is told if none is right."""
    single = [values[0], _scalar(values[0])] if len(values) == 1 else []
    several = [[_scalar(item) for item in listed], list(listed)]
    single = single if 'string' in kinds else single[::-1]
    return several + single if 'array' in kinds else single + several


def _scalar(text: str) -> Any:
    """Return the number or truth that a text spells, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) else text


def _media_type(headers: Mapping[str, str]) -> str:
    return _header(headers, 'content-type').partition(';')[0].strip().lower()


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), '')


def _content(described: Node, headers: Mapping[str, str]) -> Node | None:
    """Return what is described for the type of a body, None when nothing is."""
    given = _media_type(headers)
    return next((content for kind, content in described.get('content', {}).items()
                 if fnmatchcase(given, kind.partition(';')[0].strip().lower())), None)


__all__ = ['Excuse', 'Judge', 'SIZES_AND_FORMS']
