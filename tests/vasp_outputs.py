"""Made-up inputs and outputs of VASP, in its formats: what `mock-vasp` answers with. VASP itself is nowhere near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

POTCAR = """  PAW_PBE {element} 01Jan2000
   {zval}.0000000000000
 parameters from PSCTR are:
   VRHFIN ={element}: made up
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.0000 Ry
   TITEL  = PAW_PBE {element} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        0    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    0.000    partial core radius
   POMASS =   10.000; ZVAL   =   {zval}.000    mass and valenz
   RCORE  =    1.000    outmost cutoff radius
   RWIGS  =    1.000; RWIGS  =    0.500    wigner-seitz radius (au A)
   ENMAX  =  300.000; ENMIN  =  200.000 eV
   EAUG   =  500.000
   END of PSCTR-controll parameters
 a stub of the project's own, which holds no potential
 End of Dataset
"""

VERSION = '6.4.2'

_LINE = '<i name="{}">{:16.8f}</i>'


def poscar(atoms: Atoms, velocities: np.ndarray | None = None) -> str:
    """Return a POSCAR or CONTCAR; velocities in Å/fs."""
    groups = [(symbol, len(list(group))) for symbol, group in groupby(atoms.get_chemical_symbols())]
    lines = ['made up', '1.0', *_rows(atoms.cell.array)]
    lines += [' '.join(symbol for symbol, _ in groups), ' '.join(str(count) for _, count in groups), 'Direct']
    lines += _rows(atoms.get_scaled_positions(wrap=False))
    if velocities is not None:
        lines += ['Cartesian', *_rows(velocities)]
    return '\n'.join(lines) + '\n'


def incar(tags: Mapping[str, Any]) -> str:
    """Return an INCAR."""

    def written(value: Any) -> str:
        if isinstance(value, bool):
            return '.TRUE.' if value else '.FALSE.'
        return ' '.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

    return ''.join(f'{tag} = {written(value)}\n' for tag, value in tags.items())


def kpoints(mesh: Sequence[int]) -> str:
    """Return a KPOINTS of a Γ-centred mesh."""
    return f'made up\n0\nGamma\n{mesh[0]} {mesh[1]} {mesh[2]}\n0.0 0.0 0.0\n'


def vasprun(
    frames: Sequence[Atoms],
    energies: Sequence[float],
    forces: Sequence[np.ndarray],
    n_electronic: Sequence[int],
    nelm: int = 60,
    nsw: int = 0,
    killed: bool = False,
    version: str = VERSION,
) -> str:
    """Return a vasprun.xml; the energies without entropy are 0.2 eV above, those for no smearing 0.1 eV above.

    :param killed: end in the middle of one more step.
    """
    symbols = frames[0].get_chemical_symbols()
    atoms = ''.join(f'<rc><c>{s:2s}</c><c>1</c></rc>' for s in symbols)
    types = ''.join(
        f'<rc><c>{symbols.count(s)}</c><c>{s:2s}</c><c>10.0</c><c>1.0</c><c>PAW</c></rc>'
        for s in dict.fromkeys(symbols)
    )
    head = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        '<generator><i name="program" type="string">vasp</i>'
        f'<i name="version" type="string">{version}</i></generator>\n'
        '<incar></incar>\n'
        '<kpoints><generation param="Gamma"><v type="int" name="divisions">1 1 1</v></generation>'
        '<varray name="kpointlist"><v>0.0 0.0 0.0</v></varray><varray name="weights"><v>1.0</v></varray></kpoints>\n'
        '<parameters><separator name="electronic"><i type="int" name="NELECT">2</i><i type="int" name="ISPIN">1</i>'
        f'<i type="int" name="NELM">{nelm}</i></separator><separator name="ionic">'
        f'<i type="int" name="NSW">{nsw}</i></separator></parameters>\n'
        f'<atominfo><atoms>{len(symbols)}</atoms><types>{len(set(symbols))}</types>'
        f'<array name="atoms"><field type="string">element</field><field type="int">atomtype</field>'
        f'<set>{atoms}</set></array>'
        f'<array name="atomtypes"><set>{types}</set></array></atominfo>\n'
        f'<structure name="initialpos">{_structure(frames[0])}</structure>\n'
    )
    steps = [
        _step(frame, energy, force, count)
        for frame, energy, force, count in zip(frames, energies, forces, n_electronic, strict=True)
    ]
    body = head + ''.join(steps)
    if killed:
        return body + _step(frames[-1], 0.0, forces[-1], 3)[:400]
    return body + f'<structure name="finalpos">{_structure(frames[-1])}</structure>\n</modeling>\n'


def outcar(n_electronic: Sequence[int], nelm: int = 60, nsw: int = 0, ibrion: int = -1, **numbers: Any) -> str:
    """Return an OUTCAR; ``killed=True`` leaves out its end, and ``program`` stands in its head."""
    lines = [
        f' vasp.{VERSION} 20Jul23 (build Jan 01 2024 00:00:00) {numbers.get("program", "gamma-only"):<20}',
        ' running    4 mpi-ranks, with    2 threads/rank, on    1 nodes',
        f'   NSW    =     {nsw:2d}    number of steps for IOM',
        f'   IBRION =     {ibrion:2d}    ionic relax: 0-MD 1-quasi-New 2-CG',
        f'   NELM   =     {nelm:2d};   NELMIN=  2; NELMDL= -5     # of ELM steps',
        f'   NELECT =      {numbers.get("n_electrons", 8.0):.4f}    total number of electrons',
        '   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=      8',
        f' maximum number of plane-waves:   {numbers.get("n_plane_waves", 100)}',
    ]
    for ionic, count in enumerate(n_electronic, start=1):
        lines += [f'----- Iteration {ionic:6d}({number:4d})  -----' for number in range(1, count + 1)]
    if not numbers.get('killed'):
        lines += [
            ' General timing and accounting informations for this job:',
            '                  Total CPU time used (sec):       90.000',
            '                            User time (sec):       80.000',
            '                          System time (sec):       10.000',
            '                         Elapsed time (sec):       45.000',
            '                   Maximum memory used (kb):      200000.',
        ]
    return '\n'.join(lines) + '\n'


class Registry:
    """Cases for ``mock-vasp``: it answers an input with the output that is registered for it, and fails otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self, name: str, tags: Mapping[str, Any], start: str, mesh: Sequence[int], outputs: Mapping[str, str]
    ) -> None:
        """Register a case: these INCAR tags, this POSCAR and this mesh give these files."""
        given = {'INCAR': incar(tags), 'POSCAR': start, 'KPOINTS': kpoints(mesh)}
        for place, files in (('inp', given), ('out', {'vasp_output': 'made up\n', **outputs})):
            folder = self.folder / name / place
            folder.mkdir(parents=True)
            for file_name, content in files.items():
                (folder / file_name).write_text(content)


def single_point_outputs(atoms: Atoms, energy: float, forces: np.ndarray, n_electronic: int = 7, **more: Any) -> dict:
    """Return the files of a single point."""
    numbers = {'nelm': more.pop('nelm', 60)}
    return {
        'vasprun.xml': vasprun([atoms], [energy], [forces], [n_electronic], **numbers),
        'OUTCAR': outcar([n_electronic], **numbers, **more),
        'CONTCAR': poscar(atoms),
    }


def _structure(atoms: Atoms) -> str:
    basis = _vectors('basis', atoms.cell.array)
    rec = _vectors('rec_basis', atoms.cell.reciprocal().array)
    volume = f'<i name="volume">{atoms.get_volume():16.8f}</i>'
    return f'<crystal>{basis}{volume}{rec}</crystal>' + _vectors('positions', atoms.get_scaled_positions())


def _step(atoms: Atoms, energy: float, forces: np.ndarray, n_electronic: int) -> str:
    energies = ''.join(
        _LINE.format(tag, energy + more)
        for tag, more in (('e_fr_energy', 0.0), ('e_wo_entrp', 0.2), ('e_0_energy', 0.1))
    )
    electronic = f'<scstep><energy>{energies}</energy></scstep>\n' * n_electronic
    stress = _vectors('stress', np.zeros((3, 3)))
    return (
        f'<calculation>\n{electronic}<structure>{_structure(atoms)}</structure>'
        f'{_vectors("forces", forces)}{stress}<energy>{energies}</energy></calculation>\n'
    )


def _vectors(name: str, vectors: np.ndarray) -> str:
    rows = ''.join(f'<v>{row}</v>' for row in _rows(vectors))
    return f'<varray name="{name}">{rows}</varray>'


def _rows(vectors: np.ndarray) -> list[str]:
    return [' '.join(f'{value:.12f}' for value in vector) for vector in vectors]
