"""Disks beside the root one are volumes. Those made for a VM bear its mark, and go with it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.digitalocean import mapping
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.digitalocean.mapping import Thing
from kvirt.providers.families import blocks, cloud, marks
from kvirt.shapes import DiskRow


class Storage(blocks.NoPools, Account):
    """Volumes."""

    def volumes_in(self, region: str) -> list[dict[str, Any]]:
        """Return the volumes of a region, where no two have one name."""
        return list(self.all('/volumes', region=region))

    def free_volume(self, name: str, region: str) -> dict[str, Any]:
        """Return a volume that no VM has. NotFound; Conflict names the VM that has it."""
        volume = cloud.find('volume', name, self.volumes_in(region), lambda each: each['name'], lambda each: each['id'])
        users = [self.api.get(f'/droplets/{number}')['droplet']['name'] for number in volume['droplet_ids'] or ()]
        if users:
            raise Conflict(f"volume {name} is a disk of {', '.join(users)}", hint='Detach it first')
        return volume

    def volumes_of(self, droplet: Thing) -> list[dict[str, Any]]:
        """Return the volumes of a droplet, in the order in which it got them."""
        order = droplet.get('volume_ids') or []
        found = {each['id']: each for each in self.volumes_in(mapping.region(droplet))} if order else {}
        return [found[each] for each in order if each in found]

    def marked(self, request: str) -> list[dict[str, Any]]:
        """Return the volumes that were made by *request*."""
        return [each for each in self.all('/volumes') if _fields(each).get(marks.MARK) == request]

    def make_volume(self, name: str, size: int, region: str, request: str = '') -> dict[str, Any]:
        """Make a volume, empty and without a file system, that bears the mark of *request*."""
        cloud.check_name('volume', name, '[a-z][a-z0-9-]*', 'Use small letters, digits and dashes, beginning with a letter')
        fields = {marks.MARK: request, marks.MAKER: marks.maker(time.time())} if request else {}
        made: dict[str, Any] = self.api.post('/volumes', {'name': name, 'size_gigabytes': size, 'region': region,
                                                          'tags': mapping.to_tags(fields)})['volume']
        return made

    def drop_volumes(self, volumes: Iterable[Thing]) -> None:
        """Delete *volumes*, and the tags that they alone had. Conflict while one is attached."""
        tags: set[str] = set()
        for volume in volumes:
            self.drop(f"/volumes/{volume['id']}")
            tags |= set(volume.get('tags') or ())
        self.forget(tags)

    # hooks

    def _create_disk(self, name: str, size: int, pool: str | None = None, thin: bool = True,
                     image: str | None = None) -> Mapping[str, Any] | None:
        blocks.refuse(pool, image=image)
        if any(each['name'] == name for each in self.volumes_in(self.made_in())):
            raise AlreadyExists(f'volume {name} exists')
        with self.undo() as undo:
            undo.add(f'volume {name}', lambda: self._take_back(name, self.made_in()))
            volume = self.make_volume(name, size, self.made_in())
        return {'path': mapping.path(volume)}

    @waits
    def _add_disk(self, name: str, size: int, pool: str | None, thin: bool, image: str | None, shareable: bool,
                  existing: str | None, interface: str, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
        cloud.check_settings('a further disk', overrides, ('diskname',))
        blocks.refuse(pool, image=image, shareable=shareable)
        droplet = self.droplet(name)
        region = mapping.region(droplet)
        with self.undo() as undo:
            if existing:
                volume = self.free_volume(existing, region)
            else:
                taken = [each['name'] for each in self.volumes_in(region)]
                wanted = overrides.get('diskname') or blocks.next_name(droplet['name'], taken)
                if wanted in taken:
                    raise AlreadyExists(f'volume {wanted} exists')
                undo.add(f'volume {wanted}', lambda: self._take_back(wanted, region, droplet))
                volume = self.make_volume(wanted, size, region, self._request_of(droplet))
            self._attachment('attach', volume, droplet)
        return {'device': mapping.disk(volume)['device'], 'path': mapping.path(volume)}

    def _request_of(self, droplet: Thing) -> str:
        """Return the mark of a droplet; one that was made elsewhere gets one, so that its new disk goes with it."""
        known = _fields(droplet).get(marks.MARK)
        if known:
            return known
        request = marks.new_request()
        self.tag(mapping.to_tags({marks.MARK: request}), 'droplet', droplet['id'])
        return request

    def _take_back(self, name: str, region: str, droplet: Thing | None = None) -> None:
        """Undo the making of a volume, which may be attached to a droplet already."""
        found = [each for each in self.volumes_in(region) if each['name'] == name]
        for volume in found:
            if droplet and volume['droplet_ids']:
                self._attachment('detach', volume, droplet)
        self.drop_volumes(found)

    def _attachment(self, kind: str, volume: Thing, droplet: Thing) -> None:
        """Attach a volume to a droplet or detach it from there, and wait until that is done."""
        self._change(volume, f"{kind}ing volume {volume['name']}", type=kind, droplet_id=droplet['id'])

    def _change(self, volume: Thing, what: str, **body: Any) -> None:
        self.finish(self.api.post(f"/volumes/{volume['id']}/actions", {**body, 'region': mapping.region(volume)}), what)

    def _disk_of(self, droplet: Thing, diskname: str) -> dict[str, Any]:
        """Return a volume of a droplet, by device, name, path or id. NotSupported for the root disk."""
        if diskname in ('vda', '/dev/vda'):
            raise NotSupported(f"the root disk of VM {droplet['name']} has the size of its flavor, and stays with it")
        known = self.volumes_of(droplet)
        for volume in known:
            if diskname in (volume['name'], volume['id'], mapping.path(volume), mapping.disk(volume)['device']):
                return volume
        names = [each['name'] for each in known]
        raise NotFound(f"VM {droplet['name']} has no disk {diskname}{did_you_mean(diskname, names)}")

    @waits
    def _delete_disk(self, name: str | None, diskname: str, pool: str | None = None) -> None:
        blocks.refuse(pool)
        if name is None:
            volume = self.free_volume(diskname, self.made_in())
        else:
            droplet = self.droplet(name)
            volume = self._disk_of(droplet, diskname)
            self._attachment('detach', volume, droplet)
        self.insist(lambda: self.drop_volumes([volume]), f'deleting volume {volume["name"]}')

    @waits
    def _detach_disks(self, name: str) -> Mapping[str, Any] | None:
        droplet = self.droplet(name)
        volumes = self.volumes_of(droplet)
        for volume in volumes:
            self._attachment('detach', volume, droplet)
            ours = {tag for tag in volume['tags'] if marks.from_tags([tag])}
            self.untag(ours, 'volume', volume['id'])  # so that it stays when the VM goes
        return {'disks': [mapping.path(volume) for volume in volumes]}

    @waits
    def _resize_disk(self, name: str, diskname: str, size: int) -> None:
        volume = self._disk_of(self.droplet(name), diskname)
        if size < volume['size_gigabytes']:
            has = volume['size_gigabytes']
            raise InvalidInput(f'disk {diskname} of VM {name} has {has} GiB and can not be made smaller')
        if size > volume['size_gigabytes']:
            self._change(volume, f'resizing disk {diskname} of VM {name}', type='resize', size_gigabytes=size)

    def _list_disks(self) -> dict[str, DiskRow]:
        volumes = sorted(filter(self.seen, self.all('/volumes')), key=lambda each: str(each['name']))
        names = {droplet['id']: droplet['name'] for droplet in self.droplets()} if volumes else {}
        rows: dict[str, DiskRow] = {}
        for volume in volumes:  # a droplet that is unknown is gone, and its volumes will be let go of in a moment
            name = f"{mapping.region(volume)}/{volume['name']}" if volume['name'] in rows else volume['name']
            rows[name] = {'path': mapping.path(volume), 'size': volume['size_gigabytes'],
                          'vms': [names[number] for number in volume['droplet_ids'] or () if number in names]}
        return dict(sorted(rows.items()))


def _fields(thing: Thing) -> dict[str, str]:
    return marks.from_tags(thing.get('tags') or ())
