"""One snapshot with the energies that Cc4s and the program before it gave."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.calculations.cc4s_input import BASIS_SET_CORRECTION, FINITE_SIZE_CORRECTION, TRIPLES
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.species_order import species_order
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.merging import label_by_contributions
from aiida_mlcc.science.labels.methods import CONTRIBUTIONS

_KNOWN = {name for names in CONTRIBUTIONS.values() for name in names}


@calcfunction
def label_point(
    snapshots: SnapshotsData,
    frame: orm.Int,
    methods: orm.List,
    source: orm.Dict,
    science: orm.Str,
    integrals: orm.Dict = None,
    hf_energy: orm.Float = None,
    hf_forces: orm.ArrayData = None,
    energies: orm.Dict = None,
    run: orm.Dict = None,
) -> SnapshotsData:
    """Return one frame with the labels of `methods`, as far as its contributions go.

    :param source: engine and settings; where ``basis_set_correction`` is true, the second-order energy of the virtual
        orbitals that Cc4s does not see is added to each correlated energy.
    :param integrals: frame → ``hf``, ``mp2_full`` and ``mp2_truncated``, eV per cell, by PySCF.
    :param hf_energy: eV per cell, by VASP.
    :param hf_forces: `forces` of the same calculation (eV/Å), in VASP's order of the atoms.
    :param energies: Cc4s' contributions, eV per cell.
    :param run: Cc4s' summary, which names its version.
    """
    contributions = {} if energies is None else {k: v for k, v in energies.get_dict().items() if k in _KNOWN}
    if hf_energy is not None:
        contributions['hf'] = hf_energy.value
    if integrals is not None:
        record = integrals[str(frame.value)]
        contributions['hf'] = record['hf']
        if source.get_dict().get(BASIS_SET_CORRECTION):
            left_out = record['mp2_full'] - record['mp2_truncated']
            contributions |= {'mp2_basis_set': left_out, 'ccsd_basis_set': left_out}
    version = None if run is None else run.get_dict().get('cc4s_version')
    described = {**source.get_dict(), **({'version': f'Cc4s {version}'} if version else {})}
    one = snapshots.get_snapshots().select([frame.value]).without_labels()
    arrays = {name: np.array([value]) for name, value in contributions.items()}
    corrections = _corrections_of(source.get_dict())
    labelled = label_by_contributions(one, methods.get_list(), arrays, lambda _: described, corrections)
    if hf_forces is not None and 'HF' in labelled.labels:
        back = np.argsort(species_order(one.symbols))
        with_forces = replace(labelled.labels['HF'], forces=hf_forces.get_array('forces')[None, back])
        labelled = labelled.with_label('HF', with_forces)
    return SnapshotsData(labelled)


def _corrections_of(source: Source) -> set[str]:
    """Return the contributions that an energy of this source has to have: some steps of a run may have failed."""
    said = source.get('cc4s')
    parts = said if isinstance(said, Mapping) else {}
    found = set()
    if source.get(BASIS_SET_CORRECTION) or BASIS_SET_CORRECTION in parts:
        found |= {'mp2_basis_set', 'ccsd_basis_set'}
    if FINITE_SIZE_CORRECTION in parts:
        found.add('ccsd_finite_size')
    if isinstance(triples := parts.get(TRIPLES), Mapping) and triples.get('star'):
        found.add('triples_basis_set')
    return found
