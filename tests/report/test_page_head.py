"""The head of the page: which crystal, and with which engine and basis."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.curves.spectrum import _missing as missing_spectrum
from aiida_mlcc.report.page.contents import missing_from
from aiida_mlcc.report.page.provenance import crystal_line, formula_of
from aiida_mlcc.report.page.tables import suspicious_table
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.textbook import textbook


def test_the_head_names_space_group_cell_engine_and_basis(aiida_profile):
    atoms = textbook('MgO')
    labels = {
        'LDA': Label(energies=np.array([-1.0]), source={'engine': 'pyscf', 'basis': 'gth-dzvp'}),
        'HF': Label(energies=np.array([-2.0]), source={'engine': 'pyscf', 'basis': 'gth-szv'}),
    }
    snapshots = replace(Snapshots.from_atoms([atoms]), labels=labels)
    run = orm.WorkChainNode()
    run.base.links.add_incoming(orm.StructureData(ase=atoms).store(), LinkType.INPUT_WORK, 'structure')
    run.base.links.add_incoming(SnapshotsData(snapshots).store(), LinkType.INPUT_WORK, 'snapshots')
    run.store()
    line = crystal_line(run)
    assert line.startswith('space group Fm-3m (225) · cell of 8 atoms, 4.2100 4.2100 4.2100 Å, 90.00 90.00 90.00°')
    assert line.endswith('LDA: pyscf, gth-dzvp · HF: pyscf, gth-szv')
    assert formula_of(run) == 'MgO'


def test_a_run_without_a_structure_has_no_line(aiida_profile):
    assert crystal_line(orm.WorkChainNode().store()) == ''


def test_a_spectrum_that_nobody_asked_for_is_not_missing(aiida_profile):
    """A spectrum is asked for by the methods that are to have one."""
    found = {}
    for asked in (False, True):
        run = orm.WorkChainNode()
        methods = orm.List(['HF'] if asked else []).store()
        run.base.links.add_incoming(methods, LinkType.INPUT_WORK, 'vacf_methods')
        run.store()
        curves = SimpleNamespace(vdos={})
        found[asked] = missing_spectrum(SimpleNamespace(process=run, curves=curves))
    assert found == {False: [], True: ['a spectrum from dynamics']}


def test_errors_of_force_fields_that_were_given_are_not_missing(aiida_profile):
    found = {}
    for given in (False, True):
        run = orm.WorkChainNode()
        if given:
            run.base.links.add_incoming(orm.Int(1).store(), LinkType.INPUT_WORK, 'force_fields__hf__seed_1')
        run.store()
        results = {'methods': {}, 'dynamics': {}, 'errors': {}, 'learning_curve': {}}
        curves = SimpleNamespace(vdos={}, gruneisen={}, dos={}, dispersion={})
        lines = missing_from(SimpleNamespace(process=run, curves=curves, results=results))
        found[given] = 'errors of force fields' in lines
    assert found == {False: True, True: False}


def test_suspicious_energies_are_told_once_and_whether_they_were_left_out():
    label = {'frame': 17, 'residual_ev': 0.1, 'deviations': 31.4}
    members = {seed: {'suspicious_labels': [label, {**label, 'frame': 3, 'left_out': True}]} for seed in ('a', 'b')}
    table = suspicious_table({'methods': {'HF': {'errors': members, 'alternatives': {}}}})
    assert table.groups == [('HF', [['3', '+100.0', '31.4', 'yes'], ['17', '+100.0', '31.4', 'no']])]


def test_a_run_without_suspicious_energies_has_no_table_of_them():
    assert suspicious_table({'methods': {'HF': {'errors': {'a': {}}, 'alternatives': {}}}}) is None
