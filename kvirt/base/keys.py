"""The area of ssh keys that a platform keeps."""

from __future__ import annotations

from kvirt.base.area import Area, area, serves
from kvirt.errors import NotSupported
from kvirt.names import safe_name
from kvirt.result import Result


@area
class Keys(Area):
    """Public ssh keys kept by the platform."""

    def list_keys(self) -> dict[str, str]:
        """Return the public keys by name, in OpenSSH format (or their fingerprint where a platform tells no more)."""
        return self._ask(self._list_keys)

    def _list_keys(self) -> dict[str, str]:
        raise NotSupported('')

    def create_key(self, name: str, public_key: str) -> Result:
        """Store *public_key* under *name*. AlreadyExists."""
        return self._attempt(self._create_key_checked, name, public_key)

    @serves('create_key')
    def _create_key_checked(self, name: str, public_key: str) -> None:
        self._create_key(safe_name('key', name), public_key)

    def _create_key(self, name: str, public_key: str) -> None:
        raise NotSupported('')

    def delete_key(self, name: str) -> Result:
        """Delete key *name*."""
        return self._attempt(self._delete_key, name)

    def _delete_key(self, name: str) -> None:
        raise NotSupported('')
