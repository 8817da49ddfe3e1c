"""Settings of the engine, the input of pw.x, and what is refused before a job runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase.build import bulk
from ase.units import Bohr, Hartree

import aiida_mlcc
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.quantumespresso import engine as engine_module
from aiida_mlcc.engines.quantumespresso import labels as labels_module
from aiida_mlcc.engines.quantumespresso import potentials
from aiida_mlcc.engines.quantumespresso.born import QuantumEspressoBornWorkChain
from aiida_mlcc.engines.quantumespresso.engine import QuantumEspressoEngine
from aiida_mlcc.engines.quantumespresso.functions import quantumespresso_labels
from aiida_mlcc.engines.quantumespresso.labels import why_no_label
from aiida_mlcc.engines.quantumespresso.pw_xml import PwXmlError, parse_pw_xml
from aiida_mlcc.engines.quantumespresso.settings import QuantumEspressoForces, pw_parameters
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.feasibility import remarks
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from aiida_mlcc.workflows.sampling.reference import ReferenceWorkChain

DEFAULTS = QuantumEspressoForces.defaults()


def give_potentials(monkeypatch: pytest.MonkeyPatch, electrons: dict[str, float]) -> None:
    """Let all families but 'nowhere' have potentials of these valence electrons."""

    def refuse(symbols: Any, family: str) -> str | None:
        return "no family 'nowhere'" if family == 'nowhere' else None

    for module in (engine_module, labels_module):
        monkeypatch.setattr(module, 'refuse_potentials', refuse)
        monkeypatch.setattr(module, 'valence', lambda symbols, settings: electrons)


XML = """<?xml version="1.0"?>
<qes:espresso xmlns:qes="http://www.quantum-espresso.org/ns/qes/qes-1.0">
 <general_info><creator NAME="PWSCF" VERSION="6.7">XML file</creator></general_info>
 <output>
  <convergence_info><scf_conv><convergence_achieved>{converged}</convergence_achieved></scf_conv></convergence_info>
  <total_energy><etot>-1.25</etot></total_energy>
  <band_structure>
   <ks_energies><eigenvalues size="2">0.10 0.40</eigenvalues><occupations size="2">1 0</occupations></ks_energies>
   <ks_energies><eigenvalues size="2">0.20 {lowest}</eigenvalues><occupations size="2">1 0</occupations></ks_energies>
  </band_structure>
  <forces rank="2" dims="3 2">0.0 0.0 0.5 0.0 0.0 -0.5</forces>
 </output>
</qes:espresso>
"""


def xml(converged: str = 'true', lowest: float = 0.35) -> bytes:
    return XML.format(converged=converged, lowest=lowest).encode()


def test_energy_forces_and_gap_are_read_in_electronvolts() -> None:
    run = parse_pw_xml(xml())
    assert run.energy == pytest.approx(-1.25 * Hartree)
    assert np.allclose(run.forces, np.array([[0, 0, 0.5], [0, 0, -0.5]]) * Hartree / Bohr)
    assert run.gap == pytest.approx(0.15 * Hartree)
    assert (run.converged, run.version) == (True, '6.7')


def test_levels_that_overlap_between_points_have_a_negative_gap() -> None:
    assert parse_pw_xml(xml(lowest=0.05)).gap == pytest.approx(-0.15 * Hartree)


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'<a>', 'cannot be read'), (b'<a><output/></a>', 'holds no energy and forces')]
)
def test_file_without_energy_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(PwXmlError, match=reason):
        parse_pw_xml(content)


def test_labels_are_those_of_the_frames_whose_folders_were_retrieved(aiida_profile) -> None:
    frames = Snapshots.from_atoms([bulk('LiH', 'rocksalt', a=4.0 + 0.1 * number) for number in range(3)])
    folder = orm.FolderData()
    folder.base.repository.put_object_from_bytes(xml(), 'data-file-schema.xml')
    found = quantumespresso_labels(
        SnapshotsData(frames), orm.Str('PBEsol'), orm.Dict({'engine': 'quantumespresso'}), orm.Str(''), frame_2=folder
    ).get_snapshots()
    assert np.allclose(found.cells[0], frames.cells[2])
    label = found.labels['PBEsol']
    assert label.energies[0] == pytest.approx(-1.25 * Hartree)
    assert label.source == {'engine': 'quantumespresso', 'version': 'Quantum ESPRESSO 6.7'}
    assert found.kinds['PBEsol'] == 'dft'


def without_forces(content: bytes) -> bytes:
    """What pw.x leaves where the electrons do not converge."""
    return re.sub(rb'<forces.*?</forces>', b'', content)


def failed(content: bytes | None = None, errors: str | None = None) -> Any:
    """A job that ended without converged electrons."""
    folder = orm.FolderData()
    if content is not None:
        folder.base.repository.put_object_from_bytes(content, 'data-file-schema.xml')
    return SimpleNamespace(
        pk=1,
        is_finished_ok=False,
        exit_message='There is no output.',
        get_scheduler_stderr=lambda: errors,
        outputs=SimpleNamespace(retrieved=folder),
        inputs=SimpleNamespace(parameters=orm.Dict(pw_parameters(QuantumEspressoForces.of(DEFAULTS)))),
    )


@pytest.mark.parametrize(
    ('node', 'reason'),
    [
        (lambda: failed(), 'There is no output.'),
        (
            lambda: failed(errors='a\n\nline 9: pw.x: not found\n'),
            'its last line of errors is: line 9: pw.x: not found',
        ),
        (lambda: failed(xml('false'), errors='STOP 2'), 'There is no output.'),
        (
            lambda: failed(without_forces(xml('false', lowest=0.05))),
            'levels overlap by 4.08 eV on the mesh',
        ),
    ],
)
def test_job_that_failed_says_why_a_metal_before_all(aiida_profile, node: Any, reason: str) -> None:
    found = why_no_label(node()) or ''
    assert reason in found
    assert 'STOP' not in found


def test_exact_exchange_is_summed_over_the_differences_of_the_points_of_the_mesh() -> None:
    system = pw_parameters(QuantumEspressoForces.of({**DEFAULTS, 'method': 'HF', 'kpoints': [3, 3, 2]}))['SYSTEM']
    assert [system[f'nqx{axis}'] for axis in (1, 2, 3)] == [3, 3, 2]
    assert 'nqx1' not in pw_parameters(QuantumEspressoForces.of(DEFAULTS))['SYSTEM']


def test_further_keywords_go_before_what_the_engine_sets_by_itself() -> None:
    given = {**DEFAULTS, 'method': 'HF', 'parameters': {'SYSTEM': {'NQX1': 1, 'ecutfock': 160.0}}}
    assert QuantumEspressoForces.refuse(given) is None
    system = pw_parameters(QuantumEspressoForces.of(given))['SYSTEM']
    assert (system['nqx1'], system['ecutfock']) == (1, 160.0)


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'parameters': {'SYSTEM': {'ecutwfc': 30}}}, 'SYSTEM.ecutwfc is set by the other settings'),
        ({'parameters': {'SYSTEM': {'celldm(1)': 5}}}, r'SYSTEM.celldm(1) is set by the other settings'),
        ({'parameters': {'IONS': {}}}, "there is no namelist 'IONS' here"),
        ({'kpoints_shift': [0.5, 0, 0]}, '1 to shift a direction by half a step'),
        ({'ecutrho': 40.0}, '`ecutrho` is 40 Ry, less than the 80 Ry of `ecutwfc`'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changed: dict[str, Any], reason: str) -> None:
    assert reason in (QuantumEspressoForces.refuse({**DEFAULTS, **changed}) or '')


def test_plugin_that_is_not_installed_is_named_with_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setattr(potentials, 'find_spec', lambda name: None)
    reason = QuantumEspressoEngine(DEFAULTS).refuse_crystal(bulk('LiH', 'rocksalt', a=4.0))
    assert reason is not None
    assert "pip install 'aiida-mlcc[quantumespresso]'" in reason


def test_family_that_is_not_there_is_named_with_how_to_make_it(monkeypatch, aiida_profile) -> None:
    monkeypatch.setattr(potentials, 'find_spec', lambda name: True)
    reason = QuantumEspressoEngine({**DEFAULTS, 'pseudo_family': 'nowhere'}).refuse_crystal(
        bulk('LiH', 'rocksalt', a=4.0)
    )
    assert reason is not None
    assert "there is no family of pseudopotentials 'nowhere'" in reason
    assert 'aiida-mlcc upf' in reason


def test_element_without_a_pseudopotential_is_named(monkeypatch) -> None:
    monkeypatch.setattr(potentials, 'find_spec', lambda name: True)
    monkeypatch.setattr(potentials, '_nodes', lambda family: [type('Upf', (), {'element': 'Li'})()])
    reason = QuantumEspressoEngine(DEFAULTS).refuse_crystal(bulk('LiH', 'rocksalt', a=4.0))
    assert reason == ("the family 'gth-pbe' has no pseudopotential of H, only of Li: take another `pseudo_family`")


@pytest.mark.parametrize(
    ('valence', 'changed', 'reason'),
    [
        ({'Li': 2.0, 'H': 1.0}, {}, 'the cell has 3 valence electrons: fixed occupations need an even number'),
        ({'Li': 3.0, 'H': 1.0}, {'kpoints': [2, 2, 1]}, 'less symmetry than the cell'),
        ({'Li': 2.0, 'H': 1.0}, {'degauss': 0.01}, None),
    ],
)
def test_electrons_and_meshes_that_do_not_fit_are_refused(monkeypatch, valence, changed, reason) -> None:
    give_potentials(monkeypatch, valence)
    found = QuantumEspressoEngine({**DEFAULTS, **changed}).refuse_electrons(bulk('LiH', 'rocksalt', a=4.0))
    assert found is None if reason is None else reason in (found or '')


@pytest.fixture
def interpreter(aiida_localhost) -> orm.InstalledCode:
    """A Python that nothing runs."""
    return orm.InstalledCode(label='a', computer=aiida_localhost, filepath_executable='/bin/python').store()


@pytest.fixture
def pw(aiida_localhost) -> orm.InstalledCode:
    """A pw.x that nothing runs."""
    return orm.InstalledCode(
        label='pw',
        computer=aiida_localhost,
        filepath_executable='/bin/pw.x',
        default_calc_job_plugin='quantumespresso.pw',
    ).store()


def wrong(builder: Any) -> str | None:
    ports = builder.process_class.spec().inputs
    found = ports.validate(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    return None if found is None else found.message


def test_dynamics_is_refused_in_a_sentence(interpreter, crystal) -> None:
    overrides = {'engine': {'name': 'quantumespresso'}, 'md': {'parameters': {'time_step_fs': 1.0}}}
    builder = DFTMDWorkChain.get_builder_from_protocol(interpreter, crystal, 'fast', overrides=overrides)
    assert 'Quantum ESPRESSO, which has no dynamics here' in (wrong(builder) or '')


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'kpoints': [2, 2, 1]}, 'less symmetry than the cell'),
        ({'kpoints': [2, 2, 2], 'kpoints_shift': [1, 1, 1]}, 'nothing'),
        ({'pseudo_family': 'nowhere'}, "no family 'nowhere'"),
    ],
)
def test_reference_displacements_that_cannot_be_are_refused_before_a_job(
    pw, crystal, monkeypatch, changed, reason
) -> None:
    give_potentials(monkeypatch, {'Li': 3.0, 'F': 7.0})
    builder = ReferenceWorkChain.get_builder_from_protocol(
        pw, crystal, engine={**DEFAULTS, **changed}, overrides={'supercell_matrix': [2, 2, 2]}
    )
    assert reason in (wrong(builder) or 'nothing')


@pytest.mark.parametrize(
    ('changed', 'electrons', 'reason'),
    [
        ({}, {'Li': 3.0, 'F': 7.0}, 'nothing'),
        ({'kpoints': [2, 2, 1]}, {'Li': 3.0, 'F': 7.0}, 'less symmetry than the cell'),
        ({}, {'Li': 3.0, 'F': 6.0}, 'the cell has 9 valence electrons'),
        ({}, {'Li': 1.0, 'F': 7.0}, "Li has 1 valence electrons in the family 'gth-pbe' but 3 in the MP2 labels"),
    ],
)
def test_snapshots_that_pw_cannot_label_are_refused_before_a_job(pw, monkeypatch, changed, electrons, reason) -> None:
    """Also displaced atoms, which have no symmetry of their own."""
    give_potentials(monkeypatch, electrons)
    atoms = bulk('LiF', 'rocksalt', a=4.0)
    atoms.rattle(0.05, seed=1)
    correlated = Label(np.array([-10.0]), None, {'engine': 'pyscf', 'basis': 'gth-szv', 'pseudo': 'gth-hf-rev'})
    builder = labels_module.QuantumEspressoLabelsWorkChain.get_builder()
    builder.snapshots = SnapshotsData(Snapshots.from_atoms([atoms]).with_label('MP2', correlated))
    builder.engine = {**DEFAULTS, 'method': 'HF', **changed}
    builder.quantumespresso.code = pw
    assert reason in (wrong(builder) or 'nothing')


def test_frames_of_a_metal_are_not_tried_once_the_first_batch_has_shown_that_there_is_no_gap(pw, monkeypatch) -> None:
    give_potentials(monkeypatch, {'Li': 3.0, 'F': 7.0})
    frames = SnapshotsData(Snapshots.from_atoms([bulk('LiF', 'rocksalt', a=4.0 + 0.1 * n) for n in range(5)])).store()
    inputs = {'snapshots': frames, 'engine': orm.Dict(DEFAULTS), 'quantumespresso': {'code': pw}}
    process = instantiate_process(get_manager().get_runner(), labels_module.QuantumEspressoLabelsWorkChain, **inputs)
    process.plan_batches()
    process.ctx.running = process.ctx.batches.pop(0)
    for frame in process.ctx.running:
        process.ctx[f'frame_{frame}'] = failed(without_forces(xml('false', lowest=0.05)))
    process.collect_batch()
    assert not process.batches_left()
    reasons = [entry['reason'] for entry in process.ctx.failed]
    assert len(reasons) == 5
    assert 'levels overlap' in reasons[3]
    assert reasons[4] == 'it was not tried, because none of the first 4 frames has a label'


@pytest.mark.parametrize(('sampling', 'reason'), [('thermal', None), ('md', 'which has no dynamics here')])
def test_whole_run_samples_thermally_and_refuses_a_dynamics(
    interpreter, pw, crystal, monkeypatch, sampling, reason
) -> None:
    give_potentials(monkeypatch, {'Li': 3.0, 'F': 7.0})
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        interpreter,
        crystal,
        'fast',
        overrides={'dft_md': {'engine': {'name': 'quantumespresso'}}, 'sampling': {'kind': sampling}},
        quantumespresso_code=pw,
    )
    found = wrong(builder) or 'nothing'
    assert (reason or 'nothing') in found


@pytest.mark.parametrize(('degauss', 'n_remarks'), [(None, 0), (0.01, 1)])
def test_smearing_is_remarked_on_because_energies_beyond_it_need_a_gap(
    interpreter, pw, crystal, monkeypatch, degauss, n_remarks
) -> None:
    give_potentials(monkeypatch, {'Li': 3.0, 'F': 7.0})
    engine = {'name': 'quantumespresso', 'degauss': degauss}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        interpreter, crystal, 'fast', overrides={'dft_md': {'engine': engine}}, quantumespresso_code=pw
    )
    ports = MLCCPhononWorkChain.spec().inputs
    found = remarks(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    assert sum('need a band gap' in remark for remark in found) == n_remarks


@pytest.mark.parametrize(
    ('changed', 'meshes', 'reason'),
    [
        ({'degauss': 0.01}, [[2, 2, 2], [4, 4, 4]], 'only an insulator has Born charges'),
        ({'method': 'HF'}, [[2, 2, 2], [4, 4, 4]], 'ph.x has no exact exchange'),
        ({'method': 'HSE06'}, [[2, 2, 2], [4, 4, 4]], 'ph.x has no exact exchange'),
        ({'functional': 'hse'}, [[2, 2, 2], [4, 4, 4]], 'ph.x has no exact exchange'),
        ({}, [[2, 2, 2], [4, 4, 3]], 'less symmetry than the cell'),
    ],
)
def test_born_charges_that_cannot_be_are_refused(aiida_localhost, crystal, changed, meshes, reason) -> None:
    builder = QuantumEspressoBornWorkChain.get_builder()
    builder.structure, builder.symprec, builder.meshes = crystal, 1e-5, meshes
    builder.engine = {**DEFAULTS, **changed}
    for name, program in {'code': 'pw', 'ph_code': 'ph'}.items():
        builder.quantumespresso[name] = orm.InstalledCode(
            label=program,
            computer=aiida_localhost,
            filepath_executable=f'/bin/{program}.x',
            default_calc_job_plugin=f'quantumespresso.{program}',
        ).store()
    assert reason in (wrong(builder) or '')


def test_the_package_names_the_engine_in_its_own_folder_and_in_the_table_alone() -> None:
    package = Path(aiida_mlcc.__file__).parent
    own = package / 'engines' / 'quantumespresso'
    texts = [path for ending in ('py', 'yaml', 'json') for path in package.rglob(f'*.{ending}')]
    naming = [path for path in texts if own not in path.parents and 'quantumespresso' in path.read_text('utf-8')]
    assert naming == [package / 'engines' / 'table.py']
