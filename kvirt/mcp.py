"""The library as tools of the Model Context Protocol: what there is, what it costs, and, where that is allowed, changes.

Whoever calls a tool is taken for a stranger. A stranger sees no secrets, reaches only the clients that are offered, and may
ask of a VM only what a plan from elsewhere may: nothing that reads files of this machine, or runs commands on it.
"""

from __future__ import annotations

import functools
import inspect
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvirt.config import Kconfig
from kvirt.errors import KvirtError, MissingDependency, NotFound
from kvirt.names import did_you_mean, safe_name
from kvirt.redact import redact, redact_mapping
from kvirt.result import Result
from kvirt.settings import Client, Settings
from kvirt.version import __version__

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from kvirt.plan.engine import Plan

Answer = dict[str, Any]

READS = ('list_clients', 'list_vms', 'info_vm', 'list_networks', 'list_images', 'list_flavors', 'list_offers',
         'list_plans', 'capabilities', 'doctor', 'estimate_vm', 'check_plan', 'diff_plan')
"""The tools that change nothing."""

WRITES = ('create_vm', 'start_vm', 'stop_vm', 'delete_vm', 'create_plan', 'delete_plan')
"""The tools that are there only where changes are allowed."""

_DESTROYS = ('stop_vm', 'delete_vm', 'delete_plan')
_CHEAPEST = 5
_ABOUT = ('Virtual machines on libvirt and on clouds. A client is a place where VMs run; list_clients names them. Sizes of '
          'memory are in MiB, of disks in GiB. A failure has an error, a reason, and tells if it can be tried again.')


class OfferedSettings(Settings):
    """The configuration, with no other client than those that are *offered*, wherever one is named."""

    offered: tuple[str, ...] | None = None

    def __init__(self, wanted: str | None = None) -> None:
        super().__init__()
        # With none wanted, the default one comes first, and the others that are enabled after it.
        named = [*self.targets(wanted), *(self.select('all') if wanted is None else ())]
        self.offered = tuple(dict.fromkeys(named))

    def clients(self) -> dict[str, Client]:
        """Return the clients that are configured, of those that are offered."""
        return {name: client for name, client in super().clients().items() if self.offered is None or name in self.offered}

    def client(self, name: str) -> Client:
        """Return client *name*. NotFound when it is not offered."""
        if self.offered is not None and name not in self.offered:
            raise NotFound(f"client '{name}' is not offered here{did_you_mean(name, self.offered)}")
        return super().client(name)


class Tools:
    """The tools: each method is one, its docstring what is told of it, its parameters what it takes."""

    def __init__(self, clients: str | None = None) -> None:
        self._settings = OfferedSettings(clients)
        self._names = self._settings.offered or ()
        self._configs: dict[str, Kconfig] = {}
        self._calls = 0
        self._idle = threading.Condition()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let ``close`` wait for what is done within."""
        with self._idle:
            self._calls += 1
        try:
            yield
        finally:
            with self._idle:
                self._calls -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Wait for the tools at work, which undo what they began when they were cancelled; let go of all connections."""
        with self._idle:
            self._idle.wait_for(lambda: not self._calls)
        for config in self._configs.values():
            config.close()

    def _config(self, client: str | None) -> Kconfig:
        name = client or self._names[0]
        if name not in self._configs:
            self._configs.setdefault(name, Kconfig(name, settings=self._settings))
        return self._configs[name]

    # reads

    def list_clients(self) -> Answer:
        """List the clients that tools can be told to use, with their platforms. The first is used when none is named."""
        return {'clients': [{'name': name, 'type': self._settings.client(name).type} for name in self._names]}

    def list_vms(self, client: str | None = None, filters: dict[str, str] | None = None) -> Answer:
        """List the VMs of a client. filters chooses by name, status, ip, image, network, plan or profile; a value may hold
        * and ?.
        """
        from kvirt.filters import matching
        config = self._config(client)
        return {'client': config.client, 'vms': matching(config.k, filters or {})}

    def info_vm(self, name: str, client: str | None = None) -> Answer:
        """Tell all that is known of one VM: status, addresses, cards, disks, snapshots."""
        config = self._config(client)
        known = config.k.info(name)
        if not known:
            raise NotFound(f'VM {name} does not exist on client {config.client}')
        return {'client': config.client, 'vm': known}

    def list_networks(self, client: str | None = None) -> Answer:
        """List the networks of a client."""
        config = self._config(client)
        return {'client': config.client,
                'networks': [{'name': name, **facts} for name, facts in config.k.list_networks().items()]}

    def list_images(self, client: str | None = None) -> Answer:
        """List the images of a client, and the well-known ones, which VMs can be made of by name."""
        from kvirt.guest.images import names
        config = self._config(client)
        return {'client': config.client, 'images': config.k.volumes(extended=True), 'well_known': names()}

    def list_flavors(self, client: str | None = None, numcpus: int | None = None, memory: int | None = None) -> Answer:
        """List the sizes of VM that a client sells with at least so many CPUs and MiB of memory, the cheapest first."""
        from kvirt.offers import Wish, expense, facts
        config, wish = self._config(client), Wish.of(numcpus, memory)
        found = [facts(flavor) for flavor in config.k.list_flavors() if wish.met_by(flavor)]
        return {'client': config.client, 'flavors': sorted(found, key=expense)}

    def list_offers(self, numcpus: int | None = None, memory: int | None = None, gpus: int | None = None,
                    spot: bool = False, limit: int = _CHEAPEST) -> Answer:
        """Compare what a VM of at least this size costs on all clients: the cheapest few of each. Different currencies
        are not compared.
        """
        found = self._config(None).list_offers(numcpus, memory, gpus, spot=spot, clients=','.join(self._names)).best(limit)
        return {'offers': list(found.rows), 'notes': found.notes(),
                'failures': [Result.failure(error, client=name) for name, error in found.failures.items()]}

    def list_plans(self, client: str | None = None) -> Answer:
        """List the plans that VMs belong to, on one client, or on all."""
        from kvirt.plan import found
        return {'plans': found.plans([self._config(name) for name in ([client] if client else self._names)])}

    def capabilities(self, client: str | None = None) -> Answer:
        """Tell what the platform of a client can do, and why it can't do the rest. Connects to nothing."""
        from kvirt.providers.describe import describe
        config = self._config(client)
        known = describe(config.type)
        return {'client': config.client, **{key: known[key] for key in ('name', 'title', 'honours', 'prices')},
                'supported': [row['operation'] for row in known['operations'] if row['mark'] == 'supported'],
                'not_supported': {row['operation']: row['reason'] or row['mark'] for row in known['operations']
                                  if row['mark'] != 'supported'}}

    def doctor(self, client: str | None = None) -> Answer:
        """Look for what hinders VMs from being made, here and on one client or on all, with what mends it."""
        from kvirt.doctor import examine
        found = examine(lambda: self._settings, self._config, client or ','.join(self._names))
        return {'findings': [asdict(finding) for finding in found]}

    def estimate_vm(self, image: str | None = None, profile: str | None = None, keywords: dict[str, Any] | None = None,
                    client: str | None = None, name: str = 'estimated') -> Answer:
        """Tell what would be made of a VM, and what a month of it costs. keywords are those of a plan, such as numcpus,
        memory (MiB), disks, nets, flavor.
        """
        config, values = self._config(client), self._values(image, keywords)
        self._refuse_reach(config, name, profile, values)
        return {'client': config.client, 'vm': config.preview_vms({name: values}, profile)[0]}

    def check_plan(self, text: str, parameters: dict[str, Any] | None = None, client: str | None = None) -> Answer:
        """Look for faults in the text of a plan (YAML), and tell all of them. Connects to nothing."""
        plan = self._plan(self._config(client), 'plan', text, parameters)
        return {'entries': [
            {'type': item.kind, 'name': item.name, 'client': item.config.client,
             'needs': [f'{kind}/{called}' for kind, called in plan.checked.needs[item.key]]}
            for item in plan.checked.in_order()]}

    def diff_plan(self, name: str, text: str, parameters: dict[str, Any] | None = None,
                  client: str | None = None) -> Answer:
        """Tell in what there is differs from the text of plan name: what create_plan would make, and what it costs more
        each month.
        """
        plan = self._plan(self._config(client), name, text, parameters)
        changes = plan.diff()
        sums, unknown = plan.costs(changes)
        return {'changes': [{'action': change.action, 'type': kind, 'name': called, 'reason': change.reason, 'changes': [
            {'what': each.what, **_shown(each.what, now=each.now, wanted=each.wanted)} for each in change.differences]}
            for (kind, called), change in changes.items()], 'monthly': sums, 'unknown_prices': unknown}

    # changes

    def create_vm(self, name: str, image: str | None = None, profile: str | None = None,
                  keywords: dict[str, Any] | None = None, client: str | None = None) -> Answer:
        """Make a VM of an image or a profile. keywords are those of a plan, such as numcpus, memory (MiB), disks, nets,
        flavor, cmds. All or nothing; returns when the platform has accepted it.
        """
        config, values = self._config(client), self._values(image, keywords)
        self._refuse_reach(config, name, profile, values)
        return config.create_vm(name, profile, values)

    def start_vm(self, name: str, client: str | None = None) -> Answer:
        """Start a VM."""
        return Result.of(self._config(client).k.start(name))

    def stop_vm(self, name: str, soft: bool = False, client: str | None = None) -> Answer:
        """Stop a VM: at once, or with soft by asking its operating system."""
        return Result.of(self._config(client).k.stop(name, soft=soft))

    def delete_vm(self, name: str, client: str | None = None) -> Answer:
        """Delete a VM and its disks, for good."""
        return self._config(client).delete_vm(name)

    def create_plan(self, name: str, text: str, parameters: dict[str, Any] | None = None,
                    client: str | None = None) -> Answer:
        """Make what the text of plan name says and what is not there yet. What is there stays as it is."""
        return self._plan(self._config(client), name, text, parameters).create().result(name)

    def delete_plan(self, name: str, client: str | None = None) -> Answer:
        """Delete the VMs and networks of a plan, for good."""
        return self._config(client).delete_plan(name)

    # what they share

    @staticmethod
    def _values(image: str | None, keywords: Mapping[str, Any] | None) -> dict[str, Any]:
        return {**({'image': image} if image else {}), **(keywords or {})}

    def _plan(self, config: Kconfig, name: str, text: str, parameters: Mapping[str, Any] | None = None) -> Plan:
        """Return the plan of *text*, checked, and taken to be from elsewhere. InvalidInput names every fault."""
        from kvirt.plan.engine import Plan
        from kvirt.plan.locate import Source
        section = {**self._settings.defaults, **self._settings.client(config.client).values}
        source = Source(text, safe_name('plan', name), Path.cwd(), trusted=False, origin='url')
        return Plan.of(source, name, config, parameters, rules=section.get('vmrules'))

    def _refuse_reach(self, config: Kconfig, name: str, profile: str | None, values: Mapping[str, Any]) -> None:
        """Raise InvalidInput where a VM would have what a plan from elsewhere could not."""
        from kvirt.yamlfile import dump
        entry = {**values, 'type': 'vm', **({'profile': profile} if profile else {})}
        self._plan(config, 'plan', f'{{% raw %}}\n{dump({safe_name("VM", name): entry})}\n{{% endraw %}}\n')


def _shown(what: str, **values: Any) -> dict[str, Any]:
    """Return the values of a thing called *what*, masked where it is a secret."""
    return {key: redact_mapping({what: value})[what] for key, value in values.items()}


def server(tools: Tools, *, write: bool = False) -> MCPServer:
    """Return the server of *tools*: the reads, and with *write* the changes. MissingDependency."""
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] != 'mcp':
            raise
        raise MissingDependency('the server of tools needs the package mcp',
                                hint="Run: pip install 'kvirt[mcp]'") from error
    made = MCPServer('kvirt', version=__version__, instructions=_ABOUT, log_level='WARNING')
    for name in (*READS, *(WRITES if write else ())):
        tool = getattr(tools, name)
        made.add_tool(_answering(tools, tool), name=name, description=' '.join((inspect.getdoc(tool) or '').split()),
                      annotations=ToolAnnotations(read_only_hint=name in READS, destructive_hint=name in _DESTROYS))
    return made


def serve(clients: str | None = None, *, write: bool = False) -> None:
    """Answer on standard input and output until the other side goes. *clients* are those offered, as -C takes them."""
    tools = Tools(clients)
    try:
        server(tools, write=write).run('stdio')
    finally:
        tools.close()


def _answering(tools: Tools, tool: Callable[..., Answer]) -> Callable[..., Any]:
    """Return *tool* with answers that the protocol can carry: failures as results, and secrets masked in all."""
    @functools.wraps(tool)
    def call(**arguments: Any) -> Any:
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import CallToolResult, TextContent
        try:
            with tools.working():
                answer = tool(**arguments)
        except KvirtError as error:
            answer = Result.failure(error)
        except Exception as error:
            raise ToolError(redact(f'kvirt has a bug: {type(error).__name__}: {error}')) from error
        text = json.dumps(redact_mapping(answer), default=str)
        return CallToolResult(content=[TextContent(type='text', text=text)], structured_content=json.loads(text),
                              is_error=answer.get('result') == 'failure')
    return call
