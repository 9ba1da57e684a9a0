"""What cloud-init is told: user-data, meta-data and network-config, as data that is dumped, never as text that is joined.

https://cloudinit.readthedocs.io/en/latest/reference/modules.html
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from kvirt.guest.content import GuestFile
from kvirt.guest.firstboot import RUNNER, first_boot

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest
    from kvirt.guest.keys import HostKey

HEADER = '#cloud-config\n'


class _Dumper(getattr(yaml, 'CSafeDumper', yaml.SafeDumper)):  # type: ignore[misc]
    """Dumps for people as well: no anchors, and texts of several lines as blocks where that loses nothing."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar('tag:yaml.org,2002:str', text, style='|' if '\n' in text else None)


_Dumper.add_representer(str, _text)


def dump(data: Mapping[str, Any]) -> str:
    """Return *data* as YAML in ASCII, which every cloud-init reads alike."""
    return str(yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=4096))


def user_data(guest: Guest) -> str:
    """Return the cloud-config of *guest*.

    It keeps to what cloud-init has known since 19.4, and leaves to the first-boot runner what older ones do wrong or not at
    all: passwords, files of users that don't exist yet, mounts of shared folders.
    """
    config = {
        **_names(guest), **_users(guest), **(host_key_config(guest.host_key) if guest.host_key else {}),
        'package_update': False, 'package_upgrade': False,
        'write_files': [_file(file) for file in first_boot(guest)],
        'runcmd': [['sh', RUNNER]],
        'final_message': 'kvirt: configured after $UPTIME seconds',
    }
    return HEADER + dump(config)


def host_key_config(host_key: HostKey) -> dict[str, Any]:
    """Return what makes *host_key* the only ssh host key of a guest."""
    return {'ssh_deletekeys': True, 'ssh_genkeytypes': ['ed25519'],
            'ssh_keys': {'ed25519_private': host_key.private, 'ed25519_public': host_key.public}}


def _names(guest: Guest) -> dict[str, Any]:
    if guest.spec.noname:
        return {'preserve_hostname': True}
    return {'hostname': guest.hostname, **({'fqdn': guest.fqdn} if guest.fqdn else {}), 'preserve_hostname': False,
            'manage_etc_hosts': 'localhost'}


def _users(guest: Guest) -> dict[str, Any]:
    spec = guest.spec
    config: dict[str, Any] = {'disable_root': not (spec.enableroot or guest.user == 'root'), 'ssh_pwauth': False}
    if guest.keys:
        config['ssh_authorized_keys'] = list(guest.keys)
    if guest.extra_user:
        config['users'] = ['default', {'name': guest.extra_user, 'sudo': 'ALL=(ALL) NOPASSWD:ALL', 'shell': '/bin/bash',
                                       'lock_passwd': True, 'ssh_authorized_keys': list(guest.keys)}]
    return config


def _file(file: GuestFile) -> dict[str, Any]:
    owner = file.owner if ':' in file.owner else f'{file.owner}:{file.owner}'
    entry: dict[str, Any] = {'path': file.path, 'owner': owner, 'permissions': file.mode}
    try:
        return entry | {'content': file.content.decode()}
    except UnicodeDecodeError:
        return entry | {'encoding': 'b64', 'content': base64.b64encode(file.content).decode()}


def meta_data(guest: Guest, instance_id: str) -> str:
    """Return the meta-data; cloud-init configures a guest anew when *instance_id* is another."""
    return dump({'instance-id': instance_id,
                 **({} if guest.spec.noname else {'local-hostname': guest.fqdn or guest.hostname})})
