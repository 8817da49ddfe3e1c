"""The vibrational density of states of one method from the autocorrelations of its members, beside the harmonic one."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.calculations.functions.curves import UNITS, curve_with_spread
from aiida_mlcc.science.vdos import VibrationalSpectrum
from aiida_mlcc.science.vdos_of_runs import PADDING, MemberSpectrum, Run, member_spectrum
from aiida_mlcc.science.vdos_peaks import compare_peaks

TRAJECTORY = '_trajectory_'
"""Between the name of a member and the number of its trajectory."""


@calcfunction
def vibrational_spectrum(
    primitive: orm.StructureData, parameters: orm.Dict, science: orm.Str, **vacfs: orm.ArrayData
) -> dict[str, orm.Data]:
    """Return ``vdos`` and ``sampling``, and where harmonic modes are known also ``harmonic_dos`` and ``peaks``.

    :param vacfs: autocorrelations by member, or MEMBER_trajectory_NUMBER where a member has several.
    """
    settings = parameters.get_dict()
    atoms = primitive.get_ase()
    symbols = atoms.get_chemical_symbols()
    counts = {symbol: symbols.count(symbol) for symbol in dict.fromkeys(symbols)}
    masses = dict(zip(symbols, atoms.get_masses().tolist(), strict=True))
    runs: dict[str, dict[str, Run]] = {}
    for name, node in sorted(vacfs.items()):
        arrays = {array: node.get_array(array) for array in node.get_arraynames()}
        runs.setdefault(name.partition(TRAJECTORY)[0], {})[name] = Run(arrays, node.base.attributes.all)
    found = {
        member: member_spectrum(list(own.values()), counts, masses, settings['window'], settings['highest_cm1'])
        for member, own in runs.items()
    }
    any_run = next(iter(next(iter(runs.values())).values()))
    n_modes = {'modes_per_primitive_cell': 3 * sum(counts.values()) * (1 - 1 / any_run.description['n_atoms'])}
    stated = {**_stated(settings, any_run, found), **n_modes}
    vdos = _curve({member: spectrum.found for member, spectrum in found.items()})
    _add_sampling_error(vdos, found)
    vdos.base.attributes.set_many(stated)
    outputs: dict[str, orm.Data] = {'vdos': vdos, 'sampling': orm.Dict({**_sampling(runs, found), **n_modes})}
    harmonic = {member: spectrum.harmonic for member, spectrum in found.items() if spectrum.harmonic is not None}
    if len(harmonic) == len(found):
        outputs['harmonic_dos'] = _curve(harmonic)
        outputs['harmonic_dos'].base.attributes.set_many(stated)
        peaks = compare_peaks(
            vdos.get_x()[1],
            [spectrum.peaks for spectrum in found.values() if spectrum.peaks is not None],
            stated['resolution_cm1'],
            settings['window'],
            any_run.longest_lag_fs,
        )
        outputs['peaks'] = orm.Dict({'peaks': peaks, 'units': 'cm^-1', 'resolution_cm1': stated['resolution_cm1']})
    return outputs


def _stated(settings: dict[str, Any], run: Run, found: dict[str, MemberSpectrum]) -> dict[str, Any]:
    """Return what a reader must know of the transform."""
    return {
        'resolution_cm1': next(iter(found.values())).found.resolution_cm1,
        'window': settings['window'],
        'zero_padding': PADDING,
        'longest_lag_fs': run.longest_lag_fs,
        'centre_of_mass': 'at rest: 3N - 3 modes of the supercell',
        'corrected_for_time_step_fs': run.step_fs,
    }


def _curve(spectra: dict[str, VibrationalSpectrum]) -> orm.XyData:
    grid = next(iter(spectra.values())).frequencies_cm1
    node = curve_with_spread(
        grid,
        {member: curve.total for member, curve in spectra.items()},
        {member: curve.elements for member, curve in spectra.items()},
    )
    directions = {
        f'direction_{axis}': np.mean([curve.directions[axis] for curve in spectra.values()], axis=0)
        for axis in next(iter(spectra.values())).directions
    }
    _set_curves(node, {**_curves(node), **directions})
    node.base.attributes.set('members', list(spectra))
    return node


def _add_sampling_error(node: orm.XyData, found: dict[str, MemberSpectrum]) -> None:
    """Let ``sd`` be that over the members and that of their sampling together; ``sampling_sd`` is the latter."""
    of_sampling = np.sqrt(np.mean([spectrum.sd**2 for spectrum in found.values()], axis=0))
    curves = _curves(node)
    curves['sd'] = np.hypot(curves['sd'], of_sampling)
    _set_curves(node, {**curves, 'sampling_sd': of_sampling})


def _curves(node: orm.XyData) -> dict[str, Any]:
    return {name: values for name, values, _ in node.get_y()}


def _set_curves(node: orm.XyData, curves: dict[str, Any]) -> None:
    node.set_y(list(curves.values()), list(curves), [UNITS] * len(curves))


def _sampling(runs: dict[str, dict[str, Run]], found: dict[str, MemberSpectrum]) -> dict[str, Any]:
    """Return what is known of each run, and of all together."""
    told = {}
    for member, own in runs.items():
        for (name, run), sampling in zip(own.items(), found[member].sampling, strict=True):
            known = run.description
            told[name] = {
                'member': member,
                'seed': known['seed'],
                'time_ps': 1e-3 * run.spacing_fs * known['n_steps'],
                'n_recorded': known['n_steps'],
                'block_ps': 1e-3 * run.spacing_fs * known['steps_of_a_block'],
                'n_blocks': sampling.n_blocks,
                'n_independent_blocks': sampling.n_independent,
                'correlation_time_ps': sampling.correlation_time_ps,
                'correlation_time_is_a_lower_bound': not sampling.forgets,
                'mean_temperature_K': known['mean_temperature_K'],
                'energy_drift_mev_per_atom_ps': known['energy_drift_mev_per_atom_ps'],
                'residual_force_eV_A': known.get('residual_force_eV_A'),
                'n_imaginary_modes': None if run.modes is None else run.modes.n_imaginary,
            }
    total = sum(entry['n_independent_blocks'] for entry in told.values())
    return {'runs': told, 'n_independent_blocks': total}
