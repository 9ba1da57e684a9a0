"""Ssh keys that a platform keeps: those of users, and those that VMs share. A provider says how keys are read and made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from kvirt.errors import AlreadyExists, Conflict, InvalidInput
from kvirt.guest.keys import valid_key
from kvirt.providers.families import cloud
from kvirt.providers.families.marks import MARK, new_request
from kvirt.providers.families.shared import SHARED, Shared, shared_fields


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that the platform keeps."""

    id: str
    name: str
    public: str
    """It, in OpenSSH format; its fingerprint where the platform tells no more."""

    fields: Mapping[str, str] = {}
    """The marks that it bears, where the platform has room for them; see :mod:`kvirt.providers.families.marks`."""

    native: Any = None
    """The key as the platform tells it."""

    def same(self, line: str) -> bool:
        """Tell if this is the public key of *line*. Comments do not matter."""
        return self.public.split()[:2] == line.split()[:2]


class SharedKeys(Shared):
    """Ssh keys over three primitives, and a fourth where a platform keeps no key twice.

    ``shared_keys`` and ``reap_keys`` are for create and delete of VMs, where a platform brings keys to a guest by itself.
    """

    key_kinds: ClassVar[tuple[str, ...]] = ()
    """What the keys that the platform takes begin with; empty where it takes all."""

    keys_are_unique: ClassVar[bool] = False
    """The platform keeps no key under two names."""

    def keys(self) -> Iterable[Key]:
        """Return all keys that the platform keeps."""
        raise NotImplementedError

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        """Keep a key, and give it the marks *fields* where the platform has room for them. AlreadyExists."""
        raise NotImplementedError

    def drop_key(self, key: Key) -> None:
        """Delete a key. NotFound."""
        raise NotImplementedError

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        """Give a key another name, and the marks *fields* in place of those that it has."""
        raise NotImplementedError

    def has_vms(self, but: Collection[str] = ()) -> bool:
        """Tell if there is a VM that kvirt made, *but* those with these ids. For ``reap_keys``."""
        raise NotImplementedError

    # hooks

    def _list_keys(self) -> dict[str, str]:
        return dict(sorted((key.name, key.public) for key in self.keys()))

    def _create_key(self, name: str, public_key: str) -> None:
        line = valid_key(public_key)
        if line is None or not line.startswith(self.key_kinds or ''):
            kinds = self.key_kinds or ('ssh-ed25519', 'ssh-rsa', 'ecdsa-...')
            raise InvalidInput(f'what is given as key {name} is no public ssh key that can be kept here',
                               hint=f"It begins with {' or '.join(kinds)}")
        known, fields = list(self.keys()), {MARK: new_request()}
        if any(key.name == name for key in known):
            raise AlreadyExists(f'key {name} exists')
        twin = _bearer(known, line) if self.keys_are_unique else None
        if twin is None:
            with self.undo() as undo:
                undo.add(f'key {name}', lambda: self._unmake_key(name, line))
                self.register_key(name, line, fields)
        elif twin.name == cloud.key_name(line):
            # kvirt registered it for a VM. From now on it is the user's, and stays when that VM goes.
            self.rename_key(twin, name, fields)
        else:
            raise Conflict(f'the same key is kept under the name {twin.name}, and can not have two')

    def _unmake_key(self, name: str, line: str) -> None:
        for key in list(self.keys()):
            if key.name == name and key.same(line):
                self.drop_key(key)

    def _delete_key(self, name: str) -> None:
        self.drop_key(cloud.find('key', name, self.keys(), lambda key: key.name, lambda key: key.id))

    # for VMs

    def shared_keys(self, lines: Iterable[str]) -> list[Key]:
        """Return the keys that the platform keeps with these public keys; registered where absent.

        Many platforms mail a password to the owner of a VM that is made without one, to be changed at the first login.
        """
        wanted = list(lines)
        known = list(self.keys()) if wanted else []
        return [_bearer(known, line) or self._registered(line) for line in wanted]

    def _registered(self, line: str) -> Key:
        return self.made_or_found(lambda: self.register_key(cloud.key_name(line), line, shared_fields()),
                                  lambda: _bearer(self.keys(), line))

    def unused_keys(self, but_by: Collection[str] = ()) -> list[Key]:
        """Return the shared keys that no VM needs any more, *but_by* those with these ids.

        Nobody knows which VM was made with which key: so that is none of them, or all when kvirt has no VM left.
        """
        return [] if self.has_vms(but_by) else [key for key in self.keys() if key.fields.get(MARK) == SHARED]

    def reap_keys(self) -> None:
        """Delete the keys that VMs shared and none needs any more."""
        unused = self.unused_keys()
        self.drop_unused(unused, self.drop_key)
        if unused and self.has_vms():  # one came while we were at it
            self.shared_keys([key.public for key in unused])


def _bearer(known: Iterable[Key], line: str) -> Key | None:
    return next((key for key in known if key.same(line)), None)
