"""The vibrational density of states of one method from the autocorrelations of its members, beside the harmonic one."""

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_mlcc.calculations.functions.curves import UNITS, curve_with_spread
from aiida_mlcc.science.dynamics.vdos import VibrationalSpectrum
from aiida_mlcc.science.dynamics.vdos_of_runs import (
    PADDING,
    MemberSpectrum,
    Run,
    SpectrumSampling,
    TrajectorySampling,
    member_spectrum,
    no_peaks,
    reach_of_modes,
)
from aiida_mlcc.science.dynamics.vdos_peaks import compare_peaks
from aiida_mlcc.workflows.curve_table import Arguments, Curve, Dynamics, Output

TRAJECTORY = '_trajectory_'
"""Between the name of a member and the number of its trajectory."""


@calcfunction
def vibrational_spectrum(
    primitive: orm.StructureData, parameters: orm.Dict, science: orm.Str, **vacfs: orm.ArrayData
) -> dict[str, orm.Data]:
    """Return ``vdos`` and ``sampling``, and where harmonic modes are known also ``harmonic_dos`` and ``peaks``.

    There are no ``peaks`` where the harmonic modes are not of a crystal at rest: ``sampling`` says so.

    :param parameters: ``window`` and ``highest_cm1``, null for as far as the harmonic modes reach.
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
    all_runs = [run for own in runs.values() for run in own.values()]
    window, highest = settings['window'], settings.get('highest_cm1')
    if highest is None:
        highest = reach_of_modes(all_runs, window)
    found = {
        member: member_spectrum(list(own.values()), counts, masses, window, highest) for member, own in runs.items()
    }
    any_run = all_runs[0]
    n_modes: ModesOfCell = {
        'modes_per_primitive_cell': 3 * sum(counts.values()) * (1 - 1 / any_run.description['n_atoms']),
        'share_of_modes_cut_off': _share_cut_off(all_runs, float(next(iter(found.values())).found.frequencies_cm1[-1])),
    }
    transform = _stated(window, any_run, found)
    stated = {**transform, **n_modes}
    vdos = _curve({member: spectrum.found for member, spectrum in found.items()})
    _add_sampling_error(vdos, found)
    vdos.base.attributes.set_many(stated)
    untold = {'no_peaks_because': no_peaks(all_runs)}
    outputs: dict[str, orm.Data] = {'vdos': vdos, 'sampling': orm.Dict({**_sampling(runs, found), **n_modes, **untold})}
    harmonic = {member: spectrum.harmonic for member, spectrum in found.items() if spectrum.harmonic is not None}
    if len(harmonic) == len(found):
        outputs['harmonic_dos'] = _curve(harmonic)
        outputs['harmonic_dos'].base.attributes.set_many(stated)
        if untold['no_peaks_because'] is None:
            peaks = compare_peaks(
                vdos.get_x()[1],
                [spectrum.peaks for spectrum in found.values() if spectrum.peaks is not None],
                transform['resolution_cm1'],
                window,
                any_run.longest_lag_fs,
            )
            outputs['peaks'] = orm.Dict(
                {'peaks': peaks, 'units': 'cm^-1', 'resolution_cm1': transform['resolution_cm1']}
            )
    return outputs


def _share_cut_off(runs: list[Run], highest_cm1: float) -> float | None:
    """Return which share of the harmonic modes lies above the end of the spectrum; None where none are known."""
    shares = [run.modes.share_above(highest_cm1) for run in runs if run.modes is not None]
    return float(np.mean(shares)) if shares else None


class ModesOfCell(TypedDict):
    """The modes of a primitive cell, and which share of them lies above the spectrum; None where that is not known."""

    modes_per_primitive_cell: float
    share_of_modes_cut_off: float | None


class Stated(TypedDict):
    """What a reader must know of the transform."""

    resolution_cm1: float
    window: str
    zero_padding: int
    longest_lag_fs: float
    centre_of_mass: str
    corrected_for_time_step_fs: float


def _stated(window: str, run: Run, found: dict[str, MemberSpectrum]) -> Stated:
    """Return what a reader must know of the transform."""
    return {
        'resolution_cm1': next(iter(found.values())).found.resolution_cm1,
        'window': window,
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
    """Let ``sd`` be that of one member: over the members, which holds that of sampling, and at least the latter."""
    of_sampling = np.sqrt(np.mean([spectrum.sd**2 for spectrum in found.values()], axis=0))
    curves = _curves(node)
    curves['sd'] = np.maximum(curves['sd'], of_sampling)
    _set_curves(node, {**curves, 'sampling_sd': of_sampling})


def _curves(node: orm.XyData) -> dict[str, NDArray[np.float64]]:
    return {name: values for name, values, _ in node.get_y()}


def _set_curves(node: orm.XyData, curves: dict[str, NDArray[np.float64]]) -> None:
    node.set_y(list(curves.values()), list(curves), [UNITS] * len(curves))


def _sampling(runs: dict[str, dict[str, Run]], found: dict[str, MemberSpectrum]) -> SpectrumSampling:
    """Return what is known of each run, and of all together."""
    told: dict[str, TrajectorySampling] = {}
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
                'residual_force_eV_A': run.residual_force,
                'no_harmonic_modes_because': known.get('no_harmonic_modes_because'),
                'n_imaginary_modes': None if run.modes is None else run.modes.n_imaginary,
            }
    total = sum(entry['n_independent_blocks'] for entry in told.values())
    return {'runs': told, 'n_independent_blocks': total}


def _arguments(dynamics: Dynamics) -> Arguments:
    spectrum = dynamics.inputs['spectrum']
    return {'primitive': dynamics.primitive, 'parameters': spectrum, **dynamics.autocorrelations}


def _told(made: Mapping[str, orm.Data]) -> list[str]:
    sampling = made['sampling'].get_dict()
    runs = sampling['runs']
    picoseconds = sum(run['time_ps'] for run in runs.values())
    n_independent = sampling['n_independent_blocks']
    lines = [
        f'{picoseconds:.1f} ps in {len(runs)} trajectories are equivalent to {n_independent:.1f} independent samples'
    ]
    if sampling['share_of_modes_cut_off']:
        lines.append(f'`highest_cm1` cuts off {100 * sampling["share_of_modes_cut_off"]:.1f} % of the modes')
    if imaginary := {name: n for name, run in runs.items() if (n := run['n_imaginary_modes'])}:
        listed = ', '.join(f'{n} of {name}' for name, n in imaginary.items())
        lines.append(f'imaginary modes, which the harmonic spectrum leaves out: {listed}')
    if sampling['no_peaks_because'] is not None:
        lines.append(f'no peaks are compared: {sampling["no_peaks_because"]}')
    return lines


CURVE = Curve(
    stage='vacf',
    step='transform',
    calculate=vibrational_spectrum,
    outputs={
        'vdos': Output(
            orm.XyData,
            'Modes per cm⁻¹ of a primitive cell: `mean`, `min`, `max` and the members, `element_…` and '
            '`direction_…`; `sampling_sd`, the sampling error of one member, and `sd`, the total error of one '
            'member.',
        ),
        'harmonic_dos': Output(
            orm.XyData,
            'The same for the harmonic crystal at the commensurate wave vectors of the supercell, with the '
            'same window.',
            always=False,
        ),
        'peaks': Output(
            orm.Dict,
            'Each harmonic peak, its position in dynamics, the shift and its error, cm⁻¹; not for an '
            'unrelaxed structure.',
            always=False,
        ),
        'sampling': Output(orm.Dict, 'Correlation time, independent blocks, temperature and drift of each trajectory.'),
    },
    arguments=_arguments,
    told=_told,
)
