"""The area of security groups: which inbound traffic reaches VMs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result


@area
class SecurityGroups(Area):
    """Security groups. Inbound is denied unless a rule allows it; outbound is allowed."""

    def list_security_groups(self, network: str | None = None) -> list[str]:
        """Return the names of the security groups, of *network* when given."""
        return self._ask(self._list_security_groups, network)

    def _list_security_groups(self, network: str | None = None) -> list[str]:
        raise NotSupported('')

    def create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> Result:
        """Create security group *name*.

        ``overrides['ports']`` lists what is allowed in: ``22``, ``'8000-8100'``, ``'53/udp'``, or a mapping of
        :class:`kvirt.shapes.Rule`. AlreadyExists.
        """
        return self._attempt(self._create_security_group_checked, name, overrides)

    @serves('create_security_group')
    def _create_security_group_checked(self, name: str, overrides: Mapping[str, Any] | None) -> None:
        self._create_security_group(safe_name('security group', name), overrides)

    def _create_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        raise NotSupported('')

    def update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> Result:
        """Replace the rules of security group *name* by those of ``overrides['ports']``."""
        return self._attempt(self._update_security_group, name, overrides)

    def _update_security_group(self, name: str, overrides: Mapping[str, Any] | None = None) -> None:
        raise NotSupported('')

    def delete_security_group(self, name: str) -> Result:
        """Delete security group *name*. Conflict while a VM uses it."""
        return self._attempt(self._delete_security_group, name)

    def _delete_security_group(self, name: str) -> None:
        raise NotSupported('')

    def info_security_group(self, name: str) -> dict[str, Any]:
        """Return what is known of security group *name*: ``rules``, a list of Rule; ``{}`` when there is none."""
        return self._ask(self._info_security_group, name)

    def _info_security_group(self, name: str) -> dict[str, Any]:
        raise NotSupported('')
