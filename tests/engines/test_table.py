"""What every engine of the table keeps to: one test of each point, over all entries."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import CorrelationEngine, Engine, ForceEngine
from aiida_mlcc.engines.table import (
    CODES,
    CORRELATION,
    CORRELATION_ENGINES,
    FORCE_ENGINES,
    FORCES,
    codes_by_place,
    correlation_engine,
    correlation_kind,
    correlation_kinds,
    force_engine,
    force_kind,
    force_kind_of,
    force_kinds,
    kinds,
    valence_of,
)
from aiida_mlcc.science.labels.merging import made_with
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain

HERE = Path(__file__).parent
METHODS = ('HF', 'MP2', 'CCSD', 'CCSD(T)')
PROGRAMS = [import_module(f'tests.engines.{path.parent.name}.contract') for path in HERE.glob('*/contract.py')]
"""What engines with programs of their own say to these tests."""
PLUGINS = {place: plugin for program in PROGRAMS for place, plugin in program.PLUGINS.items()}

forces = pytest.mark.parametrize('name', FORCE_ENGINES)
correlation = pytest.mark.parametrize('name', CORRELATION_ENGINES)
both = pytest.mark.parametrize('engine', list(kinds()), ids=lambda engine: f'{engine.__name__}-{engine.name}')


@pytest.fixture
def codes(python, aiida_localhost) -> dict[str, orm.AbstractCode]:
    found = {'code': python}
    for place in CODES:
        code = orm.InstalledCode(
            label=place,
            computer=aiida_localhost,
            filepath_executable=f'/bin/{place}',
            default_calc_job_plugin=PLUGINS.get(place),
        )
        found[f'{place}_code'] = code.store()
    return found


@pytest.fixture
def argon(aiida_profile) -> orm.StructureData:
    """Closed shells, whatever the engine."""
    return orm.StructureData(ase=bulk('Ar', 'fcc', a=5.26)).store()


@pytest.fixture(autouse=True)
def potentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Potentials of all elements, which no profile of the tests has."""
    for program in PROGRAMS:
        program.let_all_elements_pass(monkeypatch)


def wrong(builder: Any) -> str | None:
    return wrong_inputs(builder.process_class, builder._inputs(prune=True))


def wrong_inputs(process: Any, inputs: Any) -> str | None:
    """What AiiDA says of the inputs of a process when it is submitted."""
    ports = process.spec().inputs
    found = ports.validate(ports.pre_process(ports.serialize(inputs)))
    return None if found is None else f'{found.message} at {found.port}'


def changed(engine: type[Engine], name: str) -> Any:
    """Another value of a setting than its default that is allowed, too, or else the default."""
    defaults = engine.settings_class.defaults()
    value, others = defaults[name], engine.settings_class.rules()[name].choices
    if not others and isinstance(value, bool):
        others = (not value,)
    elif not others and isinstance(value, int | float):
        others = tuple(type(value)(factor * value) for factor in (2, 1.5)) if value else (1,)
    elif not others and isinstance(value, str):
        others = (f'{value}-other',)
    elif isinstance(value, list):
        others = ([2, 2, 2], [1, 1, 1], ['other'])
    allowed = (one for one in others if engine.settings_class.refuse({**defaults, name: one}) is None)
    return next((one for one in allowed if one != value), value)


@both
def test_defaults_are_valid_and_named(engine: type[Engine]) -> None:
    settings = engine.settings_class.defaults()
    assert settings['name'] == engine.name
    assert engine.settings_class.refuse(settings) is None
    assert not issubclass(engine, ForceEngine) or 'method' in settings
    assert all(rule.help for rule in engine.settings_class.rules().values())


@both
def test_unknown_setting_is_refused_with_those_there_are(engine: type[Engine]) -> None:
    reason = engine.settings_class.refuse({**engine.settings_class.defaults(), 'colour': 'red'})
    assert reason is not None
    assert '`colour`' in reason
    assert all(name in reason for name in engine.settings_class.rules())


@both
def test_values_that_are_not_allowed_are_refused_with_what_is_allowed(engine: type[Engine]) -> None:
    for name, rule in engine.settings_class.rules().items():
        for value in ({1}, 'no such choice' if rule.choices else {1}, -1e99 if rule.above is not None else {1}):
            reason = engine.settings_class.refuse({**engine.settings_class.defaults(), name: value})
            assert reason is not None, name
            assert f'`{name}`' in reason
            if rule.choices and value == 'no such choice' and isinstance(rule.choices[0], str):
                assert all(str(choice) in reason for choice in rule.choices)


@both
def test_source_is_that_of_its_own_settings_and_of_no_others(engine: type[Engine]) -> None:
    settings = engine.settings_class.defaults()
    source = engine(settings).source()
    assert source['engine'] == engine.name
    assert made_with(source, engine(settings).source())
    assert made_with({**source, 'version': '1.0'}, engine(settings).source()), 'the version may differ'
    counted = engine.counted(settings.get('method', '')) if issubclass(engine, ForceEngine) else settings
    for name in settings:
        other = {**settings, name: changed(engine, name)}
        if other == settings or name == 'name':
            continue
        if (name in engine.uncounted or name not in counted) and name not in source:
            assert engine(other).source() == source, name
        elif name in source or name not in ('method', 'max_cycle', 'max_memory_mb', 'nelm'):
            assert not made_with(source, engine(other).source()), name


@pytest.mark.parametrize('name', ['pyscf', 'pyscf+cc4s'])
def test_labels_of_pseudopotentials_that_pyscf_has_say_how_many_electrons_they_leave(name: str) -> None:
    """Ten of twelve electrons of Mg, and six of eight of O, are left by GTH's small cores."""
    source = correlation_kind(name)({**correlation_kind(name).settings_class.defaults(), 'name': name}).source()
    assert valence_of(source, 'HF', ['Mg', 'O']) == {'Mg': 10, 'O': 6}


@both
def test_programs_have_something_to_cite(engine: type[Engine]) -> None:
    assert all(text for text, _ in engine.programs.values())


def test_titles_of_settings_differ() -> None:
    """The reference has a section for each."""
    groups = {engine.settings_class for engine in kinds()}
    assert len({group.TITLE for group in groups}) == len(groups)


def test_names_are_those_of_the_table() -> None:
    assert [engine.name for engine in force_kinds()] == list(FORCE_ENGINES)
    assert [engine.name for engine in correlation_kinds()] == list(CORRELATION_ENGINES)
    assert all(issubclass(engine, ForceEngine) for engine in force_kinds())
    assert all(issubclass(engine, CorrelationEngine) for engine in correlation_kinds())
    for choice in (FORCES, CORRELATION):
        reason = choice.refuse({'name': 'psi4'})
        assert reason is not None
        assert all(name in reason for name in choice.groups)


@forces
def test_settings_come_back_from_the_source_of_labels(name: str) -> None:
    engine = force_kind(name)
    settings = engine.settings_class.defaults()
    source = engine(settings).source()
    like = force_kind_of(source, settings.get('method', 'LDA')).like(settings.get('method', 'LDA'), source, {})
    assert engine.settings_class.refuse(like) is None
    assert engine(like).source() == source
    assert engine.refuse_other_settings(settings, like) is None
    for setting in engine.counted(settings.get('method', 'LDA')):
        other = changed(engine, setting)
        if other is not None and not engine.is_same(setting, other, like[setting]):
            reason = engine.refuse_other_settings({**settings, setting: other}, like)
            assert reason is not None
            assert f'base_engine.{setting}' in reason


@forces
def test_dynamics_validates_with_its_places_and_not_without(name: str, argon, codes) -> None:
    engine = force_kind(name)
    if engine.place_of_dynamics is None:
        pytest.skip('has no dynamics')
    overrides = {
        'engine': {'name': name},
        'supercell_matrix': [2, 1, 1],
        'md': {'parameters': {'time_step_fs': 1.0}},
    }
    builder = DFTMDWorkChain.get_builder_from_protocol(structure=argon, protocol='fast', overrides=overrides, **codes)
    assert wrong(builder) is None
    inputs = builder._inputs(prune=True)
    bound = force_engine(inputs['engine'])
    process, given = bound.dynamics(inputs, SnapshotsData(Snapshots.from_atoms([argon.get_ase()])))
    assert wrong_inputs(process, given) is None
    assert bound.n_dynamics_jobs(inputs) >= 1
    del builder[engine.place_of_dynamics]['code']
    assert f'{engine.place_of_dynamics}.code' in (wrong(builder) or '')


@forces
def test_phonons_validate_and_displaced_cells_are_labelled(name: str, argon, codes) -> None:
    engine = force_kind(name)
    code = codes.get(f'{engine.place}_code', codes['code'])
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        code, argon, engine=engine.settings_class.defaults(), protocol='fast'
    )
    assert wrong(builder) is None
    snapshots = SnapshotsData(Snapshots.from_atoms([argon.get_ase()] * 3))
    process, given = force_engine(builder.engine).labels(builder._inputs(prune=True), snapshots)
    assert wrong_inputs(process, given) is None
    assert 1 <= engine.n_label_jobs(3) <= 3


@forces
def test_new_structures_of_any_engine_of_forces_can_be_labelled(name: str, argon, codes) -> None:
    """For a selection that makes structures, `base_engine` takes every engine of forces that labelled the snapshots."""
    engine = force_kind(name)
    settings = engine.settings_class.defaults()
    frames = Snapshots.from_atoms([argon.get_ase()])
    label = Label(np.zeros(1), np.zeros((1, 1, 3)), engine(settings).source())
    snapshots = SnapshotsData(frames.with_label(settings.get('method', 'LDA'), label))
    overrides = {'base_engine': settings, 'selection': {'kind': 'frozen-phonon'}}
    builder = CCEnergiesWorkChain.get_builder_from_protocol(
        snapshots=snapshots, structure=argon, protocol='fast', overrides=overrides, **codes
    )
    assert wrong(builder) is None
    counted = engine.counted(settings.get('method', 'LDA'))
    setting = next(one for one in counted if one not in ('name', 'method') and changed(engine, one) is not None)
    builder.base_engine = {**builder.base_engine.get_dict(), setting: changed(engine, setting)}
    assert f'base_engine.{setting}' in (wrong(builder) or '')


@correlation
def test_labelling_validates_with_its_places_and_not_without(name: str, argon, codes) -> None:
    engine = correlation_kind(name)
    snapshots = SnapshotsData(Snapshots.from_atoms([argon.get_ase()] * 2))
    overrides = {'engine': {'name': name}, 'selection': {'kind': 'all'}}
    if 'vasp' in engine.places:
        # By default its steps at Γ and its mesh are two programs.
        overrides['vasp'] = {'code_kpoints': codes['vasp_code']}
    builder = CCEnergiesWorkChain.get_builder_from_protocol(
        snapshots=snapshots, protocol='fast', overrides=overrides, **codes
    )
    assert wrong(builder) is None
    process, given = correlation_engine(builder.engine).batch(
        builder._inputs(prune=True), snapshots, orm.List(list(METHODS))
    )
    assert wrong_inputs(process, given) is None
    for place in engine.places:
        incomplete = CCEnergiesWorkChain.get_builder_from_protocol(
            snapshots=snapshots, protocol='fast', overrides=overrides, **codes
        )
        del incomplete[place]['code']
        assert f'{place}.code' in (wrong(incomplete) or '')


@correlation
def test_jobs_are_counted(name: str) -> None:
    engine = correlation_engine(CORRELATION.starting_values(name))
    few = engine.n_jobs({METHODS: [0, 1]}, 8)
    assert 1 <= few < engine.n_jobs({METHODS: list(range(20))}, 8)


@both
def test_costs_of_jobs_of_others_are_not_its_own(engine: type[Engine], aiida_profile) -> None:
    assert engine.cost_of(orm.CalcJobNode().store()) is None


def test_codes_that_no_engine_has_are_refused() -> None:
    with pytest.raises(TypeError, match='psi4_code'):
        codes_by_place(None, {'psi4_code': None})


SOURCES = [
    (
        force_engine,
        {
            'basis': 'gth-dzvp',
            'conv_tol': 1e-08,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'ke_cutoff': None,
            'max_cycle': 50,
            'max_memory_mb': None,
            'method': 'LDA',
            'name': 'pyscf',
            'pseudo': None,
        },
        {
            'basis': 'gth-dzvp',
            'conv_tol_hartree': 1e-08,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'ke_cutoff_hartree': None,
            'method': 'LDA',
            'engine': 'pyscf',
            'pseudo': None,
        },
    ),
    (
        force_engine,
        {
            'algo': 'Normal',
            'ediff': 1e-06,
            'encut': 321.0,
            'energy': 'free',
            'incar': {'LREAL': 'Auto'},
            'ismear': 0,
            'kpoints': [1, 1, 1],
            'method': 'PBE',
            'name': 'vasp',
            'nelm': 60,
            'potential_family': 'PBE.64',
            'potential_mapping': {},
            'prec': 'Accurate',
            'sigma': 0.01,
        },
        {
            'engine': 'vasp',
            'ediff': 1e-06,
            'encut': 321.0,
            'energy': 'free',
            'ismear': 0,
            'kpoints': [1, 1, 1],
            'potential_family': 'PBE.64',
            'potential_mapping': {},
            'prec': 'Accurate',
            'sigma': 0.01,
            'incar': {'LREAL': 'Auto'},
        },
    ),
    (
        correlation_engine,
        {
            'basis': 'gth-dzvp',
            'conv_tol': 1e-09,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'max_cycle': 50,
            'max_memory_mb': None,
            'name': 'pyscf',
            'pseudo': 'gth-hf-rev',
        },
        {
            'basis': 'gth-dzvp',
            'conv_tol_hartree': 1e-09,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'engine': 'pyscf',
            'pseudo': 'gth-hf-rev',
        },
    ),
    (
        correlation_engine,
        {
            'basis': 'gth-dzvp',
            'basis_set_correction': True,
            'cc4s': {
                'ccsd': {
                    'amplitudes_convergence': 1e-08,
                    'energy_convergence': 1e-08,
                    'integrals_slice_size': 100,
                    'max_iterations': 30,
                },
                'triples': {},
            },
            'conv_tol': 1e-09,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'max_cycle': 50,
            'max_memory_mb': None,
            'name': 'pyscf+cc4s',
            'natural_orbitals_per_occupied': None,
            'pseudo': 'gth-hf-rev',
        },
        {
            'basis': 'gth-dzvp',
            'conv_tol_hartree': 1e-09,
            'exp_to_discard': 0.05,
            'exxdiv': 'ewald',
            'engine': 'pyscf+cc4s',
            'natural_orbitals_per_occupied': None,
            'pseudo': 'gth-hf-rev',
            'basis_set_correction': True,
            'cc4s': {
                'ccsd': {'energy_convergence': 1e-08, 'amplitudes_convergence': 1e-08},
                'triples': {'star': False},
            },
        },
    ),
    (
        correlation_engine,
        {
            'cc4s': {
                'basis_set_correction': {},
                'ccsd': {
                    'amplitudes_convergence': 1e-06,
                    'energy_convergence': 1e-06,
                    'integrals_slice_size': 100,
                    'max_iterations': 30,
                },
                'finite_size_correction': {},
                'triples': {},
            },
            'ediff': 1e-06,
            'encut': 400.0,
            'encutgw': 150.0,
            'energy': 'free',
            'gamma_only': False,
            'hf_encut': 400.0,
            'hf_kpoints': [3, 3, 3],
            'incar': {},
            'ismear': 0,
            'name': 'vasp+cc4s',
            'natural_orbitals_per_occupied': 10,
            'nelm': 100,
            'potential_family': 'PBE.64',
            'potential_mapping': {},
            'prec': 'Accurate',
            'sigma': 0.01,
        },
        {
            'engine': 'vasp+cc4s',
            'ediff': 1e-06,
            'encut': 400.0,
            'encutgw': 150.0,
            'energy': 'free',
            'gamma_only': False,
            'hf_encut': 400.0,
            'hf_kpoints': [3, 3, 3],
            'ismear': 0,
            'natural_orbitals_per_occupied': 10,
            'potential_family': 'PBE.64',
            'potential_mapping': {},
            'prec': 'Accurate',
            'sigma': 0.01,
            'incar': {},
            'cc4s': {
                'ccsd': {'energy_convergence': 1e-06, 'amplitudes_convergence': 1e-06},
                'triples': {'star': False},
                'basis_set_correction': {},
                'finite_size_correction': {'interpolation_grid_size': 20},
            },
        },
    ),
]
"""Settings and the source of labels made with them as earlier versions stored it: such labels are found for ever."""


@pytest.mark.parametrize(('find', 'settings', 'source'), SOURCES)
def test_labels_of_earlier_versions_are_recognised(find, settings, source) -> None:
    assert find(settings).source() == source
