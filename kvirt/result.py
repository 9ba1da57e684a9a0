"""What every change answers: a plain dict that scripts can trust, with a few conveniences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvirt.errors import BY_NAME, KvirtError


class Result(dict[str, Any]):
    """The outcome of a change.

    ``{'result': 'success', ...}`` or ``{'result': 'failure', 'reason': str, 'error': str, 'retryable': bool}``, where
    ``error`` is the name of a class of :mod:`kvirt.errors`. It holds only what JSON can hold.
    """

    @classmethod
    def success(cls, **extra: Any) -> Result:
        """Build a success; *extra* is what the operation has to tell (a name, an id, a path)."""
        return cls({'result': 'success', **extra})

    @classmethod
    def failure(cls, error: KvirtError, **extra: Any) -> Result:
        """Build the failure that *error* describes."""
        return cls({'result': 'failure', 'reason': str(error), 'error': type(error).__name__,
                    'retryable': error.retryable, **extra})

    @classmethod
    def of(cls, answer: Any) -> Result:
        """Read the *answer* of a provider written in kcli's manner; what does not say success is a failure."""
        if isinstance(answer, cls):
            return answer
        if not isinstance(answer, Mapping) or answer.get('result') not in ('success', 'failure'):
            return cls.failure(KvirtError(f'the provider answered {answer!r}, which is neither success nor failure'))
        if answer['result'] == 'success':
            return cls(answer)
        error = BY_NAME.get(str(answer.get('error')), KvirtError)
        return cls({'error': error.__name__, 'retryable': error.retryable, **answer,
                    'reason': str(answer.get('reason') or 'the provider gave no reason')})

    @property
    def ok(self) -> bool:
        """True when the change was made."""
        return bool(self['result'] == 'success')

    @property
    def error(self) -> KvirtError | None:
        """The failure as an exception, None when there is none."""
        if self.ok:
            return None
        return BY_NAME.get(self.get('error', ''), KvirtError)(self['reason'])

    def expect(self) -> Result:
        """Return itself when it is a success, else raise its error."""
        error = self.error
        if error is not None:
            raise error
        return self
