"""The smallest cloud that a sweep can be tried on, and a provider that makes each mistake on request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kvirt.base import Kbase, Options
from kvirt.errors import AlreadyExists, KvirtError
from kvirt.guest.guest import Guest
from kvirt.providers.families import marks
from kvirt.rest import Api
from kvirt.shapes import Orphan
from kvirt.spec import VmSpec
from kvirt.testing.cloud import FakeCloud, Thing, route
from kvirt.testing.sweep import Haste
from kvirt.testing.wire import Request
from kvirt.undo import Undo


class TinyCloud(FakeCloud):
    """Servers and volumes. It lets two servers bear one name."""

    @route('GET', '/{kind}')
    def list_all(self, request: Request, kind: str) -> Thing:
        return {kind: list(self.things.get(kind, {}).values())}

    @route('POST', '/{kind}')
    def create(self, request: Request, kind: str) -> tuple[Thing, int]:
        return self.add(kind, request.json), 201

    @route('DELETE', '/{kind}/{id}')
    def delete(self, request: Request, kind: str, id: str) -> None:
        self.drop(kind, id)

    def words(self) -> list[str]:
        return [f"{kind} {thing['name']}" for kind, things in self.things.items() for thing in things.values()]


class TinyOptions(Options, frozen=True, kw_only=True):
    """Where it is, and what is wrong with its provider."""

    api: str = ''
    flaw: str = ''


class Ktiny(Kbase):
    """A provider for it: careful, or with a *flaw*."""

    Options = TinyOptions

    def __init__(self, api: str = '', flaw: str = '', home: str | None = None, debug: bool = False) -> None:
        self.conn = Api(api, name='tiny', clock=Haste())
        self.flaw, self.debug = flaw, debug

    def close(self) -> None:
        self.conn.close()

    def _all(self, kind: str) -> list[Thing]:
        return list(self.conn.pages(f'/{kind}', kind))

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        if any(server['name'] == name for server in self._all('servers')):
            raise AlreadyExists(f'VM {name} exists')
        request, made = marks.new_request(), []
        with Undo(clock=Haste()) as undo:
            for number in (1, 2):
                volume = {'name': f'{name}-{number}', 'request': request, 'maker': marks.maker(time.time())}
                if self.flaw != 'leaves volumes' and self.flaw != 'remembers late':
                    undo.add('volumes', lambda: self._undo(request))
                try:
                    made.append(self.conn.post('/volumes', volume)['id'])
                except KvirtError:
                    if self.flaw != 'hides failures':
                        raise
                if self.flaw == 'remembers late':
                    undo.add('volumes', lambda: self._undo(request))
            undo.add('the server', lambda: self._remove('servers', request))
            server = self.conn.post('/servers', {'name': name, 'request': request, 'volumes': made})
            if self.flaw != 'never looks again' and self._is_second(server):
                raise AlreadyExists(f'VM {name} exists')
        return {'id': str(server['id'])}

    def _is_second(self, server: Thing) -> bool:
        return min(other['id'] for other in self._all('servers') if other['name'] == server['name']) != server['id']

    def _undo(self, request: str) -> None:
        for volume in self._all('volumes') if self.flaw == 'takes too much' else ():
            self.conn.delete(f"/volumes/{volume['id']}")
        self._remove('volumes', request)

    def _remove(self, kind: str, request: str) -> None:
        for thing in self._all(kind):
            if thing.get('request') == request:
                self.conn.delete(f"/{kind}/{thing['id']}")

    def _delete(self, name: str, snapshots: bool = False) -> None:
        request = self.one('VM', name, [server for server in self._all('servers') if server['name'] == name])['request']
        for kind in ('servers', 'volumes'):
            if self.flaw != 'deletes half' or kind == 'servers':
                self._remove(kind, request)

    def _abandoned(self) -> list[Thing]:
        finished = {server['request'] for server in self._all('servers')}
        return [volume for volume in self._all('volumes') if 'request' in volume and volume['request'] not in finished
                and marks.abandoned(volume['maker'], time.time())]

    def _list_orphans(self) -> list[Orphan]:
        found: list[Orphan] = [{'kind': 'volume', 'name': volume['name'], 'detail': ''} for volume in self._abandoned()]
        return [] if self.flaw == 'sees no orphans' else sorted(found, key=lambda orphan: orphan['name'])

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        deleted = self._list_orphans()
        for volume in self._abandoned():
            if self.flaw != 'keeps orphans':
                self.conn.delete(f"/volumes/{volume['id']}")
        return {'deleted': deleted}
