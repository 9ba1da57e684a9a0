"""Accounts of clouds, as a client's options open them.

A provider says what its options are, and how its platform is reached with them. Where the API speaks JSON over http, and
wants a token, only the :class:`~kvirt.rest.Api` itself has to be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from kvirt.base.options import meta_of
from kvirt.errors import NotFound, Unauthorized
from kvirt.providers.families.places import Places
from kvirt.rest import Api
from kvirt.wait import Clock


class CloudAccount(Places):
    """An account of a platform with locations."""

    platform: ClassVar[str]
    """What the platform is called, for messages."""

    options: Any
    """What the client's section says: an instance of the provider's ``Options``."""

    def __init__(self, *, debug: bool = False, clock: Clock | None = None, **options: Any) -> None:
        """Open an account; nothing is asked before the first use. *options* are the client's, *clock* is for tests."""
        self.debug, self.clock = debug, clock or self.clock
        self.options = self.Options(**options)
        self.location = self.options.location
        self.open()

    def open(self) -> None:
        """Prepare what reaches the platform, with ``options``."""
        raise NotImplementedError


class ApiAccount(CloudAccount):
    """An account behind an API that speaks JSON over http, and that wants the option ``token``."""

    conn: Api | None
    unreachable: str | None

    page: ClassVar[Mapping[str, int]] = {}
    """The query that asks for pages as long as they may be."""

    def api_with(self, token: str) -> Api:
        """Return the API, with what it needs to know of the platform."""
        raise NotImplementedError

    def open(self) -> None:
        token, variables = self.options.token, (meta_of(self.Options, 'token').extra or {})['env']
        self.conn = self.api_with(token) if token else None
        elsewhere = f', or set {variables[0]}' if variables else ''
        self.unreachable = None if token else f'it needs token: write it in its section{elsewhere}'

    def close(self) -> None:
        if self.conn:
            self.conn.close()

    @property
    def api(self) -> Api:
        """The API. Unauthorized when there is no token."""
        if self.conn is None:
            raise Unauthorized(f'{self.platform}: {self.unreachable}')
        return self.conn

    def all(self, path: str, key: str = '', **query: Any) -> Iterator[dict[str, Any]]:
        """Yield what there is at *path*, of all pages; answers have it under *key*, or under the last word of the path."""
        return self.api.pages(path, key or path.rpartition('/')[2], **self.page, **query)

    def drop(self, path: str) -> None:
        """Delete what is at *path*, unless it is gone."""
        with suppress(NotFound):
            self.api.delete(path)

    def drop_when_free(self, path: str, what: str) -> None:
        """Delete what is at *path* as soon as the platform lets go of it, unless it is gone. TimedOut tells *what*."""
        self.insist(lambda: self.drop(path), f'deleting {what}')
