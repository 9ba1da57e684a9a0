"""Public ssh keys that EC2 keeps."""

from __future__ import annotations

from kvirt.errors import AlreadyExists, InvalidInput, NotFound
from kvirt.guest.keys import valid_key
from kvirt.names import did_you_mean
from kvirt.providers.aws.account import Account, pages, to_tags
from kvirt.providers.families import boto
from kvirt.providers.families.marks import MARK, new_request

_KINDS = ('ssh-rsa', 'ssh-ed25519')


class Keys(Account):
    """The key pairs of an account, of which EC2 tells the public half."""

    def _list_keys(self) -> dict[str, str]:
        pairs = pages(self.ec2, 'describe_key_pairs', 'KeyPairs', IncludePublicKey=True)
        return dict(sorted((pair['KeyName'], (pair.get('PublicKey') or pair['KeyFingerprint']).strip()) for pair in pairs))

    def _create_key(self, name: str, public_key: str) -> None:
        key = valid_key(public_key)
        if key is None or key.split()[0] not in _KINDS:
            raise InvalidInput(f'what is given as key {name} is no public ssh key that AWS takes',
                               hint=f"It begins with {' or '.join(_KINDS)}")
        if name in self._list_keys():
            raise AlreadyExists(f'key {name} exists')
        with boto.about(f'key {name}'):
            self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=key.encode(), TagSpecifications=[
                {'ResourceType': 'key-pair', 'Tags': to_tags({MARK: new_request()})}])

    def _delete_key(self, name: str) -> None:
        known = self._list_keys()
        if name not in known:
            raise NotFound(f'key {name} does not exist{did_you_mean(name, known)}')
        with boto.about(f'key {name}'):
            self.ec2.delete_key_pair(KeyName=name)
