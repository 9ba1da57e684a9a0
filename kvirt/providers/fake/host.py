"""The account itself: its locations, flavors, limits and keys."""

from __future__ import annotations

import re
from typing import Any

from kvirt.errors import InvalidInput
from kvirt.names import safe_name
from kvirt.providers.fake import mapping
from kvirt.providers.fake.account import EVERYWHERE, Account
from kvirt.providers.fake.catalogue import FLAVORS, LIMITS, LOCATIONS, ZONES
from kvirt.providers.fake.records import Balancer, Bucket, FloatingIp, Key, Record, Vm
from kvirt.shapes import Flavor

_PUBLIC_KEY = re.compile(r'(ssh-[a-z0-9]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{16,}={0,3}( .*)?')
_COUNTED: dict[str, type[Record]] = {'vms': Vm, 'floating_ips': FloatingIp, 'buckets': Bucket, 'loadbalancers': Balancer}


class Host(Account):
    """What the account is, and what it may have."""

    def _info_host(self) -> dict[str, Any]:
        with self.conn.read() as world:
            vms = self.seen(world)
        running = [vm for vm in vms if mapping.native_status(vm, self.time()) == 'on']
        return {'connection': f'fake://{self.location}', 'state': self.conn.path, 'vms': len(vms),
                'vms_running': len(running), 'cpus_used': sum(vm.numcpus for vm in vms),
                'memory_used': sum(vm.memory for vm in vms)}

    def _list_locations(self) -> list[dict[str, Any]]:
        return [{'name': name, **facts, 'available': True, 'sublocations': [f'{name}-{zone}' for zone in ZONES]}
                for name, facts in sorted(LOCATIONS.items())]

    def _list_quotas(self) -> list[dict[str, Any]]:
        with self.conn.read() as world:
            return [{'name': name, 'maximum': self.limit(name), 'current': world.count(_COUNTED[name]), 'unit': 'count'}
                    for name in sorted(LIMITS)]

    def _list_flavors(self) -> list[Flavor]:
        return [flavor for flavor in FLAVORS.values() if self.location in (flavor.location or self.location, EVERYWHERE)]

    def _list_keys(self) -> dict[str, str]:
        with self.conn.read() as world:
            return {key.name: key.public_key for key in world.all(Key)}

    def _create_key(self, name: str, public_key: str) -> None:
        text = public_key.strip()
        if not _PUBLIC_KEY.fullmatch(text):
            raise InvalidInput(f'key {name} is no public ssh key', hint='It begins with ssh-ed25519, ssh-rsa, ecdsa-...')
        with self.conn.change() as world:
            world.add(Key(name=safe_name('key', name), public_key=text))

    def _delete_key(self, name: str) -> None:
        with self.conn.change() as world:
            world.drop(world.need(Key, name))
