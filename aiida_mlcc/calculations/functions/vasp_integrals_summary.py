"""What the steps from VASP to Cc4s gave and cost."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.science.dataset.vasp_files.outcar import cost, parse_outcar
from aiida_mlcc.science.dataset.vasp_files.vasprun import parse_vasprun


@calcfunction
def vasp_integrals_summary(
    numbers: orm.Dict, source: orm.Dict, energy: orm.Str, science: orm.Str, **steps: orm.FolderData
):
    """Return energy (eV per cell) and forces (eV/Å) of Hartree–Fock, and a summary.

    They are those on the k-mesh of Hartree–Fock, or at Γ where it has none. The forces, an array `forces` of shape
    (n_atoms, 3), are in the order in which VASP has the atoms, and left out where VASP wrote none.

    :param numbers: what the summary says besides: electrons, orbitals, tensors.
    :param energy: one of :data:`~aiida_mlcc.science.dataset.vasp_files.vasprun.ENERGIES`.
    :param steps: step → its retrieved folder.
    """
    energies, costs, forces = {}, {}, {}
    for name, folder in steps.items():
        costs[name] = cost(parse_outcar(folder.get_object_content('OUTCAR')))
        if name.endswith('hartree_fock'):
            run = parse_vasprun(folder.get_object_content('vasprun.xml', 'rb'))
            energies[name] = run.steps[-1].energies[energy.value]
            forces[name] = run.steps[-1].forces
            version = run.version
    hours = [step['core_hours'] for step in costs.values()]
    last = 'mesh_hartree_fock' if 'mesh_hartree_fock' in energies else 'hartree_fock'
    hf_energy, hf_forces = energies[last], forces[last]
    summary = {
        **numbers.get_dict(),
        'source': {**source.get_dict(), 'version': f'VASP {version}'},
        'hf_energy_ev': hf_energy,
        'hf_energy_gamma_ev': energies['hartree_fock'],
        'cost': costs,
        'core_hours': None if None in hours else sum(hours),
    }
    results = {'hf_energy': orm.Float(hf_energy), 'summary': orm.Dict(summary)}
    if hf_forces is not None and np.isfinite(hf_forces).all():
        results['hf_forces'] = orm.ArrayData({'forces': hf_forces})
    return results
