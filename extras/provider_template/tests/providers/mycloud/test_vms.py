"""VMs of My Cloud: what is sent, and what is understood."""

from __future__ import annotations

from kvirt.errors import BY_NAME
from kvirt.providers.mycloud import Kmycloud, mapping
from kvirt.shapes import STATUSES
from kvirt.testing.wire import Wire

from .cloud import MyCloud


def test_a_list_costs_a_call_a_page(account: Kmycloud, wire: Wire) -> None:
    for number in range(7):
        assert account.create(f'web{number}', image='debian12', nokeys=True).ok
    with wire.counting() as calls:
        assert len(account.list()) == 7
    assert calls == ['GET /v1/servers'] * 4


def test_every_status_has_a_meaning(account: Kmycloud, cloud: MyCloud) -> None:
    assert set(mapping.STATUS.values()) <= set(STATUSES)
    assert account.create('web', image='debian12', nokeys=True).ok
    cloud.settle()
    server = cloud.find('servers', name='web')
    assert server
    for native, status in [*mapping.STATUS.items(), ('new to us', 'unknown')]:
        server['status'] = native
        assert account.status('web') == status


def test_a_name_is_taken_once(account: Kmycloud) -> None:
    assert account.create('web', image='debian12', nokeys=True).ok
    again = account.create('web', image='debian12', nokeys=True)
    assert (again['error'], again['error'] in BY_NAME) == ('AlreadyExists', True)


def test_without_a_token_the_next_step_is_told() -> None:
    assert 'MYCLOUD_TOKEN' in Kmycloud().create('web', image='debian12', nokeys=True)['reason']
