"""What Ignition is told, for CoreOS and its kin: one JSON document.

https://coreos.github.io/ignition/specs/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kvirt.errors import InvalidInput, NotSupported
from kvirt.guest import images, netfiles
from kvirt.guest.content import GuestFile, is_text
from kvirt.guest.firstboot import RUNNER, STATE, first_boot
from kvirt.guest.network import devices

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

_UNITS = '/etc/systemd/system/'
_HOST_KEY = '/etc/ssh/ssh_host_ed25519_key'
_FIRST_BOOT = f"""[Unit]
Description=First boot as kvirt was asked for
Wants=network-online.target
After=network-online.target
ConditionPathExists=!{STATE}/result

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {RUNNER}

[Install]
WantedBy=multi-user.target
"""


def config(guest: Guest, macs: Sequence[str]) -> str:
    """Return the Ignition config of *guest*, whose network cards have these MAC addresses.

    A config of the user's own is merged by Ignition itself, in the guest: where both say something, the user's counts.
    """
    files = [*_system_files(guest), *_network(guest, macs), *first_boot(guest)]
    units = [{'name': 'kvirt.service', 'enabled': True, 'contents': _FIRST_BOOT}]
    units += [{'name': file.path.removeprefix(_UNITS), 'enabled': True, 'contents': file.content.decode()}
              for file in files if _is_unit(file)]
    document: dict[str, Any] = {
        'ignition': {'version': images.ignition_version(guest.image or '')},
        'passwd': {'users': _users(guest)},
        'storage': {'files': [_file(file) for file in files if not _is_unit(file)]},
        'systemd': {'units': units},
    }
    if guest.ignition is not None:
        document['ignition']['config'] = {'merge': [{'source': _data_url(guest.ignition.encode())}]}
    return json.dumps(document, indent=2) + '\n'


def check_own(text: str, where: str) -> None:
    """Raise InvalidInput unless *text* is an Ignition config that can be merged."""
    try:
        own = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f'{where} is not JSON: {error}') from None
    version = own.get('ignition', {}).get('version') if isinstance(own, dict) and isinstance(
        own.get('ignition', {}), dict) else None
    if not isinstance(version, str) or not version.startswith('3.'):
        raise InvalidInput(f'{where} is not an Ignition config of version 3', hint='It must say ignition: {version: 3.x.y}')


def _network(guest: Guest, macs: Sequence[str]) -> list[GuestFile]:
    cards = guest.spec.cards()
    write = netfiles.networkd if images.is_networkd(guest.image or '') else netfiles.network_manager
    if macs:
        return write(devices(cards, macs))
    if write(devices(cards, ['52:54:00:00:00:00'] * len(cards))):
        raise NotSupported('the network of an Ignition guest can only be configured where its MAC addresses are known')
    return []


def _users(guest: Guest) -> list[dict[str, Any]]:
    names = [guest.native_user, guest.user, *(['root'] if guest.spec.enableroot else [])]
    keys = {'sshAuthorizedKeys': list(guest.keys)} if guest.keys else {}
    return [{'name': name, **keys} for name in dict.fromkeys(names) if keys or name == guest.extra_user]


def _system_files(guest: Guest) -> list[GuestFile]:
    files = []
    if not guest.spec.noname:
        files.append(GuestFile('/etc/hostname', f'{guest.fqdn or guest.hostname}\n'.encode(), '0644'))
    if guest.host_key:
        files += [GuestFile(_HOST_KEY, guest.host_key.private.encode(), '0600'),
                  GuestFile(f'{_HOST_KEY}.pub', f'{guest.host_key.public}\n'.encode(), '0644')]
    if guest.extra_user:
        files.append(GuestFile('/etc/sudoers.d/kvirt', f'{guest.extra_user} ALL=(ALL) NOPASSWD:ALL\n'.encode(), '0440'))
    return files


def _is_unit(file: GuestFile) -> bool:
    return file.path.startswith(_UNITS) and file.path.endswith('.service') and '/' not in file.path[len(_UNITS):] and (
        is_text(file.content))


def _file(file: GuestFile) -> dict[str, Any]:
    return {'path': file.path, 'mode': int(file.mode, 8), 'overwrite': True,
            'contents': {'source': _data_url(file.content)}}


def _data_url(content: bytes) -> str:
    return f'data:;base64,{base64.b64encode(content).decode()}'
