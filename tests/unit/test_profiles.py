import pytest

from kvirt import yamlfile
from kvirt.errors import InvalidInput, NotFound
from kvirt.profiles import Layer, Profiles, merge

TEXT = """\
small:
  memory: 512
  cmds: [one]
big:
  base: small
  memory: 4096
huge:
  base: big
  numcpus: 16
odd: 7
round:
  base: about
about:
  base: round
lost:
  base: smal
"""


@pytest.fixture
def profiles():
    return Profiles(yamlfile.load(TEXT, 'profiles.yml'))


def test_bases_are_below_what_builds_on_them(profiles):
    merged = merge(profiles.layers('huge'))
    assert merged.values == {'memory': 4096, 'cmds': ['one'], 'numcpus': 16}
    assert merged.where('memory') == 'profiles.yml:6'
    assert merged.where('cmds') == 'profiles.yml:3'


@pytest.mark.parametrize(('name', 'error', 'text'), [
    ('hug', NotFound, "did you mean 'huge'"),
    ('odd', InvalidInput, 'profiles.yml:10: profile odd must be a mapping'),
    ('round', InvalidInput, "each other's base: round -> about -> round"),
    ('lost', InvalidInput, "profiles.yml:16: profile lost has the base 'smal', which does not exist, did you mean 'small'"),
])
def test_faults_have_a_place_and_a_suggestion(profiles, name, error, text):
    with pytest.raises(error, match=text):
        profiles.layers(name)


def test_the_last_layer_wins_and_lists_of_the_configuration_are_kept():
    merged = merge([Layer('section default', {'cmds': ['first'], 'nets': ['a']}, common=True),
                    Layer('section lab', {'cmds': ['second']}, common=True),
                    Layer('profile web', {'cmds': ['third', 'first'], 'nets': ['b']})])
    assert merged.values == {'cmds': ['first', 'second', 'third'], 'nets': ['b']}
    assert merged.where('nets') == 'profile web'


def test_merging_changes_no_layer():
    default = Layer('default', {'cmds': ['first']}, common=True)
    merge([default, Layer('x', {'cmds': ['second']})]).values['cmds'].append('third')
    assert default.values == {'cmds': ['first']}
