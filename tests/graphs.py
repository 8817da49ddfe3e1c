"""A finished run as nodes and links made by hand, as the WorkChains would leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk
from plumpy import ProcessState

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, concatenate

SEEDS = (5192, 5391)
METHODS = ('LDA', 'HF', 'CCSD(T)')
N_FRAMES = 5
LABELLED = (1, 3)
"""Frames of the trajectory that the wave-function methods label."""


_FLAGGED = {
    'seed_5192': {'qpoint': [0.5, 0.5, 0.5], 'mode': 0, 'frequency_cm1': -12.0},
    'seed_5391': {'qpoint': [0.25, 0.0, 0.25], 'mode': 0, 'frequency_cm1': -11.0},
}


LEARNING_CURVE = {
    'target_sd_cm1': 2.0,
    'rounds': [
        {'method': 'CCSD(T)', 'n_labels': 10, 'sd_cm1': {'GAMMA': [3.0]}, 'frequencies_cm1': {}, 'met': False},
        {'method': 'CCSD(T)', 'n_labels': 20, 'sd_cm1': {'GAMMA': [1.5]}, 'frequencies_cm1': {}, 'met': True},
    ],
}


@dataclass(frozen=True)
class Run:
    """The nodes of a run that tests ask about."""

    master: orm.WorkChainNode
    md: orm.CalcJobNode
    correlate: orm.CalcJobNode
    snapshots: SnapshotsData
    dispersion: dict[str, orm.BandsData]
    energies: dict[str, np.ndarray]


def build_run(computer: orm.Computer) -> Run:
    """Store a run of the master WorkChain with LDA, HF and CCSD(T), two seeds, one snapshot failed."""
    master = _process(orm.WorkChainNode, 'MLCCPhononWorkChain', 'aiida.workflows:mlcc.mlcc_phonon', label='a run')
    frames, energies = _frames()
    trajectory = SnapshotsData(frames.with_label('LDA', _label(energies['LDA'], forces=True)))
    md = _job(computer, master, 'mlcc.md', 'dft_md', {'seed': orm.Int(1)}, {'trajectory': trajectory})
    chosen = frames.select(LABELLED)
    bare = SnapshotsData(chosen)
    _function(master, 'take_batch_000', {'snapshots': trajectory}, {'result': bare})
    labelled = chosen
    for method in ('HF', 'MP2', 'CCSD(T)'):
        labelled = labelled.with_label(method, _label(energies[method][list(LABELLED)]))
    batch = SnapshotsData(labelled)
    correlate = _job(computer, master, 'mlcc.correlate', 'batch_000', {'snapshots': bare}, {'labelled': batch})
    snapshots = _merged(master, trajectory, batch, frames, energies)

    force_fields: dict[str, dict[str, ForceFieldData]] = {method: {} for method in METHODS}
    deltas = {method: ForceFieldData(_force_field(method, SEEDS[0], 0.1)) for method in METHODS[1:]}
    outputs = {f'delta__{_slug(method)}': node for method, node in deltas.items()}
    _job(computer, master, 'mlcc.fit', 'fit', {'snapshots': snapshots, 'seed': orm.Int(SEEDS[0])}, outputs)
    for seed in SEEDS:
        base = ForceFieldData(_force_field('LDA', seed, 1.0))
        inputs = {'snapshots': snapshots, 'seed': orm.Int(seed)}
        _job(computer, master, 'mlcc.train', f'base_seed_{seed}', inputs, {'force_field': base})
        force_fields['LDA'][f'seed_{seed}'] = base
        for method, delta in deltas.items():
            total = ForceFieldData(_force_field(method, seed, 1.1))
            _function(master, 'sum_force_fields', {'base': base, 'delta': delta}, {'result': total})
            force_fields[method][f'seed_{seed}'] = total

    dispersion = {}
    for number, method in enumerate(METHODS):
        curves = _curves(300.0 + 10 * number)
        _function(master, 'phonon_curves', force_fields[method], curves)
        dispersion[method] = curves['dispersion']
        for name, node in curves.items():
            _return(master, node, f'{name}__{_slug(method)}')
    budget = {'error_budget': _error_budget(dispersion['CCSD(T)']), 'band_errors': _band_errors(dispersion['CCSD(T)'])}
    members = force_fields['CCSD(T)']
    _function(master, 'error_budget', {'dispersion': dispersion['CCSD(T)'], **members}, budget)
    for name, node in budget.items():
        _return(master, node, f'{name}__ccsd_t')
    errors = {m: {f'seed_{s}': {'cv_rmse_mev_atom': 0.2} for s in SEEDS} for m in METHODS[1:]}
    others = {'readout': {'HF': {f'seed_{SEEDS[0]}': {'cv_rmse_mev_atom': 0.3}}}}
    _return(master, orm.Dict({**errors, 'alternatives': others}).store(), 'errors')
    _return(master, orm.Dict(LEARNING_CURVE).store(), 'learning_curve')
    failed = [{'stage': 'cc_energies', 'what': 'snapshot 2', 'reason': 'HF did not converge'}]
    _return(master, orm.Dict({'failed': failed}).store(), 'failures')
    _return(master, snapshots, 'snapshots')
    master.seal()
    return Run(master, md, correlate, snapshots, dispersion, energies)


def _frames() -> tuple[Snapshots, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    atoms = bulk('LiF', 'rocksalt', a=4.03, cubic=True)
    images = []
    for _ in range(N_FRAMES):
        image = atoms.copy()
        image.positions += 0.1 * rng.standard_normal(image.positions.shape)
        images.append(image)
    energies = {m: -100.0 - 10 * i + rng.random(N_FRAMES) for i, m in enumerate(('LDA', 'HF', 'MP2', 'CCSD(T)'))}
    return Snapshots.from_atoms(images), energies


def _label(energies: np.ndarray, forces: bool = False) -> Label:
    array = np.zeros((len(energies), 8, 3)) if forces else None
    return Label(energies=np.asarray(energies, dtype=float), forces=array, source={'engine': 'pyscf'})


def _merged(
    master: orm.WorkChainNode,
    trajectory: SnapshotsData,
    batch: SnapshotsData,
    frames: Snapshots,
    energies: dict[str, np.ndarray],
) -> SnapshotsData:
    content = trajectory.get_snapshots()
    for method in batch.methods:
        values = np.full(N_FRAMES, np.nan)
        values[list(LABELLED)] = energies[method][list(LABELLED)]
        content = content.with_label(method, _label(values))
    node = SnapshotsData(concatenate([content]))
    _function(master, 'merge_labels', {'snapshots': trajectory, 'labelled__batch_000': batch}, {'result': node})
    return node


def _force_field(method: str, seed: int, weight: float) -> ForceField:
    term = Term(
        'force-constants',
        {'symbols': ['Li', 'F']},
        {'fc': np.full((1, 3, 3), float(seed))},
        weight=weight,
        trained_on={'method': method, 'seed': seed},
    )
    return ForceField((term,), {'Li': 0.0, 'F': 0.0}, method=method)


def _curves(top: float) -> dict[str, orm.Data]:
    primitive = bulk('LiF', 'rocksalt', a=4.03)
    qpoints = [[0.5 * i / 4, 0.0, 0.5 * i / 4] for i in range(5)] + [[0.5, 0.5, 0.5]]
    members = np.stack([np.linspace(0.0, top, 6)[None, :] * np.ones((6, 1)) + shift for shift in (-1.0, 1.0)])
    members[:, 0, :3] = 0.0
    bands = orm.BandsData()
    bands.set_cell(primitive.cell.array)
    bands.set_kpoints(qpoints)
    bands.labels = [(0, 'GAMMA'), (4, 'X'), (5, 'L')]
    bands.set_bands(members.mean(0), units='cm-1')
    spread = {'members': members, 'min': members.min(0), 'max': members.max(0), 'sd': members.std(0, ddof=1)}
    for name, array in spread.items():
        bands.set_array(name, array)
    points = {}
    for index, label in bands.labels:
        points[label] = {'qpoint': qpoints[index], 'mean': members.mean(0)[index].tolist()}
        points[label] |= {name: array[index].tolist() for name, array in spread.items() if name != 'members'}
        points[label]['members'] = members[:, index].tolist()
    return {
        'dispersion': bands,
        'dos': _density(top),
        'vdos': _density(top),
        'special_points': orm.Dict({**points, 'imaginary': _FLAGGED if top == 300.0 else {}}),
    }


def _error_budget(dispersion: orm.BandsData) -> orm.Dict:
    """An sd of 4 cm⁻¹ everywhere, and L outside the training cell."""
    return orm.Dict(
        {
            label: {
                'qpoint': dispersion.get_kpoints()[index].tolist(),
                'sd': [4.0] * 6,
                'contributions': {'seeds': [1.4] * 6, 'kinds': None, 'bootstrap': [3.7] * 6, 'label_noise': [1.0] * 6},
                'commensurate': label != 'L',
            }
            for index, label in dispersion.labels
        }
    )


def _band_errors(dispersion: orm.BandsData) -> orm.ArrayData:
    """Return the same along the path, but that the lowest mode halfway to X has an error of 6 cm⁻¹."""
    sd = np.full(np.asarray(dispersion.get_bands()).shape, 4.0)
    sd[2, 0] = 6.0
    return orm.ArrayData({'sd': sd, 'bootstrap': np.sqrt(sd**2 - 2.0)})


def _density(top: float) -> orm.XyData:
    x = np.linspace(0.0, top, 20)
    node = orm.XyData()
    node.set_x(x, 'frequency', 'cm-1')
    names = ['mean', 'min', 'max', 'sd', 'seed_5192']
    node.set_y([np.ones(20), 0.9 * np.ones(20), 1.1 * np.ones(20), 0.1 * np.ones(20), x], names, ['modes/cm-1'] * 5)
    return node


def _process(node_class: Any, name: str, entry_point: str | None, label: str = '') -> Any:
    node = node_class(label=label)
    node.set_process_label(name)
    node.set_process_type(entry_point or '')
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(0)
    return node.store() if isinstance(node, orm.WorkChainNode) else node


def _job(
    computer: orm.Computer,
    caller: orm.WorkChainNode,
    entry_point: str,
    label: str,
    inputs: dict[str, orm.Data],
    outputs: dict[str, orm.Data],
) -> orm.CalcJobNode:
    name = f'{entry_point.removeprefix("mlcc.").title()}Calculation'
    node = _process(orm.CalcJobNode, name, f'aiida.calculations:{entry_point}')
    node.computer = computer
    node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    _wire(node, caller, label, inputs, outputs)
    return node


def _function(caller: orm.WorkChainNode, label: str, inputs: dict[str, orm.Data], outputs: dict[str, orm.Data]) -> None:
    _wire(_process(orm.CalcFunctionNode, label, None), caller, label, inputs, outputs)


def _wire(
    node: Any, caller: orm.WorkChainNode, label: str, inputs: dict[str, orm.Data], outputs: dict[str, orm.Data]
) -> None:
    for name, data in inputs.items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
    node.base.links.add_incoming(caller, LinkType.CALL_CALC, label)
    node.store()
    for name, data in outputs.items():
        data.base.links.add_incoming(node, LinkType.CREATE, name)
        data.store()
    node.seal()


def _return(master: orm.WorkChainNode, data: orm.Data, label: str) -> None:
    data.base.links.add_incoming(master, LinkType.RETURN, label)


def _slug(method: str) -> str:
    from aiida_mlcc.science.labels.methods import slug_of

    return slug_of(method)
