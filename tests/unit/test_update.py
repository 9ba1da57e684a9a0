from __future__ import annotations

from typing import Any

import pytest

from kvirt.errors import Conflict
from kvirt.providers.fake import Kfake
from kvirt.result import Result
from kvirt.update import update_vm


@pytest.fixture
def cloud() -> Kfake:
    cloud = Kfake(state=':memory:')
    cloud.create('web', image='debian12', start=False).expect()
    return cloud


def test_each_keyword_has_its_operation(cloud: Kfake) -> None:
    values: dict[str, Any] = {'numcpus': 4, 'memory': '2g', 'autostart': True, 'information': 'hello', 'iso': 'rescue.iso',
                              'tags': ['a', 'b'], 'team': 'blue', 'plan': 'p'}
    result = update_vm(cloud, 'web', values)
    assert result == {'result': 'success', 'name': 'web', 'updated': list(values)}
    known: dict[str, Any] = dict(cloud.info('web'))
    assert (known['numcpus'], known['memory'], known['autostart'], known['information'], known['iso']) == (
        4, 2048, True, 'hello', 'rescue.iso')
    assert (known['tags'], known['team'], known['plan']) == ('a,b', 'blue', 'p')
    assert update_vm(cloud, 'web', {'team': None, 'iso': None}).ok
    assert 'team' not in cloud.info('web')
    assert not dict(cloud.info('web')).get('iso')


@pytest.mark.parametrize(('values', 'error', 'said'), [
    ({}, 'InvalidInput', 'nothing to change'), ({'memory': -1}, 'InvalidInput', 'memory'),
    ({'numcpus': 0}, 'InvalidInput', 'numcpus'), ({'disks': [10]}, 'NotSupported', 'keyword disks can not be changed'),
    ({'nets': ['lab']}, 'NotSupported', 'nets'), ({'cloudinit': True}, 'NotSupported', 'only be taken away'),
    ({'plan': '../x'}, 'InvalidInput', 'plan'), ({'a b': 1}, 'InvalidInput', 'field')])
def test_what_can_not_be_changed(values: dict[str, Any], error: str, said: str, cloud: Kfake) -> None:
    before = cloud.info('web')
    result = update_vm(cloud, 'web', {'team': 'x', **values} if values else {})
    assert (result.ok, result['error']) == (False, error)
    assert said in result['reason']
    assert cloud.info('web') == before


def test_a_failure_tells_what_was_changed_before(cloud: Kfake) -> None:
    cloud.start('web').expect()
    result = update_vm(cloud, 'web', {'team': 'x', 'memory': 4096, 'owner': 'me'})
    assert isinstance(result.error, Conflict)
    assert result['reason'].endswith('. Already changed: team')
    assert result['updated'] == ['team']
    assert dict(cloud.info('web'))['team'] == 'x'


def test_a_provider_in_kcli_s_manner() -> None:
    class Old:
        def update_memory(self, name: str, memory: int) -> dict[str, str]:
            return {'result': 'failure', 'reason': f'{name} can not have {memory}'}

    result = update_vm(Old(), 'web', {'memory': '1g'})
    assert isinstance(result, Result)
    assert (result.ok, result['reason']) == (False, 'web can not have 1024')
