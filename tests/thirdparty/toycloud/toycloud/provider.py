"""The provider of the toy cloud."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from kvirt.base import Kbase, Options, option, unsupported
from kvirt.base.vms import Rows
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, KvirtError, NotFound, NotSupported
from kvirt.guest.guest import Guest
from kvirt.names import did_you_mean
from kvirt.providers.families import marks
from kvirt.providers.families.cloud import NO_HYPERVISOR, check_user_data, find, refuse
from kvirt.rest import Api, Call, by_number
from kvirt.shapes import DiskRow, DiskShape, Flavor, Orphan, VmInfo, VmRow
from kvirt.spec import VmSpec
from kvirt.undo import Undo
from kvirt.wait import SYSTEM, Clock

STATUS = {'starting': 'pending', 'running': 'running', 'stopping': 'stopping', 'off': 'stopped', 'deleting': 'terminating'}

FLAGS = ('stoppable', 'rebootable', 'resizable', 'preemptible', 'firewall')

Native = dict[str, Any]


class ToyOptions(Options, frozen=True, kw_only=True):
    """The keys that a client of the toy cloud may have in config.yml."""

    api: Annotated[str, option('Where the cloud is')] = 'http://127.0.0.1:9'
    token: Annotated[str | None, option('Key of the account', secret=True)] = None
    location: Annotated[str, option("Region, or 'all'")] = 'east'


class Ktoycloud(Kbase):
    """A toy cloud."""

    Options = ToyOptions
    starts_at_once = True

    _list_pools = unsupported('the toy cloud has no storage pools')
    _list_networks = unsupported('the toy cloud has one network, which nobody sees')

    def __init__(self, api: str = 'http://127.0.0.1:9', token: str | None = None, location: str = 'east',
                 home: str | None = None, debug: bool = False, clock: Clock = SYSTEM) -> None:
        self.debug, self.location, self.clock = debug, location, clock
        self.conn = Api(f'{api}/v1', name='toycloud', token=token, meaning=meaning, clock=clock,
                        next_page=by_number('page', of=('last',)))

    def close(self) -> None:
        self.conn.close()

    # servers

    def _here(self) -> str:
        return 'east' if self.location == 'all' else self.location

    def _servers(self, **query: Any) -> list[Native]:
        return list(self.conn.pages('/servers', 'servers', **query,
                                    region=None if self.location == 'all' else self.location))

    def _get(self, name: str) -> Native:
        found: Native = find('VM', name, self._servers(name=name), lambda vm: vm['name'], lambda vm: vm['id'])
        return found

    def _row(self, native: Mapping[str, Any], flavors: Mapping[str, Flavor]) -> VmRow:
        fields, size = native['labels'], flavors[native['size']]
        return {'name': native['name'], 'status': STATUS.get(native['state'], 'unknown'),  # type: ignore[typeddict-item]
                'ip': native['ip'], 'id': str(native['id']), 'image': fields.get('image', ''),
                'plan': fields.get('plan', ''), 'profile': fields.get('profile', ''), 'flavor': size.name,
                'numcpus': size.numcpus, 'memory': size.memory, 'location': native['region']}

    def _list(self) -> Rows:
        flavors = self._by_name()
        return sorted((self._row(native, flavors) for native in self._servers()), key=lambda row: row['name'])

    def _info(self, name: str) -> VmInfo:
        native, flavors = self._get(name), self._by_name()
        flavor, row = flavors[native['size']], self._row(native, flavors)
        disks: list[DiskShape] = [{'device': 'vda', 'size': flavor.disk or 0}]
        disks += [{'device': volume['name'], 'size': volume['size'], 'path': volume['name']} for volume in self._volumes_()
                  if volume['server'] == native['id']]
        flags = {flag: getattr(flavor, flag) for flag in FLAGS}
        known: Any = {**marks.unshown(native['labels']), **row, **flags, 'native_status': native['state'], 'disks': disks,
                      'nets': [{'device': 'eth0', 'net': 'default'}], 'creationdate': native['created'], 'snapshots': []}
        return known  # type: ignore[no-any-return]

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        flavor = self._checked(name, spec)
        user_data = check_user_data(guest.user_data(), 20_000, 'the toy cloud') if guest.kind else ''
        fields = marks.fields_of(spec, guest)
        request = marks.new_request()
        there = {volume['name']: volume for volume in self._volumes_()}
        with Undo(clock=self.clock).translating(self.translate) as undo:
            ids = []
            undo.add(f'the disks of VM {name}', lambda: self._delete_marked('volumes', request))
            for index, disk in enumerate(spec.disks[1:], 1):
                if disk.name in there:
                    if there[disk.name]['server']:
                        raise Conflict(f"volume {disk.name} is in use by {self._owner(there[disk.name])}")
                    ids.append(there[disk.name]['id'])
                    continue
                labels = {marks.MARK: request, marks.MAKER: marks.maker(time.time())}
                ids.append(self.conn.post('/volumes', {'name': disk.name or f'{name}-{index}', 'size': spec.disk_size(disk),
                                                       'labels': labels})['volume']['id'])
            undo.add(f'VM {name}', lambda: self._delete_marked('servers', request))
            server = self.conn.post('/servers', {
                'name': name, 'size': flavor.name, 'image': spec.image, 'region': self._here(), 'user_data': user_data,
                'volumes': ids, 'labels': {**fields, marks.MARK: request}})['server']
        return {'id': str(server['id'])}

    def _checked(self, name: str, spec: VmSpec) -> Flavor:
        """Return the flavor of a VM that can be made; raise what forbids it."""
        refuse(spec, NO_HYPERVISOR, 'the toy cloud')
        if len(spec.nets) != 1 or spec.nets[0].mac or any(disk.pool or disk.image for disk in spec.disks):
            raise NotSupported('the toy cloud gives each VM one card, chooses its address, and has no pools')
        if spec.nets[0].name != 'default':
            raise NotFound(f"network '{spec.nets[0].name}' does not exist")
        images = self._volumes()
        if spec.image not in images:
            raise NotFound(f"image '{spec.image}' does not exist{did_you_mean(str(spec.image), images)}")
        flavor = self.flavor_for(spec)
        assert flavor is not None
        if any(server['name'] == name for server in self._servers(name=name)):
            raise AlreadyExists(f'VM {name} exists')
        if spec.disks and (spec.disks[0].size or 0) > (flavor.disk or 0):
            raise InvalidInput(f'flavor {flavor.name} has a disk of {flavor.disk} GiB')
        return flavor

    def _delete_marked(self, kind: str, request: str) -> None:
        """Delete what bears the mark of a request."""
        for native in list(self.conn.pages(f'/{kind}', kind)):
            if native['labels'].get(marks.MARK) == request:
                self.conn.delete(f"/{kind}/{native['id']}")

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        native = self._get(name)
        self.conn.delete(f"/servers/{native['id']}")
        self._delete_marked('volumes', native['labels'].get(marks.MARK, ''))
        return None

    def _power(self, name: str, on: bool) -> None:
        native = self._get(name)
        if native['state'] == ('running' if on else 'off'):
            return
        self.conn.post(f"/servers/{native['id']}/power", {'on': on})

    def _start(self, name: str) -> None:
        self._power(name, True)

    def _stop(self, name: str, soft: bool = False) -> None:
        flavor = self._info_flavor(self._get(name)['size'])
        if flavor and not flavor.stoppable:
            raise NotSupported(f'VM {name} has flavor {flavor.name}, which is not stoppable')
        self._power(name, False)

    def _update_metadata(self, name: str, metatype: str, metavalue: str | None, append: bool = False) -> None:
        native = self._get(name)
        labels, key = native['labels'], marks.check_field(metatype)
        have = labels.pop(key, '')
        if metavalue is not None:
            labels[key] = f'{have},{metavalue}' if append and have else metavalue
        self.conn.patch(f"/servers/{native['id']}", {'labels': labels})

    # what is sold

    def _list_flavors(self) -> list[Flavor]:
        return sorted((Flavor(name=size['name'], numcpus=size['cores'], memory=size['ram'], disk=size['disk'],
                              price_hourly=size['hourly'], price_monthly=size['monthly'], currency='EUR',
                              stoppable=size['stop'])
                       for size in self.conn.pages('/sizes', 'sizes')), key=lambda flavor: flavor.name)

    def _by_name(self) -> dict[str, Flavor]:
        return {flavor.name: flavor for flavor in self._list_flavors()}

    def _list_locations(self) -> list[dict[str, Any]]:
        return list(self.conn.pages('/regions', 'regions'))

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        names = [] if iso else sorted(image['name'] for image in self.conn.pages('/images', 'images'))
        return [{'name': name, 'short': name} for name in names] if extended else names

    # disks

    def _volumes_(self) -> list[Native]:
        return list(self.conn.pages('/volumes', 'volumes'))

    def _owner(self, volume: Mapping[str, Any]) -> str:
        return next((server['name'] for server in self._servers() if server['id'] == volume['server']), 'another VM')

    def _list_disks(self) -> dict[str, DiskRow]:
        names = {server['id']: server['name'] for server in self._servers()}
        return {volume['name']: {'size': volume['size'], 'path': volume['name'],
                                 'vms': [names[volume['server']]] if volume['server'] in names else []}
                for volume in sorted(self._volumes_(), key=lambda volume: volume['name'])}

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        if pool or image:
            raise NotSupported('the toy cloud has neither pools nor disks of images')
        self.conn.post('/volumes', {'name': name, 'size': size, 'labels': {}})
        return {'path': name}

    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        if name is not None:
            self._get(name)
            raise NotFound(f'VM {name} has no disk {diskname} that can be taken from it')
        found: Native = find('volume', diskname, self._volumes_(), lambda each: each['name'], lambda each: each['id'])
        if found['server']:
            raise Conflict(f'volume {diskname} is in use by {self._owner(found)}')
        self.conn.delete(f"/volumes/{found['id']}")

    # what was left behind

    def _abandoned(self) -> list[Native]:
        finished = {server['labels'].get(marks.MARK) for server in self._servers()}
        return [volume for volume in self._volumes_() if volume['labels'].get(marks.MARK) not in (None, *finished)
                and marks.abandoned(volume['labels'].get(marks.MAKER), time.time())]

    def _list_orphans(self) -> list[Orphan]:
        return sorted(({'kind': 'volume', 'name': volume['name'], 'detail': 'made for a VM that never was'}
                       for volume in self._abandoned()), key=lambda orphan: orphan['name'])

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        orphans, abandoned = self._list_orphans(), self._abandoned()
        for volume in abandoned:
            self.conn.delete(f"/volumes/{volume['id']}")
        return {'deleted': orphans}


def meaning(call: Call) -> KvirtError | None:
    """Return what the toy cloud means by an answer that says no."""
    code = call.data['error']['code'] if isinstance(call.data, dict) and 'error' in call.data else ''
    kinds: dict[str, type[KvirtError]] = {'name_taken': AlreadyExists, 'in_use': Conflict, 'busy': Conflict}
    return kinds[code](f'the toy cloud says: {call.message}') if code in kinds else None
