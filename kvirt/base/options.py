"""The options of a provider: the keys of a client's section, as a typed struct, so that a typo is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from kvirt.decode import Place, decode, field_types, nowhere
from kvirt.names import did_you_mean


def option(meaning: str, *, secret: bool = False, env: Sequence[str] = (), kcli: str = '') -> msgspec.Meta:
    """Describe an option; *secret* ones are masked everywhere, *env* are variables it is taken from when absent.

    *kcli* is what kcli calls it, where that is another name.
    """
    return msgspec.Meta(description=meaning, extra={'secret': secret, 'env': tuple(env), 'kcli': kcli})


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a provider's options. A subclass's fields are the keys that its clients may have."""

    home: Annotated[str | None, option("kvirt's own folder, for what a provider remembers; set by kvirt")] = None


def meta_of(options: type[Options], name: str) -> msgspec.Meta:
    """Return the description of option *name*."""
    for part in getattr(field_types(options)[name], '__metadata__', ()):
        if isinstance(part, msgspec.Meta):
            return part
    return msgspec.Meta(description='', extra={'secret': False, 'env': (), 'kcli': ''})


def meant(options: type[Options] | None, key: str, words: Iterable[str]) -> str:
    """Return what a *key* that is no option was likely meant to be: the option that kcli calls so, or one of *words*."""
    if options:
        for name in field_types(options):
            if (meta_of(options, name).extra or {}).get('kcli') == key:
                return f", which is '{name}' here"
    return did_you_mean(key, words)


def decode_options(options: type[Options], values: Mapping[str, Any], *, client: str, where: Place = nowhere) -> Options:
    """Return *values* as the options of *client*; InvalidInput names every unknown key and wrong value."""
    return decode(options, values, what=f'option of client {client}:', where=where)
