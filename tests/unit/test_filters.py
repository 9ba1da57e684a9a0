from __future__ import annotations

import pytest

from kvirt.errors import InvalidInput
from kvirt.filters import matching


class Two:
    """Two VMs, of which one has a card on network lab."""

    def list(self) -> list[dict[str, object]]:
        return [{'name': 'web', 'status': 'running', 'ip': '10.0.0.1', 'plan': 'p'},
                {'name': 'db', 'status': 'stopped', 'ip': None, 'plan': 'kvirt'}]

    def network_ports(self, name: str) -> list[str]:
        return ['web'] if name == 'lab' else []


@pytest.mark.parametrize(('wanted', 'names'), [
    ({}, ['web', 'db']), ({'status': 'running'}, ['web']), ({'name': '*b'}, ['web', 'db']), ({'name': 'w?b'}, ['web']),
    ({'ip': None}, ['db']), ({'ip': ''}, ['db']), ({'image': ''}, ['web', 'db']), ({'network': 'lab'}, ['web']),
    ({'network': 'lab', 'status': 'stopped'}, []), ({'plan': 'p', 'name': 'web'}, ['web']), ({'name': 'WEB'}, []),
])
def test_what_matches(wanted: dict[str, object], names: list[str]) -> None:
    assert [row['name'] for row in matching(Two(), wanted)] == names


def test_an_unknown_field_is_told() -> None:
    with pytest.raises(InvalidInput, match="by 'stat', did you mean 'status'"):
        matching(Two(), {'stat': 'running'})
