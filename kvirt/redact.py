"""Keep secrets out of logs, errors and outputs."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

MASK = '********'
_SECRET_KEY = re.compile(r'pass(word|phrase|wd)?$|secret|token|(api|private|access)_?key|credential', re.IGNORECASE)
_lock = threading.Lock()
_known: set[str] = set()


def remember(secret: object) -> None:
    """From now on, mask this value wherever :func:`redact` is applied. Values under 4 characters are not masked."""
    if isinstance(secret, str) and len(secret) >= 4:
        with _lock:
            _known.add(secret)


def redact(text: str) -> str:
    """Return *text* with every remembered secret masked."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, MASK)
    return text


def is_secret_key(key: str) -> bool:
    """Tell by its name if a key holds a secret."""
    return bool(_SECRET_KEY.search(key))


def redact_mapping(value: Any) -> Any:
    """Return a copy of nested data in which the values of secret keys are masked."""
    if isinstance(value, Mapping):
        return {key: _masked(item) if is_secret_key(str(key)) else redact_mapping(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_mapping(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    return value if value in (None, '') or isinstance(value, bool) else MASK


class RedactingFilter(logging.Filter):
    """A logging filter that masks remembered secrets in what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            # Formatters use this text where it is set, and would make their own of the exception otherwise.
            record.exc_text = redact(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True
