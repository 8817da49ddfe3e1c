"""What the steps from VASP to Cc4s gave and cost."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.parsers.parse_raw.outcar import cost, parse_outcar
from aiida_mlcc.parsers.parse_raw.vasprun import parse_vasprun


@calcfunction
def vasp_integrals_summary(
    numbers: orm.Dict, source: orm.Dict, energy: orm.Str, science: orm.Str, **steps: orm.FolderData
):
    """Return the Hartree–Fock energy (eV per cell) on its own k-mesh, or at Γ where it has none, and a summary.

    :param numbers: what the summary says besides: electrons, orbitals, tensors.
    :param energy: one of :data:`~aiida_mlcc.parsers.parse_raw.vasprun.ENERGIES`.
    :param steps: step → its retrieved folder.
    """
    energies, costs = {}, {}
    for name, folder in steps.items():
        costs[name] = cost(parse_outcar(folder.get_object_content('OUTCAR')))
        if name.endswith('hartree_fock'):
            run = parse_vasprun(folder.get_object_content('vasprun.xml', 'rb'))
            energies[name] = run.steps[-1].energies[energy.value]
            version = run.version
    hours = [step['core_hours'] for step in costs.values()]
    hf_energy = energies.get('mesh_hartree_fock', energies['hartree_fock'])
    summary = {
        **numbers.get_dict(),
        'source': {**source.get_dict(), 'version': f'VASP {version}'},
        'hf_energy_ev': hf_energy,
        'hf_energy_gamma_ev': energies['hartree_fock'],
        'cost': costs,
        'core_hours': None if None in hours else sum(hours),
    }
    return {'hf_energy': orm.Float(hf_energy), 'summary': orm.Dict(summary)}
