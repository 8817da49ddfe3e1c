"""What the dry run refuses a structure for, what it remarks, and what it lets pass."""

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene

from tests.cli.conftest import last_line
from tests.cli.test_inputs import code  # noqa: F401
from tests.textbook import TEXTBOOK, textbook

MOLOPT = [
    *('--set', 'dft_md.engine.basis=gth-szv-molopt-sr', '--set', 'cc_energies.engine.basis=gth-szv-molopt-sr'),
    *('--set', 'cc_energies.engine.pseudo=gth-pade', '--protocol', 'fast', '--methods', 'HF'),
]
ONE_CELL = ('--set', 'dft_md.supercell_matrix=[1,1,1]')
RANDOM = ['--set', 'cc_energies.selection={kind: random, n: 4}']

PARTLY = """data_ZnO
_cell_length_a 3.25
_cell_length_b 3.25
_cell_length_c 5.207
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'P 63 m c'
_symmetry_Int_Tables_number 186
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Zn1 Zn 0.3333 0.6667 0.0 {zinc}
O1 O 0.3333 0.6667 0.3819 1
"""


@pytest.fixture
def dry_run(command, code, tmp_path):  # noqa: F811
    """Return a function that gives the dry run of a structure: exit code, sentence, whole output."""

    def run(structure, *words):
        path = tmp_path / 'crystal.cif'
        if isinstance(structure, Atoms):
            path = tmp_path / 'crystal.extxyz'
            structure.write(path)
        else:
            path.write_text(structure)
        result = command('launch', path, '--code', code, '--dry-run', *words)
        return result.exit_code, last_line(result), result.output

    return run


@pytest.mark.parametrize(
    'formula',
    [pytest.param(name, marks=[] if name in ('NaCl', 'ZnO', 'SiO2') else pytest.mark.nightly) for name in TEXTBOOK],
)
def test_textbook_crystals_pass_without_a_remark(dry_run, formula):
    status, _, output = dry_run(textbook(formula), *MOLOPT, *RANDOM)
    assert status == 0, output
    assert 'Remark' not in output
    assert f'Phonons of {formula}' in output
    assert f'({TEXTBOOK[formula][2]})' in output.splitlines()[0]


def test_a_partly_occupied_site_is_refused_and_named(dry_run):
    status, sentence, _ = dry_run(PARTLY.format(zinc=0.9), *MOLOPT, *RANDOM)
    assert status != 0
    assert 'partly occupied (Zn 0.9)' in sentence
    assert dry_run(PARTLY.format(zinc=1), *MOLOPT, *RANDOM)[0] == 0


def test_four_digits_of_wurtzite_are_enough(dry_run):
    _, _, output = dry_run(PARTLY.format(zinc=1), *MOLOPT, *RANDOM)
    assert 'P6_3mc (186)' in output


def test_one_tolerance_reaches_every_stage(dry_run, monkeypatch):
    given = {}
    monkeypatch.setattr('aiida_mlcc.cli.plan.lines', lambda inputs, forecast: given.update(inputs) or [])
    found = []
    for words in ([], ['--symprec', '0.004'], ['--set', 'delta_train.symprec=0.02']):
        dry_run(PARTLY.format(zinc=1), *MOLOPT, *RANDOM, *words)
        stages = ('cc_energies', 'delta_train', 'harmonic_phonon', 'vacf')
        found.append([given[stage]['symprec'].value for stage in stages])
    automatic = found[0][0]
    assert 1e-4 < automatic < 1e-2
    assert found == [[automatic] * 4, [0.004] * 4, [automatic, 0.02, automatic, automatic]]


def test_a_near_miss_is_said_and_mended_on_request(dry_run):
    atoms = textbook('MgO')
    atoms.positions[0] += [3e-5, 0, 0]
    status, _, output = dry_run(atoms, '--protocol', 'fast', '--methods', 'HF')
    assert status == 0
    assert 'P4mm (99) within 1e-05 Å, but Fm-3m (225) within 0.0001 Å' in output
    status, _, output = dry_run(atoms, '--protocol', 'fast', '--methods', 'HF', '--symmetrise', '1e-4')
    assert 'Fm-3m (225) within 1e-05' in output
    assert 'Remark' not in output


def test_a_cell_that_breaks_the_symmetry_is_a_remark(dry_run):
    words = ['--protocol', 'fast', '--methods', 'HF']
    status, _, output = dry_run(textbook('MgO'), *words, '--set', 'dft_md.supercell_matrix=[2, 1, 1]', *RANDOM)
    assert status == 0
    assert 'dft_md.supercell_matrix [2, 1, 1] breaks the symmetry Fm-3m (225)' in output


def test_an_open_shell_is_a_remark_and_moments_are_refused(dry_run):
    oxide = bulk('NiO', 'rocksalt', a=4.17, cubic=True)
    status, _, output = dry_run(oxide, *MOLOPT, *RANDOM)
    assert status == 0, output
    assert 'Remark: Ni may have an open d or f shell' in output
    oxide.set_initial_magnetic_moments(np.where(oxide.symbols == 'Ni', 2.0, 0.0))
    status, sentence, _ = dry_run(oxide, *MOLOPT, *RANDOM)
    assert status != 0
    assert 'magnetic moments (Ni 2 µB)' in sentence


@pytest.mark.parametrize(
    ('structure', 'words', 'sentence'),
    [
        (textbook('TiO2'), [], 'no basis for Ti: choose another one; gth-szv-molopt-sr'),
        (bulk('Na', 'bcc', a=4.2), [*RANDOM, *ONE_CELL], 'Na has an odd number of electrons'),
        (textbook('ZnO'), [*MOLOPT, *RANDOM, '--set', 'cc_energies.engine.pseudo=gth-hf-rev'], 'Zn has 12 valence'),
        (textbook('MgO'), ['--set', 'harmonic_phonon.parameters.gruneisen.strain=0.01'], 'Grüneisen parameters'),
        (textbook('MgO'), ['--set', 'harmonic_phonon.parameters.relax=cell'], 'the relaxation of the cell'),
    ],
)
def test_what_would_fail_later_is_refused_by_the_dry_run(dry_run, structure, words, sentence):
    status, found, output = dry_run(structure, '--protocol', 'fast', '--methods', 'HF', *words)
    assert status != 0, output
    assert sentence in found


def test_networks_can_be_strained(dry_run):
    words = [
        '--protocol',
        'fast',
        '--methods',
        'HF',
        '--set',
        'delta_train.delta.kind=mace',
        '--set',
        'delta_train.base.kind=mace',
    ]
    asked = ['--set', 'harmonic_phonon.parameters.gruneisen.strain=0.01']
    status, _, output = dry_run(textbook('MgO'), *words, *asked)
    assert status == 0, output


def test_a_sheet_in_vacuum_is_refused(dry_run):
    sheet = graphene(vacuum=8)
    sheet.pbc = True
    status, sentence, _ = dry_run(sheet, '--protocol', 'fast', '--methods', 'HF')
    assert status != 0
    assert 'Å of vacuum' in sentence


def test_the_plan_shows_engines_cells_and_the_wave_vectors_of_the_training_cell(dry_run):
    """Eight atoms of rock salt hold Γ and the three X; 4×4×4 primitive cells are 128 atoms."""
    _, _, output = dry_run(textbook('MgO'), '--protocol', 'fast', '--methods', 'HF')
    assert 'training cell: 8 atoms, commensurate with Γ, X (4 wave vectors in total)' in output
    assert 'energies: pyscf, basis gth-szv, pseudo gth-hf-rev' in output
    assert re.search(r'core hours: trainings about [\d.e-]+, phonons \(\d+ cells for each member\) about', output)
    assert 'cells of the phonons: 128 atoms' in output
    assert '32 occupied and' in output, 'Mg has ten electrons beyond its core, O six'


def test_a_training_cell_that_holds_gamma_alone_is_warned_of(dry_run):
    primitive = bulk('MgO', 'rocksalt', a=textbook('MgO').cell.lengths()[0])
    _, _, output = dry_run(primitive, '--protocol', 'fast', '--methods', 'HF', *ONE_CELL)
    assert 'training cell: 2 atoms, commensurate with Γ (1 wave vector in total)' in output
    assert 'Warning: only Γ is commensurate with the training cell' in output


def test_a_primitive_cell_is_trained_in_its_conventional_cell(dry_run):
    primitive = bulk('MgO', 'rocksalt', a=textbook('MgO').cell.lengths()[0])
    _, _, output = dry_run(primitive, '--protocol', 'fast', '--methods', 'HF')
    assert 'training cell: 8 atoms, commensurate with Γ, X (4 wave vectors in total)' in output


def test_a_cell_that_needs_far_more_memory_than_its_job_is_given_is_refused(dry_run):
    words = ['--protocol', 'fast', '--methods', 'CCSD(T)', *RANDOM, '--set', 'cc_energies.engine.basis=gth-dzvp']
    status, sentence, _ = dry_run(textbook('MgO'), *words, '--option', 'max_memory_kb=40000')
    assert status != 0
    assert 'CCSD(T) of a cell of 8 atoms' in sentence
    assert 'is given 0.04 GB' in sentence
    assert dry_run(textbook('MgO'), *words, '--option', 'max_memory_kb=4000000')[0] == 0
