"""Ssh keys. Without one DigitalOcean mails a root password that has to be changed at the first login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvirt.providers.digitalocean.mapping import Thing, label
from kvirt.providers.digitalocean.shared import Shared
from kvirt.providers.families import marks
from kvirt.providers.families.keys import Key, SharedKeys


class Keys(SharedKeys, Shared):
    """The public keys of the account."""

    keys_are_unique = True

    def keys(self) -> Iterator[Key]:
        return map(_key, self.shared('key'))

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        if marks.MAKER in fields:
            self.announce(label('key', name))
        return _key(self.api.post('/account/keys', {'name': name, 'public_key': public})['ssh_key'])

    def drop_key(self, key: Key) -> None:
        self.api.delete(f'/account/keys/{key.id}')
        self.retract(label('key', key.name), self.counted())

    def rename_key(self, key: Key, name: str, fields: Mapping[str, str]) -> None:
        self.api.put(f'/account/keys/{key.id}', {'name': name})
        self.retract(label('key', key.name), self.counted())


def _key(native: Thing) -> Key:
    return Key(id=str(native['id']), name=native['name'], public=native['public_key'], native=native)
