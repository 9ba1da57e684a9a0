"""What there is of networks: VPCs and subnets, what they are called, and the cards of VMs on them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvirt import units
from kvirt.errors import Conflict, InvalidInput, NotFound, Problem
from kvirt.parallel import in_parallel
from kvirt.providers.aws.account import Account
from kvirt.providers.families import cloud
from kvirt.providers.families.ec2 import Filters, described, name_of
from kvirt.providers.families.loosenames import told_apart
from kvirt.providers.families.marks import MARK
from kvirt.providers.families.memory import Memory
from kvirt.spec import NetSpec, VmSpec

DEFAULT = 'default'

_HINT = "'kvirt list network' shows what is there"


@dataclass(frozen=True)
class Topology:
    """The VPCs and subnets that a client sees, as EC2 tells them, with their ``Region``; route tables when they matter."""

    vpcs: Sequence[dict[str, Any]]
    subnets: Sequence[dict[str, Any]]
    read_tables: Callable[[], Sequence[dict[str, Any]]]

    @functools.cached_property
    def tables(self) -> Sequence[dict[str, Any]]:
        """The route tables."""
        return self.read_tables()

    def within(self, vpc: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the subnets of a VPC."""
        return [subnet for subnet in self.subnets if subnet['VpcId'] == vpc['VpcId']]

    def table_of(self, subnet: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the route table that a subnet uses: its own, else the main one of its VPC."""
        main = None
        for table in self.tables:
            for use in table['Associations']:
                if use.get('SubnetId') == subnet['SubnetId']:
                    return table
                if use.get('Main') and table['VpcId'] == subnet['VpcId']:
                    main = table
        return main

    def leads_out(self, vpc: Mapping[str, Any]) -> bool:
        """Tell if a VPC has a route to the internet."""
        return any(leads_out(table) for table in self.tables if table['VpcId'] == vpc['VpcId'])

    def is_private(self, subnet: Mapping[str, Any]) -> bool:
        """Tell if the internet can't reach into a subnet: it gives no public addresses, and has no route to a gateway."""
        return not subnet.get('MapPublicIpOnLaunch') and not leads_out(self.table_of(subnet) or {})


class Vpcs(Account):
    """The networks of an account, to be looked at."""

    @functools.cached_property
    def recent(self) -> Memory:
        """What was looked at a moment ago."""
        return Memory(clock=self.clock)

    def topology(self, regions: Sequence[str] | None = None) -> Topology:
        """Return what there is now."""
        def read(kind: str) -> list[dict[str, Any]]:
            return self.look(kind, regions=regions)
        vpcs, subnets = in_parallel(('vpc', 'subnet'), read)
        return Topology(vpcs, subnets, functools.partial(read, 'route_table'))

    def recent_topology(self, region: str) -> Topology:
        """Return what there is in a region now, or was some seconds ago: for creating many VMs at once."""
        def read() -> Topology:
            topology = self.topology([region])
            for subnet in topology.subnets:
                topology.is_private(subnet)  # so that not each of many threads reads the route tables
            return topology
        return self.recent.get(('topology', region), read)

    # names

    def vpc_name(self, vpc: Mapping[str, Any]) -> str:
        """Return what a VPC is called: ``default``, its name, or its id. Outside of this client's region that is told."""
        usual = self.options.vpc
        is_default = vpc['IsDefault'] if usual is None else usual in (vpc['VpcId'], name_of(vpc))
        return self._placed(vpc, DEFAULT if is_default else name_of(vpc) or str(vpc['VpcId']))

    def subnet_name(self, subnet: Mapping[str, Any]) -> str:
        """Return what a subnet is called: its name, else its id."""
        return self._placed(subnet, name_of(subnet) or str(subnet['SubnetId']))

    def _placed(self, thing: Mapping[str, Any], name: str) -> str:
        return name if thing['Region'] == self.here else f"{thing['Region']}/{name}"

    def names_in(self, topology: Topology) -> dict[str, str]:
        """Return the names of VPCs and subnets by id. Where several bear one name, their ids take its place."""
        return {**told_apart({vpc['VpcId']: self.vpc_name(vpc) for vpc in topology.vpcs}),
                **told_apart({subnet['SubnetId']: self.subnet_name(subnet) for subnet in topology.subnets})}

    def network_names(self, region: str) -> dict[str, str]:
        """Return the names of VPCs and subnets by id, as ``list_networks`` and ``list_subnets`` call them."""
        return self.names_in(self.recent_topology(region))

    # finding

    def vpc(self, name: str, topology: Topology | None = None) -> dict[str, Any]:
        """Return the VPC with this name or id. NotFound, Conflict."""
        vpcs = topology.vpcs if topology else self.look('vpc')
        return cloud.find('network', name, vpcs, self.vpc_name, lambda vpc: vpc['VpcId'])

    def subnet(self, name: str, topology: Topology) -> dict[str, Any]:
        """Return the subnet with this name or id. NotFound, Conflict."""
        return cloud.find('subnet', name, topology.subnets, self.subnet_name, lambda subnet: subnet['SubnetId'])

    def subnets_named(self, name: str, topology: Topology) -> list[dict[str, Any]]:
        """Return the subnets that cards on *name*, a network or a subnet, may be in."""
        if any(name in (self.subnet_name(subnet), subnet['SubnetId']) for subnet in topology.subnets):
            return [self.subnet(name, topology)]
        try:
            vpc = self.vpc(name, topology)
        except NotFound as error:
            raise NotFound(error.reason, hint=_HINT) from None
        if self.vpc_name(vpc) == DEFAULT and self.options.subnet:
            return [self.subnet(self.options.subnet, topology)]
        return topology.within(vpc)

    def vpc_of_subnet(self, subnet: str) -> str:
        """Return the id of the VPC that a subnet, given by its id, belongs to."""
        subnets = self.recent_topology(self.here).subnets
        return next(str(each['VpcId']) for each in subnets if each['SubnetId'] == subnet)

    def choose_subnets(self, names: Sequence[str], zone: str | None, topology: Topology) -> list[dict[str, Any]]:
        """Return a subnet on each of *names* for the cards of one VM: all in *zone*, or in one that they have in common.

        One that the internet reaches is taken first, then one with much room. InvalidInput, Conflict.
        """
        choices = [self.subnets_named(name, topology) for name in names]
        zones = [{subnet['AvailabilityZone'] for subnet in choice} for choice in choices]
        common = set.intersection(*zones) if zones else set()
        if zone is not None and zone not in common:
            raise InvalidInput(f"there is no subnet of {', '.join(names)} in zone {zone}",
                               hint=f"There are in {', '.join(sorted(common))}" if common else None)
        if names and not common:
            raise Conflict(f"{', '.join(names)} have no subnets in one zone", hint="Make one with 'kvirt create subnet'")

        def rank(subnet: Mapping[str, Any]) -> tuple[bool, int, str]:
            return topology.is_private(subnet), -subnet['AvailableIpAddressCount'], subnet['SubnetId']
        chosen: list[dict[str, Any]] = []
        for choice in choices:
            here = [subnet for subnet in choice if subnet['AvailabilityZone'] in ({zone} if zone else common)]
            chosen.append(min(here, key=rank))
            zone = chosen[0]['AvailabilityZone']
        return chosen

    # cards

    def cards_for(self, spec: VmSpec) -> list[dict[str, Any]]:
        """Return the ``NetworkInterfaces`` of RunInstances for the cards of *spec*, without groups; makes nothing.

        Each has its subnet (as ``sublocation`` and the options want it) and static address, and goes with its VM; a
        single one has a public address when ``publicip`` (AWS gives none at launch to a VM with several cards). NotFound
        names a network or subnet. What is looked up is remembered for some seconds.
        """
        try:
            return self._cards(spec)
        except (NotFound, Conflict, InvalidInput):  # what is looked for may have been made a moment ago, elsewhere
            self.recent.forget()
            return self._cards(spec)

    def _cards(self, spec: VmSpec) -> list[dict[str, Any]]:
        topology, nets = self.recent_topology(self.here), spec.cards()
        subnets = self.choose_subnets([net.name for net in nets], spec.sublocation or self.options.zone, topology)
        cards: list[dict[str, Any]] = []
        for number, (net, subnet) in enumerate(zip(nets, subnets, strict=True)):
            _refuse(number, net)
            cards.append({'DeviceIndex': number, 'SubnetId': subnet['SubnetId'], 'DeleteOnTermination': True})
            if net.ip:
                cards[-1]['PrivateIpAddress'] = _within(net.ip.partition('/')[0], subnet)
        if len(cards) == 1:
            cards[0]['AssociatePublicIpAddress'] = spec.publicip and not topology.is_private(subnets[0])
        return cards

    def cards_on(self, where: Mapping[str, Any], filters: Filters) -> list[dict[str, Any]]:
        """Return the network cards that *filters* find in the region of *where*, as EC2 tells them, each with its ``User``.

        That is the name of its VM, else what AWS tells of it; empty for a free one of ours, and where the VM is going away.
        """
        cards = list(described(self.ec2_of(where), 'network_interface', filters))
        owners = {owner for card in cards if (owner := _owner(card))}
        vms = self.vm_names(owners, [where['Region']]) if owners else {}
        return [{**card, 'User': vms.get(_owner(card), '') if _owner(card) else '' if is_ours(card)
                 else card.get('Description') or card['NetworkInterfaceId']} for card in cards]


def users_of(cards: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return who has *cards*, each once."""
    return sorted({card['User'] for card in cards} - {''})


def _owner(card: Mapping[str, Any]) -> str:
    return str(card.get('Attachment', {}).get('InstanceId') or '')


def is_ours(thing: Mapping[str, Any]) -> bool:
    """Tell if a thing bears the mark."""
    return any(tag['Key'] == MARK for tag in (*thing.get('Tags', ()), *thing.get('TagSet', ())))


def leads_out(table: Mapping[str, Any]) -> bool:
    """Tell if a route table has a route to the internet."""
    return any((route.get('GatewayId') or '').startswith('igw-') for route in table.get('Routes', ()))


def _refuse(number: int, net: NetSpec) -> None:
    """Raise InvalidInput for what a card can't have."""
    given = {'mac': net.mac, 'filter': net.filter, 'multiqueues': net.multiqueues}
    problems = [Problem(f'AWS can not honour {key} of a card', f'nets.{number}') for key, value in given.items() if value]
    if problems:
        raise InvalidInput(problems)


def _within(address: str, subnet: Mapping[str, Any]) -> str:
    if units.address(address) not in units.network(subnet['CidrBlock']):
        raise InvalidInput(f"the static address {address} is not in {subnet['CidrBlock']} of subnet {subnet['SubnetId']}")
    return address
