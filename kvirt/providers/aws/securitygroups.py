"""Security groups, and the ones that all VMs with the same rules share."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kvirt.errors import InvalidInput, NotFound
from kvirt.providers.aws.vpcs import DEFAULT, Vpcs, users_of
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import bearing, described, marked, tags_of
from kvirt.providers.families.groups import Group, SharedGroups
from kvirt.providers.families.marks import MARK
from kvirt.providers.families.rules import EVERYWHERE_V6, group_name, sources, wanted
from kvirt.providers.families.shared import SHARED
from kvirt.rules import EVERYWHERE
from kvirt.shapes import Rule
from kvirt.spec import VmSpec

_KIND, _ALL, _DESCRIPTION = 'security_group', '-1', 'made by kvirt'
_FILTER_VALUES = 200
"""How many values EC2 takes in a filter."""

Allowed = tuple[str, int, int, str]
"""What EC2 lets in: protocol, first and last port, and from where."""


class SecurityGroups(SharedGroups, Vpcs):
    """The security groups of an account. Their names are unique within a VPC."""

    group_settings = ('network', 'description')
    group_network = DEFAULT

    def groups(self, network: str | None = None) -> Iterator[Group]:
        if network is None:
            return map(_group, self.look(_KIND))
        vpc = self._vpc_of(network)
        return map(_group, self.look(_KIND, {'vpc-id': [vpc['VpcId']]}, [vpc['Region']]))

    def _vpc_of(self, network: str) -> dict[str, Any]:
        """Return the VPC with this name or id, as it was a moment ago."""
        def look() -> dict[str, Any]:
            near = self.recent_topology(self.here).vpcs if network.startswith('vpc-') else ()
            return next((vpc for vpc in near if vpc['VpcId'] == network), None) or self.vpc(network)
        return self.recent.get(('vpc', network), look)

    def make_group(self, name: str, wanted: Sequence[Rule], fields: Mapping[str, str],
                   settings: Mapping[str, str]) -> Group:
        if name.startswith('sg-'):
            raise InvalidInput(f"'{name}' can not name a security group: sg- begins the ids of AWS")
        vpc = self._vpc_of(settings.get('network', DEFAULT))
        ec2 = self.ec2_of(vpc)
        with boto.about(f'security group {name}'):
            made = _made(ec2, vpc['VpcId'], name, fields, settings.get('description', _DESCRIPTION))
            self._allow(ec2, made['GroupId'], to_allowed(wanted))
        return Group(id=made['GroupId'], name=name, rules=wanted, fields=fields, native={**made, 'Region': vpc['Region']})

    def set_rules(self, group: Group, wanted: Sequence[Rule]) -> None:
        ec2, have, want = self.ec2_of(group.native), allowed(group.native), to_allowed(wanted)
        with boto.about(f'security group {group.name}'):
            self._allow(ec2, group.id, want - have)  # first, so that what stays open never closes in between
            if have <= want:
                return
            present = described(ec2, 'security_group_rule', {'group-id': [group.id]})
            surplus = [each['SecurityGroupRuleId'] for each in present if not each['IsEgress'] and _entry(each) not in want]
            if surplus:
                ec2.revoke_security_group_ingress(GroupId=group.id, SecurityGroupRuleIds=surplus)

    def _allow(self, ec2: Any, group: str, entries: set[Allowed]) -> None:
        """Let *entries* in as well."""
        permissions = [{'IpProtocol': protocol, 'FromPort': first, 'ToPort': last,
                        **({'Ipv6Ranges': [{'CidrIpv6': source}]} if ':' in source else {'IpRanges': [{'CidrIp': source}]})}
                       for protocol, first, last, source in sorted(entries)]

        def allow(some: list[dict[str, Any]]) -> None:
            try:
                ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=some)
            except Exception as error:
                if boto.code_of(error) != 'InvalidPermission.Duplicate':
                    raise
                for permission in some if len(some) > 1 else ():  # one that is there keeps the call from adding the others
                    allow([permission])
        if permissions:
            self.soon(lambda: allow(permissions))

    def drop_group(self, group: Group) -> None:
        with boto.about(f'security group {group.name}'):
            self.ec2_of(group.native).delete_security_group(GroupId=group.id)

    def users_of_group(self, group: Group) -> list[str]:
        return users_of(self.cards_on(group.native, {'group-id': [group.id]}))

    def more_of_group(self, group: Group) -> Mapping[str, Any]:
        native = group.native
        return {'description': native['Description'], 'location': native['Region'],
                'network': self.network_names(native['Region']).get(native['VpcId'], native['VpcId'])}

    # of VMs

    def forget_groups(self) -> None:
        """Forget the shared groups: look them up again, and make them if need be."""
        self.recent.forget()

    def groups_for(self, spec: VmSpec, cards: Sequence[dict[str, Any]]) -> list[str]:
        """Put security groups in *cards* (``Groups``): the shared one of the VM's rules, and those it names.

        Groups belong to a VPC, and cards may be in several. Returns the ids of all. The shared ones are made when they
        are not there, and remembered for some seconds: :meth:`forget_groups` when EC2 says InvalidGroup.NotFound, since
        somebody may have reaped them meanwhile. NotFound names a group.
        """
        rules, named = wanted(spec), spec.securitygroups
        for card in cards:
            vpc = self.vpc_of_subnet(card['SubnetId'])
            ensured = functools.partial(self._ensured, vpc, rules, named)
            card['Groups'] = self.recent.get((vpc, group_name(rules), named), ensured)
        return sorted({group for card in cards for group in card['Groups']})

    def _ensured(self, vpc: str, rules: Sequence[Rule], named: Sequence[str]) -> list[str]:
        """Return the ids of the shared group and of those that are *named*, all looked up at once."""
        known = list(self.groups(vpc))
        try:
            there = [self.group(name, known).id for name in named]
        except NotFound as error:
            raise NotFound(error.reason, hint='It must be in the network of the VM') from None
        return [self.shared_group(rules, vpc, known).id, *there]

    def group_like(self, ec2: Any, vpc: str, name: str, rules: Iterable[Rule], mark: str) -> str:
        """Return the id of the group *name* of a VPC. It is made when it is not there, and lets in at least *rules*."""
        def find() -> dict[str, Any] | None:
            return next(described(ec2, _KIND, {'vpc-id': [vpc], 'group-name': [name]}), None)
        group = find() or self.made_or_found(lambda: _made(ec2, vpc, name, {MARK: mark}), find)
        # Also for one that was there: who made it may have been killed before it let anything in.
        self._allow(ec2, group['GroupId'], to_allowed(rules) - allowed(group))
        return str(group['GroupId'])

    def unused_groups(self, but_by: Collection[str] = (), regions: Sequence[str] | None = None) -> Iterator[Group]:
        def read(ec2: Any) -> list[dict[str, Any]]:
            shared = list(described(ec2, _KIND, bearing(SHARED)))[:_FILTER_VALUES]
            ids = [group['GroupId'] for group in shared]
            cards = described(ec2, 'network_interface', {'group-id': ids}) if ids else ()
            used = {group['GroupId'] for card in cards for group in card['Groups']
                    if card.get('Attachment', {}).get('InstanceId') not in but_by}
            return [group for group in shared if group['GroupId'] not in used]
        return map(_group, self.everywhere(read, regions))

    def reap_groups(self, region: str | None = None) -> None:
        """Delete the shared groups of a region that nothing uses: those of a VM are held until it is terminated."""
        self.drop_unused(self.unused_groups(regions=[region or self.here]), self.drop_group)
        self.forget_groups()


def _group(native: Mapping[str, Any]) -> Group:
    return Group(id=native['GroupId'], name=native['GroupName'], rules=to_rules(allowed(native)), fields=tags_of(native),
                 native=native)


def to_allowed(rules: Iterable[Rule]) -> set[Allowed]:
    """Return *rules* as EC2 has them: a rule for everywhere is one for each kind of addresses."""
    found = set()
    for rule in rules:
        for source in sources(rule):
            protocol = 'icmpv6' if rule['protocol'] == 'icmp' and ':' in source else rule['protocol']
            found.add((protocol, rule.get('from_port', -1), rule.get('to_port', -1), source))
    return found


def allowed(group: Mapping[str, Any]) -> set[Allowed]:
    """Return what a group lets in."""
    return {_entry({**permission, **source}) for permission in group['IpPermissions']
            for source in (*permission.get('IpRanges', ()), *permission.get('Ipv6Ranges', ()),
                           *permission.get('UserIdGroupPairs', ()), *permission.get('PrefixListIds', ()))}


def _entry(rule: Mapping[str, Any]) -> Allowed:
    """Return one rule of EC2, which two calls tell in two ways."""
    other = rule.get('ReferencedGroupInfo', rule).get('GroupId', '')
    keys = ('CidrIp', 'CidrIpv4', 'CidrIpv6', 'PrefixListId')
    source = next((rule[key] for key in keys if rule.get(key)), other)
    return rule['IpProtocol'], rule.get('FromPort', -1), rule.get('ToPort', -1), source


def to_rules(entries: set[Allowed]) -> list[Rule]:
    """Return what is let in as rules. What is for everywhere is told once; ``all`` is any protocol."""
    rules: list[Rule] = []
    for protocol, first, last, source in sorted(entries):
        name = protocol.removesuffix('v6')
        if source == EVERYWHERE_V6 and (name, first, last, EVERYWHERE) in entries:
            continue
        rule: Rule = {'protocol': 'all' if name == _ALL else name, 'cidr': source}
        if first != -1:
            rule['from_port'], rule['to_port'] = first, last
        rules.append(rule)
    return rules


def _made(ec2: Any, vpc: str, name: str, fields: Mapping[str, str], description: str = _DESCRIPTION) -> dict[str, Any]:
    """Make a group that lets nothing in. EC2 lets everything out of a new one."""
    made = ec2.create_security_group(GroupName=name, VpcId=vpc, Description=description,
                                     TagSpecifications=marked('security-group', {**fields, 'Name': name}))
    return {'GroupId': made['GroupId'], 'IpPermissions': []}
