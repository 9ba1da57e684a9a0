"""Load balancers of clouds. A provider says how they are read, made, changed and deleted.

A balancer bears the mark of the request that made it, and which DNS records were made for it, where the platform lets it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import msgspec

from kvirt.base import waits
from kvirt.errors import AlreadyExists, NotSupported
from kvirt.providers.families import cloud
from kvirt.providers.families.dns import CloudDns
from kvirt.providers.families.machines import Machine
from kvirt.providers.families.marks import MARK, new_request
from kvirt.shapes import LoadBalancerShape
from kvirt.wait import until

GETS_ADDRESS = 600.0
"""Seconds that a load balancer may take to get its address."""


class Balancer(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer that is there."""

    id: str
    name: str
    ports: Sequence[int]
    ip: str | None = None
    """Where it is reached, None when it has no address yet, or none that stays."""

    dnsname: str | None = None
    """The name at which it is reached, where the platform gives it one instead of an address."""

    vms: Sequence[str] = ()
    """The ids of the VMs behind it, where the platform tells them with it."""

    protocol: str = 'tcp'
    location: str = ''
    native: Any = None
    """The balancer as the platform tells it."""


class NewBalancer(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer to be made. Connections to each port are passed on to the same port of its VMs."""

    name: str
    ports: Sequence[int]
    checkport: int
    checkpath: str
    """Where a VM tells over http that it is well; begins with a slash."""

    vms: Sequence[Machine]
    internal: bool
    """It is reached in its network only."""

    fields: Mapping[str, str]
    """What it must bear."""


class CloudBalancers(CloudDns):
    """Load balancers over seven primitives."""

    balancer_names: ClassVar[tuple[str, str]] = ('.*', '')
    """The names that the platform takes: an expression, and the rule in words."""

    balancer_records: ClassVar[str] = 'A'
    """The type of a balancer's DNS records; CNAME where the platform gives it a name."""

    balancers_bear_marks: ClassVar[bool] = True
    """A balancer tells which request made it; else one of a name is ours if there was none before."""

    def balancers(self) -> Sequence[Balancer]:
        """Return the load balancers that this client sees."""
        raise NotImplementedError

    def members(self, balancers: Sequence[Balancer]) -> Mapping[str, Sequence[str]]:
        """Return the names of the VMs behind each of some balancers, by its id. One is left out if they are not known."""
        ids = {vm for each in balancers for vm in each.vms}
        names = self.vm_names(ids) if ids else {}
        return {each.id: [names.get(vm, vm) for vm in each.vms] for each in balancers}

    def balancer_fields(self, balancer: Balancer) -> Mapping[str, str]:
        """Return the fields that a balancer was made with."""
        raise NotImplementedError

    def make_balancer(self, wanted: NewBalancer, needs: Any) -> Balancer:
        """Make a balancer, which may get its address later. *needs* is what :meth:`balancer_needs` returned."""
        raise NotImplementedError

    def drop_balancer(self, balancer: Balancer) -> None:
        """Delete a balancer that was read, and all that was made for it. What is gone is fine."""
        raise NotImplementedError

    def add_member(self, balancer: Balancer, vm: Machine) -> None:
        """Put a VM behind a balancer, for all its ports. One that is there already is fine. Conflict."""
        raise NotImplementedError

    def serve_ports(self, balancer: Balancer, ports: Sequence[int]) -> None:
        """Let a balancer pass on further *ports* to its VMs."""
        raise NotImplementedError

    def balancer_needs(self, wanted: NewBalancer) -> Any:
        """Look up what else a balancer needs, a network for one; raise what forbids it. Nothing is made yet."""
        return None

    def balancer_exists(self, name: str) -> bool:
        """Tell if there is a balancer of this name where this client makes them."""
        return any(each.name == name for each in self.balancers())

    def unmake_balancer(self, wanted: NewBalancer) -> None:
        """Remove what was made of a balancer whose making failed, or whose answer was lost; there may be nothing.

        It has no records: they are made last.
        """
        for balancer in self.balancers():
            if balancer.name == wanted.name and (not self.balancers_bear_marks or
                                                 self.balancer_fields(balancer).get(MARK) == wanted.fields[MARK]):
                self.drop_balancer(balancer)
                self.forget_fields(balancer, wanted.fields)

    def keep_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        """Keep the fields of a balancer that was made a moment ago, where it can't bear them."""

    def forget_fields(self, balancer: Balancer, fields: Mapping[str, str]) -> None:
        """Remove the fields of a balancer that was deleted, where they are not kept on it."""

    # hooks

    @waits
    def _create_loadbalancer(self, name: str, ports: Sequence[int] = (), checkpath: str = '/index.html',
                             vms: Sequence[str] = (), domain: str | None = None, checkport: int = 80,
                             alias: Sequence[str] = (), internal: bool = False, dnsclient: str | None = None,
                             ip: str | None = None) -> Mapping[str, Any] | None:
        cloud.check_name('load balancer', name, *self.balancer_names)
        if ip:
            raise NotSupported('the platform chooses the address of a load balancer')
        if dnsclient:
            raise NotSupported('the records of a load balancer are kept by the client that makes it')
        served, [check] = cloud.ports_of(ports), cloud.ports_of([checkport])
        zone, names, fields = self.dns_zone(domain) if domain else None, [name, *alias], {MARK: new_request()}
        if self.balancer_exists(name):
            raise AlreadyExists(f'load balancer {name} exists')
        if zone:
            records = self.records_for(zone, names, self.balancer_records, '')
            self.to_replace(zone, records)
            fields |= self.fields_of_records(zone, records)
        wanted = NewBalancer(
            name=name, ports=served, checkport=check, checkpath=f"/{checkpath.removeprefix('/')}", internal=internal,
            vms=[self.machine(vm) for vm in dict.fromkeys(vms)], fields=fields)
        needs = self.balancer_needs(wanted)
        with self.undo() as undo:
            undo.add(f'load balancer {name}', lambda: self.unmake_balancer(wanted))
            made = self.make_balancer(wanted, needs)
            self.keep_fields(made, fields)
            if zone:
                made = self._reachable(made)
                target = f'{made.dnsname}.' if self.balancer_records == 'CNAME' else str(made.ip)
                self.change_records(zone, [], self.records_for(zone, names, self.balancer_records, target))
        return {key: text for key, text in (('ip', made.ip), ('dnsname', made.dnsname)) if text}

    @waits
    def _delete_loadbalancer(self, name: str) -> None:
        balancer = self._balancer(name)
        fields = self.balancer_fields(balancer)
        self.forget_records(fields)
        self.drop_balancer(balancer)
        self.forget_fields(balancer, fields)

    def _list_loadbalancers(self) -> list[LoadBalancerShape]:
        known = sorted(self.balancers(), key=lambda each: each.name)
        members = self.members(known) if known else {}
        return [_row(each, members.get(each.id)) for each in known]

    @waits
    def _add_vm_to_loadbalancer(self, vm: str, name: str, ports: Sequence[int] = ()) -> None:
        balancer, member, wanted = self._balancer(name), self.machine(vm), cloud.ports_of(ports) if ports else []
        self.add_member(balancer, member)
        more = [port for port in wanted if port not in balancer.ports]
        if more:
            self.serve_ports(balancer, more)

    def _balancer(self, name: str) -> Balancer:
        return cloud.find('load balancer', name, self.balancers(), lambda each: each.name, lambda each: each.id)

    def _reachable(self, made: Balancer) -> Balancer:
        """Return a balancer as it is when it has an address or a name. TimedOut."""
        def look(balancer: Balancer) -> Balancer | None:
            return balancer if (balancer.dnsname if self.balancer_records == 'CNAME' else balancer.ip) else None
        what = f'load balancer {made.name} getting an address'
        return look(made) or until(lambda: look(self._balancer(made.id)), what=what, timeout=GETS_ADDRESS, clock=self.clock)


def _row(balancer: Balancer, members: Sequence[str] | None) -> LoadBalancerShape:
    row: dict[str, Any] = {'name': balancer.name, 'ip': balancer.ip, 'protocol': balancer.protocol,
                           'ports': sorted(balancer.ports)}
    more = {'dnsname': balancer.dnsname, 'location': balancer.location, 'vms': members and sorted(members)}
    return cast(LoadBalancerShape, {**row, **{key: value for key, value in more.items() if value not in (None, '')}})
