"""What cloud-init is told: user-data, meta-data and network-config, as data that is dumped, never as text that is joined.

https://cloudinit.readthedocs.io/en/latest/reference/modules.html
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

from kvirt.guest.content import GuestFile
from kvirt.spec import NetSpec, VmSpec

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

STATE = '/var/lib/kvirt'
PROFILE = '/etc/profile.d/kvirt.sh'


class _Dumper(yaml.SafeDumper):
    """Dumps without anchors, which cloud-init would read but people would not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(data: Mapping[str, Any]) -> str:
    """Return *data* as YAML."""
    return str(yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=4096,
                         allow_unicode=True))


def user_data(guest: Guest) -> str:
    """Return the cloud-config of *guest*."""
    spec = guest.spec
    config: dict[str, Any] = {}
    if not spec.noname:
        config |= _names(guest)
    config |= _users(guest)
    if guest.host_key:
        config |= {'ssh_deletekeys': True, 'ssh_genkeytypes': ['ed25519'],
                   'ssh_keys': {'ed25519_private': guest.host_key.private, 'ed25519_public': guest.host_key.public}}
    config |= {'package_update': False, 'package_upgrade': False}
    if guest.mounts:
        config['mounts'] = [[*mount, '0', '0'] for mount in guest.mounts]
    config['write_files'] = [_file(file) for file in (*guest.files, *_own_files(guest))]
    config['runcmd'] = [['sh', f'{STATE}/run.sh']]
    config['final_message'] = 'kvirt: configured after $UPTIME seconds'
    return '#cloud-config\n' + dump(config)


def _names(guest: Guest) -> dict[str, Any]:
    host = guest.spec.hostname or guest.name
    names: dict[str, Any] = {'hostname': host, 'preserve_hostname': False, 'manage_etc_hosts': 'localhost'}
    if guest.spec.domain:
        names['fqdn'] = f'{host}.{guest.spec.domain}'
    return names


def _users(guest: Guest) -> dict[str, Any]:
    spec = guest.spec
    config: dict[str, Any] = {'disable_root': not spec.enableroot, 'ssh_pwauth': False}
    if guest.keys:
        config['ssh_authorized_keys'] = list(guest.keys)
    if spec.vmuser and spec.vmuser != 'root':
        config['users'] = ['default', {'name': spec.vmuser, 'sudo': 'ALL=(ALL) NOPASSWD:ALL', 'groups': 'users',
                                       'shell': '/bin/bash', 'lock_passwd': True, 'ssh_authorized_keys': list(guest.keys)}]
    if spec.rootpassword:
        # The older form of two: cloud-init of Debian 11 does not know the newer, and all know this one.
        config['chpasswd'] = {'expire': False, 'list': [f'root:{spec.rootpassword}']}
    return config


def _own_files(guest: Guest) -> list[GuestFile]:
    """Return the files that kvirt adds: the runner, the commands and scripts, the environment."""
    runner = resources.files('kvirt.guest').joinpath('runner.sh').read_bytes()
    commands = [f'sleep {guest.spec.networkwait}'] if guest.spec.networkwait else []
    own = [GuestFile(f'{STATE}/run.sh', runner, '0700')]
    own += [GuestFile(f'{STATE}/cmds/{index:03}', command.encode() + b'\n', '0600')
            for index, command in enumerate([*commands, *guest.cmds])]
    own += guest.scripts
    if guest.spec.env:
        own.append(GuestFile(PROFILE, profile(guest.spec).encode(), '0644'))
    if guest.spec.storemetadata:
        own.append(GuestFile('/root/.metadata', dump(guest.asked).encode(), '0600'))
    return own


def profile(spec: VmSpec) -> str:
    """Return the shell profile that gives a guest its environment."""
    return ''.join(f'export {key}={shlex.quote(value)}\n' for key, value in sorted(spec.env.items()))


def _file(file: GuestFile) -> dict[str, Any]:
    content: str | bytes = file.content
    try:
        text = file.content.decode()
        if text.isprintable() or all(char.isprintable() or char in '\n\t' for char in text):
            content = text
    except UnicodeDecodeError:
        pass  # dumped as !!binary
    entry: dict[str, Any] = {'path': file.path, 'content': content, 'permissions': file.mode, 'owner': _owner(file.owner)}
    if not entry['owner'].startswith('root:'):
        entry['defer'] = True  # until the users have been made
    return entry


def _owner(owner: str) -> str:
    return owner if ':' in owner else f'{owner}:{owner}'


def meta_data(guest: Guest, instance_id: str) -> str:
    """Return the meta-data; cloud-init configures a guest anew when *instance_id* is another."""
    return dump({'instance-id': instance_id, 'local-hostname': guest.spec.hostname or guest.name})


def network_config(spec: VmSpec, macs: Sequence[str]) -> str:
    """Return the network-config, version 2. Cards are matched by MAC address: their names are the guest's business."""
    ethernets: dict[str, Any] = {}
    config: dict[str, Any] = {'version': 2, 'ethernets': ethernets}
    bonded: set[str] = set()
    for index, (net, mac) in enumerate(zip(spec.cards(), macs, strict=True)):
        name = net.nic or f'nic{index}'
        ethernet: dict[str, Any] = {'match': {'macaddress': mac}, **({'set-name': net.nic} if net.nic else {})}
        if net.mtu:
            ethernet['mtu'] = net.mtu
        if index:
            ethernet['optional'] = True  # a further card without an answer must not hold the boot up
        ethernets[name] = ethernet
        settings = addressing(net)
        if net.bond:
            config.setdefault('bonds', {}).setdefault(net.bond, {
                'interfaces': [], 'parameters': {'mode': 'active-backup', 'mii-monitor-interval': 100}})
            config['bonds'][net.bond]['interfaces'].append(name)
            ethernet |= {'dhcp4': False, 'dhcp6': False}
            if net.bond not in bonded:
                config['bonds'][net.bond] |= settings
            bonded.add(net.bond)
        elif net.bridge:
            bridge = net.bridgename or net.name
            ethernet |= {'dhcp4': False, 'dhcp6': False}
            config.setdefault('bridges', {})[bridge] = {'interfaces': [name], **settings}
        elif net.vlan is not None:
            ethernet |= {'dhcp4': False, 'dhcp6': False}
        else:
            ethernet |= settings
        if net.vlan is not None:
            below = net.bond or ((net.bridgename or net.name) if net.bridge else name)
            config.setdefault('vlans', {})[f'vlan{net.vlan}'] = {'id': net.vlan, 'link': below, **settings}
    return dump(config)


def addressing(net: NetSpec) -> dict[str, Any]:
    """Return how a card gets its addresses and name servers."""
    if net.noconf:
        return {'dhcp4': False, 'dhcp6': False}
    settings = _addresses(net)
    if net.dns or (net.domain and net.interface):
        settings['nameservers'] = {**({'addresses': list(net.dns)} if net.dns else {}),
                                   **({'search': [net.domain]} if net.domain else {})}
    return settings


def _addresses(net: NetSpec) -> dict[str, Any]:
    if not net.interface:
        if net.dualstack:
            return {'dhcp4': True, 'dhcp-identifier': 'mac', 'dhcp6': True}
        return {'dhcp6': True, 'dhcp4': False} if net.ipv6 else {'dhcp4': True, 'dhcp-identifier': 'mac'}
    static: dict[str, Any] = {'dhcp4': False, 'dhcp6': False, 'addresses': [str(net.interface), *_vips(net)]}
    if net.interface.version == 4:
        static['accept-ra'] = False  # else the boot waits for a router's advertisement that never comes
    if net.gateway:
        static['routes'] = [{'to': '::/0' if ':' in net.gateway else '0.0.0.0/0', 'via': net.gateway}]
    return static


def _vips(net: NetSpec) -> list[str]:
    assert net.interface is not None
    return [vip if '/' in vip else f'{vip}/{net.interface.network.prefixlen}' for vip in net.vips]
