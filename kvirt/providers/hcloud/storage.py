"""What is kept: volumes; images and ISO images; and snapshots of VMs, which are images too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from hcloud import images as sdk_images
from hcloud import isos, locations

from kvirt.base import unsupported
from kvirt.errors import NotFound
from kvirt.guest import images
from kvirt.providers.families import blocks, marks
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import Snapshot, Snapshots
from kvirt.providers.families.volumes import NewVolume, Volume
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native
from kvirt.providers.hcloud.mapping import SNAPSHOT, short_name

_TYPES = ['system', 'snapshot', 'backup']
_VM = 'vm'
"""The field of a snapshot that tells the id of its VM."""


class Storage(blocks.Blocks, Snapshots, CloudImages, Account):
    """The volumes and images of a project, whose names are unique in it; and the platform's images."""

    smallest_volume = 10
    root_device = 'sda'
    remembers_snapshot = True

    # volumes

    def read_volumes(self, name: str | None = None) -> Iterator[Volume]:
        known = self.conn.volumes.get_all() if name is None else filter(None, [self.find(self.conn.volumes, name)])
        return map(mapping.volume, known)

    def volume_place(self) -> str:
        return self.usual_place

    def make_volume(self, wanted: NewVolume) -> Volume:
        return self._made_volume(wanted, location=locations.Location(name=wanted.place))

    def make_disk(self, wanted: NewVolume, machine: Machine) -> Volume:
        return self._made_volume(wanted, server=machine.native)

    def _made_volume(self, wanted: NewVolume, **where: Native) -> Volume:
        made = self.insist(lambda: self.conn.volumes.create(
            wanted.size, wanted.name, marks.to_labels(wanted.fields), **where), f'making volume {wanted.name}')
        self.done(made.action, *made.next_actions)
        return mapping.volume(made.volume)

    def drop_volume(self, volume: Volume) -> None:
        self.gone(volume.native)

    def attach_volume(self, volume: Volume, machine: Machine) -> Volume:
        self.carry_out(f'attaching volume {volume.name}', lambda: volume.native.attach(machine.native))
        return volume

    def detach_volume(self, volume: Volume) -> None:
        with suppress(NotFound):
            self.carry_out(f'detaching volume {volume.name}', volume.native.detach)

    def grow_volume(self, volume: Volume, size: int) -> None:
        self.done(volume.native.resize(size))

    def keep_volume(self, volume: Volume) -> None:
        self.relabel(volume.native, **{marks.MARK: None, marks.MAKER: None})

    # images

    def image_behind(self, image: str | None) -> str | None:
        """Return the name that tells the kind of an image: for one of the project's own, the image that it was made of."""
        if image is None or images.find(image) or short_name(image):
            return image
        found = self.image_named(image)
        return found.fields.get('image') or found.native.name or f'{found.family}-{found.version}'

    def read_images(self) -> Iterator[Image]:
        return (mapping.image(image) for image in self.conn.images.get_all(type=_TYPES)
                if SNAPSHOT not in (image.labels or {}))

    def read_isos(self) -> list[Image]:
        return [Image(id=str(each.id), name=each.name or each.description) for each in self.conn.isos.get_all()]

    def image_exists(self, name: str) -> bool:
        return any(image.name == name for image in self.read_images())  # the platform's are found first

    def iso(self, wanted: str) -> Native:
        """Return an ISO image by name or id, as requests name it. NotFound."""
        return isos.Iso(name=str(self.get('ISO', self.conn.isos, wanted).id))

    _add_image = unsupported('Hetzner Cloud takes no images from outside: make one of a VM with export')

    def drop_image(self, image: Image) -> None:
        self.gone(image.native)

    def made_of(self, machine: Machine) -> str | None:
        return self.image_behind(machine.fields.get('image') or machine.image)

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        self.done(machine.native.create_image(wanted.name, 'snapshot', marks.to_labels(wanted.fields)).action)

    # snapshots

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        found = self.conn.images.get_all(type=['snapshot'], label_selector=f'{_VM}={machine.id},{SNAPSHOT}')
        return [mapping.snapshot(image) for image in sorted(found, key=lambda image: image.id)]

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        fields = {marks.MARK: request, _VM: machine.id, SNAPSHOT: name}
        self.copy_disk(machine, NewImage(name=f'{machine.name} {name}', fields=fields))

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        self.gone(snapshot.native)

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Write the root disk anew; the VM keeps its id, addresses and volumes. The platform starts it for that."""
        server = machine.native
        self.done(server.rebuild(sdk_images.Image(name=snapshot.id)).action)
        if machine.status == 'stopped':
            self.carry_out(f'stopping VM {machine.name}', server.power_off)
