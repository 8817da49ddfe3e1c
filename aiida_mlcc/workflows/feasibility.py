"""What a run of the master WorkChain cannot do with its inputs, and what a person should know of them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import ForceEngine, at
from aiida_mlcc.engines.table import FORCE_ENGINES, correlation_engine, correlation_kind, force_kind, other_valence
from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, kinds_for
from aiida_mlcc.science.crystal.cells import breaks_symmetry, expand_matrix, primitive_cell, supercell
from aiida_mlcc.science.crystal.structure_checks import open_shell_remark, refuse_vacuum
from aiida_mlcc.science.crystal.symmetry import SYMPREC, near_miss, space_group
from aiida_mlcc.science.fit.ridge import FEWEST_LABELS
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.labels.labelling_plan import costliest
from aiida_mlcc.science.settings import Settings
from aiida_mlcc.workflows.labelling.selections import base_method_of
from aiida_mlcc.workflows.phonons.inputs import of_one_cell_only
from aiida_mlcc.workflows.run_inputs import RunInputs, stage_inputs
from aiida_mlcc.workflows.sampling.expected_frames import labels_to_come

_GB_IN_KB = 1e6
_MARGIN = 2
"""The estimate of the memory is good to such a factor."""

_HF = 'HF'
"""The method whose pseudopotentials all correlated methods take."""


def refuse_infeasible(inputs: RunInputs) -> str | None:
    """Return what a run cannot do with valid inputs, in a sentence, or None.

    :param inputs: of the master WorkChain, `structure` and `methods` at least.
    """
    return (
        refuse_vacuum(inputs['structure'].get_ase())
        or _refuse_outputs(inputs)
        or _refuse_valences(inputs)
        or _refuse_size(inputs)
    )


def refuse_few_labels(inputs: RunInputs) -> str | None:
    """Return that fewer structures are to be labelled than the fit of Δ needs, in a sentence, or None."""
    if not {'cc_energies', 'delta_train'} <= set(inputs) or ('snapshots' not in inputs and 'dft_md' not in inputs):
        return None
    if kinds_for(DELTA)[inputs['delta_train']['delta']['kind'].value].is_trained:
        return None
    method, n_labels = min(labels_to_come(inputs).items(), key=itemgetter(1), default=('', FEWEST_LABELS))
    if n_labels >= FEWEST_LABELS:
        return None
    return (
        f'{n_labels} structures will have {method} energies, but the fit of Δ needs at least {FEWEST_LABELS}: select '
        'more (`cc_energies.selection`), or take a larger cell, which has more frozen phonons'
    )


def remarks(inputs: RunInputs) -> list[str]:
    """Return what a person should know of inputs that are valid, a sentence each."""
    return list(_remarks(inputs))


def symprec_of(inputs: RunInputs) -> float:
    """Return the symmetry tolerance of the phonons (Å)."""
    found = inputs.get('harmonic_phonon', {}).get('symprec')
    return SYMPREC if found is None else float(found.value)


def _remarks(inputs: RunInputs) -> Iterator[str]:
    crystal, symprec = inputs['structure'].get_ase(), symprec_of(inputs)
    group = space_group(crystal, symprec)
    if (higher := near_miss(crystal, symprec)) is not None:
        yield (
            f'the space group is {group} within {symprec:g} Å, but {higher} within {higher.symprec:g} Å: if you '
            f'want the higher one, give `--symmetrise {higher.symprec:g}`'
        )
    if (remark := open_shell_remark(crystal.get_chemical_symbols())) is not None:
        yield remark
    cells = {'dft_md': crystal, 'harmonic_phonon': None, 'vacf': None}
    for stage, cell in cells.items():
        if (node := stage_inputs(inputs, stage).get('supercell_matrix')) is None:
            continue
        matrix = node.get_list()
        if breaks_symmetry(primitive_cell(crystal, symprec) if cell is None else cell, matrix, symprec):
            yield (
                f'{stage}.supercell_matrix {matrix} breaks the symmetry {group} of the crystal: '
                'symmetry-equivalent directions are not equivalent in that cell'
            )
    if (base := _base(inputs)) is not None and base.engine.is_for_metals(base.settings):
        smeared = f'{base.method} is calculated with smeared occupations, as for a metal'
        yield f'{smeared}; the correlated methods need a band gap'


def _refuse_outputs(inputs: RunInputs) -> str | None:
    """Refuse what needs strained cells with force fields that know one cell only."""
    parameters = inputs.get('harmonic_phonon', {}).get('parameters')
    if parameters is None:
        return None
    if parameters.get_dict().get('relax') == 'cell':
        asked, instead = 'the relaxation of the cell (`relax`: cell)', 'set `relax` to positions'
    elif parameters.get_dict().get('gruneisen'):
        asked, instead = 'Grüneisen parameters (`gruneisen`)', 'leave `gruneisen` out'
    else:
        return None
    if (stiff := _of_one_cell(inputs)) is None:
        return None
    return (
        f'harmonic_phonon.parameters: {asked} needs strained cells, but {stiff} contain force constants, which '
        f'are valid for one cell only: {instead}, or use base and Δ of kind mace without '
        '`delta_train.base.correction`'
    )


def _of_one_cell(inputs: RunInputs) -> str | None:
    """Return which force fields will know one cell only, None where all can be strained."""
    given = inputs.get('force_fields')
    if given:
        stiff = {name for members in given.values() for name in of_one_cell_only(members)}
        return ', '.join(sorted(stiff)) or None
    training = inputs.get('delta_train')
    if training is None:
        return None
    base = training.get('base', {})
    if 'correction' in base:
        return 'bases with `delta_train.base.correction`'
    if 'kind' in base and kinds_for(BASE)[base['kind'].value].holds_force_constants:
        return f'bases of kind {base["kind"].value} (`delta_train.base.kind`)'
    kind = kinds_for(DELTA)[training['delta']['kind'].value]
    return f'Δ of kind {kind.name} (`delta_train.delta.kind`)' if kind.needs_crystal else None


def _refuse_valences(inputs: RunInputs) -> str | None:
    """Refuse a Δ between energies of different electrons."""
    if 'cc_energies' not in inputs or 'engine' not in inputs['cc_energies']:
        return None
    symbols = list(dict.fromkeys(inputs['structure'].get_ase().symbols))
    if (base := _base(inputs)) is None:
        return None
    correlated = inputs['cc_energies']['engine'].get_dict()
    of_base, beyond = base.engine.valence(base.settings, base.method, symbols), correlation_kind(correlated['name'])
    found = other_valence(of_base, beyond.valence(correlated, _HF, symbols))
    if found is None:
        return None
    symbol, ours, theirs = found
    settings = [f'`dft_md.engine.{base.engine.setting_of_cores}`', f'`cc_energies.engine.{beyond.setting_of_cores}`']
    return (
        f'{symbol} has {ours:g} valence electrons in the {base.method} calculations and {theirs:g} in the correlated '
        'ones: Δ would contain the energy of these electrons; use pseudopotentials with the same core '
        f'({" and ".join(settings)})'
    )


def _refuse_size(inputs: RunInputs) -> str | None:
    """Refuse energies of a cell that needs far more memory than its jobs are given."""
    labelling = inputs.get('cc_energies', {})
    if 'engine' not in labelling or ('snapshots' not in inputs and 'dft_md' not in inputs):
        return None
    if inputs.get('snapshots') is not None:
        cell = inputs['snapshots'].get_ase(0)
    else:
        matrix = expand_matrix(inputs['dft_md']['supercell_matrix'].get_list())
        cell = supercell(inputs['structure'].get_ase(), matrix)
    engine = correlation_engine(labelling['engine'])
    methods = engine.calculates(inputs['methods'])
    if not methods:
        return None
    cost = engine.energy_cost(cell.get_chemical_symbols(), methods)
    given = at(labelling, engine.places[0]).get('metadata', {}).get('options', {}).get('max_memory_kb')
    if cost is None or given is None or cost.memory_gb * _GB_IN_KB <= _MARGIN * given:
        return None
    return (
        f'{costliest(methods)} of a cell of {len(cell)} atoms, {cost.n_occupied} occupied and {cost.n_virtual} '
        f'virtual orbitals, needs about {cost.memory_gb:.3g} GB, but its job is given {given / _GB_IN_KB:.3g} GB '
        '(`max_memory_kb`): use a smaller cell or basis, or more memory'
    )


class _Base(NamedTuple):
    """The engine of the base, what is known of its settings, and its method."""

    engine: type[ForceEngine[Settings]]
    settings: StoredSettings
    method: str


def _base(inputs: RunInputs) -> _Base | None:
    """Return how the base is calculated, None where that is not known."""
    snapshots: SnapshotsData | None = inputs.get('snapshots')
    if snapshots is not None:
        method = base_method_of(snapshots)
        if method is None:
            return None
        settings = snapshots.get_snapshots().labels[method].source
        name = settings.get('engine')
    elif 'dft_md' in inputs and 'engine' in inputs['dft_md']:
        settings = inputs['dft_md']['engine'].get_dict()
        name, method = settings['name'], str(settings['method'])
    else:
        return None
    return _Base(force_kind(str(name)), settings, method) if name in FORCE_ENGINES else None
