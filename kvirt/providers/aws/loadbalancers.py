"""Network load balancers, with a target group for each port.

The VMs behind one get a security group that lets its ports in; it also tells which VMs these are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kvirt.errors import Conflict
from kvirt.providers.aws.account import cards_of, groups_of
from kvirt.providers.aws.dns import Dns
from kvirt.providers.aws.networks import Networks
from kvirt.providers.aws.vpcs import DEFAULT
from kvirt.providers.families import boto
from kvirt.providers.families.balancers import Balancer, CloudBalancers, NewBalancer
from kvirt.providers.families.ec2 import described, name_of, tags_of, to_tags
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK, new_request
from kvirt.rules import rules_of

_GROUP, _TARGETS = 'kvirt-lb-', 'kvirt-'
_SETTLES = 120.0


class LoadBalancers(CloudBalancers, Networks, Dns):
    """The load balancers of an account."""

    balancer_names = (r'(?!internal-)[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?', 'Use 1 to 32 letters, digits, dashes')

    balancer_records = 'CNAME'

    # reading

    def balancers(self) -> list[Balancer]:
        def read(region: str) -> list[Balancer]:
            elb = self.client('elbv2', region)
            known = list(described(elb, 'load_balancer'))
            targets = list(described(elb, 'target_group')) if known else []
            return [_balancer(each, region, [target for target in targets
                                             if each['LoadBalancerArn'] in target['LoadBalancerArns']]) for each in known]
        return self.in_regions(read)

    def balancer_exists(self, name: str) -> bool:
        return any(each['LoadBalancerName'] == name for each in described(self.client('elbv2'), 'load_balancer'))

    def balancer_fields(self, balancer: Balancer) -> dict[str, str]:
        answer = self.client('elbv2', balancer.location).describe_tags(ResourceArns=[balancer.id])
        return tags_of(answer['TagDescriptions'][0])

    def members(self, balancers: Sequence[Balancer]) -> dict[str, list[str]]:
        vms = self.instances()
        return {each.id: [name_of(vm) or vm['InstanceId'] for vm in _behind(each, vms)]
                for each in balancers if any(map(_is_ours, each.native['Targets']))}

    # making

    def balancer_needs(self, wanted: NewBalancer) -> tuple[dict[str, Any], list[str]]:
        """Return the VPC that a balancer stands in, and its subnet in each zone."""
        vpcs = {vm.native['VpcId'] for vm in wanted.vms}
        if len(vpcs) > 1:
            raise Conflict(f'the VMs for load balancer {wanted.name} are in several networks')
        vpc, topology = self.vpc(next(iter(vpcs), DEFAULT)), self.topology([self.here])
        subnets = {subnet['AvailabilityZone']: subnet['SubnetId'] for subnet in topology.within(vpc)
                   if wanted.internal or not topology.is_private(subnet)}
        if not subnets:
            raise Conflict('the network has no subnet that the internet reaches', hint='Ask for an internal load balancer')
        return vpc, [subnet for _, subnet in sorted(subnets.items())]

    def make_balancer(self, wanted: NewBalancer, needs: tuple[dict[str, Any], list[str]]) -> Balancer:
        vpc, subnets = needs
        with boto.about(f'load balancer {wanted.name}'):
            made = self.client('elbv2').create_load_balancer(
                Name=wanted.name, Type='network', Subnets=subnets, Tags=to_tags(wanted.fields),
                Scheme='internal' if wanted.internal else 'internet-facing')['LoadBalancers'][0]
            balancer, members = _balancer(made, self.here), [vm.native for vm in wanted.vms]
            self._admit(balancer, [*wanted.ports, {'from_port': wanted.checkport, 'cidr': vpc['CidrBlock']}], members)
            self._serve(balancer, wanted.fields[MARK], wanted.ports, members, HealthCheckProtocol='HTTP',
                        HealthCheckPort=str(wanted.checkport), HealthCheckPath=wanted.checkpath)
        return balancer

    def _serve(self, balancer: Balancer, request: str, ports: Sequence[int], members: Sequence[Mapping[str, Any]],
               **check: str) -> None:
        """Let a load balancer spread *ports* over VMs."""
        elb = self.client('elbv2', balancer.location)
        for port in ports:
            group = elb.create_target_group(
                Name=f'{_TARGETS}{request}-{port}', Protocol='TCP', Port=port, VpcId=balancer.native['VpcId'],
                TargetType='instance', **check)['TargetGroups'][0]['TargetGroupArn']
            if members:
                elb.register_targets(TargetGroupArn=group, Targets=[{'Id': member['InstanceId']} for member in members])
            elb.create_listener(LoadBalancerArn=balancer.id, Protocol='TCP', Port=port,
                                DefaultActions=[{'Type': 'forward', 'TargetGroupArn': group}])

    def _admit(self, balancer: Balancer, ports: Sequence[Any], members: Sequence[Mapping[str, Any]]) -> None:
        """Let *ports*, as security groups spell them, in to the VMs behind a load balancer."""
        ec2 = self.ec2_of(balancer.native)
        group = self.group_like(ec2, balancer.native['VpcId'], _group_of(balancer), rules_of(ports), 'loadbalancer')
        for member in members:
            card = cards_of(member)[0]
            groups = {each['GroupId'] for each in card['Groups']}
            if group not in groups:
                ec2.modify_network_interface_attribute(NetworkInterfaceId=card['NetworkInterfaceId'],
                                                       Groups=sorted({*groups, group}))

    # changing

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        if vm.native['VpcId'] != balancer.native['VpcId']:
            raise Conflict(f'VM {vm.name} is in another network than load balancer {balancer.name}')
        with boto.about(f'load balancer {balancer.name}'):
            self._admit(balancer, balancer.ports, [vm.native])
            for target in balancer.native['Targets']:
                self.client('elbv2', balancer.location).register_targets(TargetGroupArn=target['TargetGroupArn'],
                                                                         Targets=[{'Id': vm.id}])

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        members = _behind(balancer, self.instances(regions=[balancer.location]))
        with boto.about(f'load balancer {balancer.name}'):
            self._admit(balancer, ports, members)
            self._serve(balancer, new_request(), ports, members)

    # deleting

    def drop_balancer(self, balancer: Balancer) -> None:
        with boto.about(f'load balancer {balancer.name}'):
            elb = self.client('elbv2', balancer.location)
            elb.delete_load_balancer(LoadBalancerArn=balancer.id)
            self._drop_targets(elb, filter(_is_ours, balancer.native['Targets']))
            self._drop_group(balancer)

    def unmake_balancer(self, wanted: NewBalancer) -> None:
        super().unmake_balancer(wanted)
        elb, prefix = self.client('elbv2'), f'{_TARGETS}{wanted.fields[MARK]}'
        self._drop_targets(elb, [target for target in described(elb, 'target_group')
                                 if target['TargetGroupName'].startswith(prefix)])

    def _drop_targets(self, elb: Any, targets: Iterable[Mapping[str, Any]]) -> None:
        for target in targets:
            delete = functools.partial(elb.delete_target_group, TargetGroupArn=target['TargetGroupArn'])
            self.patiently('the load balancer letting go of its targets', delete, seconds=_SETTLES)

    def _drop_group(self, balancer: Balancer) -> None:
        ec2 = self.ec2_of(balancer.native)
        for group in list(described(ec2, 'security_group', {
                'vpc-id': [balancer.native['VpcId']], 'group-name': [_group_of(balancer)], 'tag-key': [MARK]})):
            for card in self.cards_on(balancer.native, {'group-id': [group['GroupId']]}):
                others = [each['GroupId'] for each in card['Groups'] if each['GroupId'] != group['GroupId']]
                ec2.modify_network_interface_attribute(NetworkInterfaceId=card['NetworkInterfaceId'], Groups=others)
            ec2.delete_security_group(GroupId=group['GroupId'])


def _balancer(native: Mapping[str, Any], region: str, targets: Sequence[Mapping[str, Any]] = ()) -> Balancer:
    """Map a load balancer of a region with its target groups."""
    static = [place['IpAddress'] for zone in native['AvailabilityZones']
              for place in zone.get('LoadBalancerAddresses', ()) if place.get('IpAddress')]
    return Balancer(id=native['LoadBalancerArn'], name=native['LoadBalancerName'], ip=next(iter(static), None),
                    dnsname=native['DNSName'], ports=sorted({target['Port'] for target in targets}),
                    protocol='tcp' if native['Type'] == 'network' else native['Type'], location=region,
                    native={**native, 'Region': region, 'Targets': targets})


def _is_ours(target: Mapping[str, Any]) -> bool:
    """Tell if a target group was made here."""
    return str(target['TargetGroupName']).startswith(_TARGETS)


def _behind(balancer: Balancer, vms: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of *vms* that have the security group of a load balancer."""
    return [vm for vm in vms if vm['Region'] == balancer.location and _group_of(balancer) in groups_of(vm).values()]


def _group_of(balancer: Balancer) -> str:
    return f'{_GROUP}{balancer.name}'
