"""Networks are VPCs, made with a subnet each, and with an internet gateway unless isolated. Network cards of VMs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from kvirt import units
from kvirt.base import unsupported, waits
from kvirt.base.networks import Unlike
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.providers.aws.account import cards_of
from kvirt.providers.aws.securitygroups import SecurityGroups, allowed, to_rules
from kvirt.providers.aws.vpcs import DEFAULT, is_ours, leads_out, users_of
from kvirt.providers.families import boto, cloud
from kvirt.providers.families.cards import find_cards
from kvirt.providers.families.ec2 import Filters, bearing, described, made_once, marked, name_of, pages, tags_of, to_tags
from kvirt.providers.families.marks import MARK, making, new_request
from kvirt.providers.families.networks import check_overlap, free_range
from kvirt.providers.families.subnets import Subnet, Subnets
from kvirt.rules import EVERYWHERE
from kvirt.shapes import NetworkShape
from kvirt.wait import until

_LETS_GO = 120.0
"""Seconds that EC2 may take to let go of a card, or of what a VM that was just deleted had."""


class Networks(Subnets, SecurityGroups):
    """The networks of an account, and who has cards on them."""

    subnet_settings = ('network', 'az', 'private')
    subnet_network = DEFAULT

    def _create_network(self, name: str, cidr: str | None, dhcp: bool, nat: bool, domain: str | None, plan: str,
                        overrides: Mapping[str, Any]) -> None:
        _always_dhcp(dhcp)
        own = cloud.check_settings('a new network', overrides, ('subnet_cidr', 'az'))
        topology = self.topology([self.here])
        names = self.names_in(topology)
        if name in (self.vpc_name(vpc) for vpc in topology.vpcs):
            raise AlreadyExists(f'network {name} exists')
        taken = [(names[vpc['VpcId']], each) for vpc in topology.vpcs for each in _ranges(vpc)]
        wanted = _range(cidr) if cidr else free_range([each for _, each in taken], 16)
        check_overlap(name, str(wanted), taken)
        half = next(wanted.subnets(new_prefix=min(wanted.prefixlen + 1, 28)))  # the rest is left for further subnets
        part = units.network(str(own.get('subnet_cidr', half)))
        request = new_request()
        marks = {MARK: request, 'Name': name, 'plan': plan, **({'domain': domain} if domain else {})}
        with boto.about(f'network {name}'), self.undo() as undo:
            if domain:  # these go last, when a second attempt to dismantle finds no VPC any more
                undo.add(f'DHCP options of network {name}', lambda: _drop_options(self.ec2, request))
            undo.add(f'network {name}', lambda: dismantle(self.ec2, described(self.ec2, 'vpc', bearing(request))))
            made = made_once(self.ec2, 'vpc', {**marks, **making(request)}, CidrBlock=str(wanted))
            vpc = {**made, 'Region': self.here}
            self.soon(lambda: self.ec2.modify_vpc_attribute(VpcId=vpc['VpcId'], EnableDnsHostnames={'Value': True}))
            zones = {subnet['AvailabilityZone'] for subnet in topology.subnets}  # the first: so VMs can be on many networks
            zone = own.get('az') or self.options.zone or min(zones, default=None)
            subnet = self._new_subnet(vpc, f'{name}-1', str(part), {MARK: request, 'plan': plan}, zone)
            if nat:
                self._open(vpc, marks)
                self.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={'Value': True})
            if domain:
                self._set_domain(vpc, marks)
            self.completed(self.ec2, vpc['VpcId'])
        self.forget_groups()

    def _new_subnet(self, vpc: Mapping[str, Any], name: str, cidr: str, marks: Mapping[str, str], zone: Any) -> str:
        more = {'AvailabilityZone': zone} if zone else {}
        made = self.soon(lambda: self.ec2_of(vpc).create_subnet(
            VpcId=vpc['VpcId'], CidrBlock=cidr, TagSpecifications=marked('subnet', {**marks, 'Name': name}), **more))
        return str(made['Subnet']['SubnetId'])

    def _open(self, vpc: Mapping[str, Any], marks: Mapping[str, str]) -> None:
        """Connect a VPC to the internet: a gateway, and the route to it."""
        ec2 = self.ec2_of(vpc)
        gateway = made_once(ec2, 'internet_gateway', marks)['InternetGatewayId']
        self.soon(lambda: ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc['VpcId']))
        table = self.soon(lambda: _main_table(ec2, vpc))
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)

    def _set_domain(self, vpc: Mapping[str, Any], marks: Mapping[str, str]) -> None:
        """Tell the VMs of a VPC their domain."""
        ec2, domain = self.ec2_of(vpc), marks['domain']
        made = ec2.create_dhcp_options(TagSpecifications=marked('dhcp-options', marks), DhcpConfigurations=[
            {'Key': 'domain-name', 'Values': [domain]}, {'Key': 'domain-name-servers', 'Values': ['AmazonProvidedDNS']}])
        options = made['DhcpOptions']['DhcpOptionsId']
        self.soon(lambda: ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc['VpcId']))

    @waits
    def _delete_network(self, name: str, force: bool = False) -> None:
        vpc = self.vpc(name)
        ec2, inside = self.ec2_of(vpc), {'vpc-id': [vpc['VpcId']]}
        if self.vpc_name(vpc) == DEFAULT:
            raise Conflict(f'network {name} is what new VMs get, so it stays')
        mark = tags_of(vpc).get(MARK)
        others = [name_of(subnet) or subnet['SubnetId'] for subnet in described(ec2, 'subnet', inside)
                  if mark is None or tags_of(subnet).get(MARK) != mark]
        if others and not force:
            raise Conflict(f"network {name} has subnets: {', '.join(sorted(others))}", hint='Delete them first')
        self._vacate(f'network {name}', vpc, inside, force)
        with boto.about(f'network {name}'):
            dismantle(ec2, [vpc])
        self.forget_groups()

    def _update_network(self, name: str, dhcp: bool | None, nat: bool | None, domain: str | None, plan: str | None,
                        overrides: Mapping[str, Any]) -> None:
        _always_dhcp(dhcp)
        cloud.check_settings('a network', overrides, ())
        if nat is not None:
            raise NotSupported('a network of AWS stays isolated or not as it was made')
        vpc = self.vpc(name)
        ec2, known = self.ec2_of(vpc), tags_of(vpc)
        changes = {key: value for key, value in (('domain', domain), ('plan', plan)) if value is not None}
        with boto.about(f'network {name}'):
            if domain:
                self._set_domain(vpc, {MARK: known.get(MARK) or new_request(), 'Name': name, 'domain': domain})
            if changes:
                ec2.create_tags(Resources=[vpc['VpcId']], Tags=to_tags(changes))
        self.forget_groups()

    @classmethod
    def network_unlike(cls, there: NetworkShape, settings: Mapping[str, Any]) -> dict[str, Unlike]:
        """Return which settings a network does not have: one stays isolated or not as it was made."""
        nat = there.get('mode') == 'nat'
        return {'nat': Unlike(nat, settings['nat'], fixed=True)} if settings.get('nat', nat) != nat else {}

    def _list_networks(self) -> dict[str, NetworkShape]:
        topology = self.topology()
        names = self.names_in(topology)
        rows: dict[str, Any] = {}
        for vpc in topology.vpcs:
            fields, opened = tags_of(vpc), topology.leads_out(vpc)
            rows[names[vpc['VpcId']]] = {
                'cidr': vpc['CidrBlock'], 'dhcp': True, 'type': 'vpc', 'mode': 'nat' if opened else 'isolated',
                'id': vpc['VpcId'], 'plan': fields.get('plan', ''), 'location': vpc['Region'],
                **({'domain': fields['domain']} if 'domain' in fields else {})}
        return dict(sorted(rows.items()))

    # subnets

    def read_subnets(self) -> list[Subnet]:
        return [Subnet(id=each['SubnetId'], name=self.subnet_name(each), cidr=each['CidrBlock'], fields=tags_of(each),
                       native=each) for each in self.look('subnet')]

    def check_subnet(self, dhcp: bool, domain: str | None) -> None:
        _always_dhcp(dhcp)
        if domain:
            raise NotSupported('a subnet of AWS has no domain of its own', hint='Give it to the network')

    def make_subnet(self, name: str, cidr: str, network: str, nat: bool, fields: Mapping[str, str],
                    settings: Mapping[str, Any]) -> None:
        """Make a subnet that the internet reaches into as it does into its VPC, or not at all."""
        vpc = self.vpc(network)
        ec2 = self.ec2_of(vpc)
        with boto.about(f'subnet {name}'):
            subnet = self._new_subnet(vpc, name, cidr, fields, settings.get('az') or self.options.zone)
            if any(map(leads_out, described(ec2, 'route_table', {'vpc-id': [vpc['VpcId']]}))):
                if settings.get('private', not nat):
                    table = made_once(ec2, 'route_table', {MARK: fields[MARK]}, VpcId=vpc['VpcId'])['RouteTableId']
                    self.soon(lambda: ec2.associate_route_table(RouteTableId=table, SubnetId=subnet))
                else:
                    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={'Value': True})
        self.forget_groups()

    def change_subnet(self, subnet: Subnet, fields: Mapping[str, str]) -> None:
        self.ec2_of(subnet.native).create_tags(Resources=[subnet.id], Tags=to_tags(fields))

    def empty_subnet(self, subnet: Subnet, force: bool) -> None:
        self._vacate(f'subnet {subnet.name}', subnet.native, {'subnet-id': [subnet.id]}, force)

    def drop_subnet(self, subnet: Subnet) -> None:
        """Delete a subnet, with the route table that was made for it."""
        ec2 = self.ec2_of(subnet.native)
        with boto.about(f'subnet {subnet.name}'):
            _drop_tables(ec2, bearing(subnet.fields.get(MARK, '')))
            ec2.delete_subnet(SubnetId=subnet.id)
        self.forget_groups()

    def _list_subnets(self) -> dict[str, NetworkShape]:
        topology = self.topology()
        names = self.names_in(topology)
        rows = {names[subnet['SubnetId']]: {
            'cidr': subnet['CidrBlock'], 'network': names.get(subnet['VpcId'], subnet['VpcId']), 'id': subnet['SubnetId'],
            'az': subnet['AvailabilityZone'], 'private': topology.is_private(subnet), 'dhcp': True,
            'plan': tags_of(subnet).get('plan', ''), 'location': subnet['Region']} for subnet in topology.subnets}
        return cast(dict[str, NetworkShape], dict(sorted(rows.items())))

    # cards

    @waits
    def _add_nic(self, name: str, network: str, model: str = 'virtio') -> Mapping[str, Any] | None:
        if model != 'virtio':
            raise InvalidInput('AWS has no models of network cards to choose from')
        instance = self.instance(name)
        ec2, request = self.ec2_of(instance), new_request()
        topology = self.topology([instance['Region']])
        [subnet] = self.choose_subnets([network], instance['Placement']['AvailabilityZone'], topology)
        taken = {card['Attachment']['DeviceIndex'] for card in instance['NetworkInterfaces']}
        number = next(index for index in range(len(taken) + 1) if index not in taken)
        with boto.about(f'network card on {network} for VM {name}'), self.undo() as undo:
            undo.add(f'network card of VM {name}', lambda: self._drop_cards(ec2, bearing(request)))
            card = made_once(ec2, 'network_interface', making(request),
                             SubnetId=subnet['SubnetId'], Groups=self._groups_of_card(instance, subnet))
            native = card['NetworkInterfaceId']
            attached = self.soon(lambda: ec2.attach_network_interface(
                NetworkInterfaceId=native, InstanceId=instance['InstanceId'], DeviceIndex=number))
            ec2.modify_network_interface_attribute(NetworkInterfaceId=native, Attachment={
                'AttachmentId': attached['AttachmentId'], 'DeleteOnTermination': True})
            self.completed(ec2, native)
        return {'mac': card['MacAddress'].lower(), 'device': f'eth{number}', 'ip': card['PrivateIpAddress']}

    def _groups_of_card(self, instance: Mapping[str, Any], subnet: Mapping[str, Any]) -> list[str]:
        """Return the groups of a further card: those of the VM; in another VPC one with the same rules."""
        mine = [group['GroupId'] for group in cards_of(instance)[0]['Groups']]
        if subnet['VpcId'] == instance['VpcId']:
            return mine
        groups = described(self.ec2_of(instance), 'security_group', {'group-id': mine})
        entries = {entry for group in groups for entry in allowed(group)}
        plain = [rule for rule in to_rules(entries) if rule['protocol'] != 'all' and '-' not in rule['cidr']]
        return [self.shared_group(plain, subnet['VpcId']).id]

    @waits
    def _delete_nic(self, name: str, interface: str) -> None:
        instance = self.instance(name)
        names = self.network_names(instance['Region'])
        found = find_cards(name, interface, [
            (card, {f'eth{number}', card['MacAddress'].lower(), card['NetworkInterfaceId'], names.get(card['VpcId'], ''),
                    names.get(card['SubnetId'], '')}) for number, card in enumerate(cards_of(instance))])
        if any(card['Attachment']['DeviceIndex'] == 0 for card in found):
            raise Conflict(f'the first network card of VM {name} stays as long as the VM')
        for card in found:
            self._drop_card(self.ec2_of(instance), card)

    _update_nic = unsupported('AWS can not connect a network card elsewhere: add one, and delete the other')

    def _drop_cards(self, ec2: Any, filters: Filters) -> None:
        for card in list(described(ec2, 'network_interface', filters)):
            self._drop_card(ec2, card)

    def _drop_card(self, ec2: Any, card: Mapping[str, Any]) -> None:
        """Delete a card, after its VM has let go of it."""
        native, attachment = card['NetworkInterfaceId'], card.get('Attachment', {}).get('AttachmentId')
        if attachment:
            ec2.detach_network_interface(AttachmentId=attachment)
        self.patiently(f'network card {native} being let go of', passing=(Conflict, InvalidInput), seconds=_LETS_GO,
                       call=lambda: ec2.delete_network_interface(NetworkInterfaceId=native))

    def _network_ports(self, name: str) -> list[str]:
        subnets = self.subnets_named(name, self.topology())
        found = {'subnet-id': [subnet['SubnetId'] for subnet in subnets]}
        return users_of(card for card in (self.cards_on(subnets[0], found) if subnets else ())
                        if card.get('Attachment', {}).get('InstanceId'))

    def _vacate(self, what: str, where: Mapping[str, Any], filters: Filters, force: bool) -> None:
        """Take the cards that *filters* find away. Conflict names who has them, unless *force*, and who can't let go."""
        cards = self.cards_on(where, filters)
        users = users_of(cards)
        if users and not force:
            raise Conflict(f"{what} is in use by {', '.join(users)}",
                           hint='Delete those first, or take the network from VMs with force')
        fixed = users_of(card for card in cards if card.get('Attachment', {}).get('DeviceIndex', 0) == 0)
        if fixed:
            raise Conflict(f"{what} is in use by {', '.join(fixed)}, and the first card of a VM stays as long as the VM")
        for card in cards:
            if card['User'] or is_ours(card):
                self._drop_card(self.ec2_of(where), card)
        if not all(card['User'] or is_ours(card) for card in cards):
            until(lambda: not self.cards_on(where, filters), what=f'{what} being let go of by VMs that were deleted',
                  timeout=_LETS_GO, clock=self.clock)


def dismantle(ec2: Any, vpcs: Iterable[Mapping[str, Any]]) -> None:
    """Delete VPCs with all that was made with them: what bears the same mark, and what is ours within."""
    for vpc in list(vpcs):
        mark, inside = tags_of(vpc).get(MARK), {'vpc-id': [vpc['VpcId']], 'tag-key': [MARK]}
        for group in described(ec2, 'security_group', inside):
            ec2.delete_security_group(GroupId=group['GroupId'])
        _drop_tables(ec2, inside)
        for subnet in described(ec2, 'subnet', inside):
            ec2.delete_subnet(SubnetId=subnet['SubnetId'])
        for gateway in described(ec2, 'internet_gateway', bearing(mark)) if mark else ():
            for use in gateway.get('Attachments', ()):
                ec2.detach_internet_gateway(InternetGatewayId=gateway['InternetGatewayId'], VpcId=use['VpcId'])
            ec2.delete_internet_gateway(InternetGatewayId=gateway['InternetGatewayId'])
        ec2.delete_vpc(VpcId=vpc['VpcId'])
        if mark:
            _drop_options(ec2, mark)


def _drop_options(ec2: Any, request: str) -> None:
    for options in pages(ec2, 'describe_dhcp_options', 'DhcpOptions', bearing(request)):
        ec2.delete_dhcp_options(DhcpOptionsId=options['DhcpOptionsId'])


def _drop_tables(ec2: Any, filters: Filters) -> None:
    """Delete the route tables that *filters* find: those of private subnets, which are about to go."""
    for table in described(ec2, 'route_table', filters):
        for use in table['Associations']:
            ec2.disassociate_route_table(AssociationId=use['RouteTableAssociationId'])
        ec2.delete_route_table(RouteTableId=table['RouteTableId'])


def _main_table(ec2: Any, vpc: Mapping[str, Any]) -> str:
    for table in described(ec2, 'route_table', {'vpc-id': [vpc['VpcId']], 'association.main': ['true']}):
        return str(table['RouteTableId'])
    raise NotFound(f"VPC {vpc['VpcId']} has no main route table")


def _always_dhcp(dhcp: bool | None) -> None:
    if dhcp is False:
        raise NotSupported('a network of AWS is never without DHCP')


def _range(cidr: str) -> units.Network:
    """Return *cidr* if a VPC can have these addresses. InvalidInput."""
    given = units.network(cidr)
    if given.version != 4 or not 16 <= given.prefixlen <= 28:
        raise InvalidInput(f'{cidr} can not be the addresses of a network of AWS', hint='Give an IPv4 range of /16 to /28')
    return given


def _ranges(vpc: Mapping[str, Any]) -> list[str]:
    return [each['CidrBlock'] for each in vpc.get('CidrBlockAssociationSet', ())
            if each.get('CidrBlockState', {}).get('State', 'associated') == 'associated']
