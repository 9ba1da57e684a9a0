"""The smallest build backend: a wheel is a zip file with three texts in it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

NAME, VERSION, PACKAGE = 'kvirt_toycloud', '1.0', 'toycloud'

TEXTS = {
    'METADATA': f'Metadata-Version: 2.1\nName: kvirt-toycloud\nVersion: {VERSION}\nRequires-Dist: kvirt\n',
    'WHEEL': 'Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    'entry_points.txt': '[kvirt.providers]\ntoycloud = toycloud.provider:Ktoycloud\n',
}


def build_wheel(folder: str, settings: Any = None, metadata: str | None = None) -> str:
    """Write the wheel into *folder*, and return its name."""
    name, info = f'{NAME}-{VERSION}-py3-none-any.whl', f'{NAME}-{VERSION}.dist-info'
    contents = {f'{info}/{file}': text for file, text in TEXTS.items()}
    contents |= {str(path): path.read_text() for path in sorted(Path(PACKAGE).glob('*.py'))}
    contents[f'{info}/RECORD'] = ''.join(f'{path},,\n' for path in [*contents, f'{info}/RECORD'])
    with zipfile.ZipFile(Path(folder) / name, 'w') as wheel:
        for path, text in contents.items():
            wheel.writestr(path, text)
    return name
