"""A finished run with everything that a page can show: that of `tests.graphs`, and what its nodes do not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase import units
from ase.build import bulk
from plumpy import ProcessState

from aiida_mlcc.report.data.outputs import outputs_of
from tests.graphs import Run

SLUGS = {'LDA': 'lda', 'HF': 'hf', 'CCSD(T)': 'ccsd_t'}
MEMBERS = ('seed_5192', 'seed_5391')
TEMPERATURES = np.arange(0.0, 1001.0, 50.0)
GRID = np.arange(0.0, 401.0, 2.0)
LAGS_FS = np.arange(0.0, 1500.0, 2.0)
MOVED_CM1 = 20.0
"""How much higher the topmost mode at Γ is with the non-analytical term than without."""

CHARGE, DIELECTRIC, NET_CHARGE = 1.05, 1.96, 0.012
PEAKS = [
    {'harmonic_cm1': 150.25, 'vacf_cm1': 146.5, 'shift_cm1': -3.75, 'error_cm1': 0.5, 'n_members': 2},
    {'harmonic_cm1': 280.5, 'vacf_cm1': None, 'shift_cm1': None, 'error_cm1': None, 'n_members': 0},
]


@dataclass(frozen=True)
class FullRun:
    """The run, and its own nodes by link label."""

    process: orm.WorkChainNode
    nodes: dict[str, Any]


def build_full_run(run: Run) -> FullRun:
    """Store a run that returned what `run` did, and everything else there is."""
    nodes: dict[str, Any] = {}
    nac = _born_charges()
    for number, (method, slug) in enumerate(SLUGS.items()):
        top = 300.0 + 10 * number
        nodes[f'thermal_properties__{slug}'] = thermal_properties(top)
        nodes[f'mean_square_displacements__{slug}'] = _displacements(top)
        nodes[f'gamma_modes__{slug}'] = orm.Dict({'modes': _gamma_modes(top)})
        nodes[f'force_constants__{slug}'] = orm.Dict({name: _violation(number) for name in MEMBERS})
        nodes[f'gruneisen__{slug}'] = _gruneisen(run.dispersion[method], number)
        nodes[f'born_charges__{slug}'] = nac
        nodes[f'vdos__{slug}'], nodes[f'harmonic_dos__{slug}'] = _spectra(top)
        nodes[f'peaks__{slug}'] = orm.Dict({'peaks': PEAKS, 'units': 'cm^-1', 'resolution_cm1': 11.5})
        nodes[f'sampling__{slug}'] = orm.Dict(_sampling(number))
    for node in nodes.values():
        node.store()
    process = finished({**outputs_of(run.master), **nodes}, label='a full run')
    return FullRun(process, nodes)


def finished(outputs: dict[str, orm.Data], exit_status: int = 0, label: str = '') -> orm.WorkChainNode:
    """Return a master WorkChain that returned these, and missed something if its exit status is not 0."""
    node = orm.WorkChainNode(label=label)
    node.set_process_label('MLCCPhononWorkChain')
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    if exit_status:
        node.set_exit_message('Finished without HF; the other results are complete.')
    node.store()
    for name, data in outputs.items():
        data.base.links.add_incoming(node, LinkType.RETURN, name)
    return node


def thermal_properties(top: float) -> orm.ArrayData:
    """Return those of six Einstein oscillators a cell, which are known in closed form."""
    quantities: dict[str, list[np.ndarray]] = {}
    for shift in (-3.0, 3.0):
        energy = units.invcm * (0.7 * top + shift)
        heat = units.kB * np.maximum(TEMPERATURES, 1e-3)
        x = energy / heat
        occupied = 1 / np.expm1(np.minimum(x, 500))
        mole = units.mol / units.kJ
        free = 6 * (0.5 * energy + heat * np.log1p(-np.exp(-x))) * mole
        entropy = 6 * units.kB * (x * occupied - np.log1p(-np.exp(-x))) * 1000 * mole
        capacity = 6 * units.kB * x**2 * occupied * (1 + occupied) * 1000 * mole
        for name, values in zip(
            ('free_energy_kJ_mol', 'entropy_J_K_mol', 'heat_capacity_J_K_mol'), (free, entropy, capacity), strict=True
        ):
            quantities.setdefault(name, []).append(values)
    return _over_temperature({name: np.array(values) for name, values in quantities.items()})


def _displacements(top: float) -> orm.ArrayData:
    shape = 0.01 / np.tanh(0.3 * top / np.maximum(TEMPERATURES, 1e-3))
    return _over_temperature(
        {symbol: np.array([share * shape, 1.04 * share * shape]) for symbol, share in (('Li', 2.5), ('F', 1.0))}
    )


def _over_temperature(quantities: dict[str, np.ndarray]) -> orm.ArrayData:
    arrays = {'temperatures_K': TEMPERATURES}
    for name, members in quantities.items():
        arrays |= {f'{name}_{part}': values for part, values in _spread(members).items()}
    node = orm.ArrayData(arrays)
    node.base.attributes.set_many({'members': list(MEMBERS), 'quantities': list(quantities)})
    return node


def _spread(members: np.ndarray) -> dict[str, np.ndarray]:
    ends = {'mean': members.mean(0), 'min': members.min(0), 'max': members.max(0), 'sd': members.std(0, ddof=1)}
    return {'members': members, **ends}


def _gamma_modes(top: float) -> list[dict[str, Any]]:
    optical = np.linspace(0.0, top, 6)[3:]
    found = [{'label': 'T1u', 'modes': [0, 1, 2], 'mean': 0.0}]
    found += [
        {'label': label, 'modes': [3 + number], 'mean': float(mean)}
        for number, (label, mean) in enumerate(zip(('A1g', 'B2u', 'A2u'), optical - [0, 0, MOVED_CM1], strict=True))
    ]
    return [{**entry, 'min': entry['mean'], 'max': entry['mean'], 'sd': 0.0} for entry in found]


def _violation(number: int) -> dict[str, float]:
    sizes = {'translation_eV_A2': 1.25e-3, 'permutation_eV_A2': 2.5e-4, 'largest_eV_A2': 8.0 + number}
    return {**sizes, 'residual_force_eV_A': 3.0e-5}


def _gruneisen(bands: orm.BandsData, number: int) -> orm.ArrayData:
    shape = np.asarray(bands.get_bands()).shape
    members = np.array([np.add.outer(0.1 * np.arange(shape[0]), 0.3 * np.arange(shape[1])) + s for s in (0.5, 0.6)])
    members += 0.2 * number
    members[:, 0, :3] = np.nan
    node = orm.ArrayData({'qpoints': np.asarray(bands.get_kpoints()), **_spread(members)})
    node.base.attributes.set('members', list(MEMBERS))
    return node


def _born_charges() -> orm.ArrayData:
    charges = np.array([CHARGE * np.eye(3), -CHARGE * np.eye(3)])
    node = orm.ArrayData({'born_charges': charges, 'dielectric': DIELECTRIC * np.eye(3)})
    report = f'Born charges: net charge of {NET_CHARGE} e taken off'
    told = {'factor': 14.4, 'net_charge': NET_CHARGE, 'asymmetry': 1e-4, 'dielectric_asymmetry': 2e-4}
    node.base.attributes.set_many({**told, 'report': report})
    _created('born_charges', {'primitive': orm.StructureData(ase=bulk('LiF', 'rocksalt', a=4.03))}, {'result': node})
    return node


def _spectra(top: float) -> tuple[orm.XyData, orm.XyData]:
    vdos, harmonic = _density(top - 8.0), _density(top)
    vdos.base.attributes.set('resolution_cm1', 11.5)
    runs = {name: _run(top + shift) for name, shift in zip(MEMBERS, (-4.0, 4.0), strict=True)}
    _created('vibrational_spectrum', runs, {'vdos': vdos, 'harmonic_dos': harmonic})
    return vdos, harmonic


def _density(top: float) -> orm.XyData:
    parts = {'Li': np.exp(-(((GRID - 0.9 * top) / 15) ** 2)), 'F': np.exp(-(((GRID - 0.5 * top) / 20) ** 2))}
    total = 0.08 * sum(parts.values())
    spread = _spread(np.array([0.9 * total, 1.1 * total]))
    curves = {name: values for name, values in spread.items() if name != 'members'}
    curves |= dict(zip(MEMBERS, spread['members'], strict=True))
    curves |= {f'element_{symbol}': 0.08 * values for symbol, values in parts.items()}
    curves |= {'direction_x': total / 3, 'sampling_sd': 0.01 * total}
    node = orm.XyData()
    node.set_x(GRID, 'frequency', 'cm^-1')
    node.set_y(list(curves.values()), list(curves), ['modes/cm^-1'] * len(curves))
    node.base.attributes.set('members', list(MEMBERS))
    return node


def _run(frequency_cm1: float) -> orm.ArrayData:
    period_fs = 33356.41 / frequency_cm1
    swing = np.cos(2 * np.pi * LAGS_FS / period_fs) * np.exp(-LAGS_FS / 400)
    by_direction = {f'vacf_{symbol}_xyz': np.array([swing] * 3) for symbol in ('Li', 'F')}
    # In amu Å²/fs², of the atoms of a supercell: three parts of four are lithium's.
    return orm.ArrayData({'time_fs': LAGS_FS, 'vacf_Li': 6e-3 * swing, 'vacf_F': 2e-3 * swing, **by_direction})


def _sampling(number: int) -> dict[str, Any]:
    run = {
        'seed': 7,
        'time_ps': 15.0,
        'n_recorded': 30000,
        'block_ps': 3.0,
        'n_blocks': 5,
        'n_independent_blocks': 2.5,
        'correlation_time_ps': 4.125,
        'correlation_time_is_a_lower_bound': False,
        'mean_temperature_K': 301.25 + number,
        'energy_drift_mev_per_atom_ps': 0.0021,
        'residual_force_eV_A': None,
        'n_imaginary_modes': 0,
    }
    shorter = {**run, 'correlation_time_ps': 9.0, 'correlation_time_is_a_lower_bound': True}
    runs = {name: {'member': name, **one} for name, one in zip(MEMBERS, (run, shorter), strict=True)}
    return {'runs': runs, 'n_independent_blocks': 5.0}


def _created(name: str, inputs: dict[str, orm.Data], outputs: dict[str, orm.Data]) -> None:
    function = orm.CalcFunctionNode()
    function.set_process_label(name)
    function.set_process_state(ProcessState.FINISHED)
    function.set_exit_status(0)
    for label, node in inputs.items():
        function.base.links.add_incoming(node.store(), LinkType.INPUT_CALC, label)
    function.store()
    for label, node in outputs.items():
        node.base.links.add_incoming(function, LinkType.CREATE, label)
        node.store()
    function.seal()
