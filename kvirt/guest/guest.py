"""The guest of a VM to be: everything that goes inside the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvirt.errors import NotSupported
from kvirt.guest import cloudinit, content, images, keys
from kvirt.guest.content import GuestFile
from kvirt.guest.keys import HostKey
from kvirt.spec import VmSpec


@dataclass(frozen=True)
class Guest:
    """What a guest is told at its first boot. ``kind`` is None for one that is told nothing.

    ``user`` is who to log in as. ``asked`` is what the user wrote, for ``storemetadata``.
    """

    name: str
    spec: VmSpec
    user: str
    kind: images.Kind | None
    keys: tuple[str, ...] = ()
    files: tuple[GuestFile, ...] = ()
    cmds: tuple[str, ...] = ()
    scripts: tuple[GuestFile, ...] = ()
    host_key: HostKey | None = None
    mounts: tuple[tuple[str, str, str, str], ...] = ()  # tag, path, file system, options, as in fstab
    ignition: str | None = None
    own_config: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def prepare(cls, name: str, spec: VmSpec, *, basedir: Path = Path('.'), variables: Mapping[str, Any] | None = None,
                home: Path | str | None = None, image: str | None = None) -> Guest:
        """Read and expand what *spec* wants in the guest; InvalidInput names every file, template and key at fault.

        *image* tells kind and login user. *home* is kvirt's own folder, whose ssh key comes before the user's.
        """
        variables = variables or {}
        user = spec.vmuser or images.login_user(image or '')
        kind = images.kind_of(image or '') if spec.cloudinit and (image or spec.iso is None) else None
        if kind is None:
            return cls(name, spec, user, None)
        contents = content.gather(spec, basedir=basedir, variables=variables)
        own = content.template_file(spec.cloudinit_file, basedir, variables)
        return cls(name, spec, user, kind, keys.public_keys(spec, home=Path(home) if home else None, basedir=basedir),
                   contents.files, contents.cmds, contents.scripts,
                   HostKey.generate() if kind == 'cloudinit' and not spec.insecure and not own else None, (),
                   content.template_file(spec.ignition_file, basedir, variables), own,
                   {key: value for key, value in variables.items() if isinstance(value, (str, int, float, list, dict))})

    def user_data(self) -> str:
        """Return the user-data: cloud-config, or ignition."""
        if self.kind == 'ignition':
            from kvirt.guest import ignition
            return ignition.config(self, ())
        return self.own_config or cloudinit.user_data(self)

    def meta_data(self, instance_id: str) -> str:
        """Return the meta-data for an instance."""
        return cloudinit.meta_data(self, instance_id)

    def network_config(self, macs: Sequence[str]) -> str:
        """Return the network-config for cards with these MAC addresses, in the order of the spec's."""
        return cloudinit.network_config(self.spec, macs)

    def seed(self, macs: Sequence[str], instance_id: str) -> bytes:
        """Return the seed image for cards with these MAC addresses."""
        from kvirt.guest import seed
        if self.kind != 'cloudinit':
            raise NotSupported(f'a seed image is for cloud-init, and {self.spec.image} uses {self.kind}')
        return seed.iso_image({'user-data': self.user_data(), 'meta-data': self.meta_data(instance_id),
                               'network-config': self.network_config(macs)})
