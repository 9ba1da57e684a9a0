"""The guest of a VM to be: everything that goes inside the machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvirt import redact
from kvirt.errors import InvalidInput, Problem
from kvirt.guest import cloudinit, content, images, keys, network
from kvirt.guest.content import GuestFile
from kvirt.guest.keys import HostKey
from kvirt.spec import VmSpec
from kvirt.yamlfile import load

_LABEL = r'[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
_HOST = re.compile(rf'{_LABEL}(?:\.{_LABEL})*')
_USER = re.compile(r'[A-Za-z_][A-Za-z0-9_.-]{0,30}')
_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')


@dataclass(frozen=True)
class Guest:
    """What a guest is told at its first boot. ``kind`` is None for one that is told nothing.

    ``user`` is who to log in as, ``native_user`` the one that the image has for that, ``image`` the name that tells what
    the guest is. ``mounts`` are the shared folders: tag, path, file system and options, as in fstab. ``own_config`` is a
    cloud-config of the user's in place of ours, ``ignition`` an Ignition config that is merged into ours.
    """

    name: str
    spec: VmSpec
    user: str
    kind: images.Kind | None
    keys: tuple[str, ...] = ()
    files: tuple[GuestFile, ...] = ()
    cmds: tuple[str, ...] = field(default=(), repr=False)
    scripts: tuple[GuestFile, ...] = ()
    host_key: HostKey | None = None
    mounts: tuple[tuple[str, str, str, str], ...] = ()
    ignition: str | None = field(default=None, repr=False)
    own_config: str | None = field(default=None, repr=False)
    image: str | None = None
    native_user: str = 'root'

    @classmethod
    def prepare(cls, name: str, spec: VmSpec, *, basedir: Path = Path('.'), variables: Mapping[str, Any] | None = None,
                home: Path | str | None = None, image: str | None = None, native_user: str | None = None) -> Guest:
        """Read and expand what *spec* wants in the guest; InvalidInput names every file, template and key at fault.

        *image* tells the kind, and the login user where the platform has no *native_user* of its own. *home* is kvirt's
        own folder, whose ssh key comes before the user's. *variables* are for templates.
        """
        variables = variables or {}
        native_user = native_user or images.login_user(image or '')
        user = spec.vmuser or native_user
        kind = images.kind_of(image or '') if spec.cloudinit and (image or spec.iso is None) else None
        if kind is None:
            return cls(name, spec, user, None, image=image, native_user=native_user)
        redact.remember(spec.rootpassword)
        problems = [*_faults(name, spec), *keys.private_faults(spec), *network.check(spec.cards())]
        found = _Collected(spec, basedir, variables, Path(home) if home else None, image, problems)
        own, ignition = found.own(kind)
        if problems:
            raise InvalidInput(problems, hint=found.hint)
        host_key = HostKey.generate() if not spec.insecure else None
        if own is not None:
            own, host_key = _with_host_key(own, host_key)
        files = found.content.files + found.private
        if spec.storemetadata and own is None:
            files += (GuestFile('/root/.metadata', _metadata(variables)),)
        return cls(name, spec, user, kind, found.keys, files, found.content.cmds, found.content.scripts, host_key,
                   ignition=ignition, own_config=own, image=image, native_user=native_user)

    @property
    def hostname(self) -> str:
        """The host name without domain. An underscore, which a VM's name may have, becomes a dash."""
        return _host(self.name, self.spec).partition('.')[0]

    @property
    def fqdn(self) -> str | None:
        """The host name with its domain, None without one."""
        host = _host(self.name, self.spec)
        if self.spec.domain and not host.endswith(f'.{self.spec.domain}'):
            return f'{host}.{self.spec.domain}'
        return host if '.' in host else None

    @property
    def extra_user(self) -> str | None:
        """The user to make, None when the image has the one who logs in."""
        return self.user if self.user not in ('root', self.native_user) else None

    def user_data(self, macs: Sequence[str] = ()) -> str:
        """Return the user-data: cloud-config, or ignition, whose network needs the MAC addresses of the cards."""
        if self.kind == 'ignition':
            from kvirt.guest import ignition
            return ignition.config(self, macs)
        return self.own_config or cloudinit.user_data(self)

    def meta_data(self, instance_id: str) -> str:
        """Return the meta-data for an instance."""
        return cloudinit.meta_data(self, instance_id)

    def network_config(self, macs: Sequence[str]) -> str:
        """Return the network-config for cards with these MAC addresses, in the order of the spec's."""
        return cloudinit.dump(network.network_config(self.spec.cards(), macs, early=images.is_early(self.image or '')))

    def seed(self, macs: Sequence[str], instance_id: str) -> bytes:
        """Return the seed image for cards with these MAC addresses, in the form that the guest looks for."""
        from kvirt.guest import seed
        if self.kind != 'ignition':
            return seed.iso_image({
                'user-data': self.user_data(), 'meta-data': self.meta_data(instance_id),
                **({'network-config': self.network_config(macs)} if macs else {})})
        label = images.seed_label(self.image or '')
        if label == seed.SUSE:
            return seed.iso_image({'ignition/config.ign': self.user_data(macs)}, label)
        known = {'uuid': instance_id, 'name': self.name, 'hostname': self.fqdn or self.hostname}
        return seed.iso_image({'openstack/latest/user_data': self.user_data(macs),
                               'openstack/latest/meta_data.json': json.dumps(known)}, label)


class _Collected:
    """What is read from this machine for a guest. Faults are added to *problems*, so that all are told at once."""

    def __init__(self, spec: VmSpec, basedir: Path, variables: Mapping[str, Any], home: Path | None,
                 image: str | None, problems: list[Problem]) -> None:
        self._spec, self._basedir, self._problems = spec, basedir, problems
        self.hint: str | None = None
        self.content = content.Content()
        self.keys: tuple[str, ...] = ()
        self.private: tuple[GuestFile, ...] = ()
        try:
            self.content = content.gather(spec, basedir, variables)
        except InvalidInput as error:
            self._note(error)
        try:
            self.keys = keys.public_keys(spec, home=home, basedir=basedir)
        except InvalidInput as error:
            if spec.keys or image:  # a VM without an image may have nothing to log in to
                self._note(error)
        if not problems:
            self._private(home)

    def _private(self, home: Path | None) -> None:
        """Add the private key that the guest gets; one for a plan is made only where nothing else is at fault."""
        try:
            files, public = keys.private_files(self._spec, home=home)
        except InvalidInput as error:
            self._note(error)
            return
        self.keys += public
        self.private = tuple(GuestFile(path, text.encode(), mode) for path, text, mode in files)

    def own(self, kind: images.Kind) -> tuple[str | None, str | None]:
        """Return the user's cloud-config and Ignition config, where given."""
        other = 'cloudinit_file' if kind == 'ignition' else 'ignition_file'
        if getattr(self._spec, other):
            self._problems.append(Problem(f'a guest of this image is configured by {_NAMES[kind]}', other))
        try:
            return (None, self._ignition()) if kind == 'ignition' else (self._cloud_config(), None)
        except InvalidInput as error:
            self._note(error)
            return None, None

    def _cloud_config(self) -> str | None:
        text = content.text_file(self._spec.cloudinit_file, self._basedir)
        if text is not None:
            self._problems += [Problem('can not be used beside cloudinit_file, which takes its place', key)
                               for key in _OURS if getattr(self._spec, key)]
            if _is_cloud_config(text):
                load(text, str(self._spec.cloudinit_file))
        return text

    def _ignition(self) -> str | None:
        from kvirt.guest.ignition import check_own
        text = content.text_file(self._spec.ignition_file, self._basedir)
        if text is not None:
            check_own(text, str(self._spec.ignition_file))
        return text

    def _note(self, error: InvalidInput) -> None:
        self._problems += error.problems
        self.hint = self.hint or error.hint


_NAMES = {'cloudinit': 'cloud-init', 'ignition': 'Ignition'}
_OURS = ('cmds', 'scripts', 'files', 'extra_files', 'rootpassword', 'vmuser', 'env', 'networkwait', 'storemetadata',
         'sharedkey', 'privatekey')


def _with_host_key(own: str, host_key: HostKey | None) -> tuple[str, HostKey | None]:
    """Return a cloud-config of the user's with *host_key* in it, and the key; no key where there is no place for it."""
    config = load(own, 'cloudinit_file').data if _is_cloud_config(own) else None
    if host_key is None or not isinstance(config, dict) or 'ssh_keys' in config:
        return own, None
    return cloudinit.HEADER + cloudinit.dump({**config, **cloudinit.host_key_config(host_key)}), host_key


def _is_cloud_config(text: str) -> bool:
    return text.partition('\n')[0].rstrip() == cloudinit.HEADER.rstrip()


def _metadata(variables: Mapping[str, Any]) -> bytes:
    """Return what was asked for, as YAML."""
    plain = json.loads(json.dumps(dict(variables), default=str))
    return cloudinit.dump(plain).encode()


def _host(name: str, spec: VmSpec) -> str:
    return spec.hostname or name.replace('_', '-').rstrip('-')


def _faults(name: str, spec: VmSpec) -> Iterable[Problem]:
    """Yield what is wrong with the keywords that go into configuration as they are."""
    if not spec.noname and (not _HOST.fullmatch(_host(name, spec)) or len(_host(name, spec)) > 253):
        yield Problem(f'{spec.hostname or name!r} can not be the name of a host', 'hostname')
    if spec.domain is not None and not _HOST.fullmatch(spec.domain):
        yield Problem(f'{spec.domain!r} is not a DNS domain', 'domain')
    if spec.vmuser is not None and not _USER.fullmatch(spec.vmuser):
        yield Problem(f'{spec.vmuser!r} can not be the name of a user', 'vmuser')
    if spec.rootpassword is not None and (not spec.rootpassword or re.search(r'[\x00-\x1f\x7f]', spec.rootpassword)):
        yield Problem('the password is empty, or has control characters', 'rootpassword')
    for key, value in spec.env.items():
        if not _VARIABLE.fullmatch(key) or '\0' in value:
            yield Problem(f'{key!r} can not be a variable of the environment', 'env')
