"""The settings of networks in the words of those who make them: read from libvirt's descriptions, and compared.

Both sides are brought into one form: a network that was made with settings has none that differ from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from kvirt import units
from kvirt.base.networks import Unlike
from kvirt.errors import InvalidInput
from kvirt.providers.kvm.networks import cidr_of
from kvirt.providers.kvm.netxml import BANDWIDTH, DNSMASQ, MODES, SETTINGS, as_list, usual_range

_FIXED = ('bridge', 'macvtap', 'ovs', 'bridgename')
_MINUTES = {'seconds': 1 / 60, 'minutes': 1, 'hours': 60}
_OPTION = 'dhcp-option='
_UNSAID: dict[str, Any] = {'dns': True, 'localdomain': True, 'forwarders': [], 'dhcp_options': {}, 'vlan': [], 'vlans': []}
"""What a network has of a setting that is not told."""


def told(root: Element) -> dict[str, Any]:
    """Return the settings that a network has, by the names that they are given with when it is made.

    What is so where nothing is said of it (a range of DHCP, DNS for itself) is left out.
    """
    found: dict[str, Any] = {
        'nic': _of(root, 'forward', 'dev') or _of(root, 'forward/interface', 'dev'),
        'bridgename': _of(root, 'bridge', 'name'), 'fwzone': _of(root, 'bridge', 'zone'), 'mtu': _of(root, 'mtu', 'size'),
        **_ends(root), 'dhcp_lease': _lease(root), 'dhcp_options': _options(root),
        'pxe': _of(root, 'ip/dhcp/bootp', 'server'), 'bootfile': _of(root, 'ip/dhcp/bootp', 'file'),
        'forwarders': [each.attrib for each in root.findall('dns/forwarder')],
        **{key: _of(root, f"bandwidth/{key.split('_')[1]}", key.split('_')[2]) for key in BANDWIDTH}}
    tags = [each.get('id') for each in root.findall('vlan/tag')]
    found['vlans' if len(tags) > 1 or _of(root, 'vlan', 'trunk') == 'yes' else 'vlan'] = tags
    if root.find('domain') is not None and _of(root, 'domain', 'localOnly') != 'yes':
        found['localdomain'] = False
    if _of(root, 'dns', 'enable') == 'no':
        found['dns'] = False
    return {key: plain(key, value) for key, value in found.items() if value is not None and value not in ([], {})}


def unlike(there: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Unlike]:
    """Return which of *settings* a network does not have that is listed as *there*."""
    given = {key: plain(key, value) for key, value in settings.items()
             if value is not None and (key in SETTINGS or key == 'nat')}
    tags = [*given.pop('vlan', []), *given.pop('vlans', [])]
    if 'vlan' in settings or 'vlans' in settings:
        given['vlans' if 'vlans' in settings or len(tags) > 1 else 'vlan'] = tags
    mode = there.get('mode')
    if 'forward_mode' in given or mode not in MODES:
        given.pop('nat', None)  # what the mode says goes before it, and on a bridge it means nothing
    if not (there.get('domain') or settings.get('domain')):
        given.pop('localdomain', None)
    found = {key: Unlike(_now(there, key, wanted), wanted) for key, wanted in given.items()}
    return {key: each._replace(fixed=_is_fixed(key, each.wanted, mode)) for key, each in found.items()
            if each.now != each.wanted and not (isinstance(each.now, list) and each.wanted in each.now)}


def plain(key: str, value: Any) -> Any:
    """Return a setting in the form in which it is told and compared; what can't be one stays what it is."""
    try:
        return _FORMS.get(key, _number)(value)
    except (InvalidInput, ValueError, TypeError, AttributeError):
        return value  # who gives it to a network is told what is wrong with it


def _now(there: Mapping[str, Any], key: str, wanted: Any) -> Any:
    mode = there.get('mode')
    if key == 'nat':
        return {'nat': True, 'isolated': False}.get(str(mode), mode)
    if key == 'forward_mode':
        return mode
    if key in ('bridge', 'macvtap', 'ovs'):
        return mode == key
    if key in ('vlan', 'vlans') and not wanted:
        return [*there.get('vlan', []), *there.get('vlans', [])]
    if key in ('dhcp_start', 'dhcp_end') and there.get('dhcp') and key not in there:
        ranges = [usual_range(units.network(str(there[cidr]))) for cidr in ('cidr', 'dual_cidr') if cidr in there]
        usual = [str(ends[key == 'dhcp_end']) for ends in ranges]
        return usual if len(usual) > 1 else usual[0]
    if key == 'localdomain' and not there.get('domain'):
        return None
    return there.get(key, _UNSAID.get(key))


def _is_fixed(key: str, wanted: Any, mode: Any) -> bool:
    """Tell if a network has to be made anew to have this."""
    changes_kind = key == 'forward_mode' and (wanted not in MODES or mode not in MODES)
    return key in _FIXED or changes_kind or (key == 'nic' and mode == 'macvtap')


def _of(root: Element, path: str, attribute: str) -> str | None:
    part = root.find(path)
    return None if part is None else part.get(attribute)


def _ends(root: Element) -> dict[str, list[str | None]]:
    """Return where the ranges of DHCP begin and end, unless they are the usual ones."""
    ranges = [(each.get('start'), each.get('end')) for each in root.findall('ip/dhcp/range')]
    given = [cidr_of(ip) for ip in root.findall('ip') if ip.find('dhcp/range') is not None]
    if ranges == [tuple(map(str, usual_range(each))) for each in given]:
        return {}
    return {'dhcp_start': [start for start, _ in ranges], 'dhcp_end': [end for _, end in ranges]}


def _lease(root: Element) -> float | None:
    expiry = _of(root, 'ip/dhcp/range/lease', 'expiry')
    return None if expiry is None else int(expiry) * _MINUTES[_of(root, 'ip/dhcp/range/lease', 'unit') or 'minutes']


def _options(root: Element) -> dict[str, list[str]]:
    lines = [str(each.get('value')) for each in root.findall(f'{{{DNSMASQ}}}options/{{{DNSMASQ}}}option')]
    rows = [line.removeprefix(_OPTION).split(',') for line in lines if line.startswith(_OPTION)]
    return {name: values for name, *values in rows}


# the forms

def _number(value: Any) -> Any:
    return int(value) if isinstance(value, (int, float)) or str(value).isdecimal() else str(value)


def _addresses(value: Any) -> Any:
    """Return an address, or a list of several."""
    found = [str(units.address(str(each))) for each in as_list(value)]
    return found if len(found) > 1 else found[0]


def _forwarders(value: Any) -> list[dict[str, str]]:
    rows = [each if isinstance(each, Mapping) else {'addr': each} for each in as_list(value)]
    return [{key: str(units.address(str(text))) if key == 'addr' else str(text) for key, text in row.items()}
            for row in rows]


def _by_option(value: Any) -> dict[str, list[str]]:
    return {str(name).removeprefix('option:'): [str(each) for each in as_list(texts)] for name, texts in value.items()}


_FORMS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(('nat', 'bridge', 'macvtap', 'ovs', 'dns', 'localdomain'), bool),
    **dict.fromkeys(('dhcp_start', 'dhcp_end', 'pxe'), _addresses),
    **dict.fromkeys(('vlan', 'vlans'), lambda value: [int(each) for each in as_list(value)]),
    'forward_mode': lambda value: 'routed' if value == 'route' else str(value), 'forwarders': _forwarders,
    'dual_cidr': lambda value: str(units.network(str(value))), 'dhcp_options': _by_option}
