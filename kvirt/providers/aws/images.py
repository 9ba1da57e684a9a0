"""Images (AMIs): the well-known ones by their short names, and those of the account."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from kvirt.errors import Conflict, NotFound
from kvirt.guest import images
from kvirt.names import did_you_mean
from kvirt.parallel import in_parallel
from kvirt.providers.aws.account import Account, Native
from kvirt.providers.aws.wellknown import WELL_KNOWN, native_arch, short_name, short_of
from kvirt.providers.families.ec2 import Filters, bearing, described, marked, tags_of, to_tags
from kvirt.providers.families.images import CloudImages, Image, NewImage
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK, making
from kvirt.providers.families.memory import Memory
from kvirt.providers.families.rawdisks import as_raw, blocks_of, gib_of

IMAGE_SECONDS = 3600.0
"""How long an image may take to be complete: its disk is copied."""

BLOCK = 512 * 1024


class Images(CloudImages, Account):
    """The images of an account, and the well-known ones."""

    verifies_images = True
    image_names: ClassVar[tuple[str, str]] = ('(?!ami-).{3,}', 'Use 3 letters or more, and not ami- at the start')

    def __init__(self, debug: bool = False, **options: Any) -> None:
        super().__init__(debug, **options)
        self._images = Memory(seconds=3600)

    def image_behind(self, image: str | None) -> str | None:
        """Return the short name that tells the kind of an image: of one made here, what it was made of."""
        if image is None or short_name(image):
            return short_name(image or '')
        known = self.image_of(image)
        return tags_of(known).get('image') or short_of(known.get('OwnerId', ''), known.get('Name', '')) or known.get('Name')

    def login_user(self, image: str | None) -> str:
        known = WELL_KNOWN.get(short_name(image or '') or '')
        return known.user if known else super().login_user(image)

    def image_of(self, image: str, arch: str = 'x86_64') -> Native:
        """Return what EC2 tells of *image*: a short name, an id, or the name of one of the account. NotFound.

        What was found is remembered, since a plan makes many VMs of one image.
        """
        short = short_name(image)

        def newest() -> Native:
            found = self._look(image, short, arch)
            if not found:
                raise NotFound(f"image '{image}' does not exist in {self.here}"
                               f'{f" for {arch}" if short else did_you_mean(image, self._volumes())}',
                               hint="'kvirt list image' shows what is there")
            return max(found, key=lambda each: str(each.get('CreationDate', '')))
        return self._images.get((image, arch if short else None), newest)

    def forget_images(self) -> None:
        """Look images up anew from now on: vendors withdraw old ones."""
        self._images.forget()

    def _look(self, image: str, short: str | None, arch: str) -> list[Native]:
        if short:
            source = WELL_KNOWN[short]
            filters = {'name': source.name(arch), 'architecture': native_arch(arch), 'state': 'available'}
            # Here patterns are meant, so these filters do not go through those of `pages`, which takes them literally.
            return list(described(self.ec2, 'image', Owners=[source.owner], Filters=[
                {'Name': name, 'Values': [value]} for name, value in filters.items()]))
        if image.startswith('ami-'):
            return list(described(self.ec2, 'image', {'image-id': [image]}))
        return self._own({'name': [image]}) if image else []

    def _own(self, filters: Filters | None = None) -> list[Native]:
        return list(described(self.ec2, 'image', filters, Owners=['self']))

    def read_images(self) -> Iterator[Image]:
        """Return the well-known images by their short names: many stand behind each; and those of the account."""
        yield from (Image(id='', name=short, short=short) for short in WELL_KNOWN)
        yield from self.own_images()

    def own_images(self, name: str | None = None) -> Iterator[Image]:
        by = 'image-id' if name and name.startswith('ami-') else 'name'
        return map(_image, self._own(None if name is None else {by: [name]}))

    def drop_image(self, image: Image) -> None:
        self._remove(image.native)
        self.forget_images()

    def unmake_image(self, name: str, request: str) -> None:
        for image in self._own(bearing(request)):
            self._remove(image)
        for snapshot in described(self.ec2, 'snapshot', bearing(request), OwnerIds=['self']):
            self.ec2.delete_snapshot(SnapshotId=snapshot['SnapshotId'])

    def bring_image(self, wanted: NewImage) -> None:
        """Write the image block by block into a snapshot, of which an AMI is made: it passes through no bucket."""
        from kvirt.download import local_copy
        fields = _fields_of(wanted)
        checksums = wanted.checksum or images.checksums_of(wanted.short, wanted.url)
        fetched = local_copy(wanted.url, checksums=checksums, progress=wanted.progress)
        with fetched as content, as_raw(content) as raw:
            snapshot = self._snapshot_of(raw, fields, wanted.size)
            self.await_state(self.ec2, 'snapshot', snapshot, 'completed', seconds=IMAGE_SECONDS)
            made = self.ec2.register_image(
                Name=wanted.name, Architecture='x86_64', VirtualizationType='hvm', EnaSupport=True,
                RootDeviceName='/dev/xvda', BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {
                    'SnapshotId': snapshot, 'VolumeType': 'gp3', 'DeleteOnTermination': True}}],
                TagSpecifications=marked('image', fields))
            self.completed(self.ec2, made['ImageId'], snapshot)

    def _snapshot_of(self, raw: Path, fields: Mapping[str, str], size: int | None) -> str:
        """Write a disk into a new snapshot, of *size* GiB or as large as it is; empty blocks are left out."""
        ebs = self.client('ebs')
        snapshot = str(ebs.start_snapshot(VolumeSize=max(size or 1, gib_of(raw)), Tags=to_tags(fields),
                                          Timeout=60)['SnapshotId'])

        def put(block: tuple[int, bytes]) -> None:
            number, data = block
            ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=number, BlockData=data, DataLength=BLOCK,
                                   Checksum=base64.b64encode(hashlib.sha256(data).digest()).decode(),
                                   ChecksumAlgorithm='SHA256')
        written = sum(len(in_parallel(batch, put, workers=16)) for batch in blocks_of(raw, BLOCK))
        ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=written)
        return snapshot

    def copy_disk(self, machine: Machine, wanted: NewImage) -> None:
        if machine.location != self.here:
            raise Conflict(f'VM {machine.name} is in {machine.location}, and this client makes images in {self.here}',
                           hint=f'Use one with location {machine.location}')
        instance, fields = machine.native, _fields_of(wanted)
        others = [{'DeviceName': each['DeviceName'], 'NoDevice': ''} for each in instance['BlockDeviceMappings']
                  if each['DeviceName'] != instance['RootDeviceName']]
        made = self.ec2.create_image(
            InstanceId=machine.id, Name=wanted.name, NoReboot=True, BlockDeviceMappings=others,
            TagSpecifications=[*marked('image', fields), *marked('snapshot', fields)])['ImageId']
        self.await_state(self.ec2, 'image', made, 'available', seconds=IMAGE_SECONDS)
        self.completed(self.ec2, made, *snapshots_of(self._own({'image-id': [made]})[0]))

    def _remove(self, image: Mapping[str, Any]) -> None:
        self.ec2.deregister_image(ImageId=image['ImageId'])
        for snapshot in snapshots_of(image):
            self.ec2.delete_snapshot(SnapshotId=snapshot)


def _fields_of(wanted: NewImage) -> dict[str, str]:
    """Return the tags of an image that this process is making, and of its snapshot."""
    return {**wanted.fields, **making(wanted.fields[MARK]), 'Name': wanted.name}


def _image(native: Mapping[str, Any]) -> Image:
    fields = tags_of(native)
    return Image(id=native['ImageId'], name=native.get('Name') or native['ImageId'], own=True, size=size_of(native),
                 short=fields.get('image'), fields=fields, more={'status': native['State']}, native=native)


def snapshots_of(image: Mapping[str, Any]) -> list[str]:
    """Return the ids of the snapshots that an image consists of."""
    return [each['Ebs']['SnapshotId'] for each in image.get('BlockDeviceMappings', ())
            if each.get('Ebs', {}).get('SnapshotId')]


def root_of(image: Mapping[str, Any]) -> Native:
    """Return the root disk of an image: ``DeviceName``, and ``Ebs`` with its snapshot and size where known."""
    device = image.get('RootDeviceName', '/dev/sda1')
    return next((dict(each) for each in image.get('BlockDeviceMappings', ()) if each['DeviceName'] == device),
                {'DeviceName': device, 'Ebs': {}})


def size_of(image: Mapping[str, Any]) -> int:
    """Return the size of an image's root disk in GiB."""
    return int(root_of(image).get('Ebs', {}).get('VolumeSize') or 1)
