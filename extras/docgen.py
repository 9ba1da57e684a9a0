#!/usr/bin/env python3
"""Generate the reference from the tables that the program itself uses, or check that it is up to date.

    extras/docgen.py            write docs/reference/*.md and *.schema.json, and the generated part of docs/providers/*.md
    extras/docgen.py --check    exit 1 and name the pages that differ from what would be written
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402
import yaml  # noqa: E402

from kvirt.cli.context import GLOBAL, Command, GlobalOption, Session  # noqa: E402
from kvirt.cli.grammar import NOUN_ALIASES, VERB_ALIASES, root  # noqa: E402
from kvirt.keywords import Keyword, entry_keys, keys_of, table  # noqa: E402
from kvirt.plan.check import ITEMS  # noqa: E402
from kvirt.plan.filters import filters  # noqa: E402
from kvirt.plan.kinds.item import Item, Keys  # noqa: E402
from kvirt.plan.parse import OTHER_WORDS  # noqa: E402
from kvirt.plan.schema import config_schema, plan_schema, platforms, profile_schema  # noqa: E402
from kvirt.providers.catalog import CATALOG  # noqa: E402
from kvirt.providers.describe import describe  # noqa: E402
from kvirt.spec import CLOUD, HARDWARE, KEYWORDS  # noqa: E402

FOLDER = ROOT / 'docs' / 'reference'
PROVIDERS = ROOT / 'docs' / 'providers'
MARKS = {'supported': '✓', 'not yet': 'not yet', 'never': '–'}
BEGIN = '<!-- What follows is generated from the provider itself: change it there, then run make docs. -->'
END = '<!-- End of what is generated. -->'


def row(cells: Iterable[Any]) -> str:
    """Return a row of a table."""
    return '| ' + ' | '.join(visible(str(cell)).replace('|', '\\|').replace('\n', ' ') for cell in cells) + ' |'


def visible(text: str) -> str:
    """Return *text* so that what stands in angle brackets is no tag of HTML, which nobody would see."""
    parts = text.split('`')  # every second one is code, where all is shown as it is
    return '`'.join(part if index % 2 else part.replace('<', '&lt;') for index, part in enumerate(parts))


def listing(titles: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Return a table."""
    return [row(titles), row('---' for _ in titles), *(row(cells) for cells in rows), '']


def shown(value: Any) -> str:
    """Return a default as a user would write it."""
    if value in (None, '', [], {}, ()):
        return ''
    return f'`{str(value).lower() if isinstance(value, bool) else value}`'


# commands

def every_command() -> Iterator[tuple[str, Command]]:
    """Yield each command with its words."""
    context = click.Context(root(), obj=Session())

    def below(group: click.Group, words: str) -> Iterator[tuple[str, Command]]:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if isinstance(found, click.Group):
                yield from below(found, f'{words} {name}')
            elif isinstance(found, Command):
                yield f'{words} {name}', found
    yield from below(root(), 'kvirt')


def options_of(command: Command) -> Iterator[tuple[str, str]]:
    """Yield each option of a command's own with its meaning."""
    for param in command.params:
        if isinstance(param, click.Option) and not isinstance(param, GlobalOption) and not param.hidden:
            flags = ', '.join([*param.opts, *param.secondary_opts])
            value = '' if param.is_flag or param.count else f' {param.metavar or metavar_of(param)}'
            fallback = f' Default: {param.default}.' if param.show_default else ''
            yield f'`{flags}{value}`', f"{param.help or ''}{fallback}"


def metavar_of(param: click.Option) -> str:
    """Return what stands for the value of an option."""
    if isinstance(param.type, click.Choice):
        return '|'.join(str(choice) for choice in param.type.choices)
    return 'NUMBER' if isinstance(param.type, (click.types.IntParamType, click.IntRange)) else 'TEXT'


def usage(words: str, command: Command) -> str:
    """Return the line that shows how a command is written."""
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    return ' '.join([words, '[OPTIONS]', *(param.metavar or (param.name or '').upper() for param in arguments)])


def commands() -> list[str]:
    """The page of all commands."""
    lines = ['# Commands', '', 'A verb, then a noun. The global options may stand anywhere.', '']
    lines += ['## Global options', '', *listing(('option', 'meaning'), (
        (f"`{', '.join(flags)}`", settings['help']) for _, flags, settings in GLOBAL))]
    lines += ['Behind the noun, a flag that the command has for its own means that; `-c` is the client only before the '
              'noun. `-P` and `--paramfile` are for the commands that say so.', '']
    lines += ['## Other words for the same', '', *listing(('word', 'also'), (
        (f'`{word}`', ', '.join(f'`{alias}`' for alias, name in {**VERB_ALIASES, **NOUN_ALIASES}.items() if name == word))
        for word in dict.fromkeys([*VERB_ALIASES.values(), *NOUN_ALIASES.values()])))]
    lines += ['## Exit codes', '', *listing(('code', 'meaning'), (
        (0, 'done'), (1, 'failed'), (2, 'what was given can not be used: a command, an option, a name, a value, a file'),
        (3, "`diff plan` found a difference"),
        (4, 'of a plan something failed, or was left out because of that; the rest is done'),
        (130, 'cancelled by Ctrl-C or SIGTERM; what was begun was undone')))]
    lines += ['`kvirt ssh` and `kvirt serial` end with the code of what they ran.', '']
    for words, command in every_command():
        lines += [f'## {words}', '', *paragraphs(command.help or ''), '```', usage(words, command), '```', '']
        own = list(options_of(command))
        if own:
            lines += listing(('option', 'meaning'), own)
        if command.takes_parameters:
            lines += ['Takes parameters: `-P KEY=VALUE`, `--paramfile FILE`.', '']
        lines += [f'Example: `{command.example}`', '']
    return lines


def words_of(name: str) -> list[list[str]]:
    """Return the words of a command of kcli, each with its other names."""
    return [word.split('|') for word in name.split()]


def ours_for(name: str) -> str | None:
    """Return our command that a user of kcli finds under one of its names, None when there is none."""
    context = click.Context(root(), obj=Session(), resilient_parsing=True)
    for words in itertools.product(*words_of(name)):
        found: click.Command | None = root()
        known = ['kvirt']
        for word in words:
            found = found.get_command(context, word) if isinstance(found, click.Group) else None
            known.append(found.name or word if found else word)
        if isinstance(found, Command):
            return ' '.join(known)
    return None


def beside_kcli() -> list[tuple[str, str, str]]:
    """Return each command of kcli, how it stands with it here (present, later, replaced), and what is here.

    SystemExit for a command that nothing is known of, and for what is said of none.
    """
    table = yaml.safe_load((ROOT / 'extras' / 'kcli.yml').read_text(encoding='utf-8'))
    patterns = {pattern: ('later', f'later, with {reason}')
                for reason, names in table['later'].items() for pattern in names}
    patterns |= {pattern: ('replaced', what) for pattern, what in table['replaced'].items()}
    used, rows = set(), []
    for name in table['commands']:
        ours = ours_for(name)
        if ours is not None:
            rows.append((name, 'present', f'`{ours}`'))
            continue
        first = ' '.join(words[0] for words in words_of(name))
        pattern = next((pattern for pattern in patterns if fnmatchcase(first, pattern)), None)
        if pattern is None:
            raise SystemExit(f"extras/kcli.yml: '{name}' is neither here nor said to come later or to be replaced")
        used.add(pattern)
        rows.append((name, *patterns[pattern]))
    if set(patterns) - used:
        raise SystemExit(f"extras/kcli.yml: nothing is waited for by {', '.join(sorted(set(patterns) - used))}")
    return rows


def kcli() -> list[str]:
    """The page of kcli's commands beside ours."""
    rows = beside_kcli()
    counts = {standing: sum(row[1] == standing for row in rows) for standing in ('present', 'replaced', 'later')}
    lines = ["# kcli's commands beside ours", '',
             f"kcli has {len(rows)} commands. Of these {counts['present']} are here under a name that kcli has for them, "
             f"{counts['replaced']} are replaced by something else, and {counts['later']} come later.", '']
    lines += listing(('kcli', 'kvirt'), ((f'`{name}`', what) for name, _, what in rows))
    theirs = {what for _, standing, what in rows if standing == 'present'}
    lines += ['## What kcli has not', '', *listing(('command', 'meaning'), (
        (f'`{words}`', paragraphs(command.help or '')[0]) for words, command in every_command()
        if f'`{words}`' not in theirs))]
    return lines


def paragraphs(text: str) -> list[str]:
    """Return a help text as paragraphs."""
    lines: list[str] = []
    for paragraph in text.strip().split('\n\n'):
        lines += [' '.join(paragraph.split()), '']
    return lines


# keywords

def keywords() -> list[str]:
    """The page of the keywords of VMs."""
    found = table()
    lines = ['# Keywords of a VM', '', 'What `kvirt create vm -P KEYWORD=VALUE`, profiles, the `default` section, client '
             'sections and `config.create_vm(overrides=...)` understand. Keys in UPPERCASE become the environment of '
             'the guest; `ip0`, `netmask0` and so on are the addresses of the first, second, ... card.', '']
    group_of = {keyword.name: keyword.group for keyword in found}
    for group in dict.fromkeys(group_of[name] for name in KEYWORDS):  # in the order of the struct
        lines += [f'## {group.capitalize()}', '']
        if group in ('hardware', 'cloud'):
            lines += ['Only the providers that say so honour these: see [capabilities](capabilities.md).', '']
        lines += listing(('keyword', 'type', 'default', 'meaning'),
                         (cells(keyword) for keyword in found if keyword.group == group))
    for name in ('disks', 'nets', 'files'):
        lines += [f'## An entry of `{name}`', '', *listing(('key', 'type', 'default', 'meaning'),
                                                           (cells(key) for key in entry_keys(name)))]
    return lines


def cells(keyword: Keyword) -> tuple[str, str, str, str]:
    """Return the cells of a keyword's row."""
    return f'`{keyword.name}`', keyword.type, shown(keyword.default), keyword.meaning


# providers

TITLES = {'dns': 'DNS', 'vms': 'VMs', 'loadbalancers': 'Load balancers', 'securitygroups': 'Security groups'}


def capabilities() -> list[str]:
    """The page of what each provider can do."""
    known = {entry.name: describe(entry.name) for entry in CATALOG}
    lines = ['# What each provider can do', '',
             'Computed from what their classes define. ✓ supported; ✓ waits: as well, and it may take minutes; '
             '– never, with the reason below; not yet: nobody has written it. A connection can lack more than its class '
             '(an old libvirt, a key that is not given), and says so when it is asked.', '']
    first = next(iter(known.values()))
    marks = {name: {one['operation']: one for one in facts['operations']} for name, facts in known.items()}
    for area in dict.fromkeys(operation['area'] for operation in first['operations']):
        names = [operation['operation'] for operation in first['operations'] if operation['area'] == area]
        lines += [f'## {TITLES.get(area, area.capitalize())}', '', *listing(('operation', *known), (
            (f'`{name}`', *(mark_of(marks[provider][name]) for provider in known)) for name in names))]
    lines += ['## Reasons', '']
    for provider, facts in known.items():
        lines += [f'* **{provider}**: {line}' for line in reasons(facts)]
    for title, group in (('Hardware keywords', HARDWARE), ('Cloud keywords', CLOUD)):
        lines += ['', f'## {title}', '', *listing(('keyword', *known), (
            (f'`{keyword}`', *('✓' if keyword in known[provider]['honours'] else '' for provider in known))
            for keyword in sorted(group)))]
    return lines


def mark_of(operation: dict[str, Any]) -> str:
    """Return how an operation is marked."""
    return MARKS[operation['mark']] + (' waits' if operation['waits'] and operation['mark'] == 'supported' else '')


def reasons(facts: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each reason why a provider never does something, with the operations it stands for."""
    never = {one['operation']: one['reason'] for one in facts['operations'] if one['mark'] == 'never'}
    for reason in dict.fromkeys(never.values()):
        yield f"{reason}: {', '.join(f'`{name}`' for name in never if never[name] == reason)}"


def options() -> list[str]:
    """The page of the options that clients may have."""
    lines = ['# Options of clients', '', 'The keys of a client\'s section in `config.yml`, beside `type` and `enabled`, '
             'and beside [keywords](keywords.md), which hold for all its VMs. '
             '`kvirt create client TYPE NAME` writes them.', '']
    for entry in CATALOG:
        facts = describe(entry.name)
        also = f" Also called {', '.join(f'`{alias}`' for alias in entry.aliases)}." if entry.aliases else ''
        extra = f" Needs `pip install 'kvirt[{entry.name}]'`." if entry.requires else ''
        lines += [f'## {entry.name}', '', f'{entry.title}.{also}{extra}', '', *option_table(facts)]
    return lines


def option_table(facts: dict[str, Any]) -> list[str]:
    """Return the table of a provider's options."""
    return listing(('option', 'type', 'default', 'meaning'), (
        (f"`{option['option']}`", option['type'], shown(option['default']), meaning_of(option))
        for option in facts['options']))


def meaning_of(option: dict[str, Any]) -> str:
    """Return the meaning of an option, with where else it comes from."""
    further = ['secret'] if option['secret'] else []
    if option['environment']:
        further.append('or ' + ', '.join(f'`{name}`' for name in option['environment']) + ' in the environment')
    return f"{option['meaning']}{' (' + '; '.join(further) + ')' if further else ''}"


def of_provider(name: str) -> list[str]:
    """The generated part of a provider's page: all that the provider says of itself."""
    facts = describe(name)
    lines = ['## Options', '', *option_table(facts)]
    if facts['honours']:
        lines += ['## Keywords', '', 'Beside those that hold everywhere, it honours '
                  + ', '.join(f'`{keyword}`' for keyword in facts['honours'])
                  + '. See [all keywords](../reference/keywords.md).', '']
    if facts['permissions']:
        lines += ['## Permissions', '', *listing(('the credentials must be allowed', 'what for'), (
            (', '.join(f'`{each}`' for each in permission.split(', ')), purpose)
            for permission, purpose in facts['permissions'].items()))]
    if facts['prices']:
        lines += ['## Prices', '', facts['prices'], '']
    if facts['security']:
        lines += ['## Security', '', *(f'* {note}' for note in facts['security']), '']
    unwritten = [f"`{one['operation']}`" for one in facts['operations'] if one['mark'] == 'not yet']
    never = list(reasons(facts))
    if never or unwritten:
        lines += ['## What it does not do', '', *(f'* {line}' for line in never),
                  *([f"* not yet written: {', '.join(unwritten)}"] if unwritten else []), '']
    return lines


# plans

def plan_kinds() -> list[str]:
    """The page of what entries of a plan can be."""
    common = list(Keys.__struct_fields__)
    titles = ('key', 'type', 'default', 'meaning')
    lines = ['# Kinds of entries of a plan', '', 'The key `type` of an entry says which it is. How plans are written '
             'stands in [plans](../plans.md).', '', '## Keys of every kind', '',
             *listing(titles, map(cells, keys_of(Keys)))]
    for kind, item in ITEMS.items():
        lines += [f'## {kind}', '', *paragraphs(item.__doc__ or '')]
        lines += listing(titles, (cells(key) for key in keys_of(item.Keys) if key.name not in common))
        further = list(remarks(kind, item))
        lines += [*further, ''] if further else []
    lines += ['## profile', '', 'A profile for the VMs of the plan: [keywords](keywords.md), and `base`, the profile that '
              'it builds on, of the plan or of `profiles.yml`.', '']
    lines += ['## plan', '', 'Another plan, whose entries are taken in.', '', *listing(
        titles, [('`url`', 'text', '', 'Where it is'),
                 ('`file`', 'text', '', 'The same for a file, in the folder of this plan')])]
    known = ((f'`{name}`', (function.__doc__ or '').strip().splitlines()[0].replace('``', '`'))
             for name, function in sorted(filters(ROOT).items()))
    return [*lines, '## Filters', '', "Beside Jinja's own, templates of plans have these.", '',
            *listing(('filter', 'meaning'), known)]


def remarks(kind: str, item: type[Item]) -> Iterator[str]:
    """Yield what is to be said below the table of a kind."""
    if kind == 'vm':
        yield ('And all [keywords](keywords.md); `basevm`, a VM of the plan that it builds on, and `baseplan`, the plan in '
               'which that is, if it is another one.')
    elif item.open_keys:
        yield 'Further keys are settings of the provider.'
    if item.other_words:
        words = ', '.join(f'`{word}` for `{meant}`' for word, meant in item.other_words.items())
        yield f'Other words are understood: {words}.'
    types = [f'`{word}`' for word, meant in OTHER_WORDS.items() if meant == kind]
    if types:
        yield f"The type may also be written {' or '.join(types)}."


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as JSON, with a line for each of its definitions."""
    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)
    outer = [f' {line(key)}: {line(value)}' for key, value in schema.items() if key != '$defs']
    inner = [f'  {line(key)}: {line(value)}' for key, value in schema['$defs'].items()]
    return '{\n' + ',\n'.join([*outer, ' "$defs": {\n' + ',\n'.join(inner) + '\n }']) + '\n}\n'


def with_generated_part(text: str, name: str) -> str:
    """Return the page of a provider with its generated part made anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f'docs/providers/{name}.md has no place for what is generated: a line {BEGIN!r}, and one {END!r}')
    return '\n'.join([f'{before}{BEGIN}', '', *of_provider(name), f'{END}{after}'])


PAGES: dict[str, Callable[[], list[str]]] = {'commands.md': commands, 'keywords.md': keywords,
                                             'capabilities.md': capabilities, 'options.md': options,
                                             'plan-kinds.md': plan_kinds, 'kcli.md': kcli}
SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    'plan': plan_schema, 'profile': profile_schema, 'config': lambda: config_schema(platforms())}


def text_of(page: Callable[[], list[str]]) -> str:
    """Return the text of a page."""
    lines = page()
    return '\n'.join([lines[0], '', '<!-- Generated by extras/docgen.py: change the tables, then run make docs. -->',
                      *lines[1:]]).rstrip() + '\n'


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    texts = {FOLDER / name: text_of(page) for name, page in PAGES.items()}
    texts |= {FOLDER / f'{name}.schema.json': schema_text(schema()) for name, schema in SCHEMAS.items()}
    for entry in CATALOG:
        page_of = PROVIDERS / f'{entry.name}.md'
        before = page_of.read_text(encoding='utf-8') if page_of.is_file() else f'# {entry.name}\n\n{BEGIN}\n{END}\n'
        texts[page_of] = with_generated_part(before, entry.name)
    for path, text in texts.items():
        if path.is_file() and path.read_text(encoding='utf-8') == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if '--check' not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
    if '--check' in arguments:
        for name in stale:
            print(f'{name} is not up to date: run make docs', file=sys.stderr)
        return 1 if stale else 0
    print('\n'.join(f'wrote {name}' for name in stale) or 'all up to date')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
