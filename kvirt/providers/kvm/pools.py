"""The descriptions of storage pools, by their kinds: https://libvirt.org/formatstorage.html"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput, NotSupported
from kvirt.names import did_you_mean
from kvirt.providers.kvm.domain import add

SETTINGS: dict[str, tuple[str, ...]] = {
    'dir': (), 'logical': (), 'zfs': (), 'netfs': ('host', 'format', 'target'),
    'iscsi': ('host', 'port', 'target', 'initiator', 'user', 'secret'),
    'iscsi-direct': ('host', 'port', 'initiator', 'user', 'secret'), 'rbd': ('host', 'user', 'secret')}
"""What can be said of each kind of pool beside its path."""

BUILT = ('dir', 'netfs')
"""Pools on a folder, which is made when it is not there."""

_PATH = {'dir': 'the folder', 'logical': 'the volume group', 'zfs': 'the dataset', 'netfs': 'the folder that is exported',
         'iscsi': 'the IQN of the target', 'iscsi-direct': 'the IQN of the target', 'rbd': 'the name of the pool on Ceph'}
_OTHER_WORDS = {'lvm': 'logical', 'nfs': 'netfs', 'ceph': 'rbd'}
_FORMATS = ('auto', 'nfs', 'cifs', 'glusterfs')


def kind_of(pooltype: str) -> str:
    """Return libvirt's word for a type of pool. InvalidInput."""
    kind = _OTHER_WORDS.get(pooltype, pooltype)
    if kind not in SETTINGS:
        raise InvalidInput(f"unknown type of pool '{pooltype}'{did_you_mean(pooltype, [*SETTINGS, *_OTHER_WORDS])}",
                           hint='Use dir, lvm, zfs, netfs, iscsi, iscsi-direct or rbd')
    return kind


def pool_element(name: str, path: str | None, pooltype: str, thinpool: str | None, settings: Mapping[str, Any]) -> Element:
    """Return the description of pool *name*; its *settings* are those that its type has."""
    kind = kind_of(pooltype)
    for key in settings:
        if key not in SETTINGS[kind]:
            raise InvalidInput(f"'{key}' means nothing for a pool of type {pooltype}{did_you_mean(key, SETTINGS[kind])}")
    if thinpool:
        raise NotSupported('libvirt makes no volumes in a thin pool of LVM', hint='Use a zfs pool, or a folder')
    if not path:
        raise InvalidInput(f'pool {name} needs a path', hint=f'Give {_PATH[kind]}')
    if kind in ('dir', 'netfs') and not path.startswith('/'):
        raise InvalidInput(f"the folder '{path}' of a pool must be an absolute path")
    root = Element('pool', type=kind)
    add(root, 'name', name)
    if kind == 'dir':
        add(add(root, 'target'), 'path', path)
        return root
    source = add(root, 'source')
    if kind in ('logical', 'zfs'):
        add(source, 'name', path)
        if kind == 'logical':
            add(add(root, 'target'), 'path', f'/dev/{path}')
        return root
    _add_hosts(source, name, settings)
    if kind == 'netfs':
        add(source, 'dir', path=path)
        if settings.get('format', 'auto') not in _FORMATS:
            raise InvalidInput(f"'{settings['format']}' is no format of a pool", hint=f"Use {', '.join(_FORMATS)}")
        add(source, 'format', type=settings.get('format', 'auto'))
        add(add(root, 'target'), 'path', _target(settings, f'/var/lib/libvirt/{name}'))
        return root
    if kind in ('iscsi', 'iscsi-direct'):
        add(source, 'device', path=path)
        if settings.get('initiator'):
            add(add(source, 'initiator'), 'iqn', name=settings['initiator'])
        elif kind == 'iscsi-direct':
            raise InvalidInput(f'pool {name} needs an initiator: the IQN that its host logs in with')
        if kind == 'iscsi':
            add(add(root, 'target'), 'path', _target(settings, '/dev/disk/by-path'))
    else:
        add(source, 'name', path)
    _add_secret(source, kind, settings)
    return root


def absent(path: str) -> bool:
    """Tell if a path of this machine is not there; what may not be looked at may well be."""
    try:
        Path(path).lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _target(settings: Mapping[str, Any], default: str) -> str:
    path = str(settings.get('target', default))
    if not path.startswith('/'):
        raise InvalidInput(f"the target '{path}' of a pool must be an absolute path")
    return path


def _add_hosts(source: Element, name: str, settings: Mapping[str, Any]) -> None:
    given = settings.get('host') or ()
    hosts: Sequence[Any] = given.split(',') if isinstance(given, str) else given
    if not hosts:
        raise InvalidInput(f'pool {name} needs a host', hint='Give the server that it is on: -P host=10.0.0.5')
    for each in hosts:
        host, port = str(each).strip(), settings.get('port')
        if host.count(':') == 1:
            host, _, port = host.partition(':')
        if port is not None and not str(port).isdecimal():
            raise InvalidInput(f"'{each}' is no host with a port")
        add(source, 'host', name=host.strip('[]'), port=port)


def _add_secret(source: Element, kind: str, settings: Mapping[str, Any]) -> None:
    """Add who logs in. The password itself is one of libvirt's secrets, named by its uuid or its usage."""
    user, secret = settings.get('user'), settings.get('secret')
    if (user is None) != (secret is None):
        raise InvalidInput('user and secret of a pool belong together', hint="'virsh secret-list' shows the secrets")
    if user is None:
        return
    auth = add(source, 'auth', type='ceph' if kind == 'rbd' else 'chap', username=str(user))
    text = str(secret)
    add(auth, 'secret', **{'uuid' if len(text) == 36 and text.count('-') == 4 else 'usage': text})
