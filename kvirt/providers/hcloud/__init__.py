"""Hetzner Cloud, on the vendor's own client.

A project is not bound to a place: names are unique in all its locations. Every VM has a public interface before which a
firewall stands; the cards that ``nets`` asks for are on private networks beside it.
"""

from __future__ import annotations

from kvirt.providers.hcloud.account import HcloudOptions
from kvirt.providers.hcloud.endpoints import Addresses, LoadBalancers
from kvirt.providers.hcloud.networks import Networks
from kvirt.providers.hcloud.vms import Vms


class Khcloud(Vms, Networks, Addresses, LoadBalancers):
    """A project of Hetzner Cloud."""

    permissions = {'Read & Write': 'a token of this kind, of the project; one that may only read can list and show'}
    prices = ('The API tells them when asked, by location. They are net: the tax depends on who pays. Traffic beyond '
              'what is included, backups and snapshots come on top.')
    security = (
        'A firewall denies all inbound traffic but ssh and the keyword ports. It stands before the public interface '
        'only: traffic on private networks is not filtered.',
        'Public ssh keys are registered with the project, since a VM made without one gets a password by mail.')


__all__ = ['HcloudOptions', 'Khcloud']
