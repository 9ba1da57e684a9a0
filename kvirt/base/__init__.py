"""The contract that every provider keeps: a sum of small areas. See ARCHITECTURE.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar

from kvirt.base.area import Area, Capability, built_from, operations, serves, unsupported, waits
from kvirt.base.buckets import Buckets
from kvirt.base.dns import Dns
from kvirt.base.flavors import Flavors
from kvirt.base.host import Host
from kvirt.base.images import Images
from kvirt.base.keys import Keys
from kvirt.base.loadbalancers import LoadBalancers
from kvirt.base.networks import Networks
from kvirt.base.options import Options, option
from kvirt.base.securitygroups import SecurityGroups
from kvirt.base.snapshots import Snapshots
from kvirt.base.storage import Storage
from kvirt.base.vms import Vms


class Kbase(Vms, Storage, Images, Networks, Snapshots, Buckets, SecurityGroups, Dns, LoadBalancers, Flavors, Keys, Host):
    """A place where VMs can run. Providers subclass this and override the hooks of what their platform has.

    ``conn`` is the connection, None when the backend can't be reached; ``unreachable`` then tells why, and ``rejected`` if
    that is who we are, or who it is, so that trying again is of no use. A provider object may be used by several threads
    at once.
    """

    Options: ClassVar[type[Options]] = Options
    pretends: ClassVar[bool] = False
    """True where VMs only exist on paper: there is no guest to wait for, or to reach by ssh."""

    # What the provider's page in docs/ and `kvirt info provider` tell beside options and capabilities.
    permissions: ClassVar[Mapping[str, str]] = {}
    """What the credentials must be allowed, in the platform's own words (several with commas), and what for."""
    prices: ClassVar[str] = ''
    """Where prices come from, what they leave out, and how old they may be; empty where the platform tells none."""
    security: ClassVar[tuple[str, ...]] = ()
    """What a user should know before trusting VMs there with anything; a sentence or two each."""

    conn: Any = None
    unreachable: str | None = None
    rejected: bool = False

    def close(self) -> None:
        """Let go of the connection. The object can't be used afterwards."""

    def __enter__(self) -> Kbase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


__all__ = ['Area', 'Capability', 'Kbase', 'Options', 'built_from', 'operations', 'option', 'serves', 'unsupported',
           'waits']
