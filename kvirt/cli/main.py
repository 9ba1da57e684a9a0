"""The entry of the command ``kvirt``: signals, logging, and the boundary where every error becomes one clear line."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from kvirt.cli.errors import BROKEN_PIPE, BUG, CANCELLED, DONE, report, report_bug
from kvirt.cli.grammar import NOUN_ALIASES, root
from kvirt.errors import KvirtError
from kvirt.redact import RedactingFilter
from kvirt.wait import CANCEL

_DNS = ('dns', *(alias for alias, noun in NOUN_ALIASES.items() if noun == 'dns'))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code: 0 done, 1 failed, 2 usage, 130 cancelled."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding or '').lower() not in ('utf-8', 'utf8'):
            stream.reconfigure(errors='backslashreplace')  # a name that can't be shown is no reason to fail
    debug = _wants_debug(arguments)
    try:
        with _logging(logging.DEBUG if debug else logging.WARNING), _signals():
            return _run(arguments, debug)
    except KeyboardInterrupt:
        click.echo('Cancelled', err=True)
        return CANCELLED
    finally:
        CANCEL.clear()


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = _invoke(arguments)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        # Where a file is concerned it is the machine that is to be looked at, not us.
        if debug:
            logging.getLogger(__name__).debug('where it happened', exc_info=True)
        if error.filename is None:
            _drop_output()
        return report(KvirtError(f"{error.filename or 'the output'}: {error.strerror or error}"))
    except (KvirtError, click.ClickException) as error:
        if debug:
            logging.getLogger(__name__).debug('where it happened', exc_info=True)
        return report(error)
    except click.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if debug:
            raise
        report_bug(error)
        return BUG


def _invoke(arguments: list[str]) -> int:
    """Parse and run, without the handling of errors, interrupts and closed pipes in click's own ``main``."""
    command = root()
    command._main_shell_completion({}, 'kvirt')  # exits when the shell asks for completions
    try:
        with command.make_context('kvirt', arguments) as context:
            code = command.invoke(context)
    except click.exceptions.Exit as done:
        code = done.exit_code
    return code if isinstance(code, int) else DONE


def _wants_debug(arguments: Sequence[str]) -> bool:
    """Tell if debugging is asked for, before anything is parsed, since parsing can fail too."""
    # What stands behind ssh may belong to the guest's command; behind 'create dns', -d is the domain.
    front = _before(arguments, ('--', 'ssh', 'scp'))
    return '--debug' in front or '-d' in (front if {'list', 'get'} & set(front) else _before(front, _DNS))


def _before(arguments: Sequence[str], words: Iterable[str]) -> Sequence[str]:
    """Return what stands before the first of *words*."""
    ends = [arguments.index(word) for word in words if word in arguments]
    return arguments[:min(ends, default=len(arguments))]


@contextmanager
def _signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM cancel all that waits, and end the main thread's work; the second one is patient."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = 0

    def cancel(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        CANCEL.set()
        if seen == 1:
            raise KeyboardInterrupt
        if seen == 2:
            os.write(2, b'Still undoing what was begun; once more leaves it behind\n')
        else:
            os._exit(CANCELLED)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drop_output() -> None:
    """Point the output at nothing, so that Python does not complain about the closed pipe at its end."""
    with open(os.devnull, 'w') as nothing:
        try:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            return  # not a real file: nothing will be flushed into it


class _Lines(logging.Formatter):
    """``Warning: text``; a traceback only while debugging."""

    def __init__(self, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        line = f'{record.levelname.capitalize()}: {record.getMessage()}'
        return f'{line}\n{record.exc_text}' if self._debug and record.exc_text else line


class _Stderr(logging.StreamHandler[Any]):
    """Write to what stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def _logging(level: int) -> Iterator[None]:
    """Show what kvirt logs. Other libraries log what they also raise, and people are told once."""
    handler = _Stderr()
    handler.addFilter(RedactingFilter())
    handler.setFormatter(_Lines(level == logging.DEBUG))
    handler.addFilter(lambda record: level == logging.DEBUG or record.name.partition('.')[0] == 'kvirt')
    top, ours = logging.getLogger(), logging.getLogger('kvirt')
    before = top.level, ours.level
    top.addHandler(handler)
    if level == logging.DEBUG:
        top.setLevel(level)
    ours.setLevel(level)
    try:
        yield
    finally:
        top.removeHandler(handler)
        top.setLevel(before[0])
        ours.setLevel(before[1])


if __name__ == '__main__':
    sys.exit(main())
