"""Check the tensors of a Cc4s job before Cc4s reads them: ``python3 cc4s_check.py NAME...`` in the job's folder.

Cc4s reads a truncated file silently and finishes with wrong energies. This file is copied into the job by itself and
needs nothing but the standard library of any Python 3.6 or newer. It writes ``check.json`` and exits with 1 where
anything is wrong.
"""
# ruff: noqa: UP006, UP035, B905 - the Python of an old cluster knows neither `list[str]` nor `zip(strict=...)`.

import json
import math
import os
import re
import sys
from typing import Any, Dict, Iterator, List, Sequence, Tuple

REPORT_FILE = 'check.json'
SCALAR_BYTES = {'Real64': 8, 'Complex64': 16}
VERSION = 100
SAME_ENERGY = 1e-4
"""Relative difference at which two copies of one orbital energy are no longer the same."""

MISSING, MALFORMED, SIZE, INCONSISTENT = 'missing', 'malformed', 'size', 'inconsistent'
_KEY = re.compile(r'([^\s:\'"\[\]{}#][^:]*?)\s*:(?:\s+(.*))?$')
_CHUNK = 1 << 20

Line = Tuple[int, int, str]


class Problem(Exception):
    """Something wrong with a tensor: its kind, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_header(text: str) -> Dict[str, Any]:
    """Read the part of YAML that tensor headers are written in: block maps and lists, flow lists, scalars.

    :raises Problem: naming the first line that is something else.
    """
    lines = []  # type: List[Line]
    for number, raw in enumerate(text.splitlines(), 1):
        content = _without_comment(raw).rstrip()
        if content.strip() in ('', '---', '...'):
            continue
        stripped = content.lstrip(' ')
        lines.append((number, len(content) - len(stripped), stripped))
    if not lines:
        raise Problem(MALFORMED, 'it is empty')
    value, position = _read_block(lines, 0)
    if position < len(lines):
        raise Problem(MALFORMED, f'line {lines[position][0]} cannot be read: {lines[position][2][:60]!r}')
    if not isinstance(value, dict):
        raise Problem(MALFORMED, 'it is not a map of keys and values')
    return value


def _without_comment(line: str) -> str:
    quote = ''
    for i, character in enumerate(line):
        if quote:
            quote = '' if character == quote else quote
        elif character in '\'"':
            quote = character
        elif character == '#' and (i == 0 or line[i - 1].isspace()):
            return line[:i]
    return line


def _read_block(lines: List[Line], position: int) -> Tuple[Any, int]:
    if _is_item(lines[position][2]):
        return _read_list(lines, position)
    return _read_map(lines, position)


def _is_item(text: str) -> bool:
    return text == '-' or text.startswith('- ')


def _read_list(lines: List[Line], position: int) -> Tuple[List[Any], int]:
    indent = lines[position][1]
    items = []  # type: List[Any]
    while position < len(lines) and lines[position][1] == indent and _is_item(lines[position][2]):
        number, _, text = lines[position]
        content = text[1:].lstrip(' ')
        if not content:
            value, position = _read_nested(lines, position, indent, items_at_indent=False)
        elif _is_item(content) or _KEY.match(content):
            lines[position] = (number, indent + len(text) - len(content), content)
            value, position = _read_block(lines, position)
        else:
            value, position = _read_scalar(content, number), position + 1
        items.append(value)
    return items, position


def _read_map(lines: List[Line], position: int) -> Tuple[Dict[str, Any], int]:
    indent = lines[position][1]
    result = {}  # type: Dict[str, Any]
    while position < len(lines) and lines[position][1] == indent and not _is_item(lines[position][2]):
        number, _, text = lines[position]
        match = _KEY.match(text)
        if match is None:
            raise Problem(MALFORMED, f'line {number} cannot be read: {text[:60]!r}')
        key, content = match.group(1), (match.group(2) or '').strip()
        if content:
            result[key], position = _read_scalar(content, number), position + 1
        else:
            result[key], position = _read_nested(lines, position, indent, items_at_indent=True)
    return result, position


def _read_nested(lines: List[Line], position: int, indent: int, items_at_indent: bool) -> Tuple[Any, int]:
    """Read what belongs to a key or a dash that ends its line: a deeper block, or nothing."""
    position += 1
    if position == len(lines):
        return None, position
    deeper = lines[position][1] > indent
    if deeper or (items_at_indent and lines[position][1] == indent and _is_item(lines[position][2])):
        return _read_block(lines, position)
    return None, position


def _read_scalar(text: str, number: int) -> Any:
    if text[0] == '[':
        if text[-1] != ']':
            raise Problem(MALFORMED, f'line {number} opens a list that it does not close')
        inner = text[1:-1].strip()
        return [_read_scalar(part.strip(), number) for part in inner.split(',')] if inner else []
    if text[0] in '\'"':
        return text[1:-1] if len(text) > 1 and text[-1] == text[0] else text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_tensors(names: Sequence[str], folder: str = '.') -> Dict[str, Any]:
    """Check every tensor of `names` in `folder`, then their sizes against each other.

    :returns: what is written to ``check.json``: ``passed``, ``problems``, ``tensors``, and where they are known
        ``n_occupied``, ``n_virtual`` and ``energy_unit`` (in Hartree).
    """
    report = {'problems': [], 'tensors': {}}  # type: Dict[str, Any]
    headers = {}  # type: Dict[str, Dict[str, Any]]
    for name in names:
        try:
            header = _load_header(folder, name)
            lengths = _lengths(header, name)
            n_bytes = _check_elements(folder, name, header, lengths)
        except Problem as problem:
            report['problems'].append({'kind': problem.kind, 'tensor': name, 'message': str(problem)})
            continue
        headers[name] = header
        report['tensors'][name] = {'lengths': lengths, 'scalar_type': header['scalarType'], 'bytes': n_bytes}
    states = (0, 0)
    if 'EigenEnergies' in headers:
        try:
            states = _check_states(folder, headers['EigenEnergies'])
            report['n_occupied'], report['n_virtual'] = states
            report['energy_unit'] = float(headers['EigenEnergies']['unit'])
        except Problem as problem:
            message = f'EigenEnergies.yaml: {problem}.'
            report['problems'].append({'kind': problem.kind, 'tensor': 'EigenEnergies', 'message': message})
    report['problems'].extend(_check_together(headers, *states))
    report['passed'] = not report['problems']
    return report


def _load_header(folder: str, name: str) -> Dict[str, Any]:
    """Read the header of a tensor.

    :raises Problem: where it is missing, or not what Cc4s reads.
    """
    file = name + '.yaml'
    path = os.path.join(folder, file)
    _must_exist(path, file)
    try:
        with open(path, encoding='utf-8') as handle:
            header = read_header(handle.read())
    except Problem as problem:
        raise Problem(MALFORMED, f'{file} is not a tensor header: {problem}.') from None
    except UnicodeDecodeError:
        raise Problem(MALFORMED, f'{file} is not a tensor header: it is not text.') from None
    elements = header.get('elements')
    storage = elements.get('type') if isinstance(elements, dict) else None
    unit = header.get('unit')
    expected = (
        (header.get('type') == 'Tensor', '`type` is {!r} instead of Tensor'.format(header.get('type'))),
        (header.get('version') == VERSION, '`version` is {!r} instead of {}'.format(header.get('version'), VERSION)),
        (header.get('scalarType') in SCALAR_BYTES, '`scalarType` is {!r}'.format(header.get('scalarType'))),
        (storage in ('IeeeBinaryFile', 'TextFile'), f'`elements` is of type {storage!r}'),
        (isinstance(unit, (int, float)) and unit > 0, f'`unit` is {unit!r}, which is not a positive number'),
        ('nonZeroCondition' not in header, 'it holds blocks of a k-mesh; this is a calculation of one k-point'),
    )
    for holds, complaint in expected:
        if not holds:
            raise Problem(MALFORMED, f'{file}: {complaint}.')
    return header


def _must_exist(path: str, file: str) -> None:
    if os.path.isfile(path):
        return
    if os.path.islink(path):
        raise Problem(MISSING, f'{file} is missing: it is a link to {os.readlink(path)}, where no file is.')
    raise Problem(MISSING, f'{file} is missing: it was not found in the folder that the tensors come from.')


def _lengths(header: Dict[str, Any], name: str = '') -> List[int]:
    dimensions = header.get('dimensions')
    lengths = []  # type: List[int]
    for dimension in dimensions if isinstance(dimensions, list) else []:
        length = dimension.get('length') if isinstance(dimension, dict) else None
        if not isinstance(length, int) or length < 1:
            raise Problem(MALFORMED, f'{name}.yaml: a dimension is {dimension!r}, which has no length.')
        lengths.append(length)
    if not lengths:
        raise Problem(MALFORMED, f'{name}.yaml: `dimensions` are {dimensions!r}, which is not a list of them.')
    return lengths


def _check_elements(folder: str, name: str, header: Dict[str, Any], lengths: List[int]) -> int:
    """Compare the elements' file with the header, and return its size in bytes."""
    file = name + '.elements'
    path = os.path.join(folder, file)
    _must_exist(path, file)
    size = os.path.getsize(path)
    scalar = header['scalarType']
    shape = ' × '.join(str(length) for length in lengths)
    n_elements = 1
    for length in lengths:
        n_elements *= length
    if header['elements']['type'] == 'IeeeBinaryFile':
        expected, found, what = n_elements * SCALAR_BYTES[scalar], size, 'bytes'
    else:
        expected, found, what = n_elements, sum(1 for _ in _text_elements(path, scalar)), 'numbers'
    if found != expected:
        how = 'truncated' if found < expected else 'too long'
        told = '{} is {}: its header says {} {} ({} {}), and it holds {}.'
        raise Problem(SIZE, told.format(file, how, shape, scalar, expected, what, found))
    return size


def _text_elements(path: str, scalar: str) -> Iterator[str]:
    """Go through the numbers of a text file; a complex number is ``(real,imaginary)``."""
    with open(path, encoding='utf-8', errors='replace') as handle:
        if scalar == 'Complex64':
            while True:
                chunk = handle.read(_CHUNK)
                if not chunk:
                    return
                yield from ')' * chunk.count(')')
        for line in handle:
            yield from line.split()


def _check_states(folder: str, header: Dict[str, Any]) -> Tuple[int, int]:
    """Return the numbers of occupied and virtual states.

    :raises Problem: where the header contradicts itself or the elements, or where Cc4s would find no gap.
    """
    lengths = _lengths(header)
    if len(lengths) != 1:
        raise Problem(INCONSISTENT, f'it has {len(lengths)} dimensions instead of one')
    length = lengths[0]
    meta = header.get('metaData')
    energies, fermi = (meta.get('energies'), meta.get('fermiEnergy')) if isinstance(meta, dict) else (None, None)
    if not isinstance(energies, list) or not all(_is_number(energy) for energy in energies) or not _is_number(fermi):
        raise Problem(MALFORMED, 'its `metaData` hold no `energies` and `fermiEnergy`')
    if len(energies) != length:
        raise Problem(INCONSISTENT, f'it says {length} states and lists {len(energies)} energies')
    n_occupied = sum(1 for energy in energies if energy < fermi)
    if any(energy >= fermi for energy in energies[:n_occupied]):
        raise Problem(INCONSISTENT, 'the states below the Fermi energy are not the first ones')
    if not 0 < n_occupied < length:
        side = 'below' if n_occupied == 0 else 'above'
        raise Problem(INCONSISTENT, f'the Fermi energy {fermi} lies {side} all energies')
    if header['elements']['type'] == 'TextFile':
        tokens = _text_elements(os.path.join(folder, 'EigenEnergies.elements'), 'Real64')
        for i, (energy, token) in enumerate(zip(energies, tokens)):
            if not _is_same_energy(energy, token):
                raise Problem(INCONSISTENT, f'state {i} has the energy {energy}, but {token} in the elements')
    return n_occupied, length - n_occupied


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_same_energy(energy: float, token: str) -> bool:
    try:
        return abs(float(token) - energy) <= SAME_ENERGY * max(abs(energy), 1.0)
    except ValueError:
        return False


def _check_together(headers: Dict[str, Dict[str, Any]], n_occupied: int, n_virtual: int) -> List[Dict[str, str]]:
    """Compare the shapes of the tensors with the number of states, and those on the grid with each other."""
    n_states = n_occupied + n_virtual
    n_fields = _lengths(headers['CoulombVertex'])[0] if 'CoulombVertex' in headers else 0
    n_grid = _lengths(headers['CoulombPotential'])[-1] if 'CoulombPotential' in headers else 0
    expected = {
        'CoulombVertex': [n_fields, n_states, n_states],
        'Mp2PairEnergies': [n_occupied, n_occupied],
        'DeltaIntegralsHH': [n_occupied, n_occupied],
        'DeltaIntegralsPPHH': [n_virtual, n_virtual, n_occupied, n_occupied],
        'CoulombPotential': [n_grid],
        'GridVectors': [3, n_grid],
        'CoulombVertexSingularVectors': [n_grid, n_fields],
    }
    problems = []
    for name, shape in expected.items():
        # A zero stands for what could not be read, which is a problem already.
        if name not in headers or 0 in shape or _lengths(headers[name]) == shape:
            continue
        found, right = (' × '.join(str(length) for length in lengths) for lengths in (_lengths(headers[name]), shape))
        told = '{}.yaml says {}, but {} occupied and {} virtual states and the other tensors ask for {}.'
        message = told.format(name, found, n_occupied, n_virtual, right)
        problems.append({'kind': INCONSISTENT, 'tensor': name, 'message': message})
    vertex = headers.get('CoulombVertex')
    if vertex is not None and vertex['scalarType'] != 'Complex64':
        message = 'CoulombVertex.yaml says {}, but Cc4s reads Complex64.'.format(vertex['scalarType'])
        problems.append({'kind': INCONSISTENT, 'tensor': 'CoulombVertex', 'message': message})
    return problems


def main(names: Sequence[str]) -> int:
    """Check the tensors of `names` in this folder, write ``check.json``, and return the exit code."""
    report = check_tensors(names)
    with open(REPORT_FILE, 'w', encoding='utf-8') as handle:
        json.dump(report, handle, indent=1, sort_keys=True)
        handle.write('\n')
    for problem in report['problems']:
        sys.stderr.write(problem['message'].encode('ascii', 'replace').decode('ascii') + '\n')
    return 0 if report['passed'] else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
