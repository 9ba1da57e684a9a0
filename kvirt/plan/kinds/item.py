"""What all kinds of entries have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from kvirt.decode import decode
from kvirt.errors import InvalidInput, KvirtError, NotFound, Problem
from kvirt.names import did_you_mean, safe_name
from kvirt.plan.events import Key
from kvirt.plan.ledger import Thing
from kvirt.plan.parse import KINDS, Entry
from kvirt.plan.scope import Config, Live, Scope, missing_client
from kvirt.readers import texts
from kvirt.result import Result
from kvirt.spec import doc

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
Made = tuple[str, str, str]
"""What is made: its kind, client and name."""

Action = Literal['create', 'update', 'replace', 'delete', 'nothing', 'run']


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that entries of every kind may have. A kind's own keys are the fields of a subclass."""

    client: Annotated[str | None, doc('plan', "Client to make it on; the plan's when absent")] = None
    depends_on: Annotated[tuple[str, ...], doc('plan', 'Entries to be done before: a name, or kind/name', texts)] = ()


class NamedKeys(Keys, frozen=True, kw_only=True):
    """The keys of what has a name of its own on its client, where two clients may each have one of that name."""

    name: Annotated[str | None, doc('plan', "Name of what is made; the entry's when absent")] = None


@dataclass(frozen=True)
class Difference:
    """Something of a live thing that is not as the plan wants it, and what makes it so; None where nothing can."""

    what: str
    now: Any
    wanted: Any
    mend: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Change:
    """What is to be done with an entry."""

    action: Action
    differences: tuple[Difference, ...] = ()
    reason: str = ''


@dataclass(frozen=True)
class Cost:
    """What a change costs more each month. ``unknown`` names what no price is told for."""

    monthly: float | None = None
    currency: str | None = None
    unknown: tuple[str, ...] = ()


NOTHING = Change('nothing')


class Item:
    """An entry that was checked, and knows how to be made, compared, changed and deleted."""

    kind: ClassVar[str]
    Keys: ClassVar[type[Keys]] = Keys
    open_keys: ClassVar[bool] = False
    """True where keys that are not in ``Keys`` are settings of the provider."""
    other_words: ClassVar[Mapping[str, str]] = {}
    """Old words for some keys, and what each is called now."""

    def __init__(self, entry: Entry, scope: Scope) -> None:
        """Check *entry*. InvalidInput with every fault."""
        self.entry, self.scope = entry, scope
        known = set(self.Keys.__struct_fields__)
        written = {self.other_words.get(key, key): value for key, value in entry.values.items()}
        self.settings = {key: value for key, value in written.items() if self.open_keys and key not in known}
        values = {key: value for key, value in written.items() if key not in self.settings}
        if entry.compat:  # what kcli passed over in silence
            for key in [key for key in values if key not in known]:
                log.warning("%s", Problem(f"{entry}: unknown key of a {self.kind} '{key}'{did_you_mean(key, known)}",
                                          entry.where(key)))
                del values[key]
        self.keys: Any = decode(self.Keys, self._prepared(values), what=f'key of a {self.kind}', where=entry.where)
        self._check_name()
        self.config = self._client(scope)
        self._check()

    def _prepared(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the keys as they are to be decoded."""
        return values

    def _client(self, scope: Scope) -> Config:
        try:
            return scope.client(self.keys.client)
        except NotFound as error:
            raise missing_client(error, self.entry.where('client')) from None

    def _check_name(self) -> None:
        """Raise InvalidInput when its name can't name such a thing anywhere."""
        safe_name(self.kind, self.name)

    def _need_trust(self, does: str, key: str = '') -> None:
        """Raise InvalidInput unless the plan is trusted; *does* says what needs it."""
        if not self.entry.trusted:
            raise InvalidInput(Problem(f'{self.entry} {does}, and the plan comes from elsewhere', self.entry.where(key)),
                               hint='Read it, and give --trust')

    def uses(self) -> Iterable[str]:
        """Return the names that templates of its own use, beside those of the plan."""
        return ()

    def _check(self) -> None:
        """Raise InvalidInput for what can be told to be wrong without connecting to anything."""

    @property
    def name(self) -> str:
        """The name of what is made."""
        return getattr(self.keys, 'name', None) or self.entry.name

    @property
    def key(self) -> Key:
        """What tells the item from all others of its plan."""
        return self.kind, self.entry.name

    @property
    def k(self) -> Any:
        """The provider that it is made on, connected."""
        return self.config.k

    @property
    def live(self) -> Live:
        """What there is on its client."""
        return self.scope.live(self.config)

    @property
    def named_on(self) -> Config:
        """The client that names which the item refers to are of."""
        return self.config

    def refers(self) -> Iterator[Key]:
        """Yield what the item refers to, by its name on the item's client; what is not of the plan does not count."""
        return iter(())

    def needs(self, items: Mapping[Key, Item], made: Mapping[Made, Key]) -> tuple[Key, ...]:
        """Return the items that must be done before this one. InvalidInput for one of ``depends_on`` that is none.

        *made* tells which item makes what.
        """
        referred = [made.get((kind, self.named_on.client, name), (kind, name)) for kind, name in self.refers()]
        found = [key for key in referred if key in items and key != self.key]
        for index, wanted in enumerate(self.keys.depends_on):
            kind, slash, name = wanted.partition('/')
            named = [key for key in items if (key == (kind, name) if slash and kind in KINDS else key[1] == wanted)]
            if not named:
                raise InvalidInput(Problem(f"{self.entry} depends on '{wanted}', which is no entry of the plan",
                                           self.entry.where('depends_on', index)))
            found += [key for key in named if key != self.key]
        return tuple(dict.fromkeys(found))

    def outlives(self, need: Key) -> bool:
        """Tell if the item is deleted after *need*, which it needs, and not before."""
        return False

    # what is done

    def exists(self) -> bool:
        """Tell if it is there."""
        raise NotImplementedError

    def present(self) -> bool:
        """Tell if there is something to delete, be it as the plan wants it or not."""
        return self.exists()

    def compare(self) -> Change:
        """Return what there is to do, thoroughly. Reads only."""
        return Change('create') if not self.exists() else Change('nothing', self.differences())

    def differences(self) -> tuple[Difference, ...]:
        """Return in what the live thing differs from the plan."""
        return ()

    def create(self, tell: Tell) -> Result:
        """Make it."""
        raise NotImplementedError

    def delete(self, tell: Tell) -> Result:
        """Remove it."""
        raise NotImplementedError

    def made(self, *, unmarked: bool = False) -> bool:
        """Tell if the deletion of its plan may remove it: the platform, or else the ledger, says that the plan made it.

        With *unmarked* what can bear no mark needs not stand in the ledger.
        """
        return unmarked or self.thing in self.scope.ledger.all()

    def cost(self, change: Change) -> Cost:
        """Return what *change* costs more each month. What has no price of its own costs nothing."""
        return Cost(0.0)

    @property
    def thing(self) -> Thing:
        """What tells it from all others in the ledger."""
        return {'type': self.kind, 'client': self.config.client, 'name': self.name}

    def _making(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Result:
        """Make, with an *operation* of the provider, what can bear no mark of the plan."""
        return self.scope.ledger.making(self.thing, partial(attempt, operation, *args, **kwargs))

    # for those who carry it out

    def ensure(self, tell: Tell) -> Result:
        """Make it unless it is there."""
        if self.exists():
            return Result.success(changed=False, details='exists')
        return self._named(self.create(tell))

    def remove(self, tell: Tell) -> Result:
        """Remove it, and strike it out of the ledger."""
        result = self.delete(tell)
        if result.get('changed', True) if result.ok else result['error'] == NotFound.__name__:
            self.scope.ledger.forget(self.thing)
        return result

    def mend(self, change: Change, tell: Tell) -> Result:
        """Do what *change* says; a replacement deletes first."""
        if change.action == 'create':
            return self._named(self.create(tell))
        if change.action == 'replace':
            gone = self.remove(tell)
            return self._named(self.create(tell)) if gone.ok or gone['error'] == NotFound.__name__ else gone
        for mend in dict.fromkeys(difference.mend for difference in change.differences if difference.mend):
            for difference in change.differences:
                if difference.mend == mend:  # one call may mend several
                    tell(f'{difference.what}: {difference.now} becomes {difference.wanted}')
            result = Result.of(mend())
            if not result.ok:
                return result
        return Result.success(changed=any(difference.mend for difference in change.differences))

    def _named(self, result: Result) -> Result:
        """Let a failure name the entry's place, which is where it is mended."""
        return result if result.ok else Result({**result, 'where': self.entry.where()})


def attempt(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Result:
    """Return the outcome of an *operation* of a provider, one in kcli's manner included."""
    try:
        return Result.of(operation(*args, **kwargs))
    except KvirtError as error:
        return Result.failure(error)
