"""DigitalOcean, over its API: droplets, volumes, images, VPCs, firewalls, DNS, load balancers, and Spaces for buckets."""

from __future__ import annotations

from kvirt.providers.digitalocean.account import DigitalOceanOptions
from kvirt.providers.digitalocean.endpoints import Addresses, LoadBalancers
from kvirt.providers.digitalocean.vms import Vms


class Kdigitalocean(Vms, Addresses, LoadBalancers):
    """An account of DigitalOcean."""

    permissions = {
        'droplet': 'create, read, update, delete: VMs', 'block_storage, block_storage_action': 'all: disks',
        'image, snapshot': 'all: images and snapshots', 'tag': 'all: marks, and who is behind which firewall',
        'firewall, ssh_key': 'all: what VMs share', 'vpc': 'all: networks', 'reserved_ip': 'all: floating addresses',
        'domain, load_balancer': 'all, where they are used', 'account, regions, sizes, actions': 'read',
        'project': 'read and update, where the option project is used'}
    prices = ('The API tells those of sizes, by the hour and by the month, in dollars and before tax. It does not tell '
              'those of volumes, snapshots, reserved IPs and load balancers. A stopped VM costs what a running one does.')
    security = (
        'A firewall lets in ssh and the keyword ports, and nothing else. It is bound to a tag that the VM bears from '
        'birth; DigitalOcean takes some seconds to put it in place. Whoever may change tags may change who is behind it.',
        'Public ssh keys are registered with the account, since a VM made without one gets a root password by mail.')


__all__ = ['DigitalOceanOptions', 'Kdigitalocean']
