"""CCEnergiesWorkChain with Cc4s: integrals by real PySCF; for Cc4s stands a program that solves the same equations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.cli.known_labels import find_known_labels
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.workflows.energies import ENGINE, helium

PROGRAM = Path(__file__).parents[1] / 'cc4s_program.py'
ALL = {'kind': 'all'}
METHODS = ['HF', 'MP2', 'CCSD', 'CCSD(T)']


@pytest.fixture
def cc4s(python, warm_python, tmp_path):
    """The stand-in, as a code on localhost that is set up for Cc4s."""
    program = tmp_path / 'cc4s'
    program.write_text(f'#!/bin/sh\nexec {warm_python.executable} {PROGRAM} "$@"\n')
    program.chmod(0o755)
    return orm.InstalledCode(
        label='cc4s',
        computer=python.computer,
        filepath_executable=str(program),
        default_calc_job_plugin='mlcc.cc4s',
        with_mpi=False,
    ).store()


def builder_of(python, cc4s, snapshots, methods=METHODS, **engine):
    builder = CCEnergiesWorkChain.get_builder_from_protocol(
        python,
        SnapshotsData(snapshots),
        protocol='fast',
        overrides={
            'methods': list(methods),
            'selection': ALL,
            'engine': {**ENGINE, 'name': 'pyscf+cc4s', 'natural_orbitals_per_occupied': None, **engine},
        },
        cc4s_code=cc4s,
    )
    builder.cc4s.metadata.options.withmpi = False
    return builder


def jobs_of(node, kind):
    return [p for p in node.called_descendants if isinstance(p, orm.CalcJobNode) and p.process_class is kind]


@pytest.mark.nightly
def test_energies_are_those_of_pyscf_alone_from_the_same_equations(python, cc4s):
    snapshots = helium(2)
    outputs, node = run_get_node(builder_of(python, cc4s, snapshots))
    assert node.is_finished_ok, node.exit_message
    found = outputs['snapshots'].get_snapshots()
    alone = CCEnergiesWorkChain.get_builder_from_protocol(
        python,
        SnapshotsData(snapshots),
        protocol='fast',
        overrides={'methods': METHODS, 'selection': ALL, 'engine': ENGINE},
    )
    expected = run_get_node(alone)[0]['snapshots'].get_snapshots()
    for method in METHODS:
        assert np.allclose(found.labels[method].energies, expected.labels[method].energies, rtol=0, atol=3e-6), method
    assert found.labels['CCSD'].source['engine'] == 'pyscf+cc4s'
    assert outputs['cost']['n_jobs'] == 3
    assert len(jobs_of(node, IntegralsCalculation)) == 1
    remote = jobs_of(node, IntegralsCalculation)[0].outputs.remote_folder
    assert remote.is_empty


@pytest.mark.nightly
def test_rerun_takes_each_energy_that_was_stored(python, cc4s):
    # No other test has labelled these, of which the profile would tell.
    snapshots = replace(helium(3), positions=1.01 * helium(3).positions)
    run_get_node(builder_of(python, cc4s, snapshots.select([0, 2]), methods=['CCSD']))
    builder = builder_of(python, cc4s, snapshots, methods=['CCSD'])
    builder.known_labels = find_known_labels(builder.snapshots)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs['snapshots'].get_snapshots().labels['CCSD'].labelled.all()
    assert len(jobs_of(node, Cc4sCalculation)) == 1


@pytest.mark.nightly
def test_orbitals_that_are_left_out_count_by_their_second_order_energy(python, cc4s):
    snapshots = helium(1)
    natural = {'basis': 'gth-dzvp', 'natural_orbitals_per_occupied': 2}
    energies = {}
    for corrected in (True, False):
        builder = builder_of(python, cc4s, snapshots, basis_set_correction=corrected, **natural)
        outputs, node = run_get_node(builder)
        assert node.is_finished_ok, node.exit_message
        energies[corrected] = {m: label.energies[0] for m, label in outputs['snapshots'].get_snapshots().labels.items()}
        (job,) = jobs_of(node, IntegralsCalculation)
    record = job.outputs.tensors['0']
    left_out = record['mp2_full'] - record['mp2_truncated']
    assert left_out < -1e-4
    for method in ('MP2', 'CCSD', 'CCSD(T)'):
        assert energies[True][method] - energies[False][method] == pytest.approx(left_out, abs=1e-9)
    assert energies[True]['HF'] == energies[False]['HF']
    assert energies[True]['MP2'] == pytest.approx(record['hf'] + record['mp2_full'], abs=1e-6)
