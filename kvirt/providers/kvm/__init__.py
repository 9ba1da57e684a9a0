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
