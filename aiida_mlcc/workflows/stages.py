"""The stages of the master WorkChain: their inputs from a protocol, and whether a start can reach the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

import numpy as np
from aiida import orm
from aiida.engine import WorkChain

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Codes, CorrelationEngine, Inputs
from aiida_mlcc.engines.table import (
    correlation_engine,
    force_engine,
    force_kind_of,
    places_of_programs,
    refuse_jobs,
)
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, refuse_mismatch
from aiida_mlcc.runtime.delta_kinds import BASE, kinds_for
from aiida_mlcc.science.crystal.cells import expand_matrix, supercell
from aiida_mlcc.science.crystal.symmetry import SYMPREC, fitting_tolerance
from aiida_mlcc.science.design.choose_snapshots import DESIGNED
from aiida_mlcc.science.labels.methods import COSTLY, WAVEFUNCTION_METHODS, usual_kind
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.settings import Settings
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolError
from aiida_mlcc.workflows.feasibility import refuse_few_labels, refuse_infeasible
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.labelling.selections import (
    base_engine_like,
    base_method_of,
    kinds_of,
    refuse_labelling,
    refuse_methods,
    refuse_selections,
)
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from aiida_mlcc.workflows.phonons.inputs import refuse_unfit
from aiida_mlcc.workflows.run_inputs import RunInputs
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain, refuse_dynamics
from aiida_mlcc.workflows.sampling.dft_supercell import refuse_cell
from aiida_mlcc.workflows.sampling.expected_frames import frames_to_come
from aiida_mlcc.workflows.sampling.reference import ReferenceWorkChain
from aiida_mlcc.workflows.sampling.thermal_structures import ThermalStructuresWorkChain
from aiida_mlcc.workflows.spectrum.vacf import VACFWorkChain
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain

_MESH = ('kpoints', 'kpoints_shift')

MD, THERMAL = 'md', 'thermal'
SAMPLING = {
    MD: 'molecular dynamics with DFT forces (`dft_md`)',
    THERMAL: 'independent draws from the harmonic distribution (`thermal_structures`)',
}
"""Where the structures come from."""

STAGES: Mapping[str, type[WorkChain]] = {
    # First, for its engine and training cell are those of the two others.
    'dft_md': DFTMDWorkChain,
    'reference': ReferenceWorkChain,
    'thermal_structures': ThermalStructuresWorkChain,
    'cc_energies': CCEnergiesWorkChain,
    'delta_train': DeltaTrainWorkChain,
    'harmonic_phonon': HarmonicPhononWorkChain,
    'vacf': VACFWorkChain,
}

SHARED = {
    'dft_md': ('structure', 'reference'),
    'reference': ('structure', 'engine'),
    'thermal_structures': ('structure', 'engine', 'supercell_matrix', 'reference'),
    'cc_energies': ('structure', 'snapshots', 'methods'),
    'delta_train': ('structure', 'snapshots', 'base_method', 'methods', 'reference'),
    'harmonic_phonon': (
        'structure',
        'force_fields',
        'engine',
        'alternatives',
        'delta_samples',
        'training_snapshots',
        'training_errors',
        *places_of_programs(),
    ),
    'vacf': ('structure', 'force_fields'),
}
"""What each stage gets from the master, not from its own inputs."""


def stages_needed(
    snapshots: SnapshotsData | None,
    has_force_fields: bool,
    methods: list[str],
    dynamics: bool,
    thermal: bool = False,
    displacements: bool = False,
) -> list[str]:
    """Return the stages that a start needs, in their order.

    :param dynamics: whether a spectrum is also taken from dynamics.
    :param thermal: whether structures are drawn, not taken from a dynamics.
    :param displacements: whether the base takes its harmonic force constants from displacements yet to be made.
    """
    samples = snapshots is None and not has_force_fields
    needed = {
        'dft_md': samples,
        'reference': samples and displacements,
        'thermal_structures': samples and thermal,
        'cc_energies': not has_force_fields and (snapshots is None or bool(missing_methods(snapshots, methods))),
        'delta_train': not has_force_fields,
        'harmonic_phonon': True,
        'vacf': dynamics,
    }
    return [stage for stage in STAGES if needed[stage]]


_TAKES = {
    'dft_md': ('codes',),
    'reference': ('codes', 'engine'),
    'thermal_structures': ('codes', 'engine'),
    'cc_energies': ('codes', 'snapshots'),
    'delta_train': ('nac', 'train_options'),
    'harmonic_phonon': ('nac',),
    'vacf': (),
}
"""Stage → what its ``get_builder_from_protocol`` takes of what a run is given; ``codes`` are several arguments."""

_WITHOUT_DYNAMICS = ('engine', 'supercell_matrix', 'symprec', 'seed')


class Known(TypedDict):
    """What a run is given besides its crystal, protocol and overrides; ``codes`` are those of engines."""

    codes: Codes
    snapshots: SnapshotsData | None
    nac: orm.SinglefileData | orm.ArrayData | None
    nac_other: orm.SinglefileData | orm.ArrayData | None
    train_options: JobOptions | None


def inputs_of_stages(
    needed: Sequence[str],
    code: orm.AbstractCode,
    structure: orm.StructureData,
    protocol: str | None,
    overrides: Mapping[str, Overrides],
    options: JobOptions | None,
    sampling: str,
    known: Known,
) -> dict[str, Inputs]:
    """Return stage → inputs from its protocol, without what the master sets for all stages.

    :param overrides: of each stage.
    :param sampling: one of :data:`SAMPLING`.
    :raises ProtocolError: naming the stage.
    """
    found: dict[str, Inputs] = {}
    for stage in needed:
        at_hand: InputTree = {**known, 'engine': found.get('dft_md', {}).get('engine')}
        given = {name: at_hand[name] for name in _TAKES[stage] if name != 'codes'}
        given |= known['codes'] if 'codes' in _TAKES[stage] else {}
        asked = overrides[stage]
        inputs = _stage_inputs(stage, code, protocol, asked, options, structure=structure, **given)
        if stage == 'dft_md' and sampling == THERMAL:
            inputs = cast(Inputs, {name: value for name, value in inputs.items() if name in _WITHOUT_DYNAMICS})
        if stage == 'reference' and not (isinstance(asked, Mapping) and 'supercell_matrix' in asked):
            # The training cell, which the master knows.
            del inputs['supercell_matrix']
        if 'nac' in given and known['nac_other'] is not None:
            inputs['nac_other'] = known['nac_other']
        found[stage] = inputs
    return found


def makes_displacements(sampling: str, protocol: str | None, overrides: Mapping[str, Overrides]) -> bool:
    """Tell whether reference displacements are made: for thermal structures, a base of force constants, or on request.

    :param overrides: of each stage.
    """
    asked = overrides['reference']
    if sampling == THERMAL or (isinstance(asked, Mapping) and set(asked) != {'symprec'}):
        return True
    kind = DeltaTrainWorkChain.get_protocol_inputs(protocol, overrides['delta_train'])['base']['kind']
    return kind in (kinds := kinds_for(BASE)) and kinds[kind].holds_force_constants


def _stage_inputs(
    stage: str,
    code: orm.AbstractCode,
    protocol: str | None,
    overrides: Overrides,
    options: JobOptions | None,
    **given: Any,
) -> Inputs:
    if overrides is not None and not isinstance(overrides, Mapping):
        raise ProtocolError(f'the override `{stage}` is {overrides!r}: it must be a mapping of inputs')
    if own := [name for name in SHARED[stage] if name in (overrides or {})]:
        raise ProtocolError(f'the override `{stage}.{own[0]}` has no effect: `{own[0]}` is set for all stages')
    # What only the run itself can give.
    later: Mapping[str, InputTree] = {
        'delta_train': {'snapshots': None, 'base_method': None},
        'vacf': {'force_fields': {}},
    }
    try:
        builder = STAGES[stage].get_builder_from_protocol(
            code=code, protocol=protocol, overrides=overrides, options=options, **later.get(stage, {}), **given
        )
    except ProtocolError as error:
        raise ProtocolError(f'{stage}: {error}') from None
    return cast(Inputs, {name: v for name, v in builder._inputs(prune=True).items() if name not in SHARED[stage]})


def refuse_other_sampling(kind: str, overrides: Mapping[str, Overrides]) -> None:
    """Refuse overrides of the sampling that is not done.

    :raises ProtocolError: naming the first one.
    """
    of_kind = {MD: ('dft_md', 'md'), THERMAL: ('thermal_structures', 'parameters')}
    for other, (stage, name) in of_kind.items():
        given = overrides.get(stage)
        if other != kind and isinstance(given, Mapping) and name in given:
            raise ProtocolError(
                f'the override `{stage}.{name}` has no effect: `sampling.kind` is {kind}; set it to {other}'
            )


def tolerance_for(structure: orm.StructureData) -> float:
    """Return the symmetry tolerance (Å) that fits the digits of a structure; the usual one without a crystal."""
    try:
        return fitting_tolerance(structure.get_ase())
    except ValueError:
        # The port says what is wrong with it.
        return SYMPREC


def with_symprec(stage: str, overrides: Any, symprec: float) -> Any:
    """Return the overrides of a stage with the symmetry tolerance of all stages, unless they have their own."""
    if 'symprec' not in STAGES[stage].spec().inputs or not isinstance(overrides or {}, Mapping):
        return overrides
    return {'symprec': symprec, **(overrides or {})}


def missing_methods(snapshots: SnapshotsData, methods: list[str]) -> list[str]:
    """Return the methods that label no frame of `snapshots`."""
    return [method for method in methods if method not in snapshots.methods]


def refuse_incomplete(inputs: RunInputs, _: Any) -> str | None:
    """Refuse a start that lacks the inputs of a stage it needs, or that cannot reach the end with them."""
    if 'structure' not in inputs or 'methods' not in inputs:
        return None
    phonons = cast(Inputs, {**inputs.get('harmonic_phonon', {})})
    # A force field with dipoles brings the charges that the phonons need a large supercell for.
    members = [dict(by_seed) for by_seed in inputs.get('force_fields', {}).values()]
    phonons['force_fields'] = {f'{n}_{name}': node for n, found in enumerate(members) for name, node in found.items()}
    if (nac := inputs.get('delta_train', {}).get('nac')) is not None:
        phonons.setdefault('nac', nac)
    known = {'parameters', 'symprec', 'supercell_matrix'} <= set(phonons)
    if known and (reason := refuse_unfit(inputs['structure'], phonons)) is not None:
        return f'harmonic_phonon: {reason}'
    if (reason := refuse_infeasible(inputs)) is not None:
        return reason
    if inputs.get('vacf_methods') is not None and inputs['vacf_methods'].get_list() and 'vacf' not in inputs:
        return '`vacf_methods` is not empty, but `vacf`, the settings of the dynamics, is missing'
    if inputs.get('force_fields'):
        return None
    if 'delta_train' not in inputs:
        return '`delta_train` is missing: give it, or trained `force_fields`'
    if (reason := _refuse_displacements(inputs)) is not None:
        return reason
    reason = _refuse_before_sampling(inputs) if inputs.get('snapshots') is None else _refuse_snapshots(inputs)
    return reason or refuse_few_labels(inputs)


def _refuse_displacements(inputs: RunInputs) -> str | None:
    """Refuse displacements of another crystal, and thermal structures of none."""
    given = inputs.get('displacements')
    if given is not None:
        if 'reference' in inputs:
            return '`displacements` and `reference`, which would compute others, are both given: leave one of them out'
        if (reason := refuse_mismatch(inputs['structure'], given, '`displacements`')) is not None:
            return reason
        return _refuse_other_dft(inputs, given)
    if 'reference' in inputs and 'dft_md' not in inputs:
        return (
            '`reference` uses the engine and the cell of `dft_md`, which is missing: give it, or `displacements` '
            'with DFT forces'
        )
    if inputs.get('snapshots') is None and samples_thermally(inputs) and not has_displacements(inputs):
        return (
            '`sampling.kind` is thermal, which draws from harmonic force constants: give `reference` or `displacements`'
        )
    return None


def _refuse_other_dft(inputs: RunInputs, displacements: SnapshotsData) -> str | None:
    """Refuse displacements whose forces are not those of the base, as far as both say how they were made."""
    labels, snapshots = displacements.get_snapshots().labels, inputs.get('snapshots')
    if snapshots is not None:
        base, where, n_atoms = base_method_of(snapshots), '`snapshots`', snapshots.n_atoms
    elif 'dft_md' in inputs:
        base, where = inputs['dft_md']['engine']['method'], '`dft_md.engine`'
        cells = expand_matrix(inputs['dft_md']['supercell_matrix'].get_list())
        n_atoms = len(inputs['structure'].sites) * abs(round(float(np.linalg.det(cells))))
    else:
        return None
    if base is None:
        return None
    if base not in labels or labels[base].forces is None:
        there = ', '.join(method for method, label in labels.items() if label.forces is not None)
        return (
            f'`displacements` have no {base} forces, which the base is fitted to; they have forces of {there or "none"}'
        )
    try:
        engine = force_kind_of(labels[base].source, base)
        if snapshots is None:
            wanted = inputs['dft_md']['engine'].get_dict()
        else:
            source = snapshots.get_snapshots().labels[base].source
            wanted = force_kind_of(source, base).like(base, source, {})
        theirs = engine.like(base, labels[base].source, wanted)
    except ValueError:
        # Of imported labels no more is known than the name of their method.
        return None
    different: tuple[str, Any, Any] | None = ('engine', wanted['name'], engine.name)
    if wanted['name'] == engine.name:
        # Another cell needs another mesh of k-points for the same sampling.
        besides = () if displacements.n_atoms == n_atoms else _MESH
        different = engine.other_setting(wanted, theirs, besides)
    if different is None:
        return None
    name, ours, other = different
    return f'`displacements` and {where} must have the same DFT settings: {name} is {other!r} and {ours!r}'


def has_displacements(inputs: RunInputs) -> bool:
    """Tell whether there are reference displacements, or will be."""
    return 'reference' in inputs or inputs.get('displacements') is not None


def samples_thermally(inputs: RunInputs) -> bool:
    """Tell whether structures are drawn from the harmonic distribution."""
    return bool(inputs['sampling']['kind'].value == THERMAL) if 'sampling' in inputs else False


def _refuse_snapshots(inputs: RunInputs) -> str | None:
    snapshots, methods = inputs['snapshots'], inputs['methods'].get_list()
    if not snapshots.base_methods:
        return f'`snapshots` have no DFT labels; their methods: {", ".join(snapshots.methods) or "none"}'
    if (reason := refuse_mismatch(inputs['structure'], snapshots)) is not None:
        return reason
    if (base := base_method_of(snapshots)) in methods:
        return f'`methods` names {base}, which is the method of the base: remove it'
    if not (missing := missing_methods(snapshots, methods)):
        return None
    if 'cc_energies' not in inputs:
        return (
            f'`snapshots` have no {", ".join(missing)} labels, and `cc_energies` is missing: give it, or labelled '
            'snapshots'
        )
    engine = correlation_engine(inputs['cc_energies']['engine'])
    if (reason := _refuse_imported_only(missing, engine)) is not None:
        return reason
    labelling: Inputs = {
        **inputs['cc_energies'],
        'structure': inputs['structure'],
        'snapshots': snapshots,
        'methods': orm.List(engine.calculates(methods)),
    }
    reason = refuse_labelling(labelling, None)
    return None if reason is None else f'cc_energies.selection: {reason}'


def _refuse_imported_only(methods: list[str], engine: CorrelationEngine[Settings]) -> str | None:
    """Refuse energies that no engine calculates."""
    if not (imported := [method for method in methods if method not in engine.calculates(methods)]):
        return None
    return (
        f'the engine {engine.name} calculates no {imported[0]} energies: choose from '
        f'{", ".join(engine.calculates(WAVEFUNCTION_METHODS))}, use the engine `command`, or import snapshots '
        f'with {imported[0]} labels'
    )


def _refuse_before_sampling(inputs: RunInputs) -> str | None:  # noqa: C901
    """Refuse what cannot be sampled, and a selection that the structures cannot serve, before there are any."""
    if 'dft_md' not in inputs:
        return '`dft_md` is missing: give it, or `snapshots`'
    if usual_kind(method := inputs['dft_md']['engine']['method']) == COSTLY:
        return f'`dft_md.engine.method` is {method}, for which a Δ is fitted: choose a density functional for the base'
    if method in inputs['methods'].get_list():
        return f'`methods` names {method}, which is the method of the base: remove it'
    if samples_thermally(inputs):
        if 'thermal_structures' not in inputs:
            return '`sampling.kind` is thermal, but `thermal_structures` is missing: give it, or set the kind to md'
    elif (reason := refuse_dynamics(inputs['dft_md'])) is not None:
        return f'dft_md: {reason}'
    elif inputs['dft_md']['md']['parameters']['time_step_fs'] is None and not has_displacements(inputs):
        return (
            'dft_md: `md.parameters.time_step_fs` is null, and there are neither `reference` nor `displacements` '
            'to determine it: give a time step'
        )
    if (reason := refuse_cell({**inputs['dft_md'], 'structure': inputs['structure']})) is not None:
        return f'dft_md: {reason}'
    if 'cc_energies' not in inputs:
        return '`cc_energies` is missing: the structures have DFT labels only'
    labelling = inputs['cc_energies']
    selection, methods = labelling['selection'].get_dict(), inputs['methods'].get_list()
    if (reason := _refuse_imported_only(methods, correlation_engine(labelling['engine']))) is not None:
        return reason
    n_frames = frames_to_come(inputs)
    rounds = labelling['rounds'].get_dict() if 'rounds' in labelling else None
    if (reason := refuse_selections(n_frames, methods, selection, rounds)) is not None:
        return f'cc_energies.selection: {reason}'
    cell = supercell(inputs['structure'].get_ase(), expand_matrix(inputs['dft_md']['supercell_matrix'].get_list()))
    to_come: Inputs = {**labelling, 'snapshots': SnapshotsData(Snapshots.from_atoms([cell]))}
    if (reason := refuse_jobs(to_come) or refuse_methods(labelling['engine'], methods, selection)) is not None:
        return f'cc_energies: {reason}'
    if DESIGNED in kinds_of(methods, selection):
        engine = inputs['dft_md']['engine']
        try:
            base_engine_like(engine['method'], force_engine(engine).source(), labelling)
        except ValueError as error:
            return f'cc_energies: {error}'
    return None
