"""The judge for AWS: requests are compared with the service models that botocore brings.

botocore checks names and types of what a client sends, and no more. This reads a request back from the wire, whichever
protocol the service speaks, and checks values as well: enumerations, patterns and bounds.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from kvirt.names import did_you_mean
from kvirt.testing.judge import Excuse
from kvirt.testing.schemas import Fault
from kvirt.testing.wire import Answer

if TYPE_CHECKING:
    from kvirt.testing.wire import Request

SERVICES: Mapping[str, tuple[str, ...]] = {'elasticloadbalancing': ('elbv2', 'elb'), 'servicequotas': ('service-quotas',),
                                           'monitoring': ('cloudwatch',)}
"""By the name that requests are signed for, the services that botocore knows by other names."""

_CREDENTIAL = re.compile(r'[^/\s]+/\d{8}/[^/]*/(?P<service>[^/]+)/aws4_request')


class NotUnderstood(ValueError):
    """A request that means no operation of any service."""


@lru_cache(maxsize=32)
def model(service: str) -> Any:
    """Return botocore's model of a service, read anew: clients change the one that they are made of."""
    from botocore.loaders import create_loader
    from botocore.model import ServiceModel
    return ServiceModel(create_loader().load_service_model(service, 'service-2'), service_name=service)


class BotoJudge:
    """Says what AWS would not take. In *exceptions*, an operation is written ``ec2:RunInstances``."""

    def __init__(self, *, exceptions: Sequence[Excuse] = ()) -> None:
        self.exceptions = tuple(exceptions)

    def fault_of_call(self, service: str, operation: str, params: Mapping[str, Any]) -> str:
        """Return what is wrong with the parameters of a call; empty when nothing is."""
        described = model(service)
        if operation not in described.operation_names:
            return f'{service}:{operation} does not exist{did_you_mean(operation, described.operation_names)}'
        return self._sentence(f'{service}:{operation}', params, described.operation_model(operation).input_shape)

    def fault_of_request(self, request: Request) -> str:
        """Return what is wrong with a request, empty when nothing is."""
        try:
            return self.fault_of_call(*understood(request))
        except NotUnderstood as error:
            return f'{request}: {error}'

    def fault_of_answer(self, request: Request, answer: Answer) -> str:
        """Return why an answer can not be read by a client, empty when it can."""
        try:
            service, operation, _ = understood(request)
            _parsed(service, operation, answer)
        except NotUnderstood:
            return ''
        except _unreadable() as error:
            return f'{service}:{operation} -> {answer.status}: {error}'
        return ''

    def _sentence(self, operation: str, params: Mapping[str, Any], shape: Any) -> str:
        told = [f'{place}: {message}' for place, message in _faults(params, shape)
                if not any(excuse.covers(operation, place) for excuse in self.exceptions)]
        return f"{operation}: {'; '.join(told)}" if told else ''


def answer_of(service: str, operation: str, data: Mapping[str, Any], status: int = 200) -> Answer:
    """Return *data* as the answer of a service that speaks JSON. ValueError for what the service never answers."""
    described = model(service)
    shape = described.operation_model(operation).output_shape
    faults = [f'{place}: {message}' for place, message in _faults(data, shape)]
    if faults:
        raise ValueError(f"{service}:{operation} never answers that: {'; '.join(faults)}")
    if described.metadata['protocol'] != 'json':
        raise ValueError(f"{service} speaks {described.metadata['protocol']}, and only JSON is written here")
    kind = f"application/x-amz-json-{described.metadata['jsonVersion']}"
    answer = Answer(status, json.dumps(data, default=_plain).encode(), {'Content-Type': kind})
    read = {key: value for key, value in _parsed(service, operation, answer).items() if key != 'ResponseMetadata'}
    if json.dumps(read, default=_plain, sort_keys=True) != json.dumps(data, default=_plain, sort_keys=True):
        raise ValueError(f'{service}:{operation}: a client would read {read}')
    return answer


def _plain(value: Any) -> Any:
    """Return what JSON has for a value: seconds for a time, base64 for bytes."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f'{value!r} has no form in JSON')


def _parsed(service: str, operation: str, answer: Answer) -> Any:
    from botocore.compat import HTTPHeaders
    from botocore.parsers import create_parser
    described = model(service)
    headers = HTTPHeaders()
    for key, value in answer.headers.items():
        headers[key] = value
    called = described.operation_model(operation)
    body = b'' if called.has_streaming_output and answer.status < 300 else answer.body  # what a file holds is its own
    return create_parser(described.metadata['protocol']).parse(
        {'status_code': answer.status, 'headers': headers, 'body': body}, called.output_shape)


def _unreadable() -> type[Exception]:
    from botocore.parsers import ResponseParserError
    return ResponseParserError  # type: ignore[no-any-return, unused-ignore]


# values

def _faults(params: Mapping[str, Any], shape: Any) -> Iterator[Fault]:
    from botocore.validate import ParamValidator
    if shape is None:
        yield from ((name, 'is not described: nothing is') for name in params)
        return
    report = ParamValidator().validate(dict(params), shape).generate_report()
    yield from (('parameters', line) for line in report.splitlines())
    yield from _values(params, shape, '')


def _joined(place: str, name: str) -> str:
    return f'{place}.{name}'.lstrip('.')


def _values(value: Any, shape: Any, place: str) -> Iterator[Fault]:
    """Yield what botocore lets pass: values that are none of those allowed, too long, too large or of another form."""
    kind = shape.type_name
    if kind == 'structure' and isinstance(value, Mapping):
        for name in value.keys() & shape.members.keys():
            yield from _values(value[name], shape.members[name], _joined(place, name))
    elif kind == 'list' and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _values(item, shape.member, f'{place}[{index}]')
    elif kind == 'map' and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _values(item, shape.value, _joined(place, str(name)))
    elif kind == 'string' and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield place, f'{value!r} is none of the {len(shape.enum)} that there are{did_you_mean(value, shape.enum)}'
        if not _matches(shape.metadata.get('pattern'), value):
            yield place, f"{value[:80]!r} does not match {shape.metadata['pattern']}"
    highest = shape.metadata.get('max')
    if highest is not None:
        size = value if isinstance(value, (int, float)) else len(value) if hasattr(value, '__len__') else 0
        if size > highest:
            yield place, f'is {size}, and {highest} is the most'


def _matches(pattern: str | None, value: str) -> bool:
    try:
        return not pattern or re.search(pattern, value) is not None
    except re.error:  # the models are written for another dialect
        return True


# reading requests

def understood(request: Request) -> tuple[str, str, dict[str, Any]]:
    """Return the service, the operation and the parameters that a request means. NotUnderstood."""
    signed = _CREDENTIAL.search(f"{request.headers.get('authorization', '')} {request.asked('X-Amz-Credential')}")
    if signed is None:
        raise NotUnderstood('is not signed')
    form = dict(parse_qsl(request.body.decode('utf-8', 'replace'), keep_blank_values=True)
                if 'form-urlencoded' in request.headers.get('content-type', '') else request.query)
    names = SERVICES.get(signed['service'], (signed['service'],))
    service = next((name for name in names if form.get('Version', '') == model(name).api_version), names[0])
    described = model(service)
    protocol = described.metadata['protocol']
    if protocol == 'json':
        operation = request.headers.get('x-amz-target', '').rpartition('.')[2]
        return service, operation, request.json or {}
    if protocol in ('ec2', 'query'):
        operation = form.get('Action', '')
        given = _tree({key: value for key, value in form.items() if key not in ('Action', 'Version')})
        shape = described.operation_model(operation).input_shape if operation in described.operation_names else None
        return service, operation, _from_form(given, shape, protocol) if shape is not None else given
    return service, *_from_rest(described, request)


def _tree(form: Mapping[str, str]) -> dict[str, Any]:
    """Return ``{'Filter.1.Name': 'x'}`` as nested dicts."""
    tree: dict[str, Any] = {}
    for key, value in form.items():
        *path, last = key.split('.')
        node = tree
        for part in path:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[last] = value
    return tree


def _from_form(node: Any, shape: Any, protocol: str) -> Any:
    """Return what a part of a form means for *shape*; what it does not describe keeps its name."""
    kind = shape.type_name
    if kind == 'structure' and isinstance(node, dict):
        names = {_form_key(name, member, protocol): name for name, member in shape.members.items()}
        return {names.get(key, key): _from_form(value, shape.members[names[key]], protocol) if key in names else value
                for key, value in node.items()}
    if kind == 'list':
        if node == '':
            return []  # how an empty list is written
        flat = protocol == 'ec2' or shape.serialization.get('flattened')
        inner = shape.member.serialization.get('name', 'member')
        items = node if flat or not isinstance(node, dict) else node.get(inner, {})
        if isinstance(items, dict):
            return [_from_form(items[key], shape.member, protocol) for key in sorted(items, key=int)]
    if kind == 'map' and isinstance(node, dict):
        entries = node if shape.serialization.get('flattened') else node.get('entry', {})
        key, value = (part.serialization.get('name', word) for part, word in ((shape.key, 'key'), (shape.value, 'value')))
        return {entry.get(key, ''): _from_form(entry.get(value), shape.value, protocol) for entry in entries.values()}
    return _scalar(node, kind)


def _form_key(name: str, member: Any, protocol: str) -> str:
    told = member.serialization
    if protocol == 'ec2':
        key = told.get('queryName') or told.get('name') or name
        return key if 'queryName' in told else key[0].upper() + key[1:]
    if member.type_name == 'list' and told.get('flattened') and member.member.serialization.get('name'):
        return str(member.member.serialization['name'])
    return str(told.get('name', name))


def _scalar(text: Any, kind: str) -> Any:
    """Return a text as what it stands for, or as it is where it does not."""
    if not isinstance(text, str):
        return text
    try:
        if kind in ('integer', 'long'):
            return int(text)
        if kind in ('float', 'double'):
            return float(text)
        if kind == 'boolean':
            return {'true': True, 'false': False}.get(text.lower(), text)
        return base64.b64decode(text, validate=True) if kind == 'blob' else text
    except ValueError:
        return text


# REST, with XML or JSON in the bodies

def _from_rest(described: Any, request: Request) -> tuple[str, dict[str, Any]]:
    best: tuple[int, str, Any, re.Match[str]] | None = None
    query = dict(request.query)
    for name in described.operation_names:
        operation = described.operation_model(name)
        path, _, fixed = operation.http['requestUri'].partition('?')
        match = _uri(path).fullmatch(request.path) if operation.http['method'] == request.method else None
        constants = dict(parse_qsl(fixed, keep_blank_values=True))
        if match is None or not constants.items() <= query.items():
            continue
        required = {(member.serialization['location'], member.serialization.get('name', key).lower())
                    for key, member in _members(operation) if key in operation.input_shape.required_members
                    and member.serialization.get('location') in ('querystring', 'header')}
        there = {('querystring', key.lower()) for key in query} | {('header', key) for key in request.headers}
        score = 10 * len(constants) + len(required)
        if required <= there and (best is None or score > best[0]):
            best = score, name, operation, match
    if best is None:
        raise NotUnderstood(f"no operation of {described.service_name} is called like that")
    read = _from_json if described.metadata['protocol'] == 'rest-json' else _from_xml_text
    return best[1], _rest_params(best[2], best[3].groupdict(), query, request, read)


def _members(operation: Any) -> Iterator[tuple[str, Any]]:
    yield from operation.input_shape.members.items() if operation.input_shape is not None else ()


@lru_cache(maxsize=1024)
def _uri(template: str) -> re.Pattern[str]:
    pattern = ''.join(f'(?P<{part[1:-1].rstrip("+")}>{".+" if part.endswith("+}") else "[^/]+"})' if part[:1] == '{'
                      else re.escape(part) for part in re.split(r'(\{[^}]+\})', template))
    return re.compile(pattern.rstrip('/') + '/?')


def _rest_params(operation: Any, values: Mapping[str, str], query: Mapping[str, str], request: Request,
                 read: Callable[[bytes, Any], Any]) -> dict[str, Any]:
    shape = operation.input_shape
    if shape is None:
        return {}
    params: dict[str, Any] = {}
    payload = shape.serialization.get('payload')
    for name, member in shape.members.items():
        told = member.serialization
        place, key = told.get('location'), told.get('name', name)
        if place == 'uri' and key in values:
            params[name] = _scalar(unquote(values[key]), member.type_name)
        elif place == 'querystring' and key in query:
            found = [value for asked, value in request.query if asked == key]
            params[name] = found if member.type_name == 'list' else _scalar(query[key], member.type_name)
        elif place == 'header' and key.lower() in request.headers:
            params[name] = _scalar(request.headers[key.lower()], member.type_name)
        elif name == payload and request.body:
            kind = member.type_name
            params[name] = read(request.body, member) if kind == 'structure' else \
                request.body.decode() if kind == 'string' else request.body
    if not payload and request.body:
        params.update(read(request.body, shape))
    return params


def _from_json(body: bytes, shape: Any) -> Any:
    """Return what a JSON body means; what the shape does not describe keeps its name."""
    names = {member.serialization.get('name', name): name for name, member in shape.members.items()}
    return {names.get(key, key): value for key, value in json.loads(body).items()}


def _from_xml_text(body: bytes, shape: Any) -> Any:
    return _from_xml(ElementTree.fromstring(body), shape)


def _from_xml(element: ElementTree.Element, shape: Any) -> Any:
    kind = shape.type_name
    if kind == 'structure':
        found: dict[str, Any] = {}
        names = {(member.member.serialization.get('name') if _flat(member) else None)
                 or member.serialization.get('name', name): name for name, member in shape.members.items()
                 if 'location' not in member.serialization}
        for child in element:
            tag = child.tag.rpartition('}')[2]
            name = names.get(tag, tag)
            member = shape.members.get(name)
            if member is None:
                found[name] = child.text
            elif _flat(member):
                found.setdefault(name, []).append(_from_xml(child, member.member))
            else:
                found[name] = _from_xml(child, member)
        return found
    if kind == 'list':
        return [_from_xml(child, shape.member) for child in element]
    return _scalar(element.text or '', kind)


def _flat(shape: Any) -> bool:
    return shape.type_name == 'list' and bool(shape.serialization.get('flattened'))


__all__ = ['BotoJudge', 'answer_of']
