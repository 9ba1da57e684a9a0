"""The provider with boto3's descriptions of services read already: processes that are forked here start at once."""

from __future__ import annotations

from botocore.loaders import create_loader
from botocore.session import Session

from kvirt.providers.aws import Kaws
from tests.providers.aws.cloud import connect

LOADER = create_loader()


def share_loader() -> None:
    """Let all sessions of boto3 in this process read its descriptions through one loader."""
    Session._register_data_loader = lambda self: self._components.register_component('data_loader', LOADER)


share_loader()
with connect('http://127.0.0.1:1') as connection:
    connection.client('ec2')

__all__ = ['Kaws', 'share_loader']
