"""What the pretended Hetzner Cloud sells, in the shape of the vendor's answers. Prices and names are made up."""

from __future__ import annotations

from typing import Any

Thing = dict[str, Any]

NOW = '2026-03-01T12:00:00Z'

LOCATIONS: list[Thing] = [
    {'id': number, 'name': name, 'description': f'{city} park', 'country': country, 'city': city, 'latitude': 50.0,
     'longitude': 11.0, 'network_zone': zone}
    for number, name, city, country, zone in (
        (1, 'fsn1', 'Falkenstein', 'DE', 'eu-central'), (2, 'nbg1', 'Nuremberg', 'DE', 'eu-central'),
        (3, 'hel1', 'Helsinki', 'FI', 'eu-central'), (4, 'ash', 'Ashburn', 'US', 'us-east'))]


def price(amount: float) -> Thing:
    """Return a price with and without tax."""
    return {'net': f'{amount:.10f}', 'gross': f'{amount * 1.19:.10f}'}


def prices(hourly: float, places: tuple[str, ...]) -> list[Thing]:
    """Return the prices of something by location; abroad it costs more."""
    return [{'location': place, 'price_hourly': price(hourly * (1.2 if place == 'ash' else 1)),
             'price_monthly': price(hourly * 625 * (1.2 if place == 'ash' else 1)), 'included_traffic': 20 * 1024**4,
             'price_per_tb_traffic': price(1)} for place in places]


def _kind(number: int, name: str, cores: int, memory: float, disk: int, hourly: float, places: tuple[str, ...],
          arch: str = 'x86', away: tuple[str, ...] = (), old: bool = False) -> Thing:
    ids = {location['name']: location['id'] for location in LOCATIONS}
    ending = {'announced': NOW, 'unavailable_after': '2026-09-01T00:00:00Z'} if old else None
    return {'id': number, 'name': name, 'description': name.upper(), 'cores': cores, 'memory': memory, 'disk': disk,
            'deprecated': old, 'prices': prices(hourly, places), 'storage_type': 'local', 'cpu_type': 'shared',
            'category': 'Shared vCPU', 'architecture': arch, 'deprecation': ending,
            'locations': [{'id': ids[place], 'name': place, 'deprecation': ending, 'recommended': False,
                           'available': place not in away} for place in places]}


EU = ('fsn1', 'nbg1')

SERVER_TYPES: list[Thing] = [
    _kind(11, 'cx11', 1, 2.0, 20, 0.004, EU, old=True),
    _kind(22, 'cx22', 2, 4.0, 40, 0.006, EU),
    _kind(23, 'cx32', 4, 8.0, 80, 0.011, (*EU, 'ash'), away=('fsn1',)),
    _kind(45, 'cax11', 2, 4.0, 40, 0.005, EU, arch='arm'),
]

LOAD_BALANCER_TYPES: list[Thing] = [
    {'id': 1, 'name': 'lb11', 'description': 'LB11', 'max_connections': 10000, 'max_services': 5, 'max_targets': 25,
     'max_assigned_certificates': 10, 'deprecated': None, 'prices': prices(0.009, (*EU, 'ash'))}]

PRICING: Thing = {
    'currency': 'EUR', 'vat_rate': '19.000000',
    'primary_ips': [{'type': 'ipv4', 'prices': [
        {'location': place['name'], 'price_hourly': price(0.0008), 'price_monthly': price(0.5)} for place in LOCATIONS]}],
    'floating_ips': [{'type': 'ipv4', 'prices': [
        {'location': place['name'], 'price_monthly': price(3)} for place in LOCATIONS]}],
    'image': {'price_per_gb_month': price(0.011)}, 'volume': {'price_per_gb_month': price(0.044)},
    'server_backup': {'percentage': '20.0000000000'}, 'floating_ip': {'price_monthly': price(3)},
    'server_types': [{'id': kind['id'], 'name': kind['name'], 'prices': kind['prices']} for kind in SERVER_TYPES],
    'load_balancer_types': [{'id': 1, 'name': 'lb11', 'prices': LOAD_BALANCER_TYPES[0]['prices']}]}


def image(number: int, *, name: str | None = None, flavor: str = 'debian', version: str | None = None, arch: str = 'x86',
          kind: str = 'system', **more: Any) -> Thing:
    """Return an image; system ones by default."""
    return {'id': number, 'type': kind, 'status': 'available', 'name': name, 'description': f'{flavor} {version}',
            'image_size': None, 'disk_size': 5.0, 'created': NOW, 'created_from': None, 'bound_to': None,
            'os_flavor': flavor, 'os_version': version, 'rapid_deploy': True, 'protection': {'delete': False},
            'deprecated': None, 'deleted': None, 'labels': {}, 'architecture': arch, **more}


_SYSTEM = [('debian-12', 'debian', '12', 'x86'), ('debian-12', 'debian', '12', 'arm'),
           ('ubuntu-24.04', 'ubuntu', '24.04', 'x86'), ('rocky-9', 'rocky', '9', 'x86')]

IMAGES: list[Thing] = [image(100 + number, name=name, flavor=flavor, version=version, arch=arch)
                       for number, (name, flavor, version, arch) in enumerate(_SYSTEM)]

ISOS: list[Thing] = [
    {'id': 500 + number, 'name': name, 'description': name, 'type': 'public', 'deprecation': None, 'architecture': arch}
    for number, (name, arch) in enumerate([('alpine-3.20.iso', 'x86'), ('netboot.iso', None)])]


def zone(number: int, name: str) -> Thing:
    """Return a zone of the pretended project."""
    return {'id': number, 'name': name, 'created': NOW, 'mode': 'primary', 'labels': {}, 'protection': {'delete': False},
            'ttl': 3600, 'status': 'ok', 'record_count': 2, 'registrar': 'other',
            'authoritative_nameservers': {'assigned': ['ns.hetzner.example.'], 'delegated': ['ns.hetzner.example.'],
                                          'delegation_last_check': NOW, 'delegation_status': 'valid'}}
