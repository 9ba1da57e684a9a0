"""A cloud that is only pretended: complete, deterministic, and kept in one file.

It is the demo (``kvirt -C fake create vm web`` works without any configuration), what the scripts of users are tested
against, and the contract by example. See :mod:`kvirt.providers.fake.faults` for the faults it can be asked for.
"""

from __future__ import annotations

from kvirt.providers.fake.account import FakeOptions
from kvirt.providers.fake.buckets import Buckets
from kvirt.providers.fake.dns import Dns
from kvirt.providers.fake.host import Host
from kvirt.providers.fake.images import Images
from kvirt.providers.fake.loadbalancers import LoadBalancers
from kvirt.providers.fake.networks import Networks
from kvirt.providers.fake.securitygroups import SecurityGroups
from kvirt.providers.fake.snapshots import Snapshots
from kvirt.providers.fake.storage import Storage
from kvirt.providers.fake.vms import Vms


class Kfake(Vms, Storage, Images, Networks, Snapshots, Buckets, SecurityGroups, Dns, LoadBalancers, Host):
    """An account of the fake cloud."""

    pretends = True


__all__ = ['FakeOptions', 'Kfake']
