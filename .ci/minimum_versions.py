"""Print the lowest version that pyproject.toml declares of each dependency, as constraints for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parents[1].joinpath('pyproject.toml').read_text())['project']
extras = project['optional-dependencies']
for requirement in [*project['dependencies'], *extras['runtime'], *extras['tests']]:
    name, lowest = re.match(r'([\w-]+)>=([\d.]+)', requirement).groups()
    print(f'{name}=={lowest}')
