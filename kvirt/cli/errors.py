"""How failures look on the command line, and which exit code they have."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

import click

from kvirt.cli.text import plain
from kvirt.errors import Cancelled, InvalidInput, KvirtError
from kvirt.names import did_you_mean
from kvirt.redact import redact

DONE, FAILED, USAGE, CANCELLED, BROKEN_PIPE = 0, 1, 2, 130, 141
BUG = FAILED


def code_of(error: BaseException) -> int:
    """Return the exit code of a failure: 2 for what the user gave, 130 for a cancellation, else 1."""
    if isinstance(error, Cancelled):
        return CANCELLED
    if isinstance(error, (InvalidInput, click.UsageError)):
        return USAGE
    return FAILED


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several pieces of work: a cancellation, else a failure, else a misuse, else done."""
    found = set(codes)
    return next((code for code in (CANCELLED, FAILED, USAGE) if code in found), DONE)


def lines_of(error: KvirtError | click.ClickException) -> list[str]:
    """Return what to say of *error*: one line, or one for each problem of an input."""
    if isinstance(error, click.ClickException):
        return [plain(_usage(error))]
    text = str(error)
    # Only the problems of an input are lines of their own; anything else is one, whatever a platform wrote into it.
    return [plain(line) for line in text.splitlines() if line] if isinstance(error, InvalidInput) else [
        plain(' '.join(text.split()))]


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        message = f"unknown option '{error.option_name}'{did_you_mean(error.option_name, error.possibilities or ())}"
    else:
        message = error.format_message().rstrip('.')
    if isinstance(error, click.UsageError) and error.ctx is not None:
        joint = '' if message.endswith('?') else '.'
        message = f"{message}{joint} '{error.ctx.command_path} --help' shows what is possible"
    return message[:1].lower() + message[1:]


def report(error: KvirtError | click.ClickException, about: str = '') -> int:
    """Say on stderr what went wrong, and return the exit code. *about* names the client or thing where it is not clear."""
    for line in lines_of(error):
        say_error(f'{about}: {line}' if about else line)
    return code_of(error)


def say_error(line: str) -> None:
    """Write one line of error."""
    click.echo(f'Error: {redact(line)}', err=True)


def report_bug(error: Exception) -> None:
    """Say that this is our fault, and how to help."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = plain(' '.join(str(error).split()))
    say_error(f'kvirt has a bug: {type(error).__name__}: {what} ({frame.filename.rpartition("/")[2]}:{frame.lineno}). '
              'Run it again with -d, and report what it shows')

