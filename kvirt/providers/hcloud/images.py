"""Images, ISO images, and snapshots of VMs, which are images too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hcloud.images.domain import Image as NativeImage
from hcloud.isos.domain import Iso

from kvirt.base import unsupported
from kvirt.errors import NotFound
from kvirt.guest import images
from kvirt.names import did_you_mean
from kvirt.providers.families import marks
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.snapshots import Snapshot, Snapshots
from kvirt.providers.hcloud import mapping
from kvirt.providers.hcloud.account import Account, Native
from kvirt.providers.hcloud.mapping import SNAPSHOT, short_name

_TYPES = ['system', 'snapshot', 'backup']
_VM = 'vm'
"""The field of a snapshot that tells the id of its VM."""


class Images(CloudImages, Snapshots, Account):
    """The images of a project, and those of the platform."""

    def image_behind(self, image: str | None) -> str | None:
        """Return the name that tells the kind of an image: for one of the project's own, the image that it was made of."""
        if image is None or images.find(image) or short_name(image):
            return image
        found = self.image(image)
        made_of = marks.from_labels(found.labels or {}).get('image')
        return made_of or found.name or f"{found.os_flavor}-{found.os_version or ''}"

    def login_user(self, image: str | None) -> str:
        """Return root: that is who the platform's images let in."""
        return 'root'

    def image(self, wanted: str, arch: str | None = None) -> Native:
        """Return an image by short name, name, distribution, description or id, for an architecture. NotFound."""
        return self.image_named(wanted, arch).native

    def read_images(self) -> Iterator[Image]:
        return (mapping.image(image) for image in self.conn.images.get_all(type=_TYPES)
                if SNAPSHOT not in (image.labels or {}))

    def read_isos(self) -> list[Image]:
        return [Image(id=str(each.id), name=each.name or each.description) for each in self.conn.isos.get_all()]

    def image_exists(self, name: str) -> bool:
        return any(image.name == name for image in self.read_images())  # the platform's are found first

    def iso(self, wanted: str) -> Native:
        """Return an ISO image by name or id, as requests name it. NotFound."""
        found = self.find(self.conn.isos, wanted)
        if found is None:
            names = self._volumes(iso=True)
            raise NotFound(f"ISO '{wanted}' does not exist{did_you_mean(wanted, names)}",
                           hint="'kvirt list iso' shows what is there")
        return Iso(name=str(found.id))

    _add_image = unsupported('Hetzner Cloud takes no images from outside: make one of a VM with export')

    def drop_image(self, image: Image) -> None:
        self.gone(image.native)

    def made_of(self, machine: Machine) -> str | None:
        return self.image_behind(machine.fields.get('image') or machine.image)

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        self._copy(machine, wanted.name, wanted.fields)

    def _copy(self, machine: Machine, description: str, fields: Mapping[str, str]) -> None:
        """Make an image of the root disk of a VM."""
        self.done(machine.native.create_image(description, 'snapshot', marks.to_labels(fields)).action)

    # snapshots of VMs

    def snapshots(self, server: Native) -> dict[str, Native]:
        """Return the snapshots of a VM by name, oldest first."""
        found = self.conn.images.get_all(type=['snapshot'], label_selector=f'{_VM}={server.id},{SNAPSHOT}')
        return {marks.from_labels(image.labels)[SNAPSHOT]: image for image in sorted(found, key=lambda image: image.id)}

    def read_snapshots(self, machine: Machine) -> list[Snapshot]:
        return [Snapshot(id=str(image.id), name=name, request=image.labels.get(marks.MARK), native=image)
                for name, image in self.snapshots(machine.native).items()]

    def current_snapshot(self, machine: Machine) -> str | None:
        return machine.fields.get(SNAPSHOT)

    def take_snapshot(self, machine: Machine, name: str, request: str) -> None:
        self._copy(machine, f'{machine.name} {name}', {marks.MARK: request, _VM: machine.id, SNAPSHOT: name})
        self.relabel(machine.native, **{SNAPSHOT: name})

    def drop_snapshot(self, snapshot: Snapshot) -> None:
        snapshot.native.delete()

    def restore_snapshot(self, machine: Machine, snapshot: Snapshot) -> None:
        """Write the root disk anew; the VM keeps its id, addresses and volumes. The platform starts it for that."""
        server = machine.native
        self.done(server.rebuild(NativeImage(name=snapshot.id)).action)
        self.relabel(server, **{SNAPSHOT: snapshot.name})
        if machine.status == 'stopped':
            self.done(self.patiently(f'stopping VM {machine.name}', server.power_off))
