"""The devices that nearly every domain has: controllers, consoles, display, channels; and folders of the host.

https://libvirt.org/formatdomain.html#devices
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kvirt.errors import InvalidInput, NotSupported
from kvirt.providers.kvm.domain.element import add, check_path
from kvirt.providers.kvm.domain.host import Host
from kvirt.spec import VmSpec

_LOOPBACK = '127.0.0.1'
_NO_DISPLAY = frozenset({'s390x', 's390'})


def has_display(host: Host) -> bool:
    """Say if machines of this architecture have graphics."""
    return host.arch not in _NO_DISPLAY


def add_controllers(devices: Element, host: Host, buses: set[str], cards: int) -> None:
    """Add the controllers that libvirt would not choose so; *cards* is how many disks and network cards there are."""
    if 'scsi' in buses:
        add(devices, 'controller', type='scsi', index=0, model='virtio-scsi')  # the default of a PC is from 1996
    if has_display(host):
        add(devices, 'controller', type='usb', index=0, model='qemu-xhci')
    if host.chipset in {'q35', 'virt'}:
        # A PCI Express device is plugged into a port of its own, and ports can't be added while running: each card,
        # the six devices that a VM has besides, and four to spare.
        add(devices, 'controller', type='pci', index=0, model='pcie-root')
        for _ in range(cards + 10):
            add(devices, 'controller', type='pci', model='pcie-root-port')


def add_consoles(devices: Element, spec: VmSpec, host: Host) -> None:
    """Add the serial port, which is also the console, and the file that keeps what the guest writes to it."""
    s390x = host.arch == 's390x'
    port = add(devices, 'console' if s390x else 'serial', type='pty')
    if spec.seriallog:
        add(port, 'log', file=check_path('seriallog', spec.seriallog), append='on')
    add(port, 'target', type='sclp' if s390x else None, port=0)
    if not s390x:
        add(add(devices, 'console', type='pty'), 'target', type='serial', port=0)


def add_agent(devices: Element, spec: VmSpec) -> None:
    """Add the channel of the guest agent."""
    if spec.guestagent:
        add(add(devices, 'channel', type='unix'), 'target', type='virtio', name='org.qemu.guest_agent.0')


def add_display(devices: Element, spec: VmSpec, host: Host) -> None:
    """Add a display that listens on the hypervisor's loopback only: it is reached through ssh."""
    if not has_display(host):
        if spec.vncpassword:
            raise NotSupported(f'vncpassword: {host.arch} machines have no display')
        return
    kind = 'vnc' if spec.vnc else 'spice'
    if kind not in host.graphics:
        raise NotSupported(f'the hypervisor has no {kind.upper()} display',
                           hint='Leave vnc on' if kind == 'spice' and 'vnc' in host.graphics else None)
    if kind == 'vnc' and spec.vncpassword and len(spec.vncpassword) > 8:
        raise InvalidInput('vncpassword is too long', hint='The protocol knows 8 characters at most')
    graphics = add(devices, 'graphics', type=kind, autoport='yes', listen=_LOOPBACK, passwd=spec.vncpassword)
    add(graphics, 'listen', type='address', address=_LOOPBACK)
    if kind == 'spice':
        add(add(devices, 'channel', type='spicevmc'), 'target', type='virtio', name='com.redhat.spice.0')
    add(add(devices, 'video'), 'model', type='vga' if host.x86 or host.arch.startswith('ppc') else 'virtio')
    add(devices, 'input', type='tablet', bus='usb')  # a mouse would drift away from the viewer's pointer
    if not host.x86:
        add(devices, 'input', type='keyboard', bus='usb')


def mounts(spec: VmSpec, host: Host) -> list[tuple[str, str, str, str]]:
    """Return how the guest mounts each shared folder: tag, path, file system and options, as in its fstab."""
    options = 'nofail' if host.folders == 'virtiofs' else 'trans=virtio,version=9p2000.L,nofail'
    return [(f'share{index}', check_path('sharedfolders', folder), host.folders or '', options)
            for index, folder in enumerate(spec.sharedfolders)]


def add_folders(devices: Element, spec: VmSpec, host: Host) -> None:
    """Add the folders of the host that the guest shares: by virtiofs, which small kernels know as well, else by 9p."""
    if spec.sharedfolders and not host.folders:
        raise NotSupported("sharedfolders: QEMU on this hypervisor can't share folders")
    for tag, folder, kind, _ in mounts(spec, host):
        virtiofs = kind == 'virtiofs'
        # Mapped: what the guest calls owner and mode is kept beside the files, so QEMU needs no privilege.
        element = add(devices, 'filesystem', type='mount', accessmode='passthrough' if virtiofs else 'mapped')
        if virtiofs:
            add(element, 'driver', type='virtiofs')
        add(element, 'source', dir=folder)
        add(element, 'target', dir=tag)
