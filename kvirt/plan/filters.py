"""The filters that templates of plans may use, by the names that kcli's users know.

A filter that fails raises InvalidInput, which is told with file and line. What reads files keeps to the plan's own folder
when the plan is not trusted.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import socket
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvirt.errors import InvalidInput, NotFound

Info = Callable[[str, 'str | None', 'str | None', bool], Any]
"""Told a VM, a field or None for all, a client or None for the plan's, and if to wait for a value."""


def basename(path: str) -> str:
    """Return the last part of a path."""
    return os.path.basename(path)


def dirname(path: str) -> str:
    """Return a path without its last part."""
    return os.path.dirname(path)


def diskpath(path: str) -> str:
    """Return the path of a device that may be written without ``/dev/``."""
    return path if path.startswith('/dev') else f'/dev/{path}'


def none(value: Any) -> Any:
    """Return the value, or an empty text when there is none."""
    return '' if value is None else value


def kind(value: Any) -> str | None:
    """Return what sort of thing a value is: string, bool, int, float, dict or list."""
    names: tuple[tuple[type, str], ...] = ((str, 'string'), (bool, 'bool'), (int, 'int'), (float, 'float'),
                                           (dict, 'dict'), (list, 'list'))
    return next((name for known, name in names if isinstance(value, known)), None)


def certificate(value: str) -> str:
    """Return a certificate with the lines that begin and end it."""
    if 'BEGIN CERTIFICATE' in value:
        return value
    return f'-----BEGIN CERTIFICATE-----\n{value}\n-----END CERTIFICATE-----'


def base64_text(value: Any) -> str | None:
    """Return a text in base64."""
    return None if value is None else base64.b64encode(str(value).encode()).decode()


def count(value: Any, part: str) -> int:
    """Return how often *part* occurs in a text."""
    return str(value).count(part)


def kubenodes(cluster: str, ctlplanes: int = 1, workers: int = 1) -> list[str]:
    """Return the names of a cluster's nodes."""
    return _nodes(cluster, 'ctlplane', ctlplanes) + _nodes(cluster, 'worker', workers)


def defaultnodes(replicas: int, cluster: str, domain: str, ctlplanes: int, workers: int) -> list[str]:
    """Return the names, with domain, of the first *replicas* nodes of a cluster, workers first."""
    names = _nodes(cluster, 'worker', workers) + _nodes(cluster, 'ctlplane', ctlplanes)
    return [f'{name}.{domain}' for name in names[:replicas]]


def _nodes(cluster: str, role: str, number: int) -> list[str]:
    return [f'{cluster}-{role}-{index}' for index in range(number)]


def has_ctlplane(names: Sequence[str]) -> bool:
    """Tell if one of the names is that of a control plane node."""
    return any('ctlplane' in name or 'master' in name for name in names)


def network_ip(network: str, num: int = 0, version: bool = False) -> str:
    """Return address number *num* of a network; with *version* one of IPv6 stands in brackets."""
    try:
        address = ipaddress.ip_network(network)[num]
    except (ValueError, IndexError, TypeError) as error:
        raise InvalidInput(f'there is no address {num} in {network!r}: {error}') from None
    return f'[{address}]' if version and address.version == 6 else str(address)


def ipv6_wrap(text: str) -> str:
    """Return an address as it stands in a URL: one of IPv6 in brackets."""
    try:
        return f'[{text}]' if ipaddress.ip_address(text).version == 6 else text
    except ValueError:
        return text


def local_ip(net: str, wrap: bool = False) -> str:
    """Return this machine's address on an interface, empty when it has none; ``default`` also means virbr0."""
    found = _address_of(net) or (_address_of('virbr0') if net == 'default' else '')
    return ipv6_wrap(found) if wrap else found


def _address_of(interface: str) -> str:
    import fcntl
    import struct
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # SIOCGIFADDR: netdevice(7)
            told = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack('256s', interface.encode()[:15]))
        except OSError:
            return ''
    return socket.inet_ntoa(told[20:24])


def min_ocp_version(first: str, second: str) -> str:
    """Return the earlier of two versions."""
    return min(first, second, key=_version)


def max_ocp_version(first: str, second: str) -> str:
    """Return the later of two versions."""
    return max(first, second, key=_version)


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in str(text).split('.'))
    except ValueError:
        raise InvalidInput(f"{text!r} is no version: write numbers and dots") from None


def filter_bgp_peers(peers: Sequence[Any], num: int) -> list[Any]:
    """Return the peers without number *num*."""
    return [peer for index, peer in enumerate(peers) if index != num % max(len(peers), 1)]


def pwd_path(path: str | None) -> str | None:
    """Return the path itself: kept for plans that were written for kcli in a container."""
    return path


def wait_crd(crd: str, timeout: int = 120) -> str:
    """Return shell code that waits until a cluster knows a resource definition."""
    return _waiting(f'oc get crd -o name | grep -qi {_word(crd)}', f'CRD {crd}', timeout)


def wait_csv(csv: str, namespace: str, timeout: int = 360) -> str:
    """Return shell code that waits until an operator's version has succeeded."""
    asked = f"oc get csv -n {_word(namespace)} {_word(csv)} -o jsonpath='{{.status.phase}}'"
    return _waiting(f'[ "$({asked})" = Succeeded ]', f'CSV {csv}', timeout)


def _waiting(check: str, what: str, timeout: int) -> str:
    return textwrap.dedent(f'''\
        waited=0
        until {check}; do
          if [ "$waited" -ge {int(timeout)} ]; then echo "Timed out waiting for {what}"; exit 1; fi
          echo "Waiting for {what}"
          sleep 5
          waited=$((waited + 5))
        done''')


def _word(text: str) -> str:
    """Return *text* if it is one plain word of shell."""
    if not re.fullmatch(r'[A-Za-z0-9._/-]+', text):
        raise InvalidInput(f'{text!r} is not the name of a thing in a cluster')
    return text


@dataclass(frozen=True)
class Files:
    """The filters that look at files. *folder* is the plan's; one that is not *trusted* sees nothing outside of it.

    Without a folder the plan comes from elsewhere, and sees no files at all.
    """

    folder: Path | None
    trusted: bool = True

    def _path(self, name: str) -> Path:
        if self.folder is None:
            raise InvalidInput(f'{name} is a file of this machine, and the plan comes from elsewhere',
                               hint='Read the plan, and give --trust')
        path = self.folder / Path(name).expanduser()
        if not self.trusted and not path.resolve().is_relative_to(self.folder.resolve()):
            raise InvalidInput(f'{name} is outside of the folder of a plan that is not trusted',
                               hint='Read the plan, and give --trust')
        return path

    def exists(self, name: str | None) -> bool:
        """Tell if there is such a file."""
        return name is not None and self._path(name).exists()

    def read_file(self, name: str) -> str:
        """Return the text of a file."""
        try:
            return self._path(name).read_text(encoding='utf-8')
        except UnicodeDecodeError:
            raise InvalidInput(f'{name} is not text in UTF-8') from None
        except OSError as error:
            raise NotFound(f'{name} can not be read: {error.strerror}') from None

    def real_path(self, name: str | None) -> str | None:
        """Return a path without links and relative parts."""
        return str(self._path(name).resolve()) if name else name

    def find_manifests(self, name: str, suffix: str = 'yaml') -> list[str]:
        """Return the names of the YAML files in a folder, sorted."""
        return sorted(path.name for path in self._path(name).glob('*.y*ml'))


def github_version(repo: str, version: str | None = None, tag_mode: bool = False) -> str:
    """Return *version*; without one, or for ``latest``, the newest stable release of a repository on GitHub."""
    if version not in (None, 'latest'):
        return str(version)
    from kvirt.rest import Api
    api = Api('https://api.github.com', name='GitHub', timeout=(5, 10), retries=2)
    try:
        found = api.get(f"/repos/{repo}/{'tags' if tag_mode else 'releases'}")
    except NotFound:
        return ''
    finally:
        api.close()
    tags = [entry['name' if tag_mode else 'tag_name'] for entry in found if not entry.get('prerelease')]
    stable = [tag for tag in tags if not re.search(r'rc|alpha|beta', tag)] or tags
    return max(stable, key=lambda tag: [int(number) for number in re.findall(r'\d+', tag)], default='')


PLAIN: Mapping[str, Callable[..., Any]] = {
    'basename': basename, 'dirname': dirname, 'diskpath': diskpath, 'none': none, 'type': kind,
    'certificate': certificate, 'base64': base64_text, 'count': count, 'kubenodes': kubenodes,
    'defaultnodes': defaultnodes, 'has_ctlplane': has_ctlplane, 'network_ip': network_ip, 'ipv6_wrap': ipv6_wrap,
    'local_ip': local_ip, 'min_ocp_version': min_ocp_version, 'max_ocp_version': max_ocp_version,
    'filter_bgp_peers': filter_bgp_peers, 'pwd_path': pwd_path, 'wait_crd': wait_crd, 'wait_csv': wait_csv,
    'github_version': github_version}


def filters(folder: Path | None, *, trusted: bool = True, info: Info | None = None) -> dict[str, Callable[..., Any]]:
    """Return all filters by name. *info* answers ``kcli_info``; without it that filter is refused."""
    def kcli_info(name: str, key: str | None = None, client: str | None = None, wait: bool = False) -> Any:
        """Return what is known of a VM, or one field of it."""
        if info is None:
            raise InvalidInput(f'what is known of VM {name} can not be asked here')
        return info(name, key, client, wait)
    files = Files(folder, trusted)
    return {**PLAIN, 'exists': files.exists, 'read_file': files.read_file, 'real_path': files.real_path,
            'find_manifests': files.find_manifests, 'kcli_info': kcli_info, 'kvirt_info': kcli_info}
