"""Networks, subnets, network cards and floating addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kvirt import units
from kvirt.base.networks import Unlike
from kvirt.errors import AlreadyExists, Conflict, InvalidInput
from kvirt.names import did_you_mean, safe_name
from kvirt.providers.fake import addresses, mapping
from kvirt.providers.fake.account import Account, lacks
from kvirt.providers.fake.catalogue import FLOATING
from kvirt.providers.fake.records import Balancer, FloatingIp, Network, Nic, PublicRange, Subnet, Vm
from kvirt.providers.fake.world import Transaction
from kvirt.shapes import NetworkShape
from kvirt.spec import NetSpec

SETTINGS: dict[str, type] = {'mtu': int, 'vlan': int, 'az': str, 'private': bool}
"""The settings that a network or subnet may have beyond those of the contract, in ``overrides``."""

_NAMED: dict[str, type] = {'dhcp': bool, 'nat': bool, 'domain': str, 'plan': str}


class Networks(Account):
    """The networks of an account."""

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        own = settings(overrides)
        with self.conn.change() as world:
            if world.get(Network, name) or world.get(Subnet, name):
                raise AlreadyExists(f'network {name} exists')
            networks = world.all(Network)
            wanted = addresses.range_of(cidr) if cidr else _free_range(networks)
            other = addresses.first_overlap(wanted, networks)
            if other is not None:
                raise Conflict(f'{wanted} of network {name} overlaps {other.cidr} of network {other.name}')
            world.add(Network(name=name, cidr=str(wanted), dhcp=dhcp, nat=nat, domain=domain, plan=plan, settings=own))

    def _delete_network(self, name: str, force: bool = False) -> None:
        with self.conn.change() as world:
            network = world.need(Network, name)
            subnets = [subnet for subnet in world.all(Subnet) if subnet.network == name]
            if subnets and not force:
                raise Conflict(f"network {name} has subnets: {', '.join(subnet.name for subnet in subnets)}",
                               hint='Delete them first')
            balancers = [balancer.name for balancer in world.all(Balancer) if balancer.network == name]
            if balancers:
                raise Conflict(f"network {name} is in use by load balancers: {', '.join(balancers)}")
            self._cut(world, network, lambda nic: nic.network == name, force)
            for record in [network, *subnets]:
                world.drop(record)

    def _cut(self, world: Transaction, segment: Network, on: Any, force: bool) -> None:
        """Take the cards that *on* accepts away from all VMs. Conflict names the VMs, unless *force*."""
        users = [vm for vm in world.all(Vm) if any(on(nic) for nic in vm.nics)]
        if any(vm.maker is not None for vm in users) or (users and not force):
            raise Conflict(f"{segment.what} {segment.name} is in use by {', '.join(vm.name for vm in users)}",
                           hint='Delete those VMs first, or take the network from them with force')
        for vm in users:
            _unplug(world, vm, [nic for nic in vm.nics if on(nic)])

    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        own = settings(overrides)
        with self.conn.change() as world:
            network = world.need(Network, name)
            _change(network, {'dhcp': dhcp, 'nat': nat, 'domain': domain, 'plan': plan}, own)
            world.put(network)

    def _list_networks(self) -> dict[str, NetworkShape]:
        with self.conn.read() as world:
            return {network.name: mapping.network_shape(network) for network in world.all(Network)}

    @classmethod
    def network_unlike(cls, there: NetworkShape, settings: Mapping[str, Any]) -> dict[str, Unlike]:
        """Return which settings a network does not have; where it is, is fixed."""
        has = {**there, 'nat': there.get('mode') == 'nat'}
        return {key: Unlike(has.get(key), value, key == 'az') for key, value in settings.items()
                if has.get(key) != value and (key in SETTINGS or key == 'nat')}

    def _network_ports(self, name: str) -> list[str]:
        with self.conn.read() as world:
            addresses.segment_of(world, name)
            return [vm.name for vm in self.seen(world) if any(name in (nic.net, nic.network) for nic in vm.nics)]

    # cards

    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            nic = addresses.connect(world, vm, NetSpec(name=network, type=model), self.seed)
            world.put(vm)
            return {'mac': nic.mac, 'device': nic.device, **({'ip': nic.ip} if nic.ip else {})}

    def _delete_nic(self, name: str, interface: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            cards = [nic for nic in vm.nics if interface in (nic.device, nic.mac, nic.net)]
            if not cards:
                raise lacks(vm, 'network card', interface, (known for nic in vm.nics for known in (nic.device, nic.net)))
            _unplug(world, vm, cards)

    def _update_nic(self, name: str, index: int, network: str) -> None:
        with self.conn.change() as world:
            vm = self.settled(world, name)
            if not 0 <= index < len(vm.nics):
                raise InvalidInput(f'VM {name} has no network card number {index}', hint=f'It has {len(vm.nics)}')
            nic = vm.nics[index]
            segment = addresses.segment_of(world, network)
            addresses.release(world, nic, mac=False)
            nic.net = network
            addresses.plug(world, vm, nic, segment)
            world.put(vm)

    # subnets

    def _create_subnet(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                       overrides: Mapping[str, Any]) -> None:
        parent = str(overrides.get('network', 'default'))
        own = settings({key: value for key, value in overrides.items() if key != 'network'})
        with self.conn.change() as world:
            if world.get(Network, name) or world.get(Subnet, name):
                raise AlreadyExists(f'subnet {name} exists')
            network = world.need(Network, parent)
            wanted, whole = addresses.range_of(cidr), units.network(network.cidr)
            if wanted.version != whole.version or not wanted.subnet_of(whole):  # type: ignore[arg-type]
                raise InvalidInput(f'{cidr} is not a part of {network.cidr}, the addresses of network {parent}')
            other = addresses.first_overlap(wanted, [each for each in world.all(Subnet) if each.network == parent])
            if other is not None:
                raise Conflict(f'{cidr} of subnet {name} overlaps {other.cidr} of subnet {other.name}')
            world.add(Subnet(name=name, cidr=str(wanted), dhcp=dhcp, nat=nat, domain=domain, plan=plan, network=parent,
                             settings=own, id=self.stable_id('subnet', world.number('subnet'))))

    def _delete_subnet(self, name: str, force: bool = False) -> None:
        with self.conn.change() as world:
            subnet = world.need(Subnet, name)
            self._cut(world, subnet, lambda nic: nic.net == name, force)
            world.drop(subnet)

    def _update_subnet(self, name: str, overrides: Mapping[str, Any]) -> None:
        given = settings(overrides, {**SETTINGS, **_NAMED})
        with self.conn.change() as world:
            subnet = world.need(Subnet, name)
            _change(subnet, {key: given.pop(key, None) for key in _NAMED}, given)
            world.put(subnet)

    def _list_subnets(self) -> dict[str, NetworkShape]:
        with self.conn.read() as world:
            return {subnet.name: mapping.network_shape(subnet) for subnet in world.all(Subnet)}

    # floating addresses

    def _create_floating_ip(self, name: str) -> Mapping[str, Any] | None:
        safe_name('floating address', name)
        with self.conn.change() as world:
            self.within_quota(world, 'floating_ips', FloatingIp)
            floating = FloatingIp(name=name, ip='')
            world.add(floating)
            floating.ip = public_address(world, f'floating/{name}')
            world.put(floating)
            return {'ip': floating.ip}

    def _delete_floating_ip(self, name: str) -> None:
        with self.conn.change() as world:
            floating = world.need(FloatingIp, name)
            vm = world.get(Vm, floating.vm or '')
            if vm is not None:
                raise Conflict(f'floating address {name} is in use by {vm.name}', hint='Detach it first')
            world.drop(floating)
            world.drop_of(f'floating/{name}')

    def _attach_floating_ip(self, name: str, vm: str) -> None:
        with self.conn.change() as world:
            floating, target = world.need(FloatingIp, name), self.settled(world, vm)
            holder = world.get(Vm, floating.vm or '')
            if holder is not None and holder.id != target.id:
                raise Conflict(f'floating address {name} is in use by {holder.name}', hint='Detach it first')
            if target.floating not in (None, floating.ip):
                raise Conflict(f'VM {vm} has a floating address already: {target.floating}', hint='Detach it first')
            floating.vm, target.floating = target.id, floating.ip
            world.put(floating, target)

    def _detach_floating_ip(self, name: str) -> None:
        with self.conn.change() as world:
            floating = world.need(FloatingIp, name)
            holder = world.get(Vm, floating.vm or '')
            floating.vm = None
            world.put(floating)
            if holder is not None:
                holder.floating = None
                world.put(holder)

    def _list_floating_ips(self) -> dict[str, dict[str, Any]]:
        with self.conn.read() as world:
            rows = {}
            for floating in world.all(FloatingIp):
                holder = world.get(Vm, floating.vm or '')
                rows[floating.name] = {'ip': floating.ip, 'vm': holder.name if holder else None}
            return rows


def public_address(world: Transaction, owner: str) -> str:
    """Take a public address for *owner*. OutOfCapacity."""
    public = world.get(PublicRange, '.public') or PublicRange(name='.public', cidr=FLOATING)
    return addresses.free_address(world, public, owner)


def settings(overrides: Mapping[str, Any], known: Mapping[str, type] = SETTINGS) -> dict[str, Any]:
    """Return *overrides* as settings of a network. InvalidInput for one that is not *known*."""
    own: dict[str, Any] = {}
    for key, value in overrides.items():
        if key not in known:
            raise InvalidInput(f"unknown setting of a network '{key}'{did_you_mean(key, known)}")
        try:
            own[key] = msgspec.convert(value, known[key], strict=False)
        except msgspec.ValidationError:
            raise InvalidInput(f'setting {key} of a network can not be {value!r}') from None
    return own


def _change(network: Network, named: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    for key, value in named.items():
        if value is not None:
            setattr(network, key, value)
    network.settings = {**network.settings, **own}


def _unplug(world: Transaction, vm: Vm, cards: Iterable[Nic]) -> None:
    for nic in cards:
        addresses.release(world, nic)
        vm.nics.remove(nic)
    world.put(vm)


def _free_range(networks: list[Network]) -> units.Network:
    """Return the first /24 of 10.0.0.0/8 that no network has."""
    for number in range(1, 2**16):
        wanted = units.network(f'10.{number >> 8}.{number & 255}.0/24')
        if addresses.first_overlap(wanted, networks) is None:
            return wanted
    raise Conflict('no range of addresses is free', hint='Give a cidr')
