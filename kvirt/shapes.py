"""The shapes of what reads return, and the words they use. The same for every provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypedDict, get_args

import msgspec

Status = Literal['pending', 'running', 'stopping', 'stopped', 'suspended', 'terminating', 'terminated', 'failed',
                 'unknown']
"""pending: accepted, not yet running. terminated VMs are not listed and do not exist. unknown: the platform's word is
not in the provider's table, or the VM could not be read."""

STATUSES: tuple[str, ...] = get_args(Status)


class VmRow(TypedDict, total=False):
    """A row of ``list()``. ``name`` and ``status`` are always there."""

    name: str
    status: Status
    ip: str | None
    image: str
    plan: str
    profile: str
    id: str
    flavor: str
    numcpus: int
    memory: int  # MiB
    location: str


class NicShape(TypedDict, total=False):
    """A network card of a VM: ``net`` is the network's name, ``type`` the platform's word for the kind of card."""

    device: str
    mac: str
    net: str
    type: str
    ip: str


class DiskShape(TypedDict, total=False):
    """A disk of a VM. ``size`` is in GiB."""

    device: str
    size: int
    format: str
    type: str
    path: str


class SnapshotShape(TypedDict):
    """A snapshot of a VM."""

    snapshot: str
    current: bool


class VmInfo(VmRow, total=False):
    """What ``info()`` returns: a row, and all else that is known."""

    nets: list[NicShape]
    disks: list[DiskShape]
    snapshots: list[SnapshotShape]
    autostart: bool
    user: str
    owner: str
    creationdate: str  # ISO 8601, UTC
    sublocation: str
    native_status: str
    hostkey: str  # the fingerprint of the guest's ssh host key, SHA256:...


class NetworkShape(TypedDict, total=False):
    """A network, as ``list_networks()`` returns it by name. ``mode`` is nat, routed, isolated, bridge, ...

    Beside these stand settings of the provider's own, by the names that ``create_network`` takes in *overrides*.
    """

    cidr: str
    dual_cidr: str
    dhcp: bool
    domain: str
    type: str
    mode: str
    plan: str


class PoolShape(TypedDict, total=False):
    """A storage pool. Sizes are in GiB."""

    name: str
    type: str
    path: str
    capacity: float
    available: float
    status: Status


class DiskRow(TypedDict, total=False):
    """A volume, as ``list_disks()`` returns it by name. ``size`` is in GiB."""

    pool: str
    path: str
    size: int
    vms: list[str]


class DnsRecord(TypedDict, total=False):
    """A DNS record. ``name`` is fully qualified; ``ttl`` is in seconds."""

    name: str
    type: str
    ttl: int
    data: list[str]


class Rule(TypedDict, total=False):
    """A rule of a security group: inbound traffic that is allowed."""

    protocol: str  # tcp, udp, icmp
    from_port: int
    to_port: int
    cidr: str


class LoadBalancerShape(TypedDict, total=False):
    """A load balancer."""

    name: str
    ip: str | None
    protocol: str
    ports: list[int]
    vms: list[str]


class Orphan(TypedDict):
    """Something of ours without a finished owner: what a killed create left behind."""

    kind: str
    name: str
    detail: str


class CostItem(TypedDict):
    """Something that a month of costs money for; ``monthly`` is None where the platform does not tell the price."""

    what: str
    monthly: float | None


class Estimate(TypedDict, total=False):
    """What ``create`` would make, and what a month of it costs. ``monthly`` sums the known prices, None without any.

    ``unknown`` names what no price is told for, so that the sum is never mistaken for the whole.
    """

    name: str
    flavor: str | None
    numcpus: int
    memory: int  # MiB
    image: str | None
    location: str | None
    items: list[CostItem]
    monthly: float | None
    currency: str | None
    unknown: list[str]


class Flavor(msgspec.Struct, frozen=True, kw_only=True):
    """A size of VM that a platform sells. Unpacks as ``name, numcpus, memory``.

    Memory is MiB, disk GiB. A price that the platform does not tell is None, never a guess.
    """

    name: str
    numcpus: int
    memory: int
    disk: int | None = None
    gpus: int = 0
    gpu: str | None = None  # model
    arch: str = 'x86_64'
    price_hourly: float | None = None
    price_monthly: float | None = None
    price_spot: float | None = None  # hourly, as spare capacity
    currency: str | None = None
    location: str | None = None
    available: bool = True  # can be had now
    stoppable: bool = True
    rebootable: bool = True
    resizable: bool = True
    preemptible: bool = False  # can be had as spare capacity
    firewall: bool = False

    def __iter__(self) -> Iterator[Any]:
        return iter((self.name, self.numcpus, self.memory))
