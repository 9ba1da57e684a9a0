"""The description of a network, made and changed: https://libvirt.org/formatnetwork.html

Each setting has a function that puts its elements into the place of those that are there. So what others wrote into a
network, and what was not asked to change, stays what it is.
"""

from __future__ import annotations

import copy
import ipaddress
import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from kvirt import units
from kvirt.errors import InvalidInput
from kvirt.names import did_you_mean
from kvirt.providers.kvm.domain import add, check_text
from kvirt.providers.kvm.networks import INFO, cidr_of

log = logging.getLogger(__name__)

DNSMASQ = 'http://libvirt.org/schemas/network/dnsmasq/1.0'
MODES = {'nat': 'nat', 'routed': 'route', 'route': 'route', 'open': 'open', 'isolated': None}
_MODE_WORDS = (*MODES, 'bridge', 'macvtap', 'ovs')
BANDWIDTH = tuple(f'bandwidth_{way}_{what}' for way in ('inbound', 'outbound') for what in ('average', 'peak', 'burst'))
_OF_ADDRESSES = ('dual_cidr', 'dhcp_start', 'dhcp_end', 'dhcp_lease', 'dhcp_options', 'pxe', 'bootfile', 'localdomain',
                 'dns', 'forwarders', 'fwzone', 'mtu')
"""Settings of a network that libvirt itself gives addresses in."""
_OF_DHCP = ('dhcp_start', 'dhcp_end', 'dhcp_lease', 'pxe', 'bootfile', 'dual_cidr')
SETTINGS = ('forward_mode', 'bridge', 'macvtap', 'ovs', 'bridgename', 'nic', 'vlan', 'vlans', *_OF_ADDRESSES, *BANDWIDTH)
"""What can be said of a network beside what every provider knows."""

ET.register_namespace('dnsmasq', DNSMASQ)


def network_element(name: str, cidr: str | None, dhcp: bool, nat: bool, domain_name: str | None, plan: str,
                    settings: Mapping[str, Any]) -> Element:
    """Return the description of a network with addresses *cidr*; the host has the first one. InvalidInput."""
    mode = _mode(nat, settings)
    root = Element('network')
    add(root, 'name', name)
    _set_plan(root, plan)
    if mode in MODES:
        if cidr is None:
            raise InvalidInput(f'network {name} needs a cidr', hint='For instance: -c 192.168.100.0/24')
        _set_forward(root, MODES[mode], settings)
        for each in _ranges(cidr, settings.get('dual_cidr')):
            add(root, 'ip', family='ipv6' if each.version == 6 else None, address=str(each[1]), prefix=each.prefixlen)
        _set_domain(root, domain_name, settings)
        _set_dhcp(root, dhcp, settings)
    else:
        odd = [key for key in _OF_ADDRESSES if key in settings] + [
            key for key, value in (('cidr', cidr), ('domain', domain_name)) if value is not None]
        if odd:
            raise InvalidInput(f"a network of mode {mode} gives no addresses: {', '.join(odd)} can not be honoured")
        _set_connection(root, name, mode, settings)
    _set_others(root, mode, settings)
    return root


def changed(root: Element, dhcp: bool | None, nat: bool | None, domain_name: str | None, plan: str | None,
            settings: Mapping[str, Any]) -> Element:
    """Return the description *root* with what is given changed. InvalidInput for what can't be changed."""
    _check(settings)
    root = copy.deepcopy(root)
    if plan is not None:
        _set_plan(root, plan)
    fixed = [key for key in ('bridge', 'macvtap', 'ovs', 'bridgename') if key in settings]
    if fixed:
        raise InvalidInput(f"{', '.join(fixed)} of a network can not be changed", hint='Make another one')
    bare = root.find('ip') is None
    asked = [key for key in _OF_ADDRESSES if key in settings] + [
        key for key, value in (('dhcp', dhcp), ('nat', nat), ('domain', domain_name)) if value not in (None, False)]
    if bare and asked:
        raise InvalidInput(f"the network gives no addresses: {', '.join(asked)} can not be honoured")
    if nat is not None or 'forward_mode' in settings or 'nic' in settings:
        known = root.find('forward')
        mode = 'isolated' if known is None else known.get('mode', 'nat')
        if nat is not None or 'forward_mode' in settings:
            mode = _mode(bool(nat), settings)
        if mode not in MODES or bare:
            raise InvalidInput('a network can change between nat, routed, open and isolated only', hint='Make another one')
        _set_forward(root, MODES[mode], settings)
    if 'dual_cidr' in settings:
        first = root.findall('ip')[0]
        _drop(root, *root.findall('ip')[1:])
        [_, second] = _ranges(str(cidr_of(first)), settings['dual_cidr'])
        add(root, 'ip', family='ipv6' if second.version == 6 else None, address=str(second[1]), prefix=second.prefixlen)
    if domain_name is not None or 'localdomain' in settings:
        known = root.find('domain')
        _set_domain(root, domain_name if domain_name is not None or known is None else known.get('name'), settings)
    if dhcp is not None or any(key in settings for key in _OF_DHCP):
        has = root.find('ip/dhcp/range') is not None
        _set_dhcp(root, has if dhcp is None else dhcp, settings, keep=True)
    _set_others(root, 'nat', settings)
    return root


# what is asked for

def _check(settings: Mapping[str, Any]) -> None:
    for key in settings:
        if key not in SETTINGS:
            raise InvalidInput(f"unknown setting of a network: {key}{did_you_mean(key, SETTINGS)}",
                               hint=f"Known are {', '.join(SETTINGS)}")
    for key in ('bridge', 'macvtap', 'ovs', 'localdomain', 'dns'):
        if settings.get(key) not in (None, True, False):
            raise InvalidInput(f'{key}: expected true or false, got {settings[key]!r}')


def _mode(nat: bool, settings: Mapping[str, Any]) -> str:
    _check(settings)
    chosen = [key for key in ('bridge', 'macvtap', 'ovs') if settings.get(key)]
    if settings.get('forward_mode') is not None:
        chosen.append(str(settings['forward_mode']))
    if len(set(chosen)) > 1:
        raise InvalidInput(f"a network has one mode, not {' and '.join(chosen)}")
    mode = chosen[0] if chosen else 'nat' if nat else 'isolated'
    if mode not in _MODE_WORDS:
        raise InvalidInput(f"unknown mode of a network: '{mode}'{did_you_mean(mode, _MODE_WORDS)}",
                           hint=f"Use {', '.join(_MODE_WORDS)}")
    return mode


def _ranges(cidr: str, second: Any) -> list[units.Network]:
    found = [units.network(cidr)]
    if second is not None:
        found.append(units.network(str(second)))
        if found[0].version == found[1].version:
            raise InvalidInput(f'dual_cidr: {second} is of the same family as {cidr}',
                               hint='Give one of IPv4 and one of IPv6')
    for each in found:
        if each.num_addresses < 8:
            raise InvalidInput(f'{each} is too small for a network', hint='Give at least a /29')
    return found


def _whole(key: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not least <= int(value) <= most:
        raise InvalidInput(f'{key}: expected a whole number from {least} to {most}, got {value!r}')
    return int(value)


def as_list(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(',') if part.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _device(key: str, value: Any) -> str:
    if not re.fullmatch(r'[A-Za-z0-9_.:-]{1,15}', str(value), re.ASCII):
        raise InvalidInput(f'{key}: {value!r} can not be the name of a device')
    return str(value)


# the parts

def _drop(parent: Element, *children: Element | str) -> None:
    for child in children:
        for found in parent.findall(child) if isinstance(child, str) else [child]:
            parent.remove(found)


def _part(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    return add(parent, tag) if found is None else found


def _set_plan(root: Element, plan: str) -> None:
    _part(_part(_part(root, 'metadata'), INFO), '{kvirt}plan').text = check_text('plan', plan)


def _set_forward(root: Element, mode: str | None, settings: Mapping[str, Any]) -> None:
    known = root.find('forward')
    if known is not None and known.get('mode', 'nat') == mode and 'nic' not in settings:
        return
    device = settings.get('nic', None if known is None else known.get('dev'))
    _drop(root, 'forward')
    if mode is not None:
        add(root, 'forward', mode=mode, dev=_device('nic', device) if device else None)
    elif settings.get('nic'):
        raise InvalidInput('nic: an isolated network has no way out')


def _set_connection(root: Element, name: str, mode: str, settings: Mapping[str, Any]) -> None:
    """Connect to what is there: a bridge of the host or of Open vSwitch, or a device that VMs share."""
    wanted, other = ('nic', 'bridgename') if mode == 'macvtap' else ('bridgename', 'nic')
    if not settings.get(wanted):
        raise InvalidInput(f'network {name} of mode {mode} needs a {wanted}')
    if settings.get(other):
        raise InvalidInput(f'{other} means nothing for a network of mode {mode}')
    forward = add(root, 'forward', mode='bridge')
    device = _device(wanted, settings[wanted])
    if mode == 'macvtap':
        add(forward, 'interface', dev=device)
        return
    add(root, 'bridge', name=device)
    if mode == 'ovs':
        add(root, 'virtualport', type='openvswitch')


def _set_domain(root: Element, name: str | None, settings: Mapping[str, Any]) -> None:
    known = root.find('domain')
    only = settings.get('localdomain', known is None or known.get('localOnly') == 'yes')
    _drop(root, 'domain')
    if name:
        add(root, 'domain', name=name, localOnly='yes' if only else None)


def usual_range(addresses: units.Network) -> tuple[units.Address, units.Address]:
    """Return the ends of what DHCP gives out of *addresses* where nothing else is asked for."""
    return addresses[2], addresses[min(addresses.num_addresses - 2, 65534)]


def _set_dhcp(root: Element, dhcp: bool, settings: Mapping[str, Any], keep: bool = False) -> None:
    """Give addresses out, or end that. With *keep* what is there of ranges stays, where nothing else is given."""
    ends = [key for key in ('dhcp_start', 'dhcp_end') if key in settings]
    for key in ends:
        units.address(str(settings[key]))
    if ends and not dhcp:
        raise InvalidInput(f"{', '.join(ends)}: no addresses are given out")
    for ip in root.findall('ip'):
        known = ip.find('dhcp')
        if not dhcp:
            _drop(ip, 'dhcp')
            continue
        addresses = cidr_of(ip)
        given = [settings[key] if key in settings and ipaddress.ip_address(str(settings[key])).version == addresses.version
                 else None for key in ('dhcp_start', 'dhcp_end')]
        there = known.find('range') if keep and known is not None else None
        if there is not None and not any(given):
            ranged = there
        else:
            block = _part(ip, 'dhcp')
            _drop(block, 'range')
            ends_there = usual_range(addresses) if there is None else (there.get('start'), there.get('end'))
            start, end = (ipaddress.ip_address(str(each or default))
                          for each, default in zip(given, ends_there, strict=True))
            if start not in addresses or end not in addresses or int(start) > int(end):
                raise InvalidInput(f'{start} to {end} is no range of {addresses}')
            ranged = Element('range', start=str(start), end=str(end))
            ranged.extend([] if there is None else list(there))
            block.insert(0, ranged)
        if 'dhcp_lease' in settings and ranged is not None:
            _drop(ranged, 'lease')
            add(ranged, 'lease', expiry=_whole('dhcp_lease', settings['dhcp_lease'], 2, 10**6), unit='minutes')
        booted = ip.find('dhcp/bootp')
        if 'pxe' in settings and addresses.version == 4 or ('bootfile' in settings and booted is not None):
            block = _part(ip, 'dhcp')
            _drop(block, 'bootp')
            were = {} if booted is None else booted.attrib
            server = str(units.address(str(settings.get('pxe', were.get('server')))))
            add(block, 'bootp', file=str(settings.get('bootfile', were.get('file', 'pxelinux.0'))), server=server)


def _set_others(root: Element, mode: str, settings: Mapping[str, Any]) -> None:
    if mode in MODES and ('bridgename' in settings or 'fwzone' in settings):
        bridge = _part(root, 'bridge')
        if 'bridgename' in settings:
            bridge.set('name', _device('bridgename', settings['bridgename']))
        if 'fwzone' in settings:
            bridge.set('zone', _device('fwzone', settings['fwzone']))
    if 'mtu' in settings:
        _drop(root, 'mtu')
        add(root, 'mtu', size=_whole('mtu', settings['mtu'], 68, 65535))
    if 'dns' in settings or 'forwarders' in settings:
        _set_dns(root, settings)
    if 'dhcp_options' in settings:
        _set_options(root, settings['dhcp_options'])
    if 'vlan' in settings or 'vlans' in settings:
        _set_vlans(root, mode, settings)
    if any(key in settings for key in BANDWIDTH):
        _set_bandwidth(root, settings)


def _set_dns(root: Element, settings: Mapping[str, Any]) -> None:
    dns = _part(root, 'dns')
    if settings.get('dns') is False:
        if settings.get('forwarders') or dns.find('host') is not None:
            raise InvalidInput('dns: the network has names to answer for', hint='Delete its records first')
        _drop(root, 'dns')
        add(root, 'dns', enable='no')
        return
    if settings.get('dns'):
        dns.attrib.pop('enable', None)
    if 'forwarders' in settings:
        _drop(dns, 'forwarder')
        for index, each in enumerate(as_list(settings['forwarders'])):
            facts: Mapping[str, Any] = each if isinstance(each, Mapping) else {'addr': each}
            if not facts or set(facts) - {'addr', 'domain'}:
                raise InvalidInput(f'forwarders: {each!r} is not an address, or a mapping of addr and domain')
            forwarder = Element('forwarder', {key: str(units.address(str(value))) if key == 'addr' else str(value)
                                              for key, value in facts.items()})
            dns.insert(index, forwarder)


def _set_options(root: Element, options: Any) -> None:
    """Put DHCP options into the configuration of dnsmasq, each on a line of its own, which no value may end."""
    tag = f'{{{DNSMASQ}}}options'
    block = _part(root, tag)
    _drop(block, *[each for each in block if str(each.get('value')).startswith('dhcp-option=')])
    if not isinstance(options, Mapping):
        raise InvalidInput('dhcp_options: expected a mapping of options (names or numbers) to their values')
    for name, value in options.items():
        texts = [str(each) for each in as_list(value)]
        if not re.fullmatch(r'\d{1,3}|(option6?:)?[a-z0-9-]+', str(name), re.ASCII):
            raise InvalidInput(f'dhcp_options: {name!r} is no option of DHCP', hint='Give its number or name: ntp-server')
        if not all(re.fullmatch(r'[\w.:/+@\[\] -]*', text, re.ASCII) for text in texts):
            raise InvalidInput(f'dhcp_options: {value!r} can not be the value of an option')
        key = str(name) if str(name).isdecimal() or ':' in str(name) else f'option:{name}'
        add(block, f'{{{DNSMASQ}}}option', value=','.join(['dhcp-option=' + key, *texts]))
    if not len(block):
        root.remove(block)


def _set_vlans(root: Element, mode: str, settings: Mapping[str, Any]) -> None:
    if mode not in ('ovs', 'bridge') and root.find('virtualport') is None:
        raise InvalidInput('vlan: only networks on a bridge that is there have VLANs',
                           hint='Give ovs: true and a bridgename')
    given = [*as_list(settings.get('vlan', [])), *as_list(settings.get('vlans', []))]
    tags = [_whole('vlan', each, 1, 4094) for each in given]
    _drop(root, 'vlan')
    if tags:
        vlan = add(root, 'vlan', trunk='yes' if 'vlans' in settings else None)
        for tag in tags:
            add(vlan, 'tag', id=tag)


def _set_bandwidth(root: Element, settings: Mapping[str, Any]) -> None:
    block = _part(root, 'bandwidth')
    for way in ('inbound', 'outbound'):
        values = {what: _whole(key, settings[key], 1, 2**31) for what in ('average', 'peak', 'burst')
                  if (key := f'bandwidth_{way}_{what}') in settings}
        if values:
            part = _part(block, way)
            part.attrib.update({what: str(value) for what, value in values.items()})
            if 'average' not in part.attrib:
                raise InvalidInput(f'bandwidth_{way}_average: peak and burst need an average', hint='In kB a second')
            if 0 < int(part.get('peak', 0)) < int(part.get('average', 0)):
                raise InvalidInput(f"bandwidth_{way}_peak: {part.get('peak')} is less than the average of "
                                   f"{part.get('average')}")
    if 'bandwidth_outbound_peak' in settings:
        log.warning('bandwidth_outbound_peak: Linux has no peak for what VMs send, so it does nothing')


def differences(before: Element, after: Element) -> set[str]:
    """Return the names of the parts in which two descriptions differ; ``range`` where it is only those of DHCP."""
    def parts(root: Element, strip: bool) -> dict[str, list[str]]:
        root = copy.deepcopy(root)
        for ip in root.findall('ip') if strip else ():
            dhcp = ip.find('dhcp')
            if dhcp is not None:
                _drop(dhcp, 'range')
                if not len(dhcp):
                    ip.remove(dhcp)
        found: dict[str, list[str]] = {}
        for child in root:
            ET.indent(child)
            text = ET.canonicalize(ET.tostring(child, encoding='unicode'), strip_text=True)
            found.setdefault(child.tag, []).append(text)
        return found

    def unlike(strip: bool) -> set[str]:
        old, new = parts(before, strip), parts(after, strip)
        return {tag for tag in {*old, *new} if old.get(tag) != new.get(tag)}
    whole, rest = unlike(strip=False), unlike(strip=True)
    return rest | ({'range'} if 'ip' in whole and 'ip' not in rest else set())


def ranges(root: Element) -> Iterable[tuple[int, Element]]:
    """Yield each range of DHCP with the number of the ``<ip>`` that has it."""
    for index, ip in enumerate(root.findall('ip')):
        for each in ip.findall('dhcp/range'):
            yield index, each
