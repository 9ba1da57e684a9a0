"""From DigitalOcean's words to those of the contract, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from kvirt.guest import images
from kvirt.providers.families import marks, rules
from kvirt.providers.families.balancers import Balancer
from kvirt.providers.families.dns import Record
from kvirt.providers.families.floating import Address
from kvirt.providers.families.groups import Group
from kvirt.providers.families.images import Image
from kvirt.providers.families.keys import Key
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.networks import Network
from kvirt.providers.families.volumes import Volume
from kvirt.rules import EVERYWHERE
from kvirt.shapes import Flavor, NetworkShape, NicShape, Rule, Status

Thing = Mapping[str, Any]

STATUS: Mapping[str, Status] = {'new': 'pending', 'active': 'running', 'off': 'stopped', 'archive': 'stopped',
                                'off, locked': 'pending'}
"""Every status of a droplet, and the standard one. What is off and locked is being started, resized or copied."""

COUNTRIES = {'ams': 'NL', 'atl': 'US', 'blr': 'IN', 'fra': 'DE', 'lon': 'GB', 'nyc': 'US', 'ric': 'US', 'sfo': 'US',
             'sgp': 'SG', 'syd': 'AU', 'tor': 'CA'}

OUTBOUND = [{'protocol': protocol, 'ports': '0', 'destinations': {'addresses': [EVERYWHERE, rules.EVERYWHERE_V6]}}
            for protocol in ('icmp', 'tcp', 'udp')]
"""Without a rule nothing may leave a droplet either, so all of it is allowed in so many words."""

FIREWALL = ('name', 'inbound_rules', 'outbound_rules', 'tags')
"""What makes a firewall, and what makes it again."""

_DISTRIBUTIONS = ('Arch Linux', 'CentOS', 'Debian', 'Fedora', 'FreeBSD', 'Gentoo', 'openSUSE', 'Rocky Linux', 'Ubuntu')
_VOLUME = 'scsi-0DO_Volume_'
_NUMBERS = ('priority', 'weight', 'port')


# VMs

def machine(droplet: Thing) -> Machine:
    """Map a droplet."""
    image: Thing = droplet.get('image') or {}
    tags = droplet.get('tags') or ()
    native = native_status(droplet)
    return Machine(id=str(droplet['id']), name=droplet['name'], status=STATUS.get(native, 'unknown'), native_status=native,
                   ip=reached(droplet), fields=marks.from_tags(tags), tags=tags, place=region(droplet),
                   flavor=droplet.get('size_slug') or '', numcpus=droplet.get('vcpus') or 0,
                   memory=droplet.get('memory') or 0, disk=droplet.get('disk') or 0,
                   image=image.get('slug') or image.get('name') or '', created=droplet.get('created_at'),
                   volumes=droplet.get('volume_ids') or (), native=droplet)


def card(droplet: Thing, vpc: str) -> NicShape:
    """Return the card of a droplet on its VPC of this name."""
    nic: NicShape = {'device': 'eth1' if address(droplet, 'public') else 'eth0', 'net': vpc, 'type': 'vpc'}
    if private := address(droplet, 'private'):
        nic['ip'] = private
    return nic


def native_status(droplet: Thing) -> str:
    """Return the state of a droplet in DigitalOcean's own words."""
    status = str(droplet.get('status'))
    locked = f'{status}, locked'
    return locked if droplet.get('locked') and locked in STATUS else status


def address(droplet: Thing, kind: str) -> str | None:
    """Return the public or the private address of a droplet, None when it has none yet."""
    cards = (droplet.get('networks') or {}).get('v4') or ()
    return next((card['ip_address'] for card in cards if card.get('type') == kind and card.get('ip_address')), None)


def reached(droplet: Thing) -> str | None:
    """Return the address at which a droplet is reached, None when it has none yet."""
    return address(droplet, 'public') or address(droplet, 'private')


def region(thing: Thing) -> str:
    """Return the slug of the region that something is in."""
    where = thing.get('region') or ''
    return str(where if isinstance(where, str) else where.get('slug', ''))


# volumes

def volume(native: Thing) -> Volume:
    """Map a volume. Its letter is up to the guest, so it is known by its link."""
    device = f"{_VOLUME}{native['name']}"
    return Volume(id=native['id'], name=native['name'], size=native['size_gigabytes'], place=region(native), device=device,
                  path=f'/dev/disk/by-id/{device}', vms=[str(each) for each in native['droplet_ids'] or ()], native=native,
                  fields=marks.from_tags([*(native.get('tags') or ()), *(native.get('description') or '').split()]))


# catalogue

def location(region: Thing) -> dict[str, Any]:
    """Map a region."""
    return {'name': region['slug'], 'description': region['name'], 'available': region['available'],
            'country': COUNTRIES.get(region['slug'][:3])}


def flavor(size: Thing, location: str | None) -> Flavor:
    """Map a size. The prices are those of every region."""
    gpu: Thing = size.get('gpu_info') or {}
    return Flavor(name=size['slug'], numcpus=size['vcpus'], memory=size['memory'], disk=size['disk'],
                  gpus=gpu.get('count') or 0, gpu=gpu.get('model'), price_hourly=round(size['price_hourly'], 5),
                  price_monthly=round(size['price_monthly'], 2), currency='USD', location=location,
                  available=bool(size['available'] and size['regions']), firewall=True)


def slug(image: str) -> str:
    """Return DigitalOcean's name of a well-known image: ``ubuntu-24-04-x64`` for ``ubuntu2404``."""
    known = images.find(image)
    match = re.fullmatch(r'([a-z]+)(\d+)(stream)?', known.short) if known else None
    if match is None:
        return image
    name, version, stream = match.groups()
    version = f'{version[:2]}-{version[2:]}' if name == 'ubuntu' else version
    return '-'.join([name, *([stream] if stream else []), version, 'x64'])


def distribution(text: str) -> str:
    """Return DigitalOcean's word for what the name or URL of an image tells."""
    squeezed = re.sub('[^a-z]', '', text.lower())
    return next((word for word in _DISTRIBUTIONS if re.sub('linux| ', '', word.lower()) in squeezed), 'Unknown')


def image_name(image: Thing) -> str:
    """Return what ``create`` calls an image: its slug, or the name that its owner gave it."""
    return str(image.get('slug') or image.get('name') or image['id'])


def image(native: Thing) -> Image:
    """Map an image."""
    return Image(id=str(native['id']), name=image_name(native), own=not native.get('public'),
                 size=native.get('min_disk_size') or 0, more={'distribution': native.get('distribution')}, native=native)


def network(vpc: Thing) -> Network:
    """Map a VPC. What DigitalOcean has no field for stands in its description."""
    fields = marks.from_tags((vpc.get('description') or '').split())
    shape = {'cidr': vpc['ip_range'], 'dhcp': True, 'type': 'vpc', 'mode': 'nat', 'plan': fields.get('plan', ''),
             'id': vpc['id'], 'location': region(vpc), 'default': bool(vpc.get('default'))}
    return Network(id=vpc['id'], name=vpc['name'], cidr=vpc['ip_range'], row=cast(NetworkShape, shape),
                   place=region(vpc), fields=fields)


# what VMs share

def firewall(name: str, wanted: Iterable[Rule], tags: Iterable[str]) -> dict[str, Any]:
    """Return what a firewall is asked for with."""
    inbound = [{'protocol': rule['protocol'], 'ports': rules.ports_text(rule) or '0',
                'sources': {'addresses': rules.sources(rule)}} for rule in wanted]
    return {'name': name, 'inbound_rules': inbound, 'outbound_rules': OUTBOUND, 'tags': list(tags)}


def group(native: Thing) -> Group:
    """Map a firewall. What it lets in from droplets and load balancers has no address, and is left out."""
    found = [rule for each in native.get('inbound_rules') or () for rule in rules.from_text(
        each['protocol'], each['ports'], (each.get('sources') or {}).get('addresses') or ())]
    return Group(id=native['id'], name=native['name'], rules=found, native=native)


def key(native: Thing) -> Key:
    """Map an ssh key."""
    return Key(id=str(native['id']), name=native['name'], public=native['public_key'], native=native)


# where VMs are reached

def floating(native: Thing, names: Mapping[str, str]) -> Address:
    """Map a reserved IP, with the *names* that are kept of some, by address."""
    droplet = native.get('droplet') or {}
    return Address(id=native['ip'], name=names.get(native['ip'], native['ip']), ip=native['ip'], place=region(native),
                   vm_id=str(droplet['id']) if droplet else None, vm=droplet.get('name'))


def record(native: Thing) -> Record:
    """Map a record. What it tells is put as a zone file has it: the numbers of an MX or SRV record stand first."""
    words = [*(native.get(key) for key in _NUMBERS), native.get('data') or '']
    return Record(name=native['name'].lower(), type=native['type'], ttl=native.get('ttl'), native=native['id'],
                  values=(' '.join(str(word) for word in words if word is not None),))


def balancer(native: Thing) -> Balancer:
    """Map a load balancer."""
    served = native['forwarding_rules']
    return Balancer(id=native['id'], name=native['name'], ip=native.get('ip') or None, native=native,
                    vms=[str(droplet) for droplet in native.get('droplet_ids') or ()],
                    protocol=served[0]['entry_protocol'], ports=[rule['entry_port'] for rule in served])


def forwarding(ports: Sequence[int]) -> list[dict[str, Any]]:
    """Return the rules by which a load balancer passes *ports* on as they are."""
    return [{'entry_protocol': 'tcp', 'entry_port': port, 'target_protocol': 'tcp', 'target_port': port} for port in ports]
