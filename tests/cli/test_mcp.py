"""The tools of the Model Context Protocol, called by the protocol's own client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvirt import redact
from kvirt.errors import KvirtError, NotFound
from kvirt.mcp import READS, WRITES, Tools, server

from .conftest import ROOT, Run

anyio = pytest.importorskip('anyio', reason="anyio is not installed: pip install 'kvirt[mcp]'")
mcp = pytest.importorskip('mcp', reason="mcp is not installed: pip install 'kvirt[mcp]'")

PLAN = 'web:\n  image: debian12\n  memory: {{ memory }}\n  nets: [inner]\ninner:\n  type: network\n  cidr: 10.9.0.0/24\n'
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def tools(home: Path) -> Any:
    """The tools, with all clients that are enabled."""
    made = Tools()
    yield made
    made.close()


@pytest.fixture
def call(tools: Tools) -> Call:
    """Call a tool in this process, changes included."""
    def run(tool: str, **arguments: Any) -> dict[str, Any]:
        async def talk() -> Any:
            async with mcp.Client(server(tools, write=True)) as client:
                return await client.call_tool(tool, arguments)
        answer = anyio.run(talk)
        assert isinstance(answer.structured_content, dict), answer
        assert json.loads(answer.content[0].text) == answer.structured_content
        assert answer.is_error == (answer.structured_content.get('result') == 'failure')
        return dict(answer.structured_content)
    return run


def spoken(*options: str) -> mcp.StdioServerParameters:
    """Return how the server is started as a process."""
    return mcp.StdioServerParameters(command=sys.executable, args=['-m', 'kvirt', *options, 'mcp'],
                                     env={**os.environ, 'PYTHONPATH': str(ROOT)})


def test_a_client_talks_to_it_over_stdio(web: Run) -> None:
    async def talk() -> None:
        async with mcp.Client(spoken('-C', 'lab')) as client:
            offered = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(offered) == set(READS), 'without --write nothing can be changed'
            assert all(tool.annotations.read_only_hint and tool.description for tool in offered.values())
            listed = await client.call_tool('list_vms', {'filters': {'status': 'run*'}})
            assert [row['name'] for row in listed.structured_content['vms']] == ['web']
            refused = await client.call_tool('delete_vm', {'name': 'web'})
            assert refused.is_error and 'delete_vm' in refused.content[0].text
            failed = await client.call_tool('info_vm', {'name': 'nowhere'})
            assert failed.is_error and failed.structured_content['error'] == 'NotFound'
            odd = await client.call_tool('info_vm', {'name': 7, 'client': []})
            assert odd.is_error and 'Traceback' not in odd.content[0].text
    anyio.run(talk)
    assert web('list', 'vm', '-s').out == 'web\n'


def test_changes_are_there_where_they_are_allowed(tools: Tools) -> None:
    async def talk(write: bool) -> dict[str, Any]:
        async with mcp.Client(server(tools, write=write)) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(anyio.run(talk, False)) == set(READS)
    offered = anyio.run(talk, True)
    assert set(offered) == {*READS, *WRITES}
    assert not offered['create_vm'].annotations.read_only_hint and not offered['create_vm'].annotations.destructive_hint
    assert offered['delete_vm'].annotations.destructive_hint
    assert set(offered['create_vm'].input_schema['properties']) == {'name', 'image', 'profile', 'keywords', 'client'}


def test_what_there_is_can_be_read(web: Run, call: Call) -> None:
    assert call('list_clients') == {'clients': [{'name': 'lab', 'type': 'fake'}, {'name': 'two', 'type': 'fake'}]}
    assert call('info_vm', name='web')['vm']['status'] == 'running'
    assert 'default' in [row['name'] for row in call('list_networks')['networks']]
    assert {'images', 'well_known'} <= set(call('list_images', client='two'))
    flavors = call('list_flavors', numcpus=2)['flavors']
    assert flavors and all(row['numcpus'] >= 2 for row in flavors)
    offers = call('list_offers', numcpus=2, limit=1)
    assert [row['client'] for row in offers['offers']] == ['lab', 'two'] and offers['failures'] == []
    assert 'create' in call('capabilities')['supported']
    assert {row['client'] for row in call('doctor', client='two')['findings']} >= {'two'}
    assert call('list_plans') == {'plans': []}


def test_what_would_be_made_is_told_with_its_price(call: Call) -> None:
    vm = call('estimate_vm', image='debian12', keywords={'flavor': 'small'})['vm']
    assert vm['flavor'] == 'small' and vm['monthly'] > 0
    assert call('list_vms')['vms'] == []
    assert 'unknown keyword' in call('estimate_vm', image='debian12', keywords={'memroy': 1})['reason']


def test_vms_live_and_die(call: Call) -> None:
    assert call('create_vm', name='db', image='debian12', keywords={'memory': 1024, 'cmds': ['echo {{ name }}']},
                client='two')['result'] == 'success'
    assert call('create_vm', name='db', image='debian12', client='two')['error'] == 'AlreadyExists'
    assert call('stop_vm', name='db', client='two')['result'] == 'success'
    assert call('info_vm', name='db', client='two')['vm']['status'] == 'stopped'
    assert call('start_vm', name='db', client='two')['result'] == 'success'
    assert call('delete_vm', name='db')['error'] == 'NotFound'
    assert call('delete_vm', name='db', client='two')['result'] == 'success'
    assert call('list_vms', client='two')['vms'] == []


def test_plans_are_checked_compared_made_and_deleted(call: Call) -> None:
    given = {'text': PLAN, 'parameters': {'memory': 1024}}
    assert call('check_plan', **given) == {'entries': [
        {'type': 'network', 'name': 'inner', 'client': 'lab', 'needs': []},
        {'type': 'vm', 'name': 'web', 'client': 'lab', 'needs': ['network/inner']}]}
    wrong = call('check_plan', text='web:\n  memroy: 5\n')
    assert wrong['error'] == 'InvalidInput' and ':2: ' in wrong['reason']
    compared = call('diff_plan', name='shop', **given)
    assert [(row['action'], row['name']) for row in compared['changes']] == [('create', 'inner'), ('create', 'web')]
    made = call('create_plan', name='shop', **given)
    assert made['result'] == 'success' and made['newvms'] == ['web']
    assert call('list_plans')['plans'][0]['plan'] == 'shop'
    assert {row['action'] for row in call('diff_plan', name='shop', **given)['changes']} == {'nothing'}
    assert call('delete_plan', name='shop')['deletedvms'] == ['web']
    assert call('delete_plan', name='shop')['error'] == 'NotFound'


@pytest.mark.parametrize('keywords', [{'files': [{'path': '/x', 'origin': '/etc/hostname'}]}, {'scripts': ['run.sh']},
                                      {'cloudinit_file': '/etc/hostname'}])
def test_a_stranger_reads_no_file_of_this_machine(keywords: dict[str, Any], call: Call) -> None:
    for tool in ('create_vm', 'estimate_vm'):
        refused = call(tool, name='db', image='debian12', keywords=keywords)
        assert refused['error'] == 'InvalidInput' and 'files of this machine' in refused['reason']
    plan = call('create_plan', name='shop', text=json.dumps({'db': {'image': 'debian12', **keywords}}))
    assert plan['error'] == 'InvalidInput' and 'files of this machine' in plan['reason']
    assert call('list_vms')['vms'] == []


def test_a_stranger_runs_nothing_on_this_machine(call: Call) -> None:
    for text in ('job:\n  type: workflow\n  cmds: [touch here]\n', "{% include 'plan.yml' %}"):
        Path('plan.yml').write_text('web:\n  image: debian12\n')
        assert call('create_plan', name='shop', text=text)['error'] == 'InvalidInput'
    assert not Path('here').exists()


def test_only_the_clients_of_the_option_are_offered(home: Path) -> None:
    tools = Tools('two')
    assert tools.list_clients() == {'clients': [{'name': 'two', 'type': 'fake'}]}
    for client in ('lab', 'fake', 'both', 'root@192.0.2.1', 'test:///default'):
        with pytest.raises(NotFound, match='is not offered here'):
            tools.list_vms(client=client)
        with pytest.raises(KvirtError, match='is not offered here'):
            tools.check_plan(f'web:\n  image: debian12\n  client: {client}\n')
    assert {row['client'] for row in tools.list_offers(2)['offers']} == {'two'}
    tools.close()


def test_secrets_are_masked(call: Call, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    redact.remember('hunter2hunter2')
    monkeypatch.setattr(tools, 'list_clients', lambda: {'clients': [{'token': 'abcdef', 'note': 'it is hunter2hunter2'}]})
    assert call('list_clients') == {'clients': [{'token': '********', 'note': 'it is ********'}]}


def test_a_bug_is_told_without_a_traceback(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    redact.remember('hunter2hunter2')

    def broken() -> dict[str, Any]:
        raise ZeroDivisionError('by hunter2hunter2')
    monkeypatch.setattr(tools, 'list_clients', broken)

    async def talk() -> Any:
        async with mcp.Client(server(tools)) as client:
            return await client.call_tool('list_clients')
    answer = anyio.run(talk)
    assert answer.is_error
    assert answer.content[0].text.endswith('kvirt has a bug: ZeroDivisionError: by ********')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(number: signal.Signals, home: Path) -> None:
    # The other side has not hung up, and says nothing.
    with subprocess.Popen([sys.executable, '-m', 'kvirt', 'mcp'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'ping'}).encode() + b'\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())['id'] == 1, 'it is at work'
        process.send_signal(number)
        assert process.wait(20) == 130


def test_what_is_at_work_is_waited_for_at_the_end(home: Path) -> None:
    tools, order = Tools(), []

    def work() -> None:
        with tools.working():
            begun.set()
            go_on.wait(10)
            order.append('done')
    begun, go_on = threading.Event(), threading.Event()
    worker = threading.Thread(target=work)
    worker.start()
    begun.wait(10)
    closer = threading.Thread(target=lambda: (tools.close(), order.append('closed')))
    closer.start()
    go_on.set()
    worker.join()
    closer.join()
    assert order == ['done', 'closed']


def test_without_the_package_it_says_what_to_install(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'mcp.server.mcpserver', None)
    done = kvirt('mcp')
    assert (done.code, done.out) == (1, '')
    assert done.errors == ["Error: the server of tools needs the package mcp. Run: pip install 'kvirt[mcp]'"]
