"""Buckets, and the files in them."""

from __future__ import annotations

import click

from kvirt.cli import output
from kvirt.cli.completion import buckets
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, listing, show
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.result import Result

list_ = listing('bucket', lambda config: [{'name': name} for name in config.k.list_buckets()], ('name',), plural='buckets')


@command('bucket', example='kvirt create bucket backups')
@names_argument(required=True)
@click.option('-p', '--public', is_flag=True, help='Let everybody read what is in it.')
def create(session: Session, names: tuple[str, ...], public: bool) -> int:
    """Create buckets."""
    config = session.one_client(any_of_group=True)
    return changes(session, names, lambda name: Result.of(config.k.create_bucket(name, public=public)),
                   f'Bucket {{}} created on {config.client}')


@command('bucket', example='kvirt delete bucket -y backups')
@names_argument(buckets, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Delete buckets with the files in them."""
    config = session.one_client()
    session.confirm(f"Delete bucket {', '.join(names)} and the files in it on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_bucket(name)),
                   f'Bucket {{}} deleted on {config.client}')


@list_command('bucket-file', 'name', example='kvirt list bucket-file backups')
@name_argument(buckets, name='bucket')
def list_files(session: Session, bucket: str, short: bool, sort: str | None) -> None:
    """List the files in a bucket."""
    rows = [{'name': path} for path in session.one_client().k.list_bucketfiles(bucket)]
    show(session, rows, ('name',), (), sort=sort, empty='There are no files in it', short=short)


@command('bucket-file', example='kvirt create bucket-file backups db.sql')
@name_argument(buckets, name='bucket')
@click.argument('path', type=click.Path())
@click.option('-p', '--public', is_flag=True, help='Let everybody read it.')
@click.option('-t', '--temp', is_flag=True, help='Print an address where it can be read for a day.')
def upload(session: Session, bucket: str, path: str, public: bool, temp: bool) -> int:
    """Upload a file to a bucket."""
    config = session.one_client()
    result = Result.of(config.k.upload_to_bucket(bucket, path, temp_url=temp, public=public))
    code = change(session, path, result, f'File {path} uploaded to bucket {bucket} on {config.client}')
    if result.ok and result.get('url') and session.output == 'table':
        output.values(session, result, ('url',))
    return code


@command('bucket-file', example='kvirt download bucket-file backups db.sql')
@name_argument(buckets, name='bucket')
@name_argument(name='path')
def download(session: Session, bucket: str, path: str) -> int:
    """Download a file of a bucket to the current folder."""
    config = session.one_client()
    result = Result.of(config.k.download_from_bucket(bucket, path))
    return change(session, path, result, f"File {path} of bucket {bucket} downloaded to {result.get('path', path)}")


@command('bucket-file', example='kvirt delete bucket-file -y backups db.sql')
@name_argument(buckets, name='bucket')
@name_argument(name='path')
def delete_file(session: Session, bucket: str, path: str) -> int:
    """Delete a file of a bucket."""
    config = session.one_client()
    session.confirm(f'Delete file {path} of bucket {bucket} on {config.client}?')
    return change(session, path, Result.of(config.k.delete_from_bucket(bucket, path)),
                  f'File {path} deleted from bucket {bucket} on {config.client}')
