"""Entries beside VMs: buckets, DNS records, security groups, load balancers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from kvirt import redact
from kvirt.errors import InvalidInput, Problem
from kvirt.names import dns_name
from kvirt.plan.events import Key
from kvirt.plan.kinds import haproxy
from kvirt.plan.kinds.item import Change, Difference, Item, Keys, NamedKeys, Tell, attempt
from kvirt.profiles import Layer, merge
from kvirt.result import Result
from kvirt.rules import rules_of
from kvirt.spec import doc, one_address, rules, texts
from kvirt.wait import until


def ports(value: Any) -> tuple[int, ...]:
    """Read a list of ports."""
    found = []
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(entry, bool) or not str(entry).isdigit() or not 1 <= int(entry) <= 65535:
            raise InvalidInput(f'{entry!r} is no port')
        found.append(int(entry))
    return tuple(found)


class BucketKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a bucket."""

    files: Annotated[tuple[str, ...], doc('plan', 'Local files to upload', texts)] = ()
    public: Annotated[bool, doc('plan', 'Readable by everybody')] = False


class BucketItem(Item):
    """A bucket with files. A deletion of its plan keeps it unless it holds nothing but them."""

    kind = 'bucket'
    Keys = BucketKeys

    def _files(self) -> dict[str, Path]:
        return {Path(name).name: self.entry.folder / Path(name).expanduser() for name in self.keys.files}

    def _check(self) -> None:
        if self.keys.files:
            self._need_trust('reads files of this machine', 'files')
        missing = [Problem(f'{path} is no file', self.entry.where('files')) for path in self._files().values()
                   if not path.is_file()]
        if missing:
            raise InvalidInput(missing)

    def exists(self) -> bool:
        return self.name in self.live.buckets() and not self._absent()

    def present(self) -> bool:
        return self.name in self.live.buckets()

    def _absent(self) -> list[str]:
        there = set(self.k.list_bucketfiles(self.name))
        return [name for name in self._files() if name not in there]

    def create(self, tell: Tell) -> Result:
        result = Result.success()
        if self.name not in self.live.buckets():
            result = attempt(self.k.create_bucket, self.name, self.keys.public)
        absent = self._absent() if result.ok else []
        for name in absent:
            if result.ok:
                tell(f'uploading {name}')
                result = attempt(self.k.upload_to_bucket, self.name, str(self._files()[name]),
                                                                           public=self.keys.public)
        return result

    def delete(self, tell: Tell) -> Result:
        others = sorted(set(self.k.list_bucketfiles(self.name)) - set(self._files()))
        if others:
            return Result.success(changed=False, details=f'kept: it holds {others[0]} and {len(others) - 1} more files'
                                  if len(others) > 1 else f'kept: it holds {others[0]}')
        for name in self.k.list_bucketfiles(self.name):
            gone = attempt(self.k.delete_from_bucket, self.name, name)
            if not gone.ok:
                return gone
        return attempt(self.k.delete_bucket, self.name)


class DnsKeys(Keys, frozen=True, kw_only=True):
    """The keys of a DNS record."""

    domain: Annotated[str | None, doc('plan', 'Zone; the network when absent')] = None
    net: Annotated[str, doc('plan', 'Network that answers for the name, where DNS is a matter of networks')] = 'default'
    ip: Annotated[str | None, doc('plan', 'Address; that of the VM of the same name when absent', one_address)] = None
    alias: Annotated[tuple[str, ...], doc('plan', 'Further names', texts)] = ()


class DnsItem(Item):
    """A DNS record, of an address or of a VM of the plan."""

    kind = 'dns'
    Keys = DnsKeys

    def _check_name(self) -> None:
        dns_name(self.name)

    @property
    def zone(self) -> str:
        """The zone, or the network that answers."""
        return str(self.keys.domain or self.keys.net)

    def refers(self) -> Iterator[Key]:
        yield 'network', self.keys.net
        if self.keys.ip is None:
            yield 'vm', self.name
        yield 'loadbalancer', self.name

    def _there(self) -> Any:
        full = {self.name, f'{self.name}.{self.zone}', f'{self.name}.{self.zone}.'}
        return next((record for record in self.live.records(self.zone)
                     if record['name'] in full and record.get('type') in ('A', 'AAAA', None)), None)

    def exists(self) -> bool:
        return self._there() is not None

    def compare(self) -> Change:
        there = self._there()
        if there is None:
            return Change('create')
        if self.keys.ip and self.keys.ip not in (there.get('data') or ()):
            mend = partial(self.k.reserve_dns, self.name, nets=[self.keys.net], domain=self.zone, ip=self.keys.ip,
                                              alias=list(self.keys.alias), force=True)
            return Change('update', (Difference('address', ', '.join(there.get('data') or ()), self.keys.ip, mend),))
        return Change('nothing')

    def create(self, tell: Tell) -> Result:
        ip = self.keys.ip or self.k.ip(self.name)
        if ip is None:
            raise InvalidInput(Problem(f'dns {self.name} has no ip, and there is no VM of that name with an address',
                                       self.entry.where()))
        return attempt(self.k.reserve_dns, self.name, nets=[self.keys.net], domain=self.zone, ip=ip,
                                                  alias=list(self.keys.alias))

    def delete(self, tell: Tell) -> Result:
        return attempt(self.k.delete_dns, self.name, self.zone)


class GroupKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a security group."""

    ports: Annotated[tuple[Any, ...], doc('plan', "What is let in: 80, '8000-8100', '53/udp', or a rule", rules)] = ()


class SecurityGroupItem(Item):
    """A security group."""

    kind = 'securitygroup'
    Keys = GroupKeys
    open_keys = True

    def exists(self) -> bool:
        return self.name in self.live.groups()

    def compare(self) -> Change:
        if not self.exists():
            return Change('create')
        there = rules_of(self.k.info_security_group(self.name).get('rules', ()))
        wanted = list(self.keys.ports)
        if _sorted(there) == _sorted(wanted):
            return Change('nothing')
        return Change('update', (Difference('rules', there, wanted, partial(self.k.update_security_group,
            self.name, {**self.settings, 'ports': wanted})),))

    def create(self, tell: Tell) -> Result:
        return attempt(self.k.create_security_group, self.name, {**self.settings, 'ports': list(self.keys.ports)})

    def delete(self, tell: Tell) -> Result:
        return attempt(self.k.delete_security_group, self.name)


def _sorted(found: Any) -> list[Any]:
    return sorted(sorted(rule.items()) for rule in found)


class LoadBalancerKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a load balancer."""

    ports: Annotated[tuple[int, ...], doc('plan', 'Ports that it spreads', ports)]
    vms: Annotated[tuple[str, ...], doc('plan', 'VMs behind it', texts)] = ()
    checkpath: Annotated[str, doc('plan', 'Path that tells if a VM is well')] = '/index.html'
    checkport: Annotated[int, doc('plan', 'Port of that path')] = 80
    alias: Annotated[tuple[str, ...], doc('plan', 'Further DNS names', texts)] = ()
    domain: Annotated[str | None, doc('plan', 'DNS domain')] = None
    dnsclient: Annotated[str | None, doc('plan', 'Client that answers for the domain')] = None
    nets: Annotated[tuple[str, ...], doc('plan', 'Networks of the VM that does it where the platform has none', texts)] = (
        'default',)
    internal: Annotated[bool, doc('plan', 'Not reachable from outside')] = False
    ip: Annotated[str | None, doc('plan', 'Address to have', one_address)] = None
    image: Annotated[str | None, doc('plan', 'Image of the VM that does it where the platform has none')] = None


_FOR_ADDRESSES = 600.0
"""Seconds that the VMs behind a load balancer may take to get their addresses."""


class LoadBalancerItem(Item):
    """A load balancer of the platform, or a VM with haproxy where the platform has none."""

    kind = 'loadbalancer'
    Keys = LoadBalancerKeys

    def _check(self) -> None:
        if not re.fullmatch(r'/[A-Za-z0-9._~/?&=%-]*', self.keys.checkpath):
            raise InvalidInput(Problem(f'{self.keys.checkpath!r} is no path of a URL', self.entry.where('checkpath')))

    def refers(self) -> Iterator[Key]:
        yield from (('vm', vm) for vm in self.keys.vms)
        yield from (('network', net) for net in self.keys.nets)

    @property
    def _native(self) -> bool:
        return bool(self.k.supports('create_loadbalancer'))

    def exists(self) -> bool:
        return self.name in (self.live.balancers() if self._native else self.live.vms())

    def made(self) -> bool:
        return self._native or self.live.vms().get(self.name, {}).get('plan') == self.scope.name

    def compare(self) -> Change:
        if not self.exists():
            return Change('create')
        if not self._native:
            return Change('nothing')
        there: Mapping[str, Any] = self.live.balancers()[self.name]
        wanted = sorted(self.keys.ports)
        if sorted(there.get('ports') or ()) != wanted:
            return Change('replace', (Difference('ports', there.get('ports'), wanted),),
                          'the ports of a load balancer can not be changed')
        absent = [vm for vm in self.keys.vms if vm not in (there.get('vms') or ())]
        found = tuple(Difference('a further VM', None, vm, partial(self.k.add_vm_to_loadbalancer, vm, self.name,
                                                                   list(self.keys.ports))) for vm in absent)
        return Change('update' if found else 'nothing', found)

    def create(self, tell: Tell) -> Result:
        keys = self.keys
        if not self._native:
            return self._as_vm(tell)
        return attempt(
            self.k.create_loadbalancer, self.name, ports=list(keys.ports), checkpath=keys.checkpath, vms=list(keys.vms),
            domain=keys.domain, checkport=keys.checkport, alias=list(keys.alias), internal=keys.internal,
            dnsclient=keys.dnsclient, ip=keys.ip)

    def _as_vm(self, tell: Tell) -> Result:
        addresses = {}
        for vm in self.keys.vms:
            tell(f'waiting for the address of {vm}')
            addresses[vm] = until(partial(self.k.ip, vm), what=f'VM {vm} getting an address', timeout=_FOR_ADDRESSES)
        image = self.keys.image or self._image_of_a_vm()
        if not image:
            raise InvalidInput(Problem(f'{self.entry} needs an image: the platform has no load balancers, so it is a VM',
                                       self.entry.where()))
        values, password = haproxy.values(
            image=image, ports=self.keys.ports, backends=addresses, checkpath=self.keys.checkpath,
            checkport=self.keys.checkport, nets=self.keys.nets, ip=self.keys.ip)
        redact.remember(password)
        merged = merge([*self.config.layers(), Layer(str(self.entry), values)])
        merged.values.update(plan=self.scope.name, profile='loadbalancer')
        return self.config.create_merged(self.name, merged, self.entry.folder)

    def _image_of_a_vm(self) -> str | None:
        rows = (self.live.vms().get(vm) or self.k.info(vm) for vm in self.keys.vms)
        return next((row['image'] for row in rows if row.get('image')), None)

    def delete(self, tell: Tell) -> Result:
        if not self._native:
            return self.config.delete_vm(self.name, snapshots=True)
        return attempt(self.k.delete_loadbalancer, self.name)
