"""The judge: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvirt.settings import specs
from kvirt.testing import openapi
from kvirt.testing.judge import SIZES_AND_FORMS, Excuse, Judge
from kvirt.testing.openapi import Description
from kvirt.testing.schemas import Schemas
from kvirt.testing.wire import Answer, Request

TOY = Path(__file__).parent / 'toycloud.yaml'
PROJECT = '0b5d2b3e-2f1c-4a8e-9a39-4f3a8f2d8f10'
JSON = {'content-type': 'application/json'}
SERVER = {'id': 7, 'name': 'web', 'status': 'on'}


@pytest.fixture(scope='module')
def toy() -> Judge:
    return Judge(openapi.load(TOY))


def get(path: str, *query: tuple[str, str], method: str = 'GET') -> Request:
    return Request(method, path, list(query))


def send(data: Any, path: str = '/v1/servers', method: str = 'POST', **headers: str) -> Request:
    return Request(method, path, [], {**JSON, 'x-project': PROJECT, **headers}, json.dumps(data).encode())


def new(**more: Any) -> Request:
    return send({'name': 'web', 'size': 2, **more})


# requests

@pytest.mark.parametrize('request_', [
    get('/v1/servers'),
    get('/v1/servers', ('page', '2'), ('status', 'on'), ('status', 'off'), ('ids', '1,2'), ('filter[name]', 'x'),
        ('all', 'true')),
    get('/v1/servers', ('status[]', 'on'), ('ids', '7')),
    get('/v1/servers/7'), get('/v1/servers/7', method='DELETE'), get('/v1/servers/web', method='HEAD'),
    get('/v1/servers/limits', ('zone', 'a')),
    new(), new(image=3), new(image={'slug': 'x', 'arch': 'y'}), new(labels={'any': 'thing'}, anything={'at': {'all': 1}}),
    new(nothing={}, mixed=[1], note=None, address='10.0.0.1', weight=1.5, options={'quick': True, 'slow': False}),
    new(owner=None), new(owner={'name': 'me', 'mail': 'x'}),
    new(parent={'name': 'up', 'size': 3, 'parent': {'name': 'top', 'size': 4}}, disks=[{'size': 1}, {}]),
    send({'type': 'stop'}, '/v1/servers/7/actions'), send({'type': 'resize', 'size': 3}, '/v1/servers/7/actions'),
    send({'name': 'web', 'status': 'off', 'secret': 'x'}, '/v1/servers/7', 'PUT',
         **{'content-type': 'application/json; charset=utf-8'}),
    Request('PUT', '/v1/images/7:upload', [], {'content-type': 'application/octet-stream'}, b'\0\1'),
    send({}, '/v1/servers/7', 'DELETE'),
], ids=str)
def test_what_is_described_is_taken(toy: Judge, request_: Request) -> None:
    assert toy.fault_of_request(request_) == ''


@pytest.mark.parametrize(('request_', 'fault'), [
    (get('/v1/server'), 'GET /v1/server: path: is not described'),
    (get('/servers'), 'path: is not described'),
    (get('/v1/servers/'), 'path: is not described'),
    (get('/v1/servers/7', method='PATCH'), 'method: is not described for this path, which has DELETE, GET, HEAD, PUT'),
    (get('/v1/servers/limits', method='DELETE'), 'method: is not described for this path, which has GET'),
    (get('/v1/servers/web'), "GET /v1/servers/web: path.id: 'web' is not of type 'integer'"),
    (get('/v1/servers/limits'), 'query.zone: is missing'),
    (get('/v1/servers/limits', ('zone', 'c')), "query.zone: 'c' is not one of ['a', 'b']"),
    (get('/v1/servers', ('pgae', '2')), "query.pgae: is not described, did you mean 'page'?"),
    (get('/v1/servers', ('page', 'two')), "query.page: 'two' is not of type 'integer'"),
    (get('/v1/servers', ('page', '1'), ('page', '2')), "query.page: [1, 2] is not of type 'integer'"),
    (get('/v1/servers', ('page', '0')), 'query.page: 0 is less than the minimum of 1'),
    (get('/v1/servers', ('status', 'on'), ('status', 'odd')), "query.status[1]: 'odd' is not one of ['on', 'off']"),
    (get('/v1/servers', ('ids', '1,x')), "query.ids[1]: 'x' is not of type 'integer'"),
    (get('/v1/servers', ('filter[nam]', 'x')), "query.filter[nam]: is not described, did you mean 'name'?"),
    (get('/v1/servers', ('all', 'True')), "query.all: 'True' is not of type 'boolean'"),
    (send({}), "body: 'name' is a required property; body: 'size' is a required property"),
    (Request('POST', '/v1/servers', [], {}, b''), 'header.X-Project: is missing; body: is missing'),
    (send({'name': 'web', 'size': 2}, **{'x-project': 'mine'}), "header.X-Project: 'mine' is not a 'uuid'"),
    (send({'name': 'web'}, **{'content-type': 'text/xml'}), 'header.Content-Type: is text/xml instead of application/json'),
    (Request('POST', '/v1/servers', [], {**JSON, 'x-project': PROJECT}, b'{'), 'body: is no JSON'),
    (send({'x': 1}, '/v1/servers/7', 'DELETE'), 'body: is not described: this request has none'),
    (new(nmae='web'), "POST /v1/servers: body.nmae: is not described"),
    (new(image={'slug': 'x', 'arhc': 'y'}), 'body.image.arhc: is not described'),
    (new(image={'arch': 'y'}), "body.image: 'slug' is a required property"),
    (new(labels={'a': 1}), "body.labels.a: 1 is not of type 'string'"),
    (new(nothing={'a': 1}), 'body.nothing.a: is not described'),
    (new(options={'slwo': True}), "body.options.slwo: is not described"),
    (new(parent={'name': 'up', 'size': 3, 'parent': {'name': 'top', 'size': 4, 'odd': 1}}),
     'body.parent.parent.odd: is not'),
    (new(disks=[{}, {'sise': 1}]), "body.disks[1].sise: is not described, did you mean 'size'?"),
    (new(disks=[{}, {}, {}]), 'body.disks: [{}, {}, {}] is too long'),
    (new(owner={'name': 'me', 'male': 'x'}), "body.owner.male: is not described, did you mean 'mail'?"),
    (new(owner={'mail': 'x'}), "body.owner: 'name' is a required property"),
    (new(id=3), 'body.id: is read-only'),
    (new(size=1), 'body.size: 1 is less than or equal to the minimum of 1'),
    (new(size='2'), "body.size: '2' is not of type 'integer'"),
    (new(weight='2'), "body.weight: '2' is not of type 'number'"),
    (new(address='10.0.0.256'), "body.address: '10.0.0.256' is not a 'ipv4'"),
    (new(size=None), "body.size: None is not of type 'integer'"),
    (send({'name': 'Web', 'size': 2}), "body.name: 'Web' does not match '^[a-z]+$'"),
    (send({'type': 'resize'}, '/v1/servers/7/actions'), "body: 'size' is a required property"),
    (send({'type': 'stop', 'size': 3}, '/v1/servers/7/actions'), 'body.size: is not described'),
], ids=str)
def test_what_is_not_described_is_a_fault(toy: Judge, request_: Request, fault: str) -> None:
    told = toy.fault_of_request(request_)
    assert fault in told
    assert told.startswith(f'{request_.method} {request_.path}: ')
    assert told.count(': ') - fault.count('\n') >= fault.count(': ')


def test_one_wrong_thing_is_told_once(toy: Judge) -> None:
    """What stands beside a fault is not called unknown because the part that describes it did not fit."""
    assert toy.fault_of_request(new(size='x', image=3, labels={})) == (
        "POST /v1/servers: body.size: 'x' is not of type 'integer'")


def test_many_faults_are_cut_short(toy: Judge) -> None:
    told = toy.fault_of_request(get('/v1/servers', *((f'x{number}', '') for number in range(9))))
    assert told.endswith('query.x4: is not described; and 4 more')


# answers

@pytest.mark.parametrize(('request_', 'answer'), [
    (get('/v1/servers'), Answer.of({'servers': [SERVER, {**SERVER, 'nets': None, 'made': '2024-01-01T00:00:00Z'}]})),
    (get('/v1/servers/7'), Answer.of({**SERVER, 'status': None})),
    (get('/v1/servers/7', method='DELETE'), Answer(204)),
    (get('/v1/servers/7', method='DELETE'), Answer.of({'any': 'text'}, 404)),
    (get('/v1/servers'), Answer.of({'error': 'no'}, 422)), (get('/v1/servers'), Answer(500, b'<html>')),
    (new(), Answer.of({'server': SERVER}, 201)), (new(), Answer.of({'error': 'no'}, 409)),
    (get('/v1/nowhere'), Answer(404)), (get('/v1/servers/web', method='HEAD'), Answer()),
    (get('/v1/servers/limits', ('zone', 'a')), Answer.of({'servers': 3})),
], ids=str)
def test_an_answer_as_described_is_right(toy: Judge, request_: Request, answer: Answer) -> None:
    assert toy.fault_of_answer(request_, answer) == ''


@pytest.mark.parametrize(('request_', 'answer', 'fault'), [
    (get('/v1/servers'), Answer.of({}), "GET /v1/servers -> 200: answer: 'servers' is a required property"),
    (get('/v1/servers'), Answer.of({'servers': [{**SERVER, 'id': '7'}]}),
     "answer.servers[0].id: '7' is not of type 'integer'"),
    (get('/v1/servers'), Answer.of({'servers': [{**SERVER, 'made': 'now'}]}),
     "answer.servers[0].made: 'now' is not a 'date-time'"),
    (get('/v1/servers'), Answer.of({'message': 'no'}, 422),
     "GET /v1/servers -> 422: answer: 'error' is a required property"),
    (get('/v1/servers'), Answer.of({'servers': []}, 206), 'status: is 206, where 200, 4XX are described'),
    (new(), Answer.of({'server': SERVER}, 200), 'status: is 200, where 201, default are described'),
    (get('/v1/servers'), Answer(200, b'[', {'Content-Type': 'application/json'}), 'answer: is no JSON'),
    (get('/v1/servers'), Answer(200, b'x', {'Content-Type': 'text/html'}), 'is text/html instead of application/json'),
    (get('/v1/servers'), Answer(), 'answer: is empty'),
    (get('/v1/servers/7', method='DELETE'), Answer(204, b'x'), 'answer: has a body'),
    (get('/v1/servers/limits', ('zone', 'a')), Answer.of({'servers': 'x'}), "answer.servers: 'x' is not of type 'integer'"),
    (get('/v1/nowhere'), Answer(), 'GET /v1/nowhere: path: is not described'),
], ids=str)
def test_an_answer_that_the_vendor_never_gives_is_a_fault(toy: Judge, request_: Request, answer: Answer,
                                                          fault: str) -> None:
    assert fault in toy.fault_of_answer(request_, answer)


def test_what_an_answer_says_beyond_its_description_is_listed() -> None:
    judge = Judge(openapi.load(TOY))
    told = {'servers': [{**SERVER, 'new': 1, 'nets': [{'mac': 'x', 'mtu': 9}]}], 'meta': {'total': 1}}
    assert judge.fault_of_answer(get('/v1/servers'), Answer.of(told)) == ''
    assert judge.unknown == {f'GET /servers 200: {place}' for place in ('servers[].new', 'servers[].nets[].mtu', 'meta')}


def test_keywords_can_be_ignored_in_answers_only() -> None:
    judge = Judge(openapi.load(TOY), ignored=SIZES_AND_FORMS)
    assert judge.fault_of_answer(get('/v1/servers'), Answer.of({'servers': [{**SERVER, 'made': 'now'}]})) == ''
    assert judge.fault_of_request(new(address='x')) != ''


# exceptions

def test_an_exception_excuses_what_it_names_and_no_more() -> None:
    alt = Excuse('GET *', 'query.alt', 'every request may have it', 'seen in each request of its own client')
    port = Excuse('POST /servers', 'body.disks[*].port', 'it is left out of the description', 'recorded 2024-01-01')
    judge = Judge(openapi.load(TOY), exceptions=[alt, port])
    assert judge.unused() == [alt, port]
    assert judge.fault_of_request(get('/v1/servers', ('alt', 'json'))) == ''
    assert judge.unused() == [port]
    assert judge.fault_of_request(new(disks=[{'port': 1}])) == ''
    assert 'query.alt: ' in judge.fault_of_request(Request('POST', '/v1/servers', [('alt', 'json')]))
    assert 'body.port: ' in judge.fault_of_request(new(port=1))
    both = get('/v1/servers', ('alt', ''), ('x', ''))
    assert judge.fault_of_request(both) == 'GET /v1/servers: query.x: is not described'


# reading

def test_the_path_before_all_paths_can_be_given() -> None:
    judge = Judge(openapi.load(TOY, '/toy'))
    assert judge.fault_of_request(get('/toy/servers')) == ''
    assert judge.fault_of_request(get('/v1/servers')) != ''


def test_versions_that_an_operation_adds_are_known() -> None:
    description = Description({'servers': [{'url': 'https://x/v1'}], 'paths': {
        '/a': {'get': {'servers': [{'url': 'https://x/v2'}], 'responses': {}}, 'post': {'responses': {}}}}})
    assert set(description.meanings('/v1/a')) == {'GET', 'POST'}
    assert set(description.meanings('/v2/a')) == {'GET'}


def test_a_placeholder_is_one_segment_unless_the_path_begins_with_it() -> None:
    description = Description({'paths': {
        '/{scope}/tags/default': {'get': {'responses': {}}}, '/groups/{group}': {'get': {'responses': {}}},
        '/groups/{group}/{kind}:stop': {'get': {'responses': {}}}}})
    [match] = description.meanings('/groups/a%2Fb')['GET']
    assert (match.operation.template, match.values) == ('/groups/{group}', {'group': 'a/b'})
    [match] = description.meanings('/groups/a/vms/b/tags/default')['GET']
    assert match.values == {'scope': 'groups/a/vms/b'}
    [match] = description.meanings('/groups/a/vm:stop')['GET']
    assert match.values == {'group': 'a', 'kind': 'vm'}
    assert description.meanings('/groups/a/b') == {}


def test_the_same_is_judged_alike_again(toy: Judge) -> None:
    judge = Judge(openapi.load(TOY), exceptions=[Excuse('POST /servers', 'body.odd', 'a test', 'none')])
    for _ in range(3):
        assert 'body.odd' in toy.fault_of_request(new(odd=1))
        assert judge.fault_of_request(new(odd=1)) == ''
        judge.unknown.clear()
        assert judge.fault_of_answer(get('/v1/servers/7'), Answer.of({**SERVER, 'new': 1})) == ''
        assert judge.unknown == {'GET /servers/{id} 200: new'}


def test_yaml_is_kept_as_json_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi.tempfile, 'gettempdir', lambda: str(tmp_path))
    file = tmp_path / 'api.yaml'
    file.write_text("paths: {'/a': {get: {responses: {200: {description: 2024-01-01}}}}}")
    assert openapi.load(file).meanings('/a')['GET'][0].operation.responses['200'] == {'description': '2024-01-01'}
    openapi._loaded.cache_clear()
    [folder] = tmp_path.glob('kvirt-descriptions-*')
    assert folder.stat().st_mode & 0o777 == 0o700
    [kept] = folder.iterdir()
    kept.write_text(json.dumps({'paths': {'/b': {'get': {'responses': {}}}}}))
    assert openapi.load(file).meanings('/b'), 'it was not read from what was kept'
    file.write_text("paths: {'/longer': {get: {responses: {}}}}")
    assert openapi.load(file).meanings('/longer')
    assert openapi.load(file) is openapi.load(file)


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi.tempfile, 'gettempdir', lambda: str(tmp_path))
    (tmp_path / f'kvirt-descriptions-{openapi.os.getuid()}').mkdir(mode=0o777)
    (tmp_path / f'kvirt-descriptions-{openapi.os.getuid()}').chmod(0o777)
    file = tmp_path / 'api.yaml'
    file.write_text('paths: {}')
    assert list(openapi.load(file).operations) == []
    assert not list((tmp_path / f'kvirt-descriptions-{openapi.os.getuid()}').iterdir())


def test_without_descriptions_there_is_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('KVIRT_SPECS', raising=False)
    assert Judge.of('toycloud.yaml') is None
    monkeypatch.setenv('KVIRT_SPECS', str(TOY.parent))
    assert Judge.of('toycloud.yaml') is not None
    with pytest.raises(FileNotFoundError):
        Judge.of('no-such.yaml')


# any schema

Made = tuple[dict[str, Any], Any]
"""A schema, and a value that is right by it."""

NAMES = st.sampled_from(['a', 'b', 'c', 'd'])
LEAVES: st.SearchStrategy[Made] = st.one_of(
    st.tuples(st.just({'type': 'string'}), st.text(max_size=3)),
    st.tuples(st.just({'type': 'integer'}), st.integers(-9, 9)),
    st.tuples(st.just({'type': 'boolean', 'nullable': True}), st.sampled_from([True, False, None])),
    st.tuples(st.just({'enum': ['x', 'y']}), st.sampled_from(['x', 'y'])))


def objects(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    def made(members: dict[str, Made], present: set[str]) -> Made:
        return ({'type': 'object', 'properties': {name: schema for name, (schema, _) in members.items()},
                 'required': sorted(present & set(members))},
                {name: value for name, (_, value) in members.items() if name in present})
    return st.builds(made, st.dictionaries(NAMES, inner, min_size=1, max_size=3), st.sets(NAMES))


def arrays(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.builds(lambda item, length: ({'type': 'array', 'items': item[0]}, [item[1]] * length), inner,
                     st.integers(0, 2))


def split(whole: Made) -> Made:
    """Describe the same object by several schemas together."""
    schema, value = whole
    names = sorted(schema['properties'])
    return {'allOf': [{'type': 'object', 'properties': {name: schema['properties'][name]}} for name in names]}, value


def one_of(right: Made, other: Made) -> Made:
    return {'oneOf': [other[0], right[0]]}, right[1]


SCHEMAS = st.recursive(LEAVES, lambda inner: st.one_of(
    objects(inner), arrays(inner), objects(inner).map(split), st.builds(one_of, objects(inner), objects(inner))),
    max_leaves=8)
BODIES = objects(SCHEMAS)


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from places(inner)


@given(BODIES)
def test_a_body_made_from_its_schema_is_taken(made: Made) -> None:
    schema, body = made
    for closed in (True, False):
        assert list(Schemas(Description({}), closed=closed).faults(schema, body, 'body')) == []
    assert list(Schemas(Description({}), closed=False).unknown(schema, body)) == []


@given(BODIES, st.data())
def test_one_property_more_is_a_fault_wherever_it_stands(made: Made, data: st.DataObject) -> None:
    schema, body = made
    changed = json.loads(json.dumps(body))  # a list may hold the same object twice
    data.draw(st.sampled_from(list(places(changed))))['extra'] = 1
    faults = list(Schemas(Description({}), closed=True).faults(schema, changed, 'body'))
    assert faults
    # Of alternatives, what another one wants may be told.
    assert any(place.endswith('.extra') for place, _ in faults) or 'oneOf' in str(schema), faults
    forgiving = Schemas(Description({}), closed=False)
    assert list(forgiving.faults(schema, changed, 'answer')) == []
    assert [place.rpartition('.')[2] for place in forgiving.unknown(schema, changed)] == ['extra']


# the vendors' own

VENDORS = ('digitalocean', 'hetzner', 'vultr', 'linode', 'scaleway', 'lambda', 'civo', 'gcp', 'azure', 'ibm',
           'equinix-metal', 'fluidstack')

needs_specs = pytest.mark.skipif(specs() is None, reason="the vendors' descriptions are not here: set KVIRT_SPECS")


@needs_specs
@pytest.mark.parametrize('vendor', VENDORS)
def test_every_description_can_be_judged_by(vendor: str) -> None:
    folder = specs()
    assert folder
    files = sorted(path for path in (folder / vendor).iterdir() if path.suffix in ('.json', '.yml', '.yaml'))
    assert files
    for file in files:
        judge = Judge.of(f'{vendor}/{file.name}')
        assert judge
        operations = list(judge.description.operations)
        assert operations
        for operation in operations:
            for parameter in operation.parameters:
                judge.asked.validator(parameter.get('schema'))
            for content in (operation.body or {}).get('content', {}).values():
                judge.asked.validator(content.get('schema'))
            for response in operation.responses.values():
                for content in response.get('content', {}).values():
                    judge.told.validator(content.get('schema'))


EXAMPLES = {'digitalocean/digitalocean-v2-bundled.json': (103, 3540),
            'hetzner/hetzner-cloud-openapi-official.yml': (11, 112), 'vultr/vultr-v2-openapi-2023-12.json': (89, 137)}
"""By description: how many of its own examples of requests and of answers are right by it. Few are not, by mistake."""


@needs_specs
@pytest.mark.parametrize('description', EXAMPLES)
def test_the_examples_of_a_description_are_right_by_it(description: str) -> None:
    judge = Judge.of(description)
    assert judge
    asked = told = 0
    for operation in judge.description.operations:
        for schema, example in examples(judge, operation.body or {}):
            asked += not list(judge.asked.faults(schema, example, 'body'))
        for response in operation.responses.values():
            for schema, example in examples(judge, response):
                told += not list(judge.told.faults(schema, example, 'answer'))
    assert (asked, told) >= EXAMPLES[description]


def examples(judge: Judge, described: Any) -> Iterator[tuple[Any, Any]]:
    for kind, content in (described.get('content') or {}).items():
        named = [judge.description.resolve(each).get('value') for each in (content.get('examples') or {}).values()]
        given_ = named + ([content['example']] if 'example' in content else [])
        schema = judge.description.resolve(content.get('schema'))
        if not given_ and isinstance(schema, dict) and 'example' in schema:
            given_ = [schema['example']]
        if 'json' in kind:
            yield from ((content.get('schema'), example) for example in given_ if example is not None)
