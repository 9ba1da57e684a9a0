"""The VM that a user asks for: what the keywords of ``create`` decode into, and the single source of the keyword table.

Each field of :class:`VmSpec` is a keyword; its type, default and meaning stand here and nowhere else. Keywords of the
groups ``hardware`` and ``cloud`` are honoured by the providers that declare them; those of the other groups by all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from kvirt import units
from kvirt.decode import Entries, Place, decode, field_types, nowhere
from kvirt.errors import InvalidInput, Problem
from kvirt.names import safe_name
from kvirt.readers import (
    addresses,
    comma_texts,
    content,
    huge_pages,
    one_address,
    one_mac,
    pci_addresses,
    permissions,
    rules,
    texts,
    words,
)
from kvirt.shapes import Rule

Bus = Literal['virtio', 'scsi', 'sata', 'ide', 'nvme', 'ssd']
Cache = Literal['default', 'none', 'writethrough', 'writeback', 'directsync', 'unsafe']


def doc(group: str, meaning: str, parse: Any = None) -> msgspec.Meta:
    """Describe a keyword; *parse* turns what a user wrote into the field's type."""
    return msgspec.Meta(description=meaning, extra={'group': group, **({'parse': parse} if parse else {})})


class DiskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A disk. In a plan: a number (GiB), a size (``20G``), the name of a volume, or a mapping of these keys."""

    size: Annotated[int | None, doc('disk', 'Size in GiB; the keyword disksize when absent', units.disk_gib)] = None
    pool: Annotated[str | None, doc('disk', "Storage pool; the VM's when absent")] = None
    thin: Annotated[bool | None, doc('disk', 'Allocate on write; the keyword diskthin when absent')] = None
    interface: Annotated[Bus | None, doc('disk', 'Bus; the keyword diskinterface when absent')] = None
    name: Annotated[str | None, doc('disk', 'Name of the volume; one that exists is attached and never deleted')] = None
    existing: Annotated[str | None, doc('disk', 'Name of a volume that must exist; attached, and never deleted')] = None
    image: Annotated[str | None, doc('disk', 'Image that the disk is a clone of')] = None
    format: Annotated[Literal['raw', 'qcow2'] | None, doc('disk', 'Format of the volume; qcow2 when thin and raw when not')] = None
    cache: Annotated[Cache | None, doc('disk', 'How the hypervisor caches writes')] = None
    discard: Annotated[Literal['unmap', 'ignore'] | None, doc('disk', 'What is done with blocks that the guest frees; unmap')] = None
    shareable: Annotated[bool | None, doc('disk', 'Several VMs may have the disk; it is raw')] = None
    serial: Annotated[str | None, doc('disk', 'Serial number that the guest sees')] = None
    wwn: Annotated[str | None, doc('disk', 'World wide name, 16 hexadecimal digits')] = None
    default: Annotated[bool, doc('disk', "Set by defaults: this is the built-in root disk")] = False

    @property
    def volume(self) -> str | None:
        """The name of the volume, by whichever key it was given."""
        return self.existing or self.name


class NetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network card. In a plan: the name of a network, or a mapping of these keys."""

    name: Annotated[str, doc('net', 'Network (or host bridge) to connect to')] = 'default'
    mac: Annotated[str | None, doc('net', 'MAC address', one_mac)] = None
    type: Annotated[str, doc('net', 'Model of the card')] = 'virtio'
    ip: Annotated[str | None, doc('net', 'Static address, with or without a prefix (192.168.1.5/24)')] = None
    netmask: Annotated[str | int | None, doc('net', 'Mask or prefix length of ip; also mask, prefix')] = None
    gateway: Annotated[str | None, doc('net', 'Default gateway', one_address)] = None
    dns: Annotated[tuple[str, ...], doc('net', 'Name servers', addresses)] = ()
    domain: Annotated[str | None, doc('net', 'DNS search domain')] = None
    vips: Annotated[tuple[str, ...], doc('net', 'Further addresses of the card', texts)] = ()
    noconf: Annotated[bool, doc('net', 'Leave the card unconfigured in the guest')] = False
    ipv6: Annotated[bool, doc('net', 'Configure by DHCPv6 instead of DHCPv4')] = False
    dualstack: Annotated[bool, doc('net', 'Configure by DHCPv4 and DHCPv6')] = False
    nic: Annotated[str | None, doc('net', 'Name that the guest gives the card; the card is matched by MAC address')] = None
    vlan: Annotated[int | None, doc('net', 'VLAN id of an interface made on top of the card in the guest')] = None
    bridge: Annotated[bool, doc('net', 'Put the card in a bridge in the guest')] = False
    bridgename: Annotated[str | None, doc('net', 'Name of that bridge; the name of the network when absent')] = None
    bond: Annotated[str | None, doc('net', 'Name of a bond in the guest that the card joins, with the others of that name')] = None
    mtu: Annotated[int | None, doc('net', 'MTU')] = None
    multiqueues: Annotated[int | None, doc('net', 'Number of queues, 1 to 256')] = None
    filter: Annotated[str | None, doc('net', 'libvirt network filter')] = None

    @property
    def interface(self) -> units.Interface | None:
        """The static address with its network, None when there is none."""
        return units.interface(self.ip, self.netmask) if self.ip else None


class FileSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A file for the guest: ``content``, or ``origin`` on this machine (a file or a whole directory)."""

    path: Annotated[str | None, doc('file', "Where it goes in the guest; /root/<name of origin> when absent")] = None
    origin: Annotated[str | None, doc('file', 'File or directory on this machine')] = None
    content: Annotated[str | bytes | None, doc('file', 'The content itself', content)] = None
    mode: Annotated[str | None, doc('file', 'Permissions as in chmod; also permissions. 0600, for .sh and .py 0700', permissions)] = None
    owner: Annotated[str, doc('file', 'Owner, user or user:group')] = 'root'
    render: Annotated[bool, doc('file', 'Expand templates in a text file')] = True
    target: Annotated[str | None, doc('file', 'Make a symbolic link to this path instead (ignition)')] = None


class FinishFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of the guest that is brought here. In a plan: its path in the guest, or a mapping of these keys."""

    origin: Annotated[str, doc('finish', "Where it is in the guest; a name without a folder is one of root's home")]
    path: Annotated[str, doc('finish', 'Where it goes on this machine: a file, or a folder to put it in')] = '.'


class CpuFlag(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU feature and what to do with it."""

    name: str
    policy: Literal['force', 'require', 'optional', 'disable', 'forbid'] = 'require'


class CpuPin(msgspec.Struct, frozen=True, kw_only=True):
    """Which host CPUs a set of virtual CPUs may run on: ``{vcpus: '0-3', hostcpus: '4-7'}``."""

    vcpus: Annotated[str, doc('pin', 'Virtual CPUs: 0-3,5', str)]
    hostcpus: Annotated[str, doc('pin', 'Host CPUs: 0-3,5', str)]


class NumaDistance(msgspec.Struct, frozen=True, kw_only=True):
    """How far another NUMA node of the guest is: 10 is the node itself, 20 usual for its neighbour."""

    id: int
    value: Annotated[int, msgspec.Meta(ge=10, le=255)]


class NumaCell(msgspec.Struct, frozen=True, kw_only=True):
    """A NUMA node of the guest. Memory is MiB."""

    id: int
    vcpus: Annotated[str, doc('numa', 'Virtual CPUs: 0-3,5', str)]
    memory: Annotated[int, doc('numa', 'Memory in MiB', units.memory_mib)]
    siblings: tuple[NumaDistance, ...] = ()


def _disk(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str) and not re.match(r'[-\d]', entry):
        return {'name': safe_name('volume', entry)}
    return {'size': entry}


def _net(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, str):
        raise InvalidInput(f'expected the name of a network or a mapping, got {entry!r}')
    return {'name': entry}


def _file(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, str):
        raise InvalidInput(f'expected a path or a mapping, got {entry!r}')
    return {'origin': entry}


def _flag(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, str):
        raise InvalidInput(f'expected the name of a feature or a mapping, got {entry!r}')
    return {'name': entry}


def _mapping(entry: Any) -> dict[str, Any]:
    raise InvalidInput(f'expected a mapping, got {entry!r}')


disks = Entries(DiskSpec, 'a disk', _disk)
nets = Entries(NetSpec, 'a net', _net, {'mask': 'netmask', 'prefix': 'netmask'})
finish_files = Entries(FinishFile, 'a file of the guest', _file)
files = Entries(FileSpec, 'a file', _file, {'permissions': 'mode'})
flags = Entries(CpuFlag, 'a cpu flag', _flag)
pins = Entries(CpuPin, 'a pinning', _mapping)
cells = Entries(NumaCell, 'a numa cell', _mapping)


class VmSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A VM as it was asked for. Immutable; memory is MiB, disk sizes GiB."""

    # identity
    plan: Annotated[str, doc('identity', 'Plan that the VM belongs to')] = 'kvirt'
    profile: Annotated[str, doc('identity', 'Profile that the VM was made from')] = ''
    image: Annotated[str | None, doc('identity', 'Image that the root disk is a clone of: a short name, or one of list image')] = None
    owner: Annotated[str | None, doc('identity', 'Who the VM is for; free text')] = None
    tags: Annotated[tuple[str, ...], doc('identity', 'Free labels', comma_texts)] = ()
    metadata: Annotated[dict[str, str], doc('identity', 'Further fields kept on the VM and shown by info')] = {}

    # size
    numcpus: Annotated[int, msgspec.Meta(ge=1, le=4096, description='Number of virtual CPUs', extra={'group': 'size'})] = 2
    memory: Annotated[int, doc('size', 'Memory in MiB; 4g is 4096', units.memory_mib)] = 512
    flavor: Annotated[str | None, doc('size', "Size that the platform sells, see list flavor; or cheapest. Where there are flavors and none is named, the cheapest with numcpus and memory")] = None

    # storage
    pool: Annotated[str, doc('storage', 'Storage pool of the disks')] = 'default'
    disks: Annotated[tuple[DiskSpec, ...], doc('storage', 'Disks; the first is the root disk', disks)] = (DiskSpec(default=True),)
    disksize: Annotated[int, doc('storage', 'Size of a disk that names none, in GiB', units.disk_gib)] = 10
    diskinterface: Annotated[Bus, doc('storage', 'Bus of a disk that names none')] = 'virtio'
    diskthin: Annotated[bool, doc('storage', 'Allocate disks on write')] = True
    iso: Annotated[str | None, doc('storage', 'ISO image in the CD drive: a volume of a pool, or an absolute path')] = None

    # network
    nets: Annotated[tuple[NetSpec, ...], doc('network', 'Network cards', nets)] = (NetSpec(),)
    ips: Annotated[tuple[str, ...], doc('network', 'Static address of each card; also ip0, ip1, ...', texts)] = ()
    netmasks: Annotated[tuple[str, ...], doc('network', 'Mask of each static address; also netmask0, ...', texts)] = ()
    gateway: Annotated[str | None, doc('network', 'Default gateway of the first card', one_address)] = None
    dns: Annotated[tuple[str, ...], doc('network', 'Name servers of the first card', addresses)] = ()
    domain: Annotated[str | None, doc('network', 'DNS domain of the VM')] = None

    # life
    start: Annotated[bool, doc('life', 'Start the VM once it is made')] = True
    autostart: Annotated[bool, doc('life', 'Start the VM with its host')] = False
    wait: Annotated[bool, doc('life', 'Return when the guest has configured itself')] = False
    waitcommand: Annotated[str | None, doc('life', 'Return when this command succeeds in the guest')] = None
    finishfiles: Annotated[tuple[FinishFile, ...], doc('life', 'Files to bring from the guest when it has configured itself', finish_files)] = ()
    tempkey: Annotated[bool, doc('life', 'Log in for that with a key pair of its own, which is destroyed afterwards')] = False
    waittimeout: Annotated[int, msgspec.Meta(ge=0, description='Seconds to wait at most; 0 is 30 minutes', extra={'group': 'life'})] = 0

    # guest
    cloudinit: Annotated[bool, doc('guest', 'Configure the guest with cloud-init or ignition')] = True
    keys: Annotated[tuple[str, ...], doc('guest', 'Public ssh keys, as text or as files; the first of ~/.ssh when absent', texts)] = ()
    nokeys: Annotated[bool, doc('guest', 'Put no ssh key in the guest')] = False
    sharedkey: Annotated[bool, doc('guest', 'Let the VMs of the plan that say so log in to each other as root, with a key pair of the plan')] = False
    privatekey: Annotated[bool, doc('guest', "Put your own private key in root's home, so that the guest can do what you can")] = False
    cmds: Annotated[tuple[str, ...], doc('guest', 'Shell commands run at first boot, in order', texts)] = ()
    scripts: Annotated[tuple[str, ...], doc('guest', 'Script files run whole at first boot, after cmds', texts)] = ()
    files: Annotated[tuple[FileSpec, ...], doc('guest', 'Files and directories to put in the guest', files)] = ()
    extra_files: Annotated[tuple[FileSpec, ...], doc('guest', 'Further files, added to those of files', files)] = ()
    hostname: Annotated[str | None, doc('guest', "Host name; the VM's name when absent")] = None
    noname: Annotated[bool, doc('guest', 'Set no host name')] = False
    enableroot: Annotated[bool, doc('guest', 'Let root log in with the same keys')] = True
    rootpassword: Annotated[str | None, doc('guest', "Password of root on the console; ssh stays with keys")] = None
    vmuser: Annotated[str | None, doc('guest', "User to log in as; made if absent. The image's own when not given")] = None
    vmport: Annotated[int | None, doc('guest', 'Port of ssh')] = None
    networkwait: Annotated[int, msgspec.Meta(ge=0, description='Seconds to sleep before cmds', extra={'group': 'guest'})] = 0
    guestagent: Annotated[bool, doc('guest', 'Give the VM the channel of the QEMU guest agent')] = True
    storemetadata: Annotated[bool, doc('guest', 'Write what was asked for to /root/.metadata')] = False
    cloudinit_file: Annotated[str | None, doc('guest', 'cloud-config to use instead of the generated one')] = None
    ignition_file: Annotated[str | None, doc('guest', 'Ignition file to merge into the generated one')] = None
    insecure: Annotated[bool, doc('guest', 'Make no ssh host key, and do not verify it')] = False
    env: Annotated[dict[str, str], doc('guest', 'Environment of login shells; keys in UPPERCASE are gathered here')] = {}

    # hardware
    virttype: Annotated[Literal['kvm', 'qemu', 'hvf', 'xen', 'lxc', 'test'] | None, doc('hardware', 'Kind of virtualization; the best that works when absent')] = None
    arch: Annotated[str | None, doc('hardware', 'Architecture: x86_64, aarch64, ...')] = None
    machine: Annotated[str | None, doc('hardware', 'Machine type: pc, q35, virt, ...')] = None
    emulator: Annotated[str | None, doc('hardware', 'Path of the emulator on the host')] = None
    cpumodel: Annotated[str, doc('hardware', 'CPU model: host-model, host-passthrough, or a named one')] = 'host-model'
    cpuflags: Annotated[tuple[CpuFlag, ...], doc('hardware', 'CPU features: a name, or name and policy', flags)] = ()
    cpupinning: Annotated[tuple[CpuPin, ...], doc('hardware', 'Which host CPUs virtual CPUs run on', pins)] = ()
    cpuhotplug: Annotated[bool, doc('hardware', 'Allow CPUs to be added while running, up to 64, and taken away')] = False
    memoryhotplug: Annotated[bool, doc('hardware', 'Allow memory to be added while running')] = False
    numamode: Annotated[Literal['strict', 'interleave', 'preferred'] | None, doc('hardware', 'NUMA policy of memory')] = None
    numa: Annotated[tuple[NumaCell, ...], doc('hardware', 'NUMA nodes of the guest', cells)] = ()
    hugepages: Annotated[int | None, doc('hardware', "Lay the memory in huge pages: true, or their size (2M, 1G)", huge_pages)] = None
    sockets: Annotated[int | None, doc('hardware', 'CPU sockets')] = None
    cores: Annotated[int | None, doc('hardware', 'Cores per socket')] = None
    threads: Annotated[int, msgspec.Meta(ge=1, description='Threads per core', extra={'group': 'hardware'})] = 1
    nested: Annotated[bool, doc('hardware', 'Offer virtualization to the guest')] = True
    pmu: Annotated[bool | None, doc('hardware', 'Performance counters of the CPU in the guest; what the hypervisor does when absent')] = None
    iommu: Annotated[bool, doc('hardware', 'IOMMU, so that the guest can pass devices on')] = False
    uefi: Annotated[bool, doc('hardware', 'Boot with UEFI')] = False
    uefi_firmware: Annotated[str | None, doc('hardware', 'Image of UEFI on the host; one that suits when absent')] = None
    uefi_nvtemplate: Annotated[str | None, doc('hardware', 'What the variables of that UEFI are copied from')] = None
    secureboot: Annotated[bool, doc('hardware', 'Boot with UEFI and secure boot')] = False
    tpm: Annotated[bool, doc('hardware', 'Emulated TPM 2.0')] = False
    rng: Annotated[bool, doc('hardware', 'Random number device')] = False
    vsock: Annotated[bool, doc('hardware', 'Socket between host and guest that needs no network')] = False
    watchdog: Annotated[Literal['reset', 'shutdown', 'poweroff', 'pause', 'inject-nmi', 'dump', 'none'] | None, doc('hardware', 'Watchdog, and what happens when the guest stops feeding it')] = None
    sound: Annotated[bool, doc('hardware', 'Sound card')] = False
    pcidevices: Annotated[tuple[str, ...], doc('hardware', "PCI devices of the host that the guest gets: 01:00.0", pci_addresses)] = ()
    vnc: Annotated[bool, doc('hardware', 'VNC display; SPICE when false')] = True
    vncpassword: Annotated[str | None, doc('hardware', 'Password of the display')] = None
    kernel: Annotated[str | None, doc('hardware', 'Kernel on the host to boot directly')] = None
    initrd: Annotated[str | None, doc('hardware', 'Initial ramdisk of that kernel')] = None
    cmdline: Annotated[str | None, doc('hardware', 'Command line of that kernel')] = None
    boot_order: Annotated[tuple[Literal['hd', 'cdrom', 'network', 'fd'], ...], doc('hardware', 'Boot devices, in order')] = ()
    extra_iso: Annotated[str | None, doc('hardware', 'ISO image in a second CD drive, like iso')] = None
    floppy: Annotated[str | None, doc('hardware', 'Image in a floppy drive: a volume of a pool, or an absolute path')] = None
    seriallog: Annotated[str | None, doc('hardware', 'File on the host that keeps what the guest writes to its serial port')] = None
    uuid: Annotated[str | None, doc('hardware', 'UUID of the VM; a fresh one when absent')] = None
    sharedfolders: Annotated[tuple[str, ...], doc('hardware', 'Folders of the host, mounted at the same path in the guest', texts)] = ()
    usermode: Annotated[Literal['slirp', 'passt'] | None, doc('hardware', 'Put the cards on a network of QEMU itself: the guest reaches out; with passt the host reaches its ssh, and else nothing does')] = None
    qemuextra: Annotated[tuple[str, ...], doc('hardware', 'Further arguments for QEMU, as a list or one text', words)] = ()
    reserveip: Annotated[bool, doc('hardware', 'Keep the static addresses of the cards for the VM in the DHCP of its networks')] = False
    reservedns: Annotated[bool, doc('hardware', 'Answer for the name of the VM with them in the DNS of its networks')] = False

    # cloud
    ports: Annotated[tuple[Rule, ...], doc('cloud', "Ports let in beside ssh's: 80, '8000-8100', '53/udp', icmp, or a rule with a cidr", rules)] = ()
    securitygroups: Annotated[tuple[str, ...], doc('cloud', 'Existing security groups that the VM gets as well', comma_texts)] = ()
    publicip: Annotated[bool, doc('cloud', 'Give the VM an address that the internet can reach')] = True
    spot: Annotated[bool, doc('cloud', 'Spare capacity at a lower price, which the platform may take back at any time')] = False
    sublocation: Annotated[str | None, doc('cloud', 'Zone within the location; the platform chooses when absent')] = None
    placement: Annotated[str | None, doc('cloud', 'Existing group of VMs to be placed with, or apart from; see the page of the provider')] = None
    gpus: Annotated[int, msgspec.Meta(ge=0, le=64, description='Number of GPUs that the flavor must have', extra={'group': 'cloud'})] = 0

    def disk_size(self, disk: DiskSpec) -> int:
        """Return the size of *disk* in GiB."""
        return disk.size if disk.size is not None else self.disksize

    @property
    def waits(self) -> bool:
        """Whether the VM is to be waited for."""
        return bool(self.wait or self.waitcommand or self.finishfiles)

    @property
    def wait_seconds(self) -> int:
        """How long to wait for the guest, in seconds."""
        return self.waittimeout or 1800

    def cards(self) -> tuple[NetSpec, ...]:
        """Return the network cards with what ``ips``, ``netmasks``, ``gateway``, ``dns`` and ``domain`` add to them."""
        cards = []
        for index, net in enumerate(self.nets):
            changes: dict[str, Any] = {}
            if not net.ip and index < len(self.ips):
                changes['ip'] = self.ips[index] or None
            if net.netmask is None and index < len(self.netmasks):
                changes['netmask'] = self.netmasks[index]
            if index == 0:
                changes |= {'gateway': net.gateway or self.gateway, 'dns': net.dns or self.dns}
            changes['domain'] = net.domain or self.domain
            cards.append(msgspec.structs.replace(net, **changes))
        return tuple(cards)


KEYWORDS: tuple[str, ...] = VmSpec.__struct_fields__
_NUMBERED = re.compile(r'(ip|netmask)(\d)')


def keyword_meta(name: str) -> msgspec.Meta:
    """Return what the table says of a keyword: its description, and its group in ``extra``."""
    return next(part for part in field_types(VmSpec)[name].__metadata__ if isinstance(part, msgspec.Meta))


def _of_group(group: str) -> frozenset[str]:
    return frozenset(name for name in KEYWORDS if (keyword_meta(name).extra or {}).get('group') == group)


HARDWARE: frozenset[str] = _of_group('hardware')
CLOUD: frozenset[str] = _of_group('cloud')
SPECIAL: frozenset[str] = HARDWARE | CLOUD
"""Keywords that only some platforms have a use for. A provider refuses those that it does not declare."""


def decode_vm(values: Mapping[str, Any], *, honoured: frozenset[str] = SPECIAL, provider: str = 'this provider',
              where: Place = nowhere) -> VmSpec:
    """Return the keywords of a VM as a VmSpec; raise InvalidInput that names every fault and its place.

    *honoured* are the special keywords that the provider knows what to do with. Keys in UPPERCASE become the guest's
    environment; ``ip0``, ``netmask0`` and so on take their places in ``ips`` and ``netmasks``.
    """
    plain: dict[str, Any] = {}
    numbered: dict[str, dict[int, Any]] = {'ip': {}, 'netmask': {}}
    env: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        if not isinstance(key, str):
            problems.append(Problem(f'a keyword must be a word, not {type(key).__name__}', where(str(key))))
            continue
        match = _NUMBERED.fullmatch(key)
        if match:
            numbered[match[1]][int(match[2])] = '' if value is None else value
        elif key.isupper():
            env[key] = str(value)
        elif key in SPECIAL and key not in honoured and value is not None:
            problems.append(Problem(f'keyword {key} is not honoured by {provider}', where(key)))
        elif value is not None:
            plain[key] = value
    for kind, given in numbered.items():
        listed = plain.get(f'{kind}s', [])
        if given and isinstance(listed, (list, tuple)):
            length = max(max(given) + 1, len(listed))
            plain[f'{kind}s'] = [given.get(index, listed[index] if index < len(listed) else '') for index in range(length)]
    if env and isinstance(plain.get('env', {}), Mapping):
        plain['env'] = {**env, **plain.get('env', {})}

    def place(key: str) -> str:
        return where(key) or next((where(f'{key[:-1]}{index}') for index in numbered.get(key[:-1], ())), '')

    try:
        spec = decode(VmSpec, plain, what='keyword', where=place)
        problems.extend(_contradictions(spec, place))
    except InvalidInput as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return spec


def _contradictions(spec: VmSpec, where: Place) -> list[Problem]:
    """Return what is wrong with keywords that are each right."""
    problems = []
    for net, card in zip(spec.nets, spec.cards(), strict=True):
        try:
            if card.ip is not None:
                units.interface(card.ip, card.netmask)
        except InvalidInput as error:
            problems.append(Problem(str(error), where('nets' if net.ip else 'ips')))
    macs = [net.mac for net in spec.nets if net.mac]
    if len(set(macs)) < len(macs):
        problems.append(Problem('two network cards have the same MAC address', where('nets')))
    if spec.uefi_nvtemplate and not spec.uefi_firmware:
        problems.append(Problem('uefi_nvtemplate needs uefi_firmware', where('uefi_nvtemplate')))
    if (spec.initrd or spec.cmdline) and not spec.kernel:
        problems.append(Problem('initrd and cmdline need kernel', where('initrd' if spec.initrd else 'cmdline')))
    for index, disk in enumerate(spec.disks):
        new = [key for key in ('size', 'name', 'image', 'format', 'thin') if getattr(disk, key) is not None]
        if disk.existing and new:
            problems.append(Problem(f"disk {index} is a volume that exists, so {', '.join(new)} can not be chosen", where('disks')))
        elif disk.shareable and disk.format not in (None, 'raw'):
            problems.append(Problem(f'disk {index}: only a raw disk can be shared', where('disks')))
    for name, value in (('pool', spec.pool), ('plan', spec.plan)):
        try:
            safe_name(name, value)
        except InvalidInput as error:
            problems.append(Problem(str(error), where(name)))
    return problems


def is_keyword(key: str) -> bool:
    """Tell if *key* is a keyword of ``create``: of the table, numbered (``ip0``), or UPPERCASE (environment)."""
    return key in VmSpec.__struct_fields__ or bool(_NUMBERED.fullmatch(key)) or key.isupper()
