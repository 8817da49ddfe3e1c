"""Which files of this package a module reaches by its imports: what runs when it runs, and no more.

The files are found in the source, without importing anything: imports at the top and within functions, and strings
``'aiida_mlcc.module:attribute'``, by which tables name what is imported when it is needed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import aiida_mlcc

_NAME = aiida_mlcc.__name__
_FOLDER = Path(aiida_mlcc.__file__).parent
_LAZY = re.compile(rf'({_NAME}(?:\.\w+)+):\w+')


def reached_files(*modules: str) -> dict[str, bytes]:
    """Return the files that `modules` reach, as path (``aiida_mlcc/science/npz.py``) → content, sorted by path.

    :param modules: full names, ``aiida_mlcc.runtime.tasks.md``.
    :raises ModuleNotFoundError: where there is no such module, or a file that is reached imports one that is not there.
    """
    found: set[str] = set()
    left = list(modules)
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        left += _reached_at_once(module)
    paths = {_path(module) for module in found}
    return {path.relative_to(_FOLDER.parent).as_posix(): read(path) for path in sorted(paths)}


def read(path: Path) -> bytes:
    """Return the content of a file of the package."""
    return path.read_bytes()


@cache
def _reached_at_once(module: str) -> frozenset[str]:
    """Return the modules that the source of `module` names, and the packages that it lies in."""
    tree = ast.parse(_path(module).read_bytes())
    # `aiida_mlcc` is the first parent, and importing a module imports its parents.
    parents = {module.rsplit('.', n)[0] for n in range(1, module.count('.') + 1)}
    return frozenset(parents.union(_named(tree)))


def _named(tree: ast.AST) -> Iterator[str]:
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f'line {node.lineno}: a relative import; this package names its modules in full')
            if node.module is not None and _is_ours(node.module):
                yield node.module
                attributes = (f'{node.module}.{alias.name}' for alias in node.names)
                yield from (name for name in attributes if _find(name) is not None)
        elif isinstance(node, ast.Constant) and (match := _LAZY.fullmatch(str(node.value))):
            yield match[1]


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree, but leave out what only type checkers read."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING':
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)


def _is_ours(module: str) -> bool:
    return module.split('.')[0] == _NAME


def _find(module: str) -> Path | None:
    stem = _FOLDER.joinpath(*module.split('.')[1:])
    candidates = (stem / '__init__.py', stem.with_name(f'{stem.name}.py'))
    return next((path for path in candidates if path.is_file()), None)


def _path(module: str) -> Path:
    if (path := _find(module)) is None:
        raise ModuleNotFoundError(f'no module {module!r} in {_FOLDER}')
    return path
