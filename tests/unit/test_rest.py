"""JSON over http: what is sent twice, what is not, pages, pauses, errors, and what stands in the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kvirt import errors, rest
from kvirt.rest import Api, Call, by_cursor, by_link, by_number
from kvirt.testing.cloud import FakeCloud, Refusal, route
from kvirt.testing.wire import Answer, Request, Wire

TOKEN = 'a-token-nobody-may-see'


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time, self.slept = 0.0, []
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time += seconds


class Shelf(FakeCloud):
    """A cloud that keeps books."""

    token = TOKEN

    @route('GET', '/books')
    def books(self, request: Request) -> Any:
        books, number, last = self.paged(request, self.all('books'))
        more = number < last
        links = {'next': f'http://x/books?page={number + 1}&per_page=2'} if more else {}
        return {'books': books, 'links': {'pages': links},
                'meta': {'cursor': str(number + 1) if more else ''}, 'page': number, 'pages': last}

    @route('POST', '/books')
    def create(self, request: Request) -> Any:
        return self.add('books', {'title': request.json['title']}), 201

    @route('DELETE', '/books/{id}')
    def remove(self, request: Request, id: str) -> None:
        self.drop('books', id)

    @route('GET', '/says/{status}')
    def say(self, request: Request, status: str) -> None:
        raise Refusal(int(status), 'x', 'because')

    @route('GET', '/page')
    def page_of_html(self, request: Request) -> Answer:
        return Answer(200, b'<html>')

    @route('GET', '/elsewhere')
    def elsewhere(self, request: Request) -> Answer:
        return Answer(302, b'', {'Location': '/books'})

    @route('GET', '/late')
    def late(self, request: Request) -> Answer:
        return Answer.of({'message': 'slow down'}, 429, **{'Retry-After': '3600'})


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def wire(shelf: Shelf) -> Iterator[Wire]:
    with Wire(shelf) as wire:
        yield wire


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(wire: Wire, clock: Clock) -> Iterator[Api]:
    api = Api(wire.url, name='Shelf', token=TOKEN, clock=clock, next_page=by_link)
    yield api
    api.close()


@pytest.mark.parametrize('breakage', ['error', 'unavailable', 'limited', 'unsent', 'lost'])
def test_a_read_survives_a_passing_fault(api: Api, wire: Wire, breakage: str) -> None:
    wire.fail(1, breakage, times=3)
    assert api.get('/books')['books'] == []
    assert len(wire.calls) == 4


@pytest.mark.parametrize('breakage', ['limited', 'unavailable'])
def test_a_post_is_sent_again_when_the_platform_says_it_did_nothing(api: Api, wire: Wire, shelf: Shelf,
                                                                     breakage: str) -> None:
    wire.fail(1, breakage, times=2)
    assert api.post('/books', {'title': 'Emma'})['title'] == 'Emma'
    assert len(shelf.things['books']) == 1


@pytest.mark.parametrize('breakage', ['error', 'lost', 'unsent'])
def test_a_post_is_never_sent_twice_otherwise(api: Api, wire: Wire, breakage: str) -> None:
    wire.fail(1, breakage)
    with pytest.raises(errors.Unavailable):
        api.post('/books', {'title': 'Emma'})
    assert wire.calls == ['POST /books']


@pytest.mark.parametrize('breakage', ['lost', 'error'])
def test_a_delete_whose_answer_was_lost_has_succeeded(api: Api, wire: Wire, shelf: Shelf, breakage: str) -> None:
    book = api.post('/books', {'title': 'Emma'})
    wire.fail(1, breakage)
    api.delete(f"/books/{book['id']}")
    assert shelf.things['books'] == {}
    with pytest.raises(errors.NotFound):
        api.delete(f"/books/{book['id']}")


def test_retries_come_to_an_end(api: Api, wire: Wire, clock: Clock) -> None:
    wire.storm('error', 1)
    with pytest.raises(errors.Unavailable, match='Shelf refuses GET /books: broken by a test'):
        api.get('/books')
    assert len(wire.calls) == 6
    assert clock.slept == sorted(clock.slept), 'pauses grow'
    assert 5 < sum(clock.slept) < 60


def test_who_is_told_to_come_back_much_later_is_told_so(api: Api, clock: Clock) -> None:
    with pytest.raises(errors.RateLimited) as caught:
        api.get('/late')
    assert caught.value.retry_after == 3600
    assert clock.slept == []


@pytest.mark.parametrize(('next_page', 'calls'), [
    (by_link, 4), (by_cursor('meta', 'cursor', query='page'), 4), (by_number('page', of=['pages']), 4)])
def test_all_pages_are_read(wire: Wire, clock: Clock, next_page: Any, calls: int) -> None:
    api = Api(wire.url, name='Shelf', token=TOKEN, clock=clock, next_page=next_page)
    for number in range(7):
        api.post('/books', {'title': str(number)})
    with wire.counting() as made:
        assert [book['title'] for book in api.pages('/books', 'books')] == list('0123456')
    assert len(made) == calls
    api.close()


def test_a_platform_without_a_last_page_is_left(wire: Wire, clock: Clock) -> None:
    api = Api(wire.url, name='Shelf', token=TOKEN, clock=clock, next_page=lambda data: {'page': '1'})
    with pytest.raises(errors.Unavailable, match='no last page'):
        list(api.pages('/books', 'books'))
    api.close()


@pytest.mark.parametrize(('status', 'kind'), [
    (400, 'InvalidInput'), (401, 'Unauthorized'), (403, 'Unauthorized'), (404, 'NotFound'), (409, 'Conflict'),
    (422, 'InvalidInput'), (423, 'Conflict'), (418, 'KvirtError'), (501, 'NotSupported'), (507, 'Unavailable')])
def test_a_status_means_an_error(api: Api, status: int, kind: str) -> None:
    with pytest.raises(errors.KvirtError, match='because') as caught:
        api.get(f'/says/{status}')
    assert type(caught.value).__name__ == kind


def test_a_platform_may_mean_something_else(wire: Wire) -> None:
    def meaning(call: Call) -> errors.KvirtError | None:
        return errors.QuotaExceeded(call.message) if call.status == 422 else None
    api = Api(wire.url, name='Shelf', token=TOKEN, meaning=meaning)
    with pytest.raises(errors.QuotaExceeded, match='^because$'):
        api.get('/says/422')
    api.close()


@pytest.mark.parametrize(('path', 'says'), [('/page', 'no JSON'), ('/elsewhere', 'elsewhere')])
def test_what_is_no_api_is_told(api: Api, path: str, says: str) -> None:
    with pytest.raises(errors.Unavailable, match=says):
        api.get(path)


def test_nobody_there(clock: Clock) -> None:
    api = Api('http://127.0.0.1:9', name='Shelf', clock=clock)
    with pytest.raises(errors.Unavailable, match=r'Shelf \(127.0.0.1:9\) can not be reached: .*refused'):
        api.post('/books', {})
    assert len(clock.slept) == 4, 'what was never sent may be sent again'
    api.close()


def test_nothing_secret_stands_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, 'kvirt'):
        api.post('/books', {'title': 'Emma', 'password': 'sesame-open', 'user_data': '#cloud-config private', 'x': TOKEN})
    assert 'POST /books' in caplog.text
    assert '-> 201' in caplog.text
    for secret in (TOKEN, 'sesame', 'private'):
        assert secret not in caplog.text


def test_a_throttle_lets_through_no_more_than_its_rate() -> None:
    clock = Clock()
    throttle = rest.Throttle(5, clock=clock)
    clock.time = 100
    for _ in range(5 + 20):
        throttle.wait()
    assert clock.time - 100 == pytest.approx(20 / 5, abs=0.21)


def test_observers_see_every_call(api: Api, wire: Wire) -> None:
    seen: list[Call] = []
    api.observe(seen.append)
    api.get('/books', page=1, tags=['a', 'b'], full=True, none=None)
    with pytest.raises(errors.NotFound):
        api.get('/nothing')
    assert [(call.method, call.path, call.status) for call in seen] == [('GET', '/books', 200), ('GET', '/nothing', 404)]
    assert wire.exchanges[0].request.query == [('page', '1'), ('tags', 'a'), ('tags', 'b'), ('full', 'true')]


def test_a_netrc_does_not_take_the_place_of_the_token(wire: Wire, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / '.netrc').write_text('machine 127.0.0.1 login me password other\n')
    monkeypatch.setenv('NETRC', str(tmp_path / '.netrc'))
    api = Api(wire.url, name='Shelf', token=TOKEN)
    assert api.get('/books')['books'] == []
    api.close()
