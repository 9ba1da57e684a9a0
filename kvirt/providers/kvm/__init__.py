"""libvirt: QEMU/KVM and what else libvirt drives, on this machine or on others."""

from __future__ import annotations

from typing import ClassVar

from kvirt.base import unsupported
from kvirt.providers.kvm import domain, reservations
from kvirt.providers.kvm.disks import Disks
from kvirt.providers.kvm.dns import Dns
from kvirt.providers.kvm.events import Events
from kvirt.providers.kvm.vms import Vms


class Kvirt(Vms, Disks, Dns, Events):
    """A libvirt host."""

    honours: ClassVar[frozenset[str]] = domain.HONOURED | reservations.KEYWORDS
    permissions = {
        'group libvirt': 'the system libvirt of this machine, or of a host that another user than root logs in to',
        'ssh as root': 'another host whose client names no other user',
        'client certificate': 'another host over TLS; its libvirtd must know the authority that signed it',
        'read and write on /dev/kvm': 'only with session: true, where QEMU runs as yourself; without it VMs are emulated'}
    security = (
        'Who may use the system libvirt can read and write every file of its host: it is as good as being root there.',
        'Connections are verified: host keys of ssh, certificates of TLS, unless the client says insecure: true.',
        'Displays listen on the loopback of the host, and have no password but the one that vncpassword gives.',
        'A VM has no firewall of its own: what reaches it is up to the mode of its networks, and to the host.',
        'Fields and metadata of VMs, networks and their names can be read by every user of the host.')

    _create_bucket = unsupported('libvirt has no object storage')
    _delete_bucket = unsupported('libvirt has no object storage')
    _list_buckets = unsupported('libvirt has no object storage')
    _list_bucketfiles = unsupported('libvirt has no object storage')
    _upload_to_bucket = unsupported('libvirt has no object storage')
    _download_from_bucket = unsupported('libvirt has no object storage')
    _delete_from_bucket = unsupported('libvirt has no object storage')
    _list_security_groups = unsupported('libvirt has no security groups; use the firewall of the guest or the host')
    _create_security_group = unsupported('libvirt has no security groups')
    _update_security_group = unsupported('libvirt has no security groups')
    _delete_security_group = unsupported('libvirt has no security groups')
    _info_security_group = unsupported('libvirt has no security groups')
    _create_loadbalancer = unsupported('libvirt has no load balancers')
    _delete_loadbalancer = unsupported('libvirt has no load balancers')
    _list_loadbalancers = unsupported('libvirt has no load balancers')
    _add_vm_to_loadbalancer = unsupported('libvirt has no load balancers')
