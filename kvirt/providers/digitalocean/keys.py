"""Ssh keys. Without one DigitalOcean mails a root password that has to be changed at the first login."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from contextlib import suppress

from kvirt.errors import AlreadyExists, Conflict, InvalidInput
from kvirt.guest.keys import valid_key
from kvirt.providers.digitalocean.mapping import label
from kvirt.providers.digitalocean.shared import Shared
from kvirt.providers.families import cloud


class Keys(Shared):
    """The public keys of the account."""

    def ensure_keys(self, keys: Iterable[str]) -> list[str]:
        """Register *keys* that the account does not have yet; return the fingerprints of all."""
        prints = {fingerprint(key): key for key in keys}
        known = {each['fingerprint'] for each in self.shared('key')} if prints else set()
        for key in (prints[mark] for mark in sorted(prints.keys() - known)):
            self.announce(label('key', cloud.key_name(key)))
            with suppress(AlreadyExists):  # another VM's creation came first
                self.api.post('/account/keys', {'name': cloud.key_name(key), 'public_key': key})
        return sorted(prints)

    def _list_keys(self) -> dict[str, str]:
        return {key['name']: key['public_key'] for key in sorted(self.shared('key'), key=lambda key: str(key['name']))}

    def _create_key(self, name: str, public_key: str) -> None:
        text = valid_key(public_key)
        if text is None:
            raise InvalidInput(f'key {name} is no public ssh key', hint='It begins with ssh-ed25519, ssh-rsa, ecdsa-...')
        for known in self.shared('key'):
            if known['name'] == name:
                raise AlreadyExists(f'key {name} exists')
            if known['fingerprint'] == fingerprint(text):
                if known['name'] != cloud.key_name(text):
                    raise Conflict(f"the same key is kept under the name {known['name']}, and can not have two")
                # kvirt registered it for a VM. From now on it is the user's, and stays when that VM goes.
                self.api.put(f"/account/keys/{known['id']}", {'name': name})
                self.retract(label('key', known['name']), self.counted())
                return
        with self.undo() as undo:
            undo.add(f'key {name}', lambda: self._delete_key(name))
            self.api.post('/account/keys', {'name': name, 'public_key': text})

    def _delete_key(self, name: str) -> None:
        key = cloud.find('key', name, self.shared('key'), lambda each: each['name'], lambda each: each['id'])
        self.api.delete(f"/account/keys/{key['id']}")
        self.retract(label('key', key['name']), self.counted())


def fingerprint(key: str) -> str:
    """Return the fingerprint that DigitalOcean knows a public key by: MD5, in pairs."""
    digest = hashlib.md5(base64.b64decode(key.split()[1]), usedforsecurity=False).hexdigest()
    return ':'.join(digest[at:at + 2] for at in range(0, len(digest), 2))
