"""Making and removing VMs, all or nothing.

Everything is looked up first. The server is made in one call that carries its marks, so one that exists is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kvirt.errors import AlreadyExists, InvalidInput, NotFound
from kvirt.guest.guest import Guest
from kvirt.names import did_you_mean
from kvirt.providers.families import cloud, marks
from kvirt.providers.mycloud.account import NAME, Account
from kvirt.providers.mycloud.mapping import IMAGES, image_name
from kvirt.shapes import Flavor, Orphan
from kvirt.spec import DiskSpec, NetSpec, VmSpec

USER_DATA_LIMIT = 32 * 1024
_REFUSED = {**cloud.NO_HYPERVISOR, 'diskinterface': 'it chooses the bus of disks',
            'diskthin': 'it chooses how disks are kept'}


class Create(Account):
    """Create and delete."""

    def _create(self, name: str, spec: VmSpec, guest: Guest) -> Mapping[str, Any] | None:
        body, request = self._drafted(name, spec, guest), marks.new_request()
        body['labels'] = marks.to_labels({marks.MARK: request, **marks.fields_of(spec, guest)})
        with self.undo() as undo:
            undo.add(f'VM {name}', lambda: self._unmake(request))
            server = self.api.post('/servers', body)['server']
        return {'id': str(server['id'])}

    def _drafted(self, name: str, spec: VmSpec, guest: Guest) -> dict[str, Any]:
        """Look up all that the VM needs. Raises what forbids it; nothing is made."""
        cloud.refuse(spec, _REFUSED, NAME)
        _check_cards(spec)
        user_data = cloud.check_user_data(guest.user_data(), USER_DATA_LIMIT, NAME) if guest.kind else None
        image, flavor = self.image_for(spec.image), self.flavor_for(spec)
        assert flavor is not None  # there are always some
        further = _further_disks(spec, flavor)
        if any(server['name'] == name for server in self.servers(name=name)):
            raise AlreadyExists(f'VM {name} exists')
        return {'name': name, 'region': self.made_in(), 'type': flavor.name, 'image': image, 'disks': further,
                'start': spec.start, **({'user_data': user_data} if user_data else {})}

    def image_for(self, name: str | None) -> str:
        """Return the platform's name of an image. NotFound."""
        if name is None:
            raise InvalidInput(f'a VM of {NAME} needs an image', hint="'kvirt list image' shows what is there")
        offered = [image['name'] for image in self.all('/images')]
        native = IMAGES.get(name, name)
        if native not in offered:
            raise NotFound(f"image '{name}' does not exist{did_you_mean(name, map(image_name, offered))}",
                           hint="'kvirt list image' shows what is there")
        return native

    def _unmake(self, request: str) -> None:
        for server in list(self.servers(label=f'{marks.MARK}={request}')):
            self.api.delete(f"/servers/{server['id']}")

    def _delete(self, name: str, snapshots: bool = False) -> Mapping[str, Any] | None:
        self.api.delete(f"/servers/{self.server(name)['id']}")
        return None

    # A server is made whole in one call, so nothing is ever left without one. Who adds a step to create lists here what
    # a killed process may leave: things with a mark whose maker is gone, and whose request has no server.

    def _list_orphans(self) -> list[Orphan]:
        return []

    def _delete_orphans(self) -> Mapping[str, Any] | None:
        return {'deleted': self._list_orphans()}


def _further_disks(spec: VmSpec, flavor: Flavor) -> list[int]:
    """Return the sizes of the disks beside the root disk, which is the flavor's."""
    for disk in spec.disks:
        if disk != DiskSpec(size=disk.size, default=disk.default):
            raise InvalidInput(f'{NAME} only honours the size of a disk')
    root, *others = spec.disks or (DiskSpec(default=True),)
    if not root.default and spec.disk_size(root) > (flavor.disk or 0):
        raise InvalidInput(f'flavor {flavor.name} has a root disk of {flavor.disk} GiB, and not of {spec.disk_size(root)}',
                           hint='Name a larger flavor, or a further disk')
    return [spec.disk_size(disk) for disk in others]


def _check_cards(spec: VmSpec) -> None:
    """Refuse what only a platform with real cards can honour."""
    if len(spec.nets) != 1:
        raise InvalidInput(f'a VM of {NAME} has one card; {len(spec.nets)} were asked for')
    [card] = spec.cards()
    if msgspec.structs.replace(card, name='default', domain=None) != NetSpec():
        raise InvalidInput(f'{NAME} chooses addresses and settings of a card')
    if card.name != 'default':
        raise NotFound(f'network {card.name} does not exist: {NAME} has only the default one')
