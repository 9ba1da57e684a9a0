"""Network load balancers, with a target group for each port.

The VMs behind one get a security group that lets its ports in; it also tells which VMs these are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from kvirt.base import waits
from kvirt.errors import AlreadyExists, Conflict, InvalidInput
from kvirt.parallel import in_parallel
from kvirt.providers.aws.account import name_of, pages, tags_of, to_tags
from kvirt.providers.aws.dns import Dns
from kvirt.providers.aws.networks import Networks
from kvirt.providers.aws.vpcs import DEFAULT
from kvirt.providers.families import boto, cloud
from kvirt.providers.families.marks import MARK, new_request
from kvirt.rules import rules_of
from kvirt.shapes import LoadBalancerShape
from kvirt.undo import Undo

_NAME = re.compile(r'(?!internal-)[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?')
_GROUP, _TARGETS = 'kvirt-lb-', 'kvirt-'
_SETTLES = 120.0


class LoadBalancers(Networks, Dns):
    """The load balancers of an account."""

    @waits
    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"'{name}' can not name a load balancer of AWS", hint='Use 1 to 32 letters, digits, dashes')
        if not ports:
            raise InvalidInput(f'load balancer {name} needs a port')
        if ip is not None:
            raise InvalidInput('AWS chooses the addresses of a load balancer', hint='Use its name')
        wanted, [check] = _ports(ports), _ports([checkport])
        members = [self.instance(vm) for vm in dict.fromkeys(vms)]
        if any(each['LoadBalancerName'] == name for each in self._balancers([self.here])):
            raise AlreadyExists(f'load balancer {name} exists')
        vpc = self.vpc(_vpc_of(name, members) or DEFAULT)
        zone = self.zone_of(domain) if domain and dnsclient is None else None
        places = self._places(vpc, internal)
        elb, request = self.client('elbv2'), new_request()
        with boto.about(f'load balancer {name}'), Undo().translating(self.translate) as undo:
            undo.add(f'load balancer {name}', functools.partial(self._unmake_balancer, name, request))
            made = elb.create_load_balancer(
                Name=name, Type='network', Subnets=places, Scheme='internal' if internal else 'internet-facing',
                Tags=to_tags({MARK: request, **({'domain': domain} if zone and domain else {})}))['LoadBalancers'][0]
            balancer = {**made, 'Region': self.here}
            self._admit(balancer, [*wanted, {'from_port': check, 'cidr': vpc['CidrBlock']}], members)
            self._serve(balancer, request, wanted, members, HealthCheckProtocol='HTTP', HealthCheckPort=str(check),
                        HealthCheckPath=checkpath)
            if zone:
                self.record_dns(zone, [name, *alias], 'CNAME', made['DNSName'], owner=made['LoadBalancerArn'])
        return {'dnsname': made['DNSName']}

    def _places(self, vpc: Mapping[str, Any], internal: bool) -> list[str]:
        """Return where a load balancer stands: a subnet in each zone."""
        topology = self.topology([self.here])
        subnets = {subnet['AvailabilityZone']: subnet for subnet in topology.within(vpc)
                   if internal or not topology.is_private(subnet)}
        if not subnets:
            raise Conflict('the network has no subnet that the internet reaches', hint='Ask for an internal load balancer')
        return [subnet['SubnetId'] for _, subnet in sorted(subnets.items())]

    def _serve(self, balancer: Mapping[str, Any], request: str, ports: Sequence[int], members: Sequence[Mapping[str, Any]],
               **check: str) -> None:
        """Let a load balancer spread *ports* over VMs."""
        elb = self.client('elbv2', balancer['Region'])
        for port in ports:
            group = elb.create_target_group(
                Name=f'{_TARGETS}{request}-{port}', Protocol='TCP', Port=port, VpcId=balancer['VpcId'],
                TargetType='instance', **check)['TargetGroups'][0]['TargetGroupArn']
            if members:
                elb.register_targets(TargetGroupArn=group, Targets=[{'Id': member['InstanceId']} for member in members])
            elb.create_listener(LoadBalancerArn=balancer['LoadBalancerArn'], Protocol='TCP', Port=port,
                                DefaultActions=[{'Type': 'forward', 'TargetGroupArn': group}])

    def _admit(self, balancer: Mapping[str, Any], ports: Sequence[Any], members: Sequence[Mapping[str, Any]]) -> None:
        """Let *ports*, as security groups spell them, in to the VMs behind a load balancer."""
        ec2 = self.ec2_of(balancer)
        group = self.group_like(ec2, balancer['VpcId'], _group_of(balancer), rules_of(ports), 'loadbalancer')
        for member in members:
            card = min(member['NetworkInterfaces'], key=lambda card: int(card['Attachment']['DeviceIndex']))
            groups = {each['GroupId'] for each in card['Groups']}
            if group not in groups:
                ec2.modify_network_interface_attribute(NetworkInterfaceId=card['NetworkInterfaceId'],
                                                       Groups=sorted({*groups, group}))

    @waits
    def _delete_loadbalancer(self, name: str) -> None:
        balancer = self._balancer(name)
        with boto.about(f'load balancer {name}'):
            self._dismantle_balancer(balancer)

    def _dismantle_balancer(self, balancer: Mapping[str, Any]) -> None:
        """Delete a load balancer, and what was made for it."""
        elb, arn = self.client('elbv2', balancer['Region']), balancer['LoadBalancerArn']
        targets = [target for target in self._targets(balancer['Region']) if arn in target['LoadBalancerArns']]
        domain = self._tags(balancer).get('domain')
        zone = self.zone_of(domain) if domain else None
        if zone:
            self.release_dns_of(zone, arn)
        elb.delete_load_balancer(LoadBalancerArn=arn)
        self._drop_targets(elb, targets)
        self._drop_group(balancer)

    def _unmake_balancer(self, name: str, request: str) -> None:
        """Delete what a creation made that failed: what bears the mark of its *request*."""
        for balancer in self._balancers([self.here]):
            if balancer['LoadBalancerName'] == name and self._tags(balancer).get(MARK) == request:
                self._dismantle_balancer(balancer)
        self._drop_targets(self.client('elbv2'), [target for target in self._targets(self.here)
                                                  if target['TargetGroupName'].startswith(f'{_TARGETS}{request}')])

    def _drop_targets(self, elb: Any, targets: Sequence[Mapping[str, Any]]) -> None:
        for target in targets:
            if target['TargetGroupName'].startswith(_TARGETS):
                delete = functools.partial(elb.delete_target_group, TargetGroupArn=target['TargetGroupArn'])
                boto.patiently(delete, Conflict, what='the load balancer letting go of its targets', clock=self.clock,
                               timeout=_SETTLES)

    def _drop_group(self, balancer: Mapping[str, Any]) -> None:
        ec2 = self.ec2_of(balancer)
        for group in list(pages(ec2, 'describe_security_groups', 'SecurityGroups', {
                'vpc-id': [balancer['VpcId']], 'group-name': [_group_of(balancer)], 'tag-key': [MARK]})):
            for card in self.cards_on(balancer, {'group-id': [group['GroupId']]}):
                others = [each['GroupId'] for each in card['Groups'] if each['GroupId'] != group['GroupId']]
                ec2.modify_network_interface_attribute(NetworkInterfaceId=card['NetworkInterfaceId'], Groups=others)
            ec2.delete_security_group(GroupId=group['GroupId'])

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        balancers = self._balancers(self.regions)
        targets = [target for region in {balancer['Region'] for balancer in balancers} for target in self._targets(region)]
        members = self._members() if balancers else {}
        return sorted((_row(balancer, [target for target in targets if balancer['LoadBalancerArn'] in
                                       target['LoadBalancerArns']], members) for balancer in balancers),
                      key=lambda row: row['name'])

    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        balancer, member, wanted = self._balancer(name), self.instance(vm), _ports(ports)
        if member['VpcId'] != balancer['VpcId']:
            raise Conflict(f'VM {vm} is in another network than load balancer {name}')
        targets = [target for target in self._targets(balancer['Region'])
                   if balancer['LoadBalancerArn'] in target['LoadBalancerArns']]
        served = sorted({target['Port'] for target in targets})
        with boto.about(f'load balancer {name}'):
            self._admit(balancer, served, [member])
            for target in targets:
                self.client('elbv2', balancer['Region']).register_targets(
                    TargetGroupArn=target['TargetGroupArn'], Targets=[{'Id': member['InstanceId']}])
            more = [port for port in wanted if port not in served]
            if more:
                names = self._members().get((balancer['Region'], _group_of(balancer)), [])
                members = [self.instance(each) for each in names]
                self._admit(balancer, more, members)
                self._serve(balancer, new_request(), more, members)

    def _members(self) -> dict[tuple[str, str], list[str]]:
        """Return the names of the VMs behind load balancers, by region and security group."""
        found: dict[tuple[str, str], list[str]] = {}
        for vm in self.instances():
            for group in {group['GroupName'] for card in vm['NetworkInterfaces'] for group in card['Groups']}:
                found.setdefault((vm['Region'], group), []).append(name_of(vm) or vm['InstanceId'])
        return found

    def _balancers(self, regions: Sequence[str]) -> list[dict[str, Any]]:
        def read(region: str) -> list[dict[str, Any]]:
            return [{**each, 'Region': region}
                    for each in pages(self.client('elbv2', region), 'describe_load_balancers', 'LoadBalancers')]
        return [balancer for found in in_parallel(regions, read, workers=16) for balancer in found]

    def _balancer(self, name: str) -> dict[str, Any]:
        return cloud.find('load balancer', name, self._balancers(self.regions), lambda each: each['LoadBalancerName'],
                          lambda each: each['LoadBalancerArn'])

    def _targets(self, region: str) -> list[dict[str, Any]]:
        return list(pages(self.client('elbv2', region), 'describe_target_groups', 'TargetGroups'))

    def _tags(self, balancer: Mapping[str, Any]) -> dict[str, str]:
        arn = balancer['LoadBalancerArn']
        return tags_of(self.client('elbv2', balancer['Region']).describe_tags(ResourceArns=[arn])['TagDescriptions'][0])


def _row(balancer: Mapping[str, Any], targets: Sequence[Mapping[str, Any]],
         members: Mapping[tuple[str, str], list[str]]) -> LoadBalancerShape:
    static = [place['IpAddress'] for zone in balancer['AvailabilityZones']
              for place in zone.get('LoadBalancerAddresses', ()) if place.get('IpAddress')]
    ours = any(target['TargetGroupName'].startswith(_TARGETS) for target in targets)
    vms = {'vms': sorted(members.get((balancer['Region'], _group_of(balancer)), []))} if ours else {}
    return cast(LoadBalancerShape, {
        'name': balancer['LoadBalancerName'], 'ip': next(iter(static), None), 'dnsname': balancer['DNSName'],
        'protocol': 'tcp' if balancer['Type'] == 'network' else balancer['Type'], 'location': balancer['Region'],
        'ports': sorted({target['Port'] for target in targets}), **vms})


def _group_of(balancer: Mapping[str, Any]) -> str:
    return f"{_GROUP}{balancer['LoadBalancerName']}"


def _vpc_of(name: str, members: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the VPC that VMs are in, None when there is none. Conflict when they are in several."""
    vpcs = {member['VpcId'] for member in members}
    if len(vpcs) > 1:
        raise Conflict(f'the VMs for load balancer {name} are in several networks')
    return next(iter(vpcs), None)


def _ports(ports: Sequence[int]) -> list[int]:
    """Return *ports* sorted, each once. InvalidInput."""
    if not all(str(port).isdecimal() and 1 <= int(port) <= 65535 for port in ports):
        raise InvalidInput(f"{', '.join(map(str, ports))}: not all of these are ports", hint='Use 1 to 65535')
    return sorted({int(port) for port in ports})
