"""The process that the fault sweep kills the children of. Run by :class:`kvirt.testing.sweep.Nursery`.

It is told a deed on a line of its input, forks a child for it, tells the child's number, waits for ``"go"``, and tells what
came of it, on a pipe of its own. So the provider is loaded once, and each deed is done by a process of its own.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from typing import Any

from kvirt.base import Kbase
from kvirt.base.options import decode_options
from kvirt.decode import field_types
from kvirt.providers import registry
from kvirt.testing.sweep import Haste


def main(pipe: str, reference: str, options: str, *path: str) -> None:
    """Serve deeds for the provider *reference* with its *options* (JSON) until the input ends; answer on *pipe*."""
    sys.path[:0] = path
    provider, given = _provider(reference), json.loads(options)
    for line in sys.stdin:
        task = json.loads(line)
        (gate, opened), (told, teller) = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            os.close(opened)
            os.close(told)
            os.read(gate, 1)
            with _connected(provider, given) as connection:
                answer = getattr(connection, task['operation'])(task['name'], **task['keywords'])
            os.write(teller, json.dumps(answer).encode())
            return
        os.close(gate)
        os.close(teller)
        _say(pipe, {'pid': pid})
        sys.stdin.readline()
        os.close(opened)
        with os.fdopen(told, 'rb') as stream:
            answer = stream.read()
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status) and not answer:
            raise RuntimeError(f"{task['operation']} ended with {os.waitstatus_to_exitcode(status)}, and told nothing")
        _say(pipe, {'killed': os.WIFSIGNALED(status), 'answer': json.loads(answer) if answer else None})


def _provider(reference: str) -> type[Kbase]:
    module, _, attribute = reference.partition(':')
    provider: type[Kbase] = getattr(importlib.import_module(module), attribute) if attribute else registry.load(reference)
    return provider


def _connected(provider: type[Kbase], given: dict[str, Any]) -> Kbase:
    options = decode_options(provider.Options, given, client='sweep')
    provider.clock = Haste()
    clock = {'clock': provider.clock} if 'clock' in inspect.signature(provider).parameters else {}
    return provider(**{name: getattr(options, name) for name in field_types(provider.Options)}, **clock)


def _say(pipe: str, message: Any) -> None:
    os.write(int(pipe), json.dumps(message).encode() + b'\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
