"""Recordings: what is in them, what is not, and that they answer as the cloud did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from kvirt.redact import MASK, remember
from kvirt.rest import Api
from kvirt.testing.recorder import Recorder, Replay
from kvirt.testing.wire import Answer, Exchange, Request, Wire

SECRETS = ['tok-4711-very-secret', 'hunter2-root', 'c2VjcmV0LXVzZXItZGF0YQ', '#cloud-config', 'me@home.example.org',
           'me@laptop',
           '998877665544', 'AKIA-of-mine', 'remembered-secret', 'MIIEvQIBADANBg', 'session=abc']
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN'
PEM = '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----'


def cloud(request: Request) -> Answer:
    """A cloud that tells a lot."""
    if request.method == 'DELETE':
        return Answer.of(None, 204, **{'Set-Cookie': 'session=abc'})
    if request.path == '/v1/xml':
        return Answer(200, b'<a><OwnerId>998877665544</OwnerId><Arn>arn:aws:iam::998877665544:me</Arn><id>i-1</id></a>',
                      {'Content-Type': 'text/xml'})
    if request.path == '/v1/raw':
        return Answer(200, b'\0\1\2', {'Content-Type': 'application/octet-stream'})
    if request.path == '/v1/none':
        return Answer.of({'error': {'message': 'me@home.example.org has no server none'}}, 404)
    return Answer.of({'server': {'id': 4711, 'name': 'web', 'root_password': 'hunter2-root', 'user_data': '#cloud-config',
                                 'owner': {'email': 'me@home.example.org', 'account_id': 998877665544},
                                 'credentials': {'nested': ['hunter2-root']}, 'keys': [f'{KEY} me@laptop'],
                                 'note': f'remembered-secret and {PEM}', 'locked': None, 'ip': '192.0.2.7'},
                      'next_token': ''}, 201, **{'Location': '/v1/servers/4711', 'X-Secret': 'tok-4711-very-secret'})


def talk(url: str) -> list[tuple[int, Any]]:
    """Have a conversation in which everything is said that should not be written down."""
    body = {'name': 'web', 'user_data': 'c2VjcmV0LXVzZXItZGF0YQ', 'password': 'hunter2-root', 'size': 2,
            'ssh_keys': [f'{KEY} me@laptop'], 'token': 'tok-4711-very-secret'}
    form = {'Action': 'RunInstances', 'UserData': 'c2VjcmV0LXVzZXItZGF0YQ', 'Spec.1.Password': 'hunter2-root', 'Count': '1'}
    with requests.Session() as session:
        session.trust_env = False
        session.headers['Authorization'] = 'Bearer tok-4711-very-secret'
        answers = [session.post(f'{url}/v1/servers', json=body),
                   session.post(f'{url}/v1/form', data=form),
                   session.get(f'{url}/v1/none', params={'X-Amz-Credential': 'AKIA-of-mine', 'page': '2'}),
                   session.get(f'{url}/v1/xml'), session.put(f'{url}/v1/raw', data=b'\0\1\2'),
                   session.delete(f'{url}/v1/servers/4711')]
    return [(answer.status_code, answer.content) for answer in answers]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    remember('remembered-secret')
    file = tmp_path / 'talk.jsonl'
    with Wire(cloud, watchers=(Recorder(file),)) as wire:
        talk(wire.url)
    return file


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize('secret', SECRETS)
def test_no_secret_is_in_a_recording(recording: Path, secret: str) -> None:
    assert secret not in recording.read_text()


def test_the_rest_is_in_a_recording(recording: Path) -> None:
    made, form, none, xml, raw, gone = lines(recording)
    assert made['request'] == {'method': 'POST', 'path': '/v1/servers', 'query': [],
                               'headers': {'content-type': 'application/json'},
                               'body': {'json': {'name': 'web', 'user_data': MASK, 'password': MASK, 'size': 2,
                                                 'ssh_keys': [KEY], 'token': MASK}}}
    assert made['answer']['status'] == 201
    assert made['answer']['headers'] == {'content-type': 'application/json', 'location': '/v1/servers/4711'}
    server = made['answer']['body']['json']['server']
    assert (server['id'], server['name'], server['ip'], server['locked']) == (4711, 'web', '192.0.2.7', None)
    assert server['owner'] == {'email': MASK, 'account_id': 0}
    assert 'Count=1' in form['request']['body']['text']
    assert none['request']['query'] == [['X-Amz-Credential', MASK], ['page', '2']]
    assert xml['answer']['body']['text'] == (f'<a><OwnerId>{MASK}</OwnerId><Arn>arn:aws:iam::000000000000:me</Arn>'
                                             '<id>i-1</id></a>')
    assert set(raw['request']['body']) == {'sha256'}
    assert (gone['answer']['status'], gone['answer']['body']) == (204, None)


def test_a_replay_answers_as_was_recorded(recording: Path) -> None:
    replay = Replay(recording)
    with Wire(replay) as wire:
        answers = talk(wire.url)
    assert replay.faults == []
    assert replay.left == []
    assert [status for status, _ in answers] == [201, 201, 404, 200, 200, 204]
    assert [json.loads(answers[index][1]) for index in (0, 2)] == [
        lines(recording)[index]['answer']['body']['json'] for index in (0, 2)]
    assert answers[4][1] == b'\0\1\2'
    assert answers[3][1] == lines(recording)[3]['answer']['body']['text'].encode()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / 'small.jsonl'
    recorder = Recorder(file)
    for name in ('web', 'db'):
        request = Request('POST', '/v1/servers', [('zone', 'a')], {'content-type': 'application/json'},
                          json.dumps({'name': name, 'mark': 'aa11'}).encode())
        recorder(Exchange(request, Answer.of({'name': name}, 201)))
    recorder(Exchange(Request('GET', '/v1/broken'), None))
    return file


def post(data: Any, *query: tuple[str, str], method: str = 'POST') -> Request:
    return Request(method, '/v1/servers', list(query), {'content-type': 'application/json'}, json.dumps(data).encode())


@pytest.mark.parametrize(('request_', 'fault'), [
    (post({'name': 'web', 'mark': 'aa11'}), 'POST /v1/servers: query is [] and was [["zone", "a"]]'),
    (post({'name': 'wep', 'mark': 'aa11'}, ('zone', 'a')),
     'POST /v1/servers: body is {"json": {"name": "wep", "mark": "aa11"}} and was'),
    (post({'name': 'web', 'mark': 'aa11'}, ('zone', 'a'), method='PUT'), 'PUT /v1/servers: method is "PUT" and was "POST"'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_request_that_differs_is_a_fault(small: Path, request_: Request, fault: str) -> None:
    replay = Replay(small)
    answer = replay(request_)
    assert answer.status == 599
    assert fault in answer.json['message']
    assert replay.faults == [answer.json['message']]
    assert replay.left == ['POST /v1/servers', 'POST /v1/servers']


def test_what_varies_may_differ_and_the_end_is_the_end(small: Path) -> None:
    replay = Replay(small, varies=['"[0-9a-f]{4}"'])
    assert replay(post({'mark': '9f00', 'name': 'web'}, ('zone', 'a'))).json == {'name': 'web'}
    assert replay(post({'mark': '9f01', 'name': 'db'}, ('zone', 'a'))).json == {'name': 'db'}
    assert replay.faults == []
    assert replay(post({'mark': '9f02', 'name': 'db'}, ('zone', 'a'))).status == 599
    assert replay.faults == ['POST /v1/servers: the recording has come to its end']


@pytest.fixture
def through_api(tmp_path: Path) -> Iterator[Callable[[Any], Any]]:
    """Return a function that has a conversation through kvirt's own client, seen by an observer or not."""
    def talk(app: Any, *observers: Any) -> Any:
        with Wire(app) as wire:
            api = Api(f'{wire.url}/v1', name='Toycloud', token='tok-4711-very-secret')
            for observer in observers:
                api.observe(observer)
            made = api.post('/servers', {'name': 'web', 'password': 'hunter2-root'}, zone='a')
            gone = api.delete('/servers/4711')
            api.close()
            return made, gone
    yield talk


def test_an_observer_of_a_client_records_as_well(tmp_path: Path, through_api: Callable[..., Any]) -> None:
    file = tmp_path / 'api.jsonl'
    made, gone = through_api(cloud, Recorder(file, base='/v1'))
    assert made['server']['root_password'] == 'hunter2-root'
    assert not [secret for secret in SECRETS if secret in file.read_text()]
    replay = Replay(file)
    again, gone_again = through_api(replay)
    assert replay.faults == []
    assert again['server']['id'] == made['server']['id'] == 4711
    assert gone == gone_again is None
