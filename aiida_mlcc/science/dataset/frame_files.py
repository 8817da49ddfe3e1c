"""Frames of a file and what is written beside them, whatever program wrote it: extended XYZ, ASE, VASP, phonopy."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io import read
from ase.io.extxyz import key_val_str_to_dict
from numpy.typing import NDArray

from aiida_mlcc.science.dataset.file_content import ContentError, copy_unpacked, read_lines

MOST_ATOMS = 100_000
"""Of a frame."""

_PACKED_NAMES = ('.gz', '.xz', '.bz2')
_EMPTY = '_EMPTY_'
_FARTHEST = 1e4

# A quoted value is skipped, so that nothing in it is taken for an entry.
_QUOTED = r'"(?:\\.|[^"\\])+"|\'(?:\\.|[^\'\\])+\'|\{[^}]+\}|\[[^\]]+\]'
_KEY = r'([^\s="\'{}\[\]]+)\s*='
_WITHOUT_VALUE = re.compile(rf'{_QUOTED}|{_KEY}(?:\s*(?:""|\'\'|\{{\}}|\[\])|\s+(?={_KEY})|\s*$)')
_ENTRY = re.compile(rf'{_QUOTED}|{_KEY}')
_SIMPLE_ENTRY = re.compile(r'([A-Za-z_]\w*)=(?:"[^"\\={}\[\]]+"|[^\s="\'{}\[\],]+)')
_SIMPLE = re.compile(rf'\s*(?:{_SIMPLE_ENTRY.pattern}(?:\s+|$))+')
"""A comment of nothing but names with plain or quoted values."""


Entry = str | bool | int | float | list[Any] | NDArray[Any]
"""What ASE's reader makes of the value of an entry."""

Entries = Mapping[str, Entry]
"""Name → value of the comment of a frame."""


@dataclass(frozen=True)
class Frame:
    """One frame of a file.

    :param atoms: the structure alone.
    :param entries: name → what is written for the frame as a whole, ``''`` where nothing follows the name.
    :param columns: name → numbers of each atom, shape (n_atoms, 3).
    :param repeated: names that stand more than once, of which the last one counts.
    """

    atoms: Atoms
    entries: Entries
    columns: Mapping[str, NDArray[np.float64]]
    repeated: tuple[str, ...] = field(default=())


def read_frames(path: Path | str) -> list[Frame]:
    """Read all frames of a file, compressed or not.

    By its name: ``*.traj``, ``*.db`` and ``*.json`` of ASE, ``vasprun*.xml``, ``OUTCAR*`` and ``ML_AB*`` of VASP,
    ``phonopy*.yaml``; anything else is extended XYZ.

    :raises ContentError: for what cannot be read, in a sentence.
    """
    frames = list(each_frame(path))
    if not frames:
        raise ContentError(f'{path} is empty')
    return frames


def each_frame(path: Path | str) -> Iterator[Frame]:
    """Give the frames of a file one by one, as :func:`read_frames` reads them: those before what cannot be read.

    :raises ContentError: for what cannot be read, in a sentence.
    """
    source = Path(path)
    name = plain_name(source).lower()
    reader = next((found for pattern, found in _READERS if fnmatch(name, pattern)), _read_xyz)
    for number, frame in enumerate(reader(source)):
        _check_numbers(source, number, frame.atoms)
        yield frame


def read_structures(path: Path | str) -> list[Atoms]:
    """Read the structures of a file of any kind that ASE knows, with all that ASE reads of them.

    :raises ContentError: for what cannot be read, in a sentence.
    """
    source = Path(path)
    if fnmatch(plain_name(source).lower(), '*.*xyz'):
        # ASE would count and allocate whatever such a file asks for.
        read_frames(source)
    try:
        images = read(source, ':')
    except Exception as error:  # ASE's readers raise whatever their parsers do  # noqa: BLE001
        raise ContentError(f'ASE cannot read a structure from {source}: {error or type(error).__name__}') from None
    for number, atoms in enumerate(images):
        _check_numbers(source, number, atoms)
    return list(images)


def plain_name(path: Path) -> str:
    """Return the name of a file without folder and without the ending of its compression."""
    return path.name.removesuffix(next((ending for ending in _PACKED_NAMES if path.name.endswith(ending)), ''))


def _check_numbers(path: Path, number: int, atoms: Atoms) -> None:
    where = f'{plain_name(path)}: frame {number}'
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ContentError(f'{where} has a position or a cell with a number that is not finite')
    for what, lengths in (('a lattice vector', atoms.cell.array), ('a position', atoms.positions)):
        if np.abs(lengths).max(initial=0.0) > _FARTHEST:
            raise ContentError(f'{where} has {what} of {np.abs(lengths).max():.3g} Å')


def _read_xyz(path: Path) -> Iterator[Frame]:
    name = plain_name(path)
    lines = read_lines(path)
    at = frame = 0
    for line in lines:
        at += 1
        if not line.strip():
            continue
        n_atoms = _n_atoms(name, at, frame, line)
        block = [text.rstrip('\r\n') for text in islice(lines, n_atoms + 1)]
        if len(block) < n_atoms + 1:
            raise ContentError(
                f'{name} breaks off in frame {frame}: {max(len(block) - 1, 0)} of its {n_atoms} atoms are there'
            )
        at += n_atoms + 1
        yield _xyz_frame(f'{name}: frame {frame}', n_atoms, block[0], block[1:])
        frame += 1


def _n_atoms(name: str, at: int, frame: int, line: str) -> int:
    try:
        n_atoms = int(line)
    except ValueError:
        raise ContentError(
            f'{name}, line {at}: the number of atoms of frame {frame} should stand here, not {line.strip()[:40]!r}'
        ) from None
    if not 1 <= n_atoms <= MOST_ATOMS:
        raise ContentError(
            f'{name}, line {at}: frame {frame} cannot have {n_atoms} atoms, only between 1 and {MOST_ATOMS}'
        )
    return n_atoms


def _xyz_frame(where: str, n_atoms: int, comment: str, rows: list[str]) -> Frame:
    try:
        entries, names = _entries(comment)
    except ValueError as error:
        raise ContentError(f'{where} has entries that cannot be read: {error}') from None
    properties = str(entries.get('Properties') or 'species:S:1:pos:R:3')
    _check_columns(where, properties, rows[0])
    if (plain := _plain_frame(n_atoms, properties, entries, rows)) is not None:
        structure, columns = plain
        return Frame(structure, _other_entries(entries), columns, _repeated(names))
    # ASE's reader gets what describes the structure and nothing that could confuse it.
    header = [f'Properties={properties}']
    if isinstance(lattice := entries.get('Lattice'), np.ndarray):
        header.append(f'Lattice="{" ".join(repr(float(number)) for number in lattice.T.ravel())}"')
    if isinstance(pbc := entries.get('pbc'), bool | list):
        header.append(f'pbc="{" ".join("FT"[bool(flag)] for flag in (pbc if isinstance(pbc, list) else [pbc] * 3))}"')
    text = '\n'.join([str(n_atoms), ' '.join(header), *rows]) + '\n'
    try:
        atoms = read(io.StringIO(text), format='extxyz')
    except Exception as error:  # ASE's reader raises whatever its parsers do  # noqa: BLE001
        raise ContentError(f'{where} cannot be read as extended XYZ: {error}') from None
    assert isinstance(atoms, Atoms)
    return Frame(_structure(atoms), _other_entries(entries), _columns(atoms), _repeated(names))


def _entries(comment: str) -> tuple[dict[str, Entry], list[str]]:
    """Return the entries of a frame, and all names that stand there.

    :raises ValueError: where they cannot be read.
    """
    if _SIMPLE.fullmatch(comment):
        # Entry by entry: most of them are those of the frame before.
        found: dict[str, Entry] = {}
        names = []
        for each in _SIMPLE_ENTRY.finditer(comment):
            found.update(_entry(each[0]))
            names.append(each[1])
        return found, names
    comment = _WITHOUT_VALUE.sub(lambda found: found[0] if found[1] is None else f'{found[1]}={_EMPTY} ', comment)
    names = [found[1] for found in _ENTRY.finditer(comment) if found[1] is not None]
    parsed = key_val_str_to_dict(comment) if comment.strip() else {}
    return {key: '' if isinstance(value, str) and value == _EMPTY else value for key, value in parsed.items()}, names


@lru_cache(maxsize=64)
def _entry(text: str) -> dict[str, Entry]:
    parsed: dict[str, Entry] = key_val_str_to_dict(text)
    return parsed


def _other_entries(entries: Entries) -> dict[str, Entry]:
    """Return the entries that do not describe the structure."""
    return {key: value for key, value in entries.items() if key not in ('Properties', 'Lattice', 'pbc')}


def _repeated(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in Counter(names).items() if count > 1))


_PLAIN = re.compile(r'species:S:1:pos:R:3((?::(?:forces?|forces?_\w+|\w+_forces?):R:3)*)')
"""Columns that have no meaning of their own to ASE's reader but the usual one."""


def _plain_frame(
    n_atoms: int, properties: str, entries: Entries, rows: list[str]
) -> tuple[Atoms, dict[str, NDArray[np.float64]]] | None:
    """Read a frame of symbols, positions and forces in a periodic cell, as nearly all are, at a tenth of ASE's cost.

    :returns: None for anything else and for anything wrong: ASE's reader knows more, and says what is wrong.
    """
    found, lattice, pbc = _PLAIN.fullmatch(properties), entries.get('Lattice'), entries.get('pbc', True)
    if found is None or not (isinstance(lattice, np.ndarray) and lattice.shape == (3, 3)):
        return None
    flags = pbc if isinstance(pbc, list) else [pbc] * 3
    if len(flags) != 3 or not all(isinstance(flag, bool) for flag in flags):
        return None
    names = found[1].split(':')[1::3]
    width = 4 + 3 * len(names)
    words = [row.split() for row in rows]
    numbers = [atomic_numbers.get(row[0].capitalize()) if len(row) == width else None for row in words]
    if None in numbers or len(set(names)) < len(names):
        return None
    try:
        values = np.array([float(word) for row in words for word in row[1:]]).reshape(n_atoms, width - 1)
    except ValueError:
        return None
    # Copies, so that no frame keeps what the others do not need.
    columns = {name: values[:, 3 * place : 3 * place + 3].copy() for place, name in enumerate(names, 1)}
    cell = np.array(lattice.T, dtype=float)
    return Atoms(np.array(numbers), positions=values[:, :3].copy(), cell=cell, pbc=flags), columns


def _check_columns(where: str, properties: str, row: str) -> None:
    fields = properties.split(':')
    widths = fields[2::3]
    if len(fields) % 3 or not all(width.isascii() and width.isdigit() and int(width) > 0 for width in widths):
        raise ContentError(f'{where}: its Properties={properties[:80]} cannot be read')
    asked, there = sum(map(int, widths)), len(row.split())
    if asked > there:
        raise ContentError(f'{where}: Properties names {asked} columns, and its first atom has {there}')


def _read_ase(kind: str) -> Callable[[Path], Iterator[Frame]]:
    def frames(path: Path) -> Iterator[Frame]:
        with _unpacked(path) as plain:
            try:
                images = read(plain, ':', format=kind)
            except Exception as error:  # ASE's readers raise whatever their parsers do  # noqa: BLE001
                reason = ' '.join(str(error).split()) or type(error).__name__
                raise ContentError(f'{path} cannot be read as {kind}: {reason}') from None
        for atoms in images:
            yield _ase_frame(atoms)

    return frames


def _ase_frame(atoms: Atoms) -> Frame:
    entries = {**atoms.info, **atoms.info.get('key_value_pairs', {})}
    if atoms.calc is not None:
        entries |= {k: v for k, v in atoms.calc.results.items() if np.ndim(v) == 0 and v is not None}
    return Frame(_structure(atoms), entries, _columns(atoms))


def _structure(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _columns(atoms: Atoms) -> dict[str, NDArray[np.float64]]:
    """Return columns of three numbers an atom; ASE files one called ``forces`` under the results of a calculator."""
    results = {} if atoms.calc is None else atoms.calc.results
    found = {**atoms.arrays, **results}
    shape = (len(atoms), 3)
    return {k: np.asarray(v, float) for k, v in found.items() if np.shape(v) == shape and k != 'positions'}


def _read_ml_ab(path: Path) -> Iterator[Frame]:
    """Read the training data of VASP's force fields: each number stands below its title, between two rules."""
    sections: dict[str, list[str]] = {}
    title = ''
    for line in read_lines(path):
        text = line.strip()
        if text.startswith('Configuration num.'):
            if 'Atomic positions' in sections:
                yield _ml_ab_frame(path, sections)
            sections, title = {}, ''
        elif not text or set(text) <= set('*=-'):
            title = title if set(text) == {'-'} else ''
        elif title:
            sections[title].append(text)
        else:
            title = text.split('(')[0].strip()
            sections[title] = []
    if 'Atomic positions' in sections:
        yield _ml_ab_frame(path, sections)


def _ml_ab_frame(path: Path, sections: Mapping[str, list[str]]) -> Frame:
    try:
        counts = [line.split() for line in sections['Atom types and atom numbers']]
        symbols = [symbol for symbol, count in counts for _ in range(min(int(count), MOST_ATOMS))]
        cell, positions, forces = (
            np.array([line.split() for line in sections[title]], dtype=float)
            for title in ('Primitive lattice vectors', 'Atomic positions', 'Forces')
        )
        energy = float(sections['Total energy'][0])
        return Frame(Atoms(symbols, positions=positions, cell=cell, pbc=True), {'energy': energy}, {'forces': forces})
    except (KeyError, ValueError, IndexError) as error:
        raise ContentError(f'{path} cannot be read as ML_AB: {type(error).__name__}, {error}') from None


def _read_phonopy(path: Path) -> Iterator[Frame]:
    """Read the displaced supercells of phonopy and their forces, from a ``FORCE_SETS`` beside it where it has none."""
    import phonopy

    with _unpacked(path) as plain:
        beside = path.parent / 'FORCE_SETS'
        try:
            found = phonopy.load(
                plain, force_sets_filename=beside if beside.is_file() else None, produce_fc=False, log_level=0
            )
            forces = None if found.dataset is None else found.forces
            energies = _phonopy_energies(found)
            supercells = [] if forces is None else found.supercells_with_displacements
        except Exception as error:  # phonopy raises whatever its parsers do  # noqa: BLE001
            raise ContentError(f'{path} cannot be read as a file of phonopy: {error}') from None
    if forces is None or not supercells:
        raise ContentError(f'{path} has no displaced supercells with forces')
    for number, cell in enumerate(supercells):
        atoms = Atoms(list(cell.symbols), positions=cell.positions, cell=cell.cell, pbc=True)
        entries = {} if energies is None else {'energy': float(energies[number])}
        yield Frame(atoms, entries, {'forces': np.asarray(forces[number], dtype=float)})


def _phonopy_energies(found: Any) -> NDArray[np.float64] | None:
    """Return the energies of the displaced supercells, eV; most files have none, of which phonopy makes an error."""
    try:
        energies = found.supercell_energies
    except RuntimeError:
        return None
    return None if energies is None else np.asarray(energies, dtype=float)


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Return a file that is not compressed, a copy of `path` where that is."""
    name = plain_name(path)
    if name == path.name:
        yield path
        return
    with TemporaryDirectory(prefix='aiida-mlcc-') as folder:
        copy_unpacked(path, Path(folder) / name)
        yield Path(folder) / name


_READERS: tuple[tuple[str, Callable[[Path], Iterator[Frame]]], ...] = (
    ('*.traj', _read_ase('traj')),
    ('*.db', _read_ase('db')),
    ('*.json', _read_ase('json')),
    ('*vasprun*.xml', _read_ase('vasp-xml')),
    ('*outcar*', _read_ase('vasp-out')),
    ('*ml_ab*', _read_ml_ab),
    ('*phonopy*.yaml', _read_phonopy),
)
"""Pattern of the name in lower case → reader."""
