"""Public ssh keys that EC2 keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvirt.providers.aws.account import Account
from kvirt.providers.families import boto
from kvirt.providers.families.ec2 import marked, pages
from kvirt.providers.families.keys import Key, SharedKeys


class Keys(SharedKeys, Account):
    """The key pairs of an account, of which EC2 tells the public half. VMs get their keys at birth, past these."""

    key_kinds = ('ssh-rsa', 'ssh-ed25519')

    def keys(self) -> Iterator[Key]:
        for pair in pages(self.ec2, 'describe_key_pairs', 'KeyPairs', IncludePublicKey=True):
            yield Key(id=pair['KeyPairId'], name=pair['KeyName'],
                      public=(pair.get('PublicKey') or pair['KeyFingerprint']).strip())

    def register_key(self, name: str, public: str, fields: Mapping[str, str]) -> Key:
        with boto.about(f'key {name}'):
            made = self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public.encode(),
                                            TagSpecifications=marked('key-pair', fields))
        return Key(id=made['KeyPairId'], name=name, public=public)

    def drop_key(self, key: Key) -> None:
        with boto.about(f'key {key.name}'):
            self.ec2.delete_key_pair(KeyName=key.name)
