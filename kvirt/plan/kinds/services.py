"""Entries beside VMs: buckets, DNS records, security groups, load balancers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from kvirt import redact
from kvirt.errors import InvalidInput, NotFound, Problem
from kvirt.names import dns_name
from kvirt.plan.events import Key
from kvirt.plan.kinds import haproxy
from kvirt.plan.kinds.item import Change, Difference, Item, NamedKeys, Tell, attempt
from kvirt.plan.ledger import Thing
from kvirt.plan.scope import Config, Scope, missing_client
from kvirt.profiles import Layer, merge
from kvirt.readers import one_address, rules, texts
from kvirt.result import Result
from kvirt.rules import rules_of
from kvirt.spec import doc
from kvirt.wait import until


def ports(value: Any) -> tuple[int, ...]:
    """Read a list of ports."""
    found = []
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(entry, bool) or not str(entry).isdigit() or not 1 <= int(entry) <= 65535:
            raise InvalidInput(f'{entry!r} is no port')
        found.append(int(entry))
    return tuple(found)


_WITHOUT_ADDRESS = ('stopped', 'failed', 'terminated')


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
            result = self._making(self.k.create_bucket, self.name, self.keys.public)
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


class DnsKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a DNS record."""

    domain: Annotated[str | None, doc('plan', 'Zone; the network when absent')] = None
    net: Annotated[str, doc('plan', 'Network that answers for the name, where DNS is a matter of networks')] = 'default'
    ip: Annotated[str | None, doc('plan', 'Address; that of the VM or load balancer of that name when absent',
                                  one_address)] = None
    alias: Annotated[tuple[str, ...], doc('plan', 'Further names', texts)] = ()
    dnsclient: Annotated[str | None, doc('plan', 'Client that makes the record; that of the VM when absent')] = None


class DnsItem(Item):
    """A DNS record, of an address, or of a VM or load balancer of the plan, which may be on another client."""

    kind = 'dns'
    Keys = DnsKeys

    def _client(self, scope: Scope) -> Config:
        self._of = super()._client(scope)
        if not self.keys.dnsclient:
            return self._of
        try:
            return scope.client(self.keys.dnsclient)
        except NotFound as error:
            raise missing_client(error, self.entry.where('dnsclient')) from None

    def _check_name(self) -> None:
        for name in (self.name, *self.keys.alias):
            dns_name(name)

    @property
    def zone(self) -> str:
        """The zone, or the network that answers."""
        return str(self.keys.domain or self.keys.net)

    @property
    def thing(self) -> Thing:
        return {**super().thing, 'zone': self.zone}

    @property
    def named_on(self) -> Config:
        return self._of

    def refers(self) -> Iterator[Key]:
        yield 'network', self.keys.net
        if self.keys.ip is None:
            yield 'vm', self.name
        yield 'loadbalancer', self.name

    def _records(self, name: str) -> Any:
        full = {name, f'{name}.{self.zone}', f'{name}.{self.zone}.'}
        return next((record for record in self.live.records(self.zone)
                     if record['name'] in full and record.get('type') in ('A', 'AAAA', None)), None)

    def exists(self) -> bool:
        return self._records(self.name) is not None

    def compare(self) -> Change:
        there = self._records(self.name)
        if there is None:
            return Change('create')
        wanted = self.keys.ip or self._known_address()
        if wanted and wanted not in (there.get('data') or ()):
            mend = partial(self.k.reserve_dns, self.name, nets=[self.keys.net], domain=self.zone, ip=wanted,
                           alias=list(self.keys.alias), force=True)
            return Change('update', (Difference('address', ', '.join(there.get('data') or ()), wanted, mend),))
        return Change('nothing')

    def _known_address(self) -> str | None:
        """Return the address that the load balancer or VM of its name has at present."""
        live = self.scope.live(self._of)
        entries = {entry.kind for entry in self.scope.entries if self.name in (entry.name, entry.called)}
        if 'loadbalancer' in entries and self._of.k.supports('list_loadbalancers'):
            row = live.balancers().get(self.name, {})
        else:
            row = live.vms().get(self.name, {}) if entries & {'vm', 'loadbalancer'} else {}
        return str(row['ip']) if row.get('ip') else None

    def create(self, tell: Tell) -> Result:
        return self._making(self.k.reserve_dns, self.name, nets=[self.keys.net], domain=self.zone, ip=self._address(tell),
                            alias=list(self.keys.alias))

    def _address(self, tell: Tell) -> str:
        """Return the address to record; one that a VM is about to get is waited for."""
        self.scope.live(self._of).forget()
        found = self.keys.ip or self._known_address()
        if found:
            return found

        def look() -> str | None:
            known = self._of.k.info(self.name)
            if not known or known.get('status') in _WITHOUT_ADDRESS or getattr(self._of.k, 'pretends', False):
                raise InvalidInput(Problem(f'dns {self.name} has no ip, and there is no VM of that name with an address',
                                           self.entry.where()))
            address: str | None = known.get('ip')
            return address
        return until(look, what=f'VM {self.name} getting an address', timeout=_FOR_ADDRESSES,
                     tick=lambda gone: tell(f'waiting for the address of {self.name}, {gone:.0f} s'))

    def delete(self, tell: Tell) -> Result:
        result = attempt(self.k.delete_dns, self.name, self.zone)
        for name in self.keys.alias:
            gone = attempt(self.k.delete_dns, name, self.zone)
            if not gone.ok and gone['error'] != NotFound.__name__:
                return gone
        return result


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
        return self._making(self.k.create_security_group, self.name, {**self.settings, 'ports': list(self.keys.ports)})

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
        if self.keys.dnsclient and not self.keys.domain:
            raise InvalidInput(Problem(f'it needs a domain for {self.keys.dnsclient} to record it in',
                                       self.entry.where('dnsclient')))

    @property
    def dns(self) -> dict[str, Any] | None:
        """The keys of the DNS entry that names it, None where the platform keeps its records."""
        keys, provider = self.keys, self.config.provider
        can = getattr(provider, 'capability', None)
        native = can is None or can('create_loadbalancer').mark == 'supported'
        if not keys.domain or native and keys.dnsclient in (None, self.config.client):
            return None
        return {'domain': keys.domain, 'dnsclient': keys.dnsclient or self.config.client, 'alias': list(keys.alias)}

    def refers(self) -> Iterator[Key]:
        yield from (('vm', vm) for vm in self.keys.vms)
        yield from (('network', net) for net in self.keys.nets)

    @property
    def _native(self) -> bool:
        return bool(self.k.supports('create_loadbalancer'))

    def exists(self) -> bool:
        return self.name in (self.live.balancers() if self._native else self.live.vms())

    def made(self, *, unmarked: bool = False) -> bool:
        if self._native:
            return super().made(unmarked=unmarked)
        return bool(self.live.vms().get(self.name, {}).get('plan') == self.scope.name)

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
        return self._making(
            self.k.create_loadbalancer, self.name, ports=list(keys.ports), checkpath=keys.checkpath, vms=list(keys.vms),
            domain=None if self.dns else keys.domain, checkport=keys.checkport,
            alias=[] if self.dns else list(keys.alias), internal=keys.internal, ip=keys.ip)

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
