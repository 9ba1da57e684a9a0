"""What can go wrong, as one tree.

    KvirtError
    ├── NotFound            the named thing does not exist
    ├── AlreadyExists       the name is taken
    ├── InvalidInput        a name, key, value or file can't be used; carries every problem found
    ├── NotSupported        the provider can't do this, with its reason
    ├── MissingDependency   a provider's optional package is not installed
    ├── Unauthorized        credentials are missing, wrong, or not allowed to do this
    ├── QuotaExceeded       a limit of the account
    ├── OutOfCapacity       the platform has no room now                    (retry can help)
    ├── Conflict            the state of the thing forbids it now, or a name is ambiguous
    ├── RateLimited         asked too often                                 (retry can help)
    ├── Unavailable         the backend can't be reached or fails           (retry can help)
    ├── TimedOut            a deadline passed                               (retry can help)
    └── Cancelled           Ctrl-C, SIGTERM, or a script's own cancellation

``retryable`` says if the same call may succeed later without any change. Everything that is not a KvirtError is a
bug, and stays loud.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class KvirtError(Exception):
    """Base of every known failure.

    *reason* is one sentence that names the thing and the cause; *hint* is the next step, where there is one.
    """

    retryable = False

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.reason
        return f"{self.reason}{'' if self.reason.endswith('?') else '.'} {self.hint}"


class NotFound(KvirtError):
    """The named thing does not exist."""


class AlreadyExists(KvirtError):
    """The name is taken."""


@dataclass(frozen=True)
class Problem:
    """One fault of an input: where it stands (``file:line`` or a dotted path, may be empty) and what is wrong."""

    message: str
    where: str = ''

    def __str__(self) -> str:
        return f'{self.where}: {self.message}' if self.where else self.message


class InvalidInput(KvirtError):
    """Something the user gave can't be used. ``problems`` holds each fault; the text has one line per fault."""

    def __init__(self, reason: str | Problem | Iterable[Problem], *, hint: str | None = None) -> None:
        if isinstance(reason, str):
            reason = Problem(reason)
        self.problems = (reason,) if isinstance(reason, Problem) else tuple(reason)
        super().__init__('\n'.join(str(problem) for problem in self.problems), hint=hint)


class NotSupported(KvirtError):
    """The provider can't do this. The reason says why, and whether it ever will."""


class MissingDependency(KvirtError):
    """A provider's optional package is not installed; the hint is the command that installs it."""


class Unauthorized(KvirtError):
    """Credentials are missing, wrong, or not allowed to do this."""


class QuotaExceeded(KvirtError):
    """A limit of the account was reached."""


class OutOfCapacity(KvirtError):
    """The platform has no room for this now."""

    retryable = True


class Conflict(KvirtError):
    """The present state of the thing forbids the operation, or a name is borne by two things."""


class RateLimited(KvirtError):
    """The platform was asked too often. ``retry_after`` is in seconds, None when it was not told."""

    retryable = True

    def __init__(self, reason: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason, hint=hint)
        self.retry_after = retry_after


class Unavailable(KvirtError):
    """The backend can't be reached, or failed on its side."""

    retryable = True


class TimedOut(KvirtError):
    """A deadline passed."""

    retryable = True


class Cancelled(KvirtError):
    """The work was cancelled before it was done."""


BY_NAME: dict[str, type[KvirtError]] = {
    kind.__name__: kind
    for kind in (NotFound, AlreadyExists, InvalidInput, NotSupported, MissingDependency, Unauthorized, QuotaExceeded,
                 OutOfCapacity, Conflict, RateLimited, Unavailable, TimedOut, Cancelled, KvirtError)
}
