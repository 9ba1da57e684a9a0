"""Packaging. The extras are computed from the catalog of providers, so that they can't drift from it."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
catalog = runpy.run_path(str(here / 'kvirt' / 'providers' / 'catalog.py'))
version = runpy.run_path(str(here / 'kvirt' / 'version.py'))['__version__']

MCP = ['mcp>=2,<3']
WEB = ['websockets>=15']
ZSTD = ['backports.zstd>=1; python_version < "3.14"']  # later ones have it in their standard library
extras = catalog['extras']()

setup(
    name='kvirt',
    version=version,
    description='One Python interface, one command line and one plan language for every place a VM can run',
    long_description=(here / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    keywords=['virtualization', 'libvirt', 'cloud', 'virtual machines', 'infrastructure as code'],
    classifiers=['Environment :: Console', 'Intended Audience :: Developers', 'Intended Audience :: System Administrators',
                 'Operating System :: POSIX :: Linux', 'Programming Language :: Python :: 3',
                 'Programming Language :: Python :: 3 :: Only', 'Topic :: System :: Systems Administration',
                 'Typing :: Typed'],
    python_requires='>=3.10',
    packages=find_packages(include=['kvirt', 'kvirt.*']),
    package_data={'kvirt': ['py.typed', 'data/*.yaml', 'data/*.md', 'data/*.html', 'guest/*.sh', 'providers/kvm/*.S']},
    install_requires=['PyYAML>=6', 'Jinja2>=3.1', 'click>=8.1', 'rich>=13', 'msgspec>=0.18', 'pycdlib>=1.14',
                      'paramiko>=3.4', 'requests>=2.31'],
    extras_require={
        **extras,
        'all': [*extras['all'], *ZSTD],
        'mcp': MCP,
        'web': WEB,
        # For images that are packed with zstd.
        'zstd': ZSTD,
        # For authors of providers: the conformance suite, and the judge by vendors' own descriptions.
        'testing': ['pytest>=8,<9.2', 'jsonschema>=4.18'],
        # For the site: make site.
        'docs': ['mkdocs>=1.6,<2', 'mkdocs-material>=9.5,<10'],
        # pytest 9.2 changed how tests are named, and --dist loadgroup of xdist 3.8 does nothing there without a word.
        'test': ['pytest>=8,<9.2', 'hypothesis>=6', 'pytest-timeout>=2', 'pytest-xdist>=3.7', 'ruff>=0.6', 'mypy>=1.10',
                 'jsonschema>=4.18', 'moto[server]>=5.2', 'ansible-core>=2.16', *MCP, *WEB, *ZSTD, 'build>=1', 'twine>=5',
                 'types-PyYAML', 'types-paramiko', 'types-requests', 'types-jsonschema'],
    },
    entry_points={
        'console_scripts': ['kvirt = kvirt.__main__:entry'],
        'pytest11': ['kvirt.testing.plugin = kvirt.testing.plugin'],
    },
)
