"""Images (AMIs): the well-known ones by their short names, and those of the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvirt.base import waits
from kvirt.base.images import Progress
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.aws import upload
from kvirt.providers.aws.account import Account, marked, pages, tags_of, to_tags
from kvirt.providers.aws.wellknown import WELL_KNOWN, native_arch, short_name, short_of
from kvirt.providers.families.marks import MARK, making, new_request
from kvirt.providers.families.memory import Memory

IMAGE_SECONDS = 3600.0
"""How long an image may take to be complete: its disk is copied."""


class Images(Account):
    """The images of an account, and the well-known ones."""

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

    def image_of(self, image: str, arch: str = 'x86_64') -> dict[str, Any]:
        """Return what EC2 tells of *image*: a short name, an id, or the name of one of the account. NotFound.

        What was found is remembered, since a plan makes many VMs of one image.
        """
        short = short_name(image)

        def newest() -> dict[str, Any]:
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

    def _look(self, image: str, short: str | None, arch: str) -> list[dict[str, Any]]:
        if short:
            source = WELL_KNOWN[short]
            filters = {'name': source.name(arch), 'architecture': native_arch(arch), 'state': 'available'}
            # Here patterns are meant, so these filters do not go through those of `pages`, which takes them literally.
            return list(pages(self.ec2, 'describe_images', 'Images', Owners=[source.owner],
                              Filters=[{'Name': name, 'Values': [value]} for name, value in filters.items()]))
        if image.startswith('ami-'):
            return list(pages(self.ec2, 'describe_images', 'Images', {'image-id': [image]}))
        return self._own({'name': [image]}) if image else []

    def _own(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
        return list(pages(self.ec2, 'describe_images', 'Images', filters, Owners=['self']))

    def _volumes(self, iso: bool = False, extended: bool = False) -> list[Any]:
        if iso:
            return []
        rows: list[dict[str, Any]] = [{'name': short, 'short': short} for short in WELL_KNOWN]
        for image in self._own():
            rows.append({'name': image.get('Name') or image['ImageId'], 'id': image['ImageId'], 'size': size_of(image),
                         'short': tags_of(image).get('image', ''), 'status': image['State']})
        rows.sort(key=lambda row: str(row['name']))
        return rows if extended else [row['name'] for row in rows]

    @waits
    def _add_image(self, url: str, pool: str | None = None, short: str | None = None, cmds: Sequence[str] = (),
                   name: str | None = None, size: int | None = None, convert: bool = False,
                   progress: Progress | None = None) -> Mapping[str, Any] | None:
        """Write the image block by block into a snapshot, of which an AMI is made: it passes through no bucket."""
        from kvirt.download import file_name, local_copy
        if cmds:
            raise NotSupported('commands for an image are not run here', hint='Run them in a VM, and export it')
        final = _ami_name(name or short or file_name(url))
        if self._own({'name': [final]}):
            return {'image': final, 'found': True}
        request = new_request()
        fields = {**making(request), 'Name': final, **({'image': short} if short else {})}
        with self.undo() as undo, local_copy(url, progress=progress) as content, upload.as_raw(content) as raw:
            undo.add(f'image {final}', lambda: self._unmake(request))
            snapshot = upload.to_snapshot(self.client('ebs'), raw, to_tags(fields), size)
            self.await_state(self.ec2, 'snapshot', snapshot, 'completed', seconds=IMAGE_SECONDS)
            made = self.ec2.register_image(
                Name=final, Architecture='x86_64', VirtualizationType='hvm', EnaSupport=True, RootDeviceName='/dev/xvda',
                BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': snapshot, 'VolumeType': 'gp3',
                                                                         'DeleteOnTermination': True}}],
                TagSpecifications=marked('image', fields))
            self.completed(self.ec2, made['ImageId'], snapshot)
        return {'image': final}

    def _delete_image(self, image: str, pool: str | None = None) -> None:
        if short_name(image):
            raise Conflict(f"image '{image}' is the vendor's, and not of this account")
        found = self._own({'image-id' if image.startswith('ami-') else 'name': [image]}) if image else []
        if not found:
            raise NotFound(f"image '{image}' does not exist in {self.here}")
        self._remove(found[0])
        self.forget_images()

    @waits
    def _export(self, name: str, image: str | None = None) -> Mapping[str, Any] | None:
        instance = self.instance(name)
        if instance['State']['Name'] != 'stopped':
            raise Conflict(f'VM {name} is running', hint='Stop it first: its disk changes while it would be copied')
        if instance['Region'] != self.here:
            raise Conflict(f"VM {name} is in {instance['Region']}, and this client makes images in {self.here}",
                           hint=f"Use one with location {instance['Region']}")
        final, request = _ami_name(image or name), new_request()
        if self._own({'name': [final]}):
            raise AlreadyExists(f'image {final} exists in {self.here}')
        kept = {key: value for key, value in tags_of(instance).items() if key == 'image'}
        fields = {**kept, **making(request), 'Name': final}
        others = [{'DeviceName': each['DeviceName'], 'NoDevice': ''} for each in instance['BlockDeviceMappings']
                  if each['DeviceName'] != instance['RootDeviceName']]
        with self.undo() as undo:
            undo.add(f'image {final}', lambda: self._unmake(request))
            made = self.ec2.create_image(
                InstanceId=instance['InstanceId'], Name=final, NoReboot=True, BlockDeviceMappings=others,
                TagSpecifications=[*marked('image', fields), *marked('snapshot', fields)])['ImageId']
            self.await_state(self.ec2, 'image', made, 'available', seconds=IMAGE_SECONDS)
            self.completed(self.ec2, made, *snapshots_of(self._own({'image-id': [made]})[0]))
        return {'image': final}

    def _unmake(self, request: str) -> None:
        """Delete the images and snapshots that bear the mark of *request*."""
        for image in self._own({f'tag:{MARK}': [request]}):
            self._remove(image)
        for snapshot in pages(self.ec2, 'describe_snapshots', 'Snapshots', {f'tag:{MARK}': [request]}, OwnerIds=['self']):
            self.ec2.delete_snapshot(SnapshotId=snapshot['SnapshotId'])

    def _remove(self, image: Mapping[str, Any]) -> None:
        self.ec2.deregister_image(ImageId=image['ImageId'])
        for snapshot in snapshots_of(image):
            self.ec2.delete_snapshot(SnapshotId=snapshot)


def _ami_name(name: str) -> str:
    """Return *name* if EC2 takes it for an image. InvalidInput."""
    if len(safe_name('image', name)) < 3 or name.startswith('ami-'):
        raise InvalidInput(f"'{name}' can not name an image here",
                           hint='Use 3 letters or more, and not ami- at the start')
    return name


def snapshots_of(image: Mapping[str, Any]) -> list[str]:
    """Return the ids of the snapshots that an image consists of."""
    return [each['Ebs']['SnapshotId'] for each in image.get('BlockDeviceMappings', ())
            if each.get('Ebs', {}).get('SnapshotId')]


def root_of(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the root disk of an image: ``DeviceName``, and ``Ebs`` with its snapshot and size where known."""
    device = image.get('RootDeviceName', '/dev/sda1')
    return next((dict(each) for each in image.get('BlockDeviceMappings', ()) if each['DeviceName'] == device),
                {'DeviceName': device, 'Ebs': {}})


def size_of(image: Mapping[str, Any]) -> int:
    """Return the size of an image's root disk in GiB."""
    return int(root_of(image).get('Ebs', {}).get('VolumeSize') or 1)
