"""VaspIntegralsWorkChain through mock-vasp: every step towards Cc4s, with made-up files."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.vasp.integrals import VaspIntegralsWorkChain
from aiida_mlcc.engines.vasp.settings import VaspIntegrals, low_cutoff
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.vasp_outputs import poscar, single_point_outputs
from tests.workflows.vasp_runs.settings import ENGINE

INTEGRALS = {
    **{name: value for name, value in ENGINE.items() if name not in ('method', 'algo', 'kpoints')},
    'gamma_only': True,
    'natural_orbitals_per_occupied': 3,
    'encutgw': 200.0,
    'hf_kpoints': [3, 3, 3],
    'hf_encut': 350.0,
}
ALONE = {**INTEGRALS, 'hf_kpoints': [1, 1, 1], 'hf_encut': 400.0}
"""With the Hartree–Fock energy at Γ."""

ATOMS = Atoms('LiF', positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
COMMON = {
    'PREC': 'Accurate',
    'ENCUT': 400.0,
    'EDIFF': 1e-06,
    'NELM': 9,
    'ISMEAR': 0,
    'SIGMA': 0.01,
    'ISYM': -1,
    'LWAVE': True,
    'LCHARG': False,
}
FOCK = {'LHFCALC': True, 'AEXX': 1.0, 'ALDAC': 0.0, 'AGGAC': 0.0, 'ISTART': 1}
PAIRS = {'Mp2PairEnergies.yaml': 'made up', 'Mp2PairEnergies.elements': 'made up'}
TENSORS = (
    *('CoulombVertex', 'EigenEnergies', 'CoulombVertexSingularVectors', 'GridVectors', 'CoulombPotential'),
    *('DeltaIntegralsHH', 'DeltaIntegralsPPHH'),
)
"""Besides the pair energies; Cc4s user manual, the input of its algorithms."""
VERTEX = {f'{name}.{kind}': 'made up' for name in TENSORS for kind in ('yaml', 'elements')}

# 8 electrons; 10 plane waves in the file are 19 real orbitals at Γ; 4 occupied and 12 natural ones are kept.
STEPS = {
    'dft': ({}, {'WAVECAR': 'dft'}),
    'hartree_fock': ({**FOCK, 'ALGO': 'All'}, {'WAVECAR': 'occupied'}),
    'virtuals': ({**FOCK, 'ALGO': 'Exact', 'NELM': 1, 'NBANDS': 19}, {'WAVECAR': 'all'}),
    'pair_energies': ({**FOCK, 'ALGO': 'MP2', 'LSFACTOR': True, 'NBANDS': 19}, PAIRS),
    'natural_orbitals': (
        {**FOCK, 'ALGO': 'MP2NO', 'LAPPROX': True, 'NBANDS': 19},
        {'WAVECAR.FNO': 'natural'},
    ),
    'recanonicalise': ({**FOCK, 'ALGO': 'Sub', 'NELM': 1, 'NBANDS': 16, 'NBANDSHIGH': 16}, {}),
    'dump': (
        {**FOCK, 'ALGO': 'CC4S', 'NBANDS': 16, 'NBANDSHIGH': 16, 'ENCUTGW': 200.0, 'ENCUTGWSOFT': 200.0},
        VERTEX,
    ),
    'mesh_dft': ({'ENCUT': 350.0, 'ISYM': 0}, {'WAVECAR': 'mesh'}),
    'mesh_hartree_fock': (
        {**FOCK, 'ENCUT': 350.0, 'ISYM': 0, 'ALGO': 'All', 'LWAVE': False},
        {},
    ),
}
ENERGIES = {'hartree_fock': -20.0, 'mesh_hartree_fock': -21.5}


def register(registry, *steps, **changed):
    """Register steps; `changed` are settings of the files that they leave."""
    for step in steps:
        tags, files = STEPS[step]
        single_shot = tags.get('NELM') == 1
        settings = {
            'n_electronic': 1 if single_shot else 5,
            'nelm': tags.get('NELM', 9),
            'n_plane_waves': 10,
            **changed,
        }
        outputs = single_point_outputs(ATOMS, ENERGIES.get(step, 0.0), np.zeros((2, 3)), **settings)
        mesh = [3, 3, 3] if step.startswith('mesh') else [1, 1, 1]
        registry.add(step, {**COMMON, **tags}, poscar(ATOMS), mesh, {**outputs, **files})


def inputs(where, **changed):
    snapshots = SnapshotsData(Snapshots.from_atoms([ATOMS]))
    gamma = where['code']
    general = orm.InstalledCode(
        label='vasp-std',
        computer=gamma.computer,
        filepath_executable=str(gamma.filepath_executable),
        default_calc_job_plugin='vasp.vasp',
        prepend_text=gamma.prepend_text,
    ).store()
    places = {**where, 'code_kpoints': general}
    return {'snapshots': snapshots, 'engine': INTEGRALS, 'vasp': places, **changed}


def program(where, name):
    """Return a code of an executable with this name, which nobody runs."""
    path = f'/opt/vasp/bin/{name}'
    plugin = 'vasp.vasp'
    code = {'computer': where['code'].computer, 'filepath_executable': path, 'default_calc_job_plugin': plugin}
    return orm.InstalledCode(label=name.replace('_', '-'), **code).store()


def content(remote, name, tmp_path):
    remote.getfile(name, str(tmp_path / name))
    return (tmp_path / name).read_text()


@pytest.mark.nightly
def test_all_steps_hand_over_their_orbitals_and_leave_the_tensors(where, registry):
    register(registry, *STEPS)
    outputs, node = run_get_node(VaspIntegralsWorkChain, **inputs(where))
    assert node.is_finished_ok, node.exit_message
    jobs = {job.label: job for job in node.called if isinstance(job, orm.CalcJobNode)}
    assert set(jobs) == set(STEPS)
    programs = {name: job.inputs.code.label for name, job in jobs.items()}
    assert {name for name, label in programs.items() if label == 'vasp-std'} == {'mesh_dft', 'mesh_hartree_fock'}
    assert outputs['hf_energy'].value == pytest.approx(-21.5)
    assert outputs['hf_forces'].get_array('forces').shape == (2, 3)
    summary = outputs['summary'].get_dict()
    assert summary['hf_energy_gamma_ev'] == pytest.approx(-20.0)
    assert (summary['n_occupied'], summary['n_all_orbitals'], summary['n_orbitals']) == (4, 19, 16)
    assert summary['tensors'] == sorted([*PAIRS, *VERTEX])
    assert summary['core_hours'] == pytest.approx(9 * 8 * 45 / 3600)
    tensors = outputs['tensors']
    assert tensors.uuid == jobs['dump'].outputs.remote_folder.uuid
    names = tensors.listdir()
    assert set(PAIRS) | set(VERTEX) <= set(names)
    assert 'WAVECAR' not in names
    assert all(not set(VERTEX) & set(job.outputs.retrieved.list_object_names()) for job in jobs.values())
    assert all(jobs[name].outputs.remote_folder.is_cleaned for name in STEPS if name != 'dump')


@pytest.mark.nightly
def test_orbitals_are_those_of_the_step_before_and_natural_ones_take_their_place(where, registry, tmp_path):
    register(registry, *[step for step in STEPS if not step.startswith('mesh')])
    outputs, node = run_get_node(VaspIntegralsWorkChain, **inputs(where, engine=ALONE, clean_workdir=False))
    assert node.is_finished_ok, node.exit_message
    jobs = {job.label: job for job in node.called if isinstance(job, orm.CalcJobNode)}
    wavecars = {
        step: content(jobs[step].outputs.remote_folder, 'WAVECAR', tmp_path)
        for step in ('pair_energies', 'natural_orbitals', 'recanonicalise', 'dump')
    }
    assert wavecars == {
        'pair_energies': 'all',
        'natural_orbitals': 'natural',
        'recanonicalise': 'natural',
        'dump': 'natural',
    }
    # The same mesh and cutoff as those of the steps need no calculation of their own.
    assert set(jobs) == {step for step in STEPS if not step.startswith('mesh')}
    assert outputs['hf_energy'].value == pytest.approx(-20.0)


@pytest.mark.parametrize(
    ('good', 'bad', 'settings', 'status', 'reason'),
    [
        ([], 'dft', {'killed': True}, 311, 'stopped before its end'),
        ([], 'dft', {'program': 'complex'}, 323, 'written by the program for complex orbitals: give vasp_gam as'),
        (['dft'], 'hartree_fock', {'n_plane_waves': 7}, 321, 'the basis has 13'),
        pytest.param(*(['dft'], 'hartree_fock', {'n_electrons': 7.0}, 322, '7.0 electrons'), marks=pytest.mark.nightly),
    ],
)
def test_each_failure_names_its_step(where, registry, good, bad, settings, status, reason):
    register(registry, *good)
    register(registry, bad, **settings)
    _, node = run_get_node(VaspIntegralsWorkChain, **inputs(where, engine=ALONE))
    assert node.exit_status == status, node.exit_message
    assert reason in node.exit_message


@pytest.mark.parametrize(
    ('step', 'lost', 'status'),
    [
        pytest.param('pair_energies', 'Mp2PairEnergies.elements', 314, marks=pytest.mark.nightly),
        pytest.param('natural_orbitals', 'WAVECAR.FNO', 315, marks=pytest.mark.nightly),
        pytest.param('dump', 'EigenEnergies.yaml', 317, marks=pytest.mark.nightly),
    ],
)
def test_a_step_that_leaves_its_file_out_fails(where, registry, step, lost, status):
    names = list(STEPS)
    register(registry, *names[: names.index(step) + 1])
    (registry.folder / step / 'out' / lost).unlink()
    _, node = run_get_node(VaspIntegralsWorkChain, **inputs(where, engine=ALONE))
    assert node.exit_status == status, node.exit_message
    assert f'`{step}`' in node.exit_message


def test_bad_input_is_refused_at_submission(where, python):
    given = inputs(where)
    without = {name: value for name, value in given['vasp'].items() if name != 'code_kpoints'}
    odd = Snapshots.from_atoms([Atoms('Li', positions=[[0, 0, 0]], cell=[4, 4, 4], pbc=True)])
    for changed, reason in [
        ({'vasp': without}, 'give `vasp.code_kpoints`'),
        ({'vasp': {**given['vasp'], 'code': python}}, 'is not VASP'),
        ({'vasp': {**given['vasp'], 'code': program(where, 'vasp_std')}}, 'is vasp_std: give vasp_gam as `vasp.code`'),
        ({'vasp': {**given['vasp'], 'code_kpoints': program(where, 'vasp_gam')}}, 'no k-points but Γ'),
        (
            {
                'vasp': {**given['vasp'], 'code': program(where, 'vasp_gam')},
                'engine': {**INTEGRALS, 'gamma_only': False},
            },
            'is vasp_gam: give vasp_std as `vasp.code`',
        ),
        ({'frame': 1}, '`frame` is 1'),
        ({'snapshots': SnapshotsData(odd)}, '1 valence electrons'),
        ({'engine': {**INTEGRALS, 'natural_orbitals_per_occupied': 0}}, 'must be at least 1'),
        ({'engine': {**INTEGRALS, 'hf_kpoints': [3, 3]}}, 'three whole numbers'),
    ]:
        with pytest.raises(ValueError, match=reason):
            run_get_node(VaspIntegralsWorkChain, **{**given, **changed})


@pytest.mark.parametrize(('encut', 'is_low'), [(359.0, True), (360.0, False)])
def test_cutoff_below_what_the_manual_asks_for_is_named(potentials, encut, is_low):
    """The stubs have ENMAX = 300 eV."""
    warning = low_cutoff(['Li', 'F'], VaspIntegrals.of({**INTEGRALS, 'encut': encut}))
    assert (warning is not None) == is_low
    if is_low:
        assert 'less than 1.2 times the ENMAX of Li, 300 eV' in warning
