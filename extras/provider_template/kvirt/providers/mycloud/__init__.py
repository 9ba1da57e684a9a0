"""My Cloud, over its API: servers, and what they need."""

from __future__ import annotations

from kvirt.providers.mycloud.account import MyCloudOptions
from kvirt.providers.mycloud.host import Host
from kvirt.providers.mycloud.vms import Vms


class Kmycloud(Vms, Host):
    """An account of My Cloud."""


__all__ = ['Kmycloud', 'MyCloudOptions']
