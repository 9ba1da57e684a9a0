"""What the world is made of: each kind of thing, as it is kept."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from kvirt.providers.families.makers import Maker
from kvirt.shapes import Rule


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A thing that is kept. ``owner`` is the mark: the id of the VM that it was made for, and is removed with."""

    what: ClassVar[str] = 'thing'
    name: str
    owner: str = ''

    @property
    def key(self) -> str:
        """What no other thing of this kind may have."""
        return self.name


class Nic(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A network card. ``net`` is what it was connected to by name: network, or a subnet of it."""

    device: str
    mac: str
    net: str
    network: str
    type: str = 'virtio'
    ip: str | None = None


class Disk(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A disk: a volume as a VM sees it."""

    device: str
    volume: str
    bus: str = 'virtio'
    serial: str | None = None
    wwn: str | None = None


class Vm(Record):
    """A VM. While ``maker`` is set, that process is making it; ``request`` tells one create from all others.

    ``power`` is where it is headed, and ``settles`` the time when it is there. ``fields`` are texts kept on the VM.
    """

    what: ClassVar[str] = 'VM'
    id: str
    location: str
    request: int
    numcpus: int
    memory: int
    created: float
    flavor: str = ''
    maker: Maker | None = None
    power: str = 'off'
    settles: float = 0
    nics: list[Nic] = []
    disks: list[Disk] = []
    groups: list[str] = []
    iso: str | None = None
    autostart: bool = False
    floating: str | None = None
    sublocation: str = ''
    placement: str | None = None
    spot: bool = False
    publicip: bool = True
    snapshot: str | None = None
    displaypassword: str | None = None
    fields: dict[str, str] = {}
    hardware: dict[str, Any] = {}

    @property
    def key(self) -> str:
        return self.id

    @property
    def ip(self) -> str | None:
        """The address to reach it at when it runs."""
        return self.floating or next((nic.ip for nic in self.nics if nic.ip), None)


class Seed(Record):
    """What the guest of a VM is told at first boot. May hold secrets."""

    what: ClassVar[str] = 'seed'
    user_data: str

    @property
    def key(self) -> str:
        return self.owner


class Snapshot(Record):
    """A snapshot: ``saved`` is the VM as it was, ``sizes`` that of its volumes."""

    what: ClassVar[str] = 'snapshot'
    number: int
    saved: Vm
    volumes: list[Volume]

    @property
    def key(self) -> str:
        return f'{self.owner}/{self.name}'


class Volume(Record):
    """A volume that is a disk, or may become one."""

    what: ClassVar[str] = 'volume'
    location: str
    pool: str
    size: int
    thin: bool = True
    image: str | None = None
    shareable: bool = False

    @property
    def key(self) -> str:
        return f'{self.location}/{self.name}'


class Pool(Record):
    """A storage pool."""

    what: ClassVar[str] = 'pool'
    path: str
    type: str = 'dir'
    capacity: int = 1000
    user: str = 'qemu'
    thinpool: str | None = None


class Image(Record):
    """An image or ISO. ``short`` is the well-known name that tells its kind and login user."""

    what: ClassVar[str] = 'image'
    pool: str = 'default'
    size: int = 1
    short: str | None = None
    url: str | None = None
    iso: bool = False
    cmds: list[str] = []


class Network(Record):
    """A network. ``after`` is where the search for the next free address begins."""

    what: ClassVar[str] = 'network'
    cidr: str
    dhcp: bool = True
    nat: bool = True
    domain: str | None = None
    plan: str = ''
    after: int = 1
    settings: dict[str, Any] = {}


class Subnet(Network):
    """A part of a network."""

    what: ClassVar[str] = 'subnet'
    id: str = ''
    network: str = ''


class PublicRange(Network):
    """Where public addresses come from."""


class FloatingIp(Record):
    """An address that can be pointed to a VM; ``vm`` is the VM's id."""

    what: ClassVar[str] = 'floating address'
    ip: str
    vm: str | None = None


class Claim(Record):
    """A MAC or IP address in use; its name says which: ``mac/52:54:00:00:00:01``, ``ip/default/192.168.122.2``."""

    what: ClassVar[str] = 'address'


class Group(Record):
    """A security group; a ``managed`` one was made for VMs and goes with the last of them."""

    what: ClassVar[str] = 'security group'
    rules: list[Rule]
    network: str = 'default'
    description: str = ''
    managed: bool = False


class Zone(Record):
    """A DNS zone."""

    what: ClassVar[str] = 'DNS zone'


class Entry(Record):
    """A DNS record; its name is fully qualified."""

    what: ClassVar[str] = 'DNS record'
    zone: str
    data: list[str]
    type: str = 'A'
    ttl: int = 300

    @property
    def key(self) -> str:
        return f'{self.zone}/{self.name}/{self.type}'


class Bucket(Record):
    """A bucket; its files stand in a table of their own."""

    what: ClassVar[str] = 'bucket'
    public: bool = False


class Key(Record):
    """A public ssh key."""

    what: ClassVar[str] = 'key'
    public_key: str


class Balancer(Record):
    """A load balancer; ``vms`` are ids, ``network`` is where its address comes from when it is an internal one."""

    what: ClassVar[str] = 'load balancer'
    ip: str
    ports: list[int]
    vms: list[str]
    checkpath: str
    checkport: int
    network: str | None = None
