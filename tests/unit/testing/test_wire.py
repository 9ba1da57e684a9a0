"""The wire and the pretended cloud: what the tests of providers stand on must itself be right."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from kvirt.testing.cloud import FakeCloud, Refusal, route
from kvirt.testing.wire import Answer, Exchange, Forward, Request, Wire


class Farm(FakeCloud):
    """A cloud that keeps animals."""

    prefix = '/v1'

    @route('GET', '/animals')
    def animals(self, request: Request) -> Any:
        animals, number, last = self.paged(request, self.all('animals'))
        return {'animals': animals, 'page': number, 'last': last}

    @route('POST', '/animals')
    def buy(self, request: Request) -> Any:
        if self.find('animals', name=request.json['name']):
            raise Refusal(409, 'taken', 'there is one of that name')
        animal = self.add('animals', {'name': request.json['name']})
        self.become(animal, mood=('shy', 'happy'))
        return animal, 201

    @route('GET', '/animals/oldest')
    def oldest(self, request: Request) -> Any:
        return self.all('animals')[0]

    @route('GET', '/animals/{id}')
    def animal(self, request: Request, id: str) -> Any:
        return self.look('animals', id)

    @route('DELETE', '/animals/{id}')
    def sell(self, request: Request, id: str) -> Any:
        animal = self.get('animals', id)
        if self.changing(animal):
            raise Refusal(423, 'busy', 'let it calm down first')
        self.become(animal, lambda: self.drop('animals', id), mood=('sad', 'gone'))
        return None


@pytest.fixture
def farm() -> Farm:
    return Farm()


@pytest.fixture
def wire(farm: Farm) -> Iterator[Wire]:
    with Wire(farm) as wire:
        yield wire


def test_a_request_that_was_cut_off_is_none(farm: Farm, wire: Wire) -> None:
    host, _, port = wire.url.removeprefix('http://').rpartition(':')
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b'POST /v1/animals HTTP/1.1\r\nContent-Length: 17\r\n\r\n{"name": "cow"}')
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b''
    assert (wire.exchanges, farm.things.get('animals')) == ([], None)


def buy(wire: Wire, name: str = 'rex') -> requests.Response:
    return requests.post(f'{wire.url}/v1/animals', json={'name': name}, timeout=5)


def test_a_change_is_complete_after_some_looks_and_what_is_deleted_is_gone(wire: Wire) -> None:
    animal = buy(wire).json()
    place = f"{wire.url}/v1/animals/{animal['id']}"
    assert [requests.get(place, timeout=5).json()['mood'] for _ in range(4)] == ['shy', 'shy', 'happy', 'happy']
    assert requests.delete(place, timeout=5).status_code == 204
    assert [requests.get(place, timeout=5).status_code for _ in range(3)] == [200, 200, 404]


def test_what_changes_can_not_be_changed(wire: Wire, farm: Farm) -> None:
    animal = buy(wire).json()
    refused = requests.delete(f"{wire.url}/v1/animals/{animal['id']}", timeout=5)
    assert (refused.status_code, refused.json()['error']['code']) == (423, 'busy')
    farm.settle()
    assert requests.delete(f"{wire.url}/v1/animals/{animal['id']}", timeout=5).status_code == 204


def test_pages_are_small(wire: Wire) -> None:
    for name in 'abcde':
        buy(wire, name)
    pages = [requests.get(f'{wire.url}/v1/animals?page={number}&per_page=50', timeout=5).json() for number in (1, 2, 3)]
    assert [[animal['name'] for animal in page['animals']] for page in pages] == [['a', 'b'], ['c', 'd'], ['e']]
    assert {page['last'] for page in pages} == {3}


def test_the_more_precise_route_wins(wire: Wire) -> None:
    buy(wire)
    assert requests.get(f'{wire.url}/v1/animals/oldest', timeout=5).json()['name'] == 'rex'


@pytest.mark.parametrize(('method', 'path', 'status'), [('GET', '/v1/plants', 404), ('PUT', '/v1/animals', 405),
                                                        ('GET', '/animals', 404)])
def test_what_has_no_route_is_refused(wire: Wire, method: str, path: str, status: int) -> None:
    assert requests.request(method, wire.url + path, timeout=5).status_code == status


@pytest.mark.parametrize(('breakage', 'status', 'done'), [
    ('refused', 422, False), ('error', 500, False), ('unavailable', 503, False), ('limited', 429, False),
    ('unsent', None, False), ('lost', None, True)])
def test_a_call_breaks_as_asked(wire: Wire, farm: Farm, breakage: str, status: int | None, done: bool) -> None:
    wire.fail(2, breakage)
    assert buy(wire, 'first').status_code == 201
    if status is None:
        with pytest.raises(requests.ConnectionError):
            buy(wire, 'second')
    else:
        assert buy(wire, 'second').status_code == status
    assert (farm.find('animals', name='second') is not None) == done
    assert buy(wire, 'third').status_code == 201


def test_only_calls_that_match_count(wire: Wire) -> None:
    wire.fail(1, 'error', matches=lambda request: request.method == 'POST')
    assert requests.get(f'{wire.url}/v1/animals', timeout=5).status_code == 200
    assert buy(wire).status_code == 500


def test_a_storm_ends_when_told(wire: Wire) -> None:
    wire.storm('limited', 2)
    assert [buy(wire, str(number)).status_code for number in range(4)] == [201, 429, 201, 429]
    wire.calm()
    assert [buy(wire, str(number)).status_code for number in (10, 11)] == [201, 201]


@pytest.mark.parametrize(('breakage', 'done'), [('killed before', False), ('killed after', True)])
def test_the_caller_is_killed(wire: Wire, farm: Farm, breakage: str, done: bool) -> None:
    code = f'import requests; requests.post("{wire.url}/v1/animals", json={{"name": "rex"}}); print("lived")'
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as caller:
        wire.victim = caller.pid
        wire.fail(1, breakage)
        output, _ = caller.communicate(timeout=30)
    assert (caller.returncode, output) == (-9, b'')
    assert (farm.find('animals', name='rex') is not None) == done


def test_a_judge_stops_what_the_vendor_would_not_accept(farm: Farm) -> None:
    class Picky:
        def fault_of_request(self, request: Request) -> str:
            return 'no dogs' if b'rex' in request.body else ''

        def fault_of_answer(self, request: Request, answer: Answer) -> str:
            return 'no cats' if b'tom' in answer.body else ''

    with Wire(farm, judge=Picky()) as wire:
        assert buy(wire, 'rex').status_code == 599
        assert buy(wire, 'tom').status_code == 599
        assert buy(wire, 'dolly').status_code == 201
        assert wire.verdicts == ['no dogs', 'no cats']


def test_a_wire_may_lead_to_another_server(wire: Wire) -> None:
    seen: list[Exchange] = []
    with Wire(Forward(wire.url), watchers=(seen.append,)) as outer, outer.counting() as made:
        assert buy(outer).status_code == 201
        assert requests.get(f'{outer.url}/v1/animals?page=1', timeout=5).json()['animals'][0]['name'] == 'rex'
    assert made == outer.calls == wire.calls == ['POST /v1/animals', 'GET /v1/animals']
    assert [exchange.answer.status for exchange in seen if exchange.answer] == [201, 200]
