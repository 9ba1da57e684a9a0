"""Networks are VPCs. One is made with a subnet, and with an internet gateway unless it is isolated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from kvirt import units
from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotSupported
from kvirt.providers.aws.nics import Nics
from kvirt.providers.aws.vpcs import DEFAULT
from kvirt.providers.families import boto, cloud
from kvirt.providers.families.ec2 import bearing, described, made_once, marked, name_of, pages, tags_of, to_tags
from kvirt.providers.families.marks import MARK, making, new_request
from kvirt.providers.families.networks import check_overlap, free_range
from kvirt.shapes import NetworkShape

_OUTSIDE = '0.0.0.0/0'


class Networks(Nics):
    """The networks of an account."""

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
            undo.add(f'network {name}', lambda: dismantle(self.ec2, request))
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
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=_OUTSIDE, GatewayId=gateway)

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
            dismantle(ec2, mark, vpc)
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

    def _list_networks(self) -> dict[str, NetworkShape]:
        topology = self.topology()
        names = self.names_in(topology)
        rows = {names[vpc['VpcId']]: _network_shape(vpc, topology.leads_out(vpc)) for vpc in topology.vpcs}
        return dict(sorted(rows.items()))

    # subnets

    def _create_subnet(self, name: str, cidr: str, dhcp: bool, nat: bool, domain: str | None, plan: str,
                       overrides: Mapping[str, Any]) -> None:
        _always_dhcp(dhcp)
        if domain:
            raise NotSupported('a subnet of AWS has no domain of its own', hint='Give it to the network')
        own = cloud.check_settings('a subnet', overrides, ('network', 'az', 'private'))
        topology = self.topology()
        vpc = self.vpc(str(own.get('network', DEFAULT)), topology)
        if any(self.subnet_name(subnet) == name for subnet in topology.subnets):
            raise AlreadyExists(f'subnet {name} exists')
        ec2, request = self.ec2_of(vpc), new_request()
        with boto.about(f'subnet {name}'), self.undo() as undo:
            undo.add(f'subnet {name}', lambda: self._drop_subnet(ec2, bearing(request)))
            zone = own.get('az') or self.options.zone
            subnet = self._new_subnet(vpc, name, str(units.network(cidr)), {MARK: request, 'plan': plan}, zone)
            if topology.leads_out(vpc):
                self._set_private(vpc, subnet, bool(own.get('private', not nat)), request)
        self.forget_groups()

    def _set_private(self, vpc: Mapping[str, Any], subnet: str, private: bool, request: str) -> None:
        """Let the internet reach into a new subnet as it does into its VPC, or not at all."""
        ec2 = self.ec2_of(vpc)
        if not private:
            ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={'Value': True})
            return
        table = made_once(ec2, 'route_table', {MARK: request}, VpcId=vpc['VpcId'])['RouteTableId']
        self.soon(lambda: ec2.associate_route_table(RouteTableId=table, SubnetId=subnet))

    def _drop_subnet(self, ec2: Any, filters: Mapping[str, Sequence[str]]) -> None:
        """Delete the subnets that *filters* find, with the route tables that were made for them."""
        for subnet in list(described(ec2, 'subnet', filters)):
            _drop_tables(ec2, bearing(tags_of(subnet).get(MARK, '')))
            ec2.delete_subnet(SubnetId=subnet['SubnetId'])

    @waits
    def _delete_subnet(self, name: str, force: bool = False) -> None:
        subnet = self.subnet(name, self.topology())
        found = {'subnet-id': [subnet['SubnetId']]}
        self._vacate(f'subnet {name}', subnet, found, force)
        with boto.about(f'subnet {name}'):
            self._drop_subnet(self.ec2_of(subnet), found)
        self.forget_groups()

    def _update_subnet(self, name: str, overrides: Mapping[str, Any]) -> None:
        changes = cloud.check_settings('a subnet', overrides, ('plan',))
        subnet = self.subnet(name, self.topology())
        if changes:
            self.ec2_of(subnet).create_tags(Resources=[subnet['SubnetId']], Tags=to_tags({'plan': str(changes['plan'])}))

    def _list_subnets(self) -> dict[str, NetworkShape]:
        topology = self.topology()
        names = self.names_in(topology)
        rows = {names[subnet['SubnetId']]: {
            'cidr': subnet['CidrBlock'], 'network': names.get(subnet['VpcId'], subnet['VpcId']), 'id': subnet['SubnetId'],
            'az': subnet['AvailabilityZone'], 'private': topology.is_private(subnet), 'dhcp': True,
            'plan': tags_of(subnet).get('plan', ''), 'location': subnet['Region']} for subnet in topology.subnets}
        return cast(dict[str, NetworkShape], dict(sorted(rows.items())))


def dismantle(ec2: Any, request: str | None, vpc: Mapping[str, Any] | None = None) -> None:
    """Delete what was made with a network: what bears the mark of its *request*, and what is ours within its VPC."""
    mine = bearing(request) if request else {}
    vpcs = [vpc] if vpc else list(described(ec2, 'vpc', mine))
    for each in vpcs:
        inside = {'vpc-id': [each['VpcId']], 'tag-key': [MARK]}
        for group in described(ec2, 'security_group', inside):
            ec2.delete_security_group(GroupId=group['GroupId'])
        _drop_tables(ec2, inside)
        for subnet in described(ec2, 'subnet', inside):
            ec2.delete_subnet(SubnetId=subnet['SubnetId'])
    for gateway in described(ec2, 'internet_gateway', mine) if mine else ():
        for use in gateway.get('Attachments', ()):
            ec2.detach_internet_gateway(InternetGatewayId=gateway['InternetGatewayId'], VpcId=use['VpcId'])
        ec2.delete_internet_gateway(InternetGatewayId=gateway['InternetGatewayId'])
    for each in vpcs:
        ec2.delete_vpc(VpcId=each['VpcId'])
    for options in pages(ec2, 'describe_dhcp_options', 'DhcpOptions', mine) if mine else ():
        ec2.delete_dhcp_options(DhcpOptionsId=options['DhcpOptionsId'])


def dismantle_vpc(ec2: Any, vpc: str) -> None:
    """Delete a VPC that was never finished, given by its id."""
    for found in described(ec2, 'vpc', {'vpc-id': [vpc]}):
        dismantle(ec2, tags_of(found).get(MARK), found)


def _network_shape(vpc: Mapping[str, Any], opened: bool) -> NetworkShape:
    fields = tags_of(vpc)
    return cast(NetworkShape, {
        'cidr': vpc['CidrBlock'], 'dhcp': True, 'type': 'vpc', 'mode': 'nat' if opened else 'isolated', 'id': vpc['VpcId'],
        'plan': fields.get('plan', ''), 'location': vpc['Region'],
        **({'domain': fields['domain']} if 'domain' in fields else {})})


def _drop_tables(ec2: Any, filters: Mapping[str, Sequence[str]]) -> None:
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
