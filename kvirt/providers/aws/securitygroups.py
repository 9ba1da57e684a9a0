"""Security groups, and the ones that all VMs with the same rules share."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import pages, to_tags
from kvirt.providers.aws.vpcs import Vpcs, users_of
from kvirt.providers.families import boto, cloud
from kvirt.providers.families.marks import MAKER, MARK, maker, new_request
from kvirt.providers.families.rules import EVERYWHERE_V6, group_name, ordered, sources, wanted
from kvirt.rules import EVERYWHERE, rules_of
from kvirt.shapes import Rule
from kvirt.spec import VmSpec
from kvirt.undo import Undo
from kvirt.wait import Clock

SHARED = 'shared'
"""The mark of a group that is made for VMs with the same rules, and goes when none is left."""

_SETTINGS = ('ports', 'network', 'description')
_ALL = '-1'
_FILTER_VALUES = 200
"""How many values EC2 takes in a filter."""

Allowed = tuple[str, int, int, str]
"""What EC2 lets in: protocol, first and last port, and from where."""


class SecurityGroups(Vpcs):
    """The security groups of an account."""

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        filters = {'vpc-id': [self.vpc(network)['VpcId']]} if network is not None else None
        return sorted({group['GroupName'] for group in self._groups(filters)})

    def _info_security_group(self, name: str) -> dict[str, Any]:
        try:
            group = self._group(name)
        except NotFound:
            return {}
        return {'name': group['GroupName'], 'id': group['GroupId'], 'description': group['Description'],
                'network': self.network_names(group['Region']).get(group['VpcId'], group['VpcId']),
                'rules': to_rules(allowed(group)), 'location': group['Region']}

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        given = _checked(overrides)
        if name.startswith('sg-'):
            raise InvalidInput(f"'{name}' can not name a security group: sg- begins the ids of AWS")
        rules, vpc = rules_of(given.get('ports', ())), self.vpc(str(given.get('network', 'default')))
        ec2, request = self.ec2_of(vpc), new_request()
        if _named(ec2, vpc['VpcId'], [name]):
            raise AlreadyExists(f'security group {name} exists')
        with boto.about(f'security group {name}'), Undo().translating(self.translate) as undo:
            undo.add(f'security group {name}', lambda: _drop_marked(ec2, request))
            made = _made(ec2, vpc['VpcId'], name, request, given.get('description'))
            _allow(ec2, made['GroupId'], to_allowed(rules), self.clock)

    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        given = _checked(overrides)
        fixed = sorted(set(given) - {'ports'})
        if fixed:
            raise InvalidInput(f"the {', '.join(fixed)} of a security group can not be changed", hint='Make another one')
        rules, group = rules_of(given.get('ports', ())), self._group(name)
        if 'ports' not in given:
            return
        ec2, have, want = self.ec2_of(group), allowed(group), to_allowed(rules)
        with boto.about(f'security group {name}'):
            _allow(ec2, group['GroupId'], want - have, self.clock)  # first, so that what stays open never closes in between
            present = pages(ec2, 'describe_security_group_rules', 'SecurityGroupRules', {'group-id': [group['GroupId']]})
            surplus = [each['SecurityGroupRuleId'] for each in present if not each['IsEgress'] and _entry(each) not in want]
            if surplus:
                ec2.revoke_security_group_ingress(GroupId=group['GroupId'], SecurityGroupRuleIds=surplus)

    def _delete_security_group(self, name: str) -> None:
        group = self._group(name)
        users = users_of(self.cards_on(group, {'group-id': [group['GroupId']]}))
        if users:
            raise Conflict(f"security group {name} is in use by {', '.join(users)}",
                           hint='Delete those first; what was deleted a moment ago still holds it')
        with boto.about(f'security group {name}'):
            self.ec2_of(group).delete_security_group(GroupId=group['GroupId'])

    def _groups(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[dict[str, Any]]:
        return self.everywhere(lambda ec2: pages(ec2, 'describe_security_groups', 'SecurityGroups', filters))

    def _group(self, name: str) -> dict[str, Any]:
        return cloud.find('security group', name, self._groups(), lambda group: group['GroupName'],
                          lambda group: group['GroupId'])

    # of VMs

    def forget_groups(self) -> None:
        self.recent.forget()

    def groups_for(self, spec: VmSpec, cards: Sequence[dict[str, Any]]) -> list[str]:
        rules, named = wanted(spec), spec.securitygroups
        for card in cards:
            vpc = self.vpc_of_subnet(card['SubnetId'])
            ensured = functools.partial(self._ensured, vpc, rules, named)
            card['Groups'] = self.recent.get((vpc, group_name(rules), named), ensured)
        return sorted({group for card in cards for group in card['Groups']})

    def shared_group(self, vpc: str, rules: Iterable[Rule]) -> str:
        """Return the id of the group that VMs of a VPC with these rules share; it is made when it is not there."""
        return self._ensured(vpc, ordered(rules), ())[0]

    def _ensured(self, vpc: str, rules: Sequence[Rule], named: Sequence[str]) -> list[str]:
        """Return the ids of the shared group and of those that are *named*, all looked up at once."""
        shared = group_name(rules)
        known = _named(self.ec2, vpc, [shared, *named])
        for name in named:
            if name not in known:
                raise NotFound(f'security group {name} does not exist in the network of the VM'
                               f'{did_you_mean(name, self._list_security_groups())}')
        surplus = allowed(known[shared]) - to_allowed(rules) if shared in known else set()
        if surplus:
            raise Conflict(f'security group {shared} lets in more than was asked for: {to_rules(surplus)}',
                           hint='Somebody changed it: take that away from it')
        shared_id = self.group_like(self.ec2, vpc, shared, rules, SHARED, known)
        return [shared_id, *(known[name]['GroupId'] for name in named)]

    def group_like(self, ec2: Any, vpc: str, name: str, rules: Iterable[Rule], mark: str,
                   known: Mapping[str, dict[str, Any]] | None = None) -> str:
        """Return the id of the group *name* of a VPC. It is made when it is not there, and lets in at least *rules*."""
        group = (_named(ec2, vpc, [name]) if known is None else known).get(name)
        if group is None:
            try:
                group = _made(ec2, vpc, name, mark)
            except Exception as error:
                if not isinstance(self.translate(error), AlreadyExists):
                    raise
                group = _named(ec2, vpc, [name])[name]  # somebody else was faster
        # Also for one that was there: who made it may have been killed before it let anything in.
        _allow(ec2, group['GroupId'], to_allowed(rules) - allowed(group), self.clock)
        return str(group['GroupId'])

    def reap_groups(self, region: str, groups: Iterable[str]) -> None:
        """Delete all shared groups that nothing uses: those of a VM are held until it is terminated."""
        ec2 = self.client('ec2', region)
        shared = {group['GroupId'] for group in pages(ec2, 'describe_security_groups', 'SecurityGroups',
                                                      {f'tag:{MARK}': [SHARED]})}
        if not shared:
            return
        some = sorted(shared)[:_FILTER_VALUES]
        cards = pages(ec2, 'describe_network_interfaces', 'NetworkInterfaces', {'group-id': some})
        used = {group['GroupId'] for card in cards for group in card['Groups']}
        for group in (each for each in some if each not in used):
            try:
                ec2.delete_security_group(GroupId=group)
            except Exception as error:
                if not isinstance(self.translate(error), (Conflict, NotFound)):  # in use again, or reaped by another
                    raise
        self.forget_groups()


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


def _allow(ec2: Any, group: str, entries: set[Allowed], clock: Clock) -> None:
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
        boto.patiently(lambda: allow(permissions), NotFound, what='the new security group being known', clock=clock)


def _made(ec2: Any, vpc: str, name: str, mark: str, description: Any = None) -> dict[str, Any]:
    """Make a group that lets nothing in. EC2 lets everything out of a new one."""
    fields = {MARK: mark, 'Name': name, **({MAKER: maker(time.time())} if mark == SHARED else {})}
    tags = [{'ResourceType': 'security-group', 'Tags': to_tags(fields)}]
    group = ec2.create_security_group(GroupName=name, VpcId=vpc, Description=str(description or 'made by kvirt'),
                                      TagSpecifications=tags)
    return {'GroupId': group['GroupId'], 'IpPermissions': []}


def _named(ec2: Any, vpc: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the groups of a VPC that bear *names*, or are these ids, by that. Names are unique within a VPC."""
    found: dict[str, dict[str, Any]] = {}
    for key, word, asked in (('group-name', 'GroupName', [name for name in names if not name.startswith('sg-')]),
                             ('group-id', 'GroupId', [name for name in names if name.startswith('sg-')])):
        groups = pages(ec2, 'describe_security_groups', 'SecurityGroups', {'vpc-id': [vpc], key: asked}) if asked else ()
        found |= {group[word]: group for group in groups}
    return found


def _drop_marked(ec2: Any, request: str) -> None:
    for group in pages(ec2, 'describe_security_groups', 'SecurityGroups', {f'tag:{MARK}': [request]}):
        ec2.delete_security_group(GroupId=group['GroupId'])


def _checked(overrides: Mapping[str, Any] | None) -> Mapping[str, Any]:
    given = overrides or {}
    for key in given:
        if key not in _SETTINGS:
            raise InvalidInput(f"unknown setting of a security group '{key}'{did_you_mean(key, _SETTINGS)}")
    return given
