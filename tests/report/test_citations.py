"""What the page asks to cite: the programs that did the work, and no others."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import kinds, programs_of
from aiida_mlcc.report.page.provenance import CITATIONS, PROGRAMS, citations_of
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.science.labels.snapshots import Label, Snapshots


def cited(inputs=None, jobs=()) -> set[str]:
    """Return the programs that a run asks to cite, beside those of every run.

    :param jobs: the force fields that its jobs made.
    """
    process = orm.WorkChainNode()
    for name, node in (inputs or {}).items():
        process.base.links.add_incoming(node.store(), LinkType.INPUT_WORK, name)
    process.store()
    for number, made in enumerate(jobs):
        job = orm.CalcFunctionNode()
        job.base.links.add_incoming(process, LinkType.CALL_CALC, f'job_{number}')
        job.store()
        made.base.links.add_incoming(job, LinkType.CREATE, 'force_field')
        made.store()
    found = citations_of(process)
    assert found[: len(CITATIONS)] == list(CITATIONS)
    return {name for name, entry in every_program().items() if entry in found}


def every_program() -> dict[str, tuple[str, str]]:
    return programs_of(engine.name for engine in kinds()) | PROGRAMS


def snapshots_by(engine: str) -> SnapshotsData:
    snapshots = Snapshots.from_atoms([bulk('LiH', 'rocksalt', a=4.0)])
    return SnapshotsData(snapshots.with_label('HF', Label(np.zeros(1), None, {'engine': engine})))


def force_field_of(kind: str) -> ForceFieldData:
    term = Term(kind, {}, {'a': np.zeros(1)}, 1.0, {'method': 'HF', 'seed': 1})
    return ForceFieldData(ForceField((term,), {'Li': 0.0, 'H': 0.0}, method='HF'))


@pytest.mark.parametrize(
    ('engine', 'programs'),
    [
        ('pyscf', {'pyscf'}),
        ('pyscf+cc4s', {'pyscf', 'cc4s'}),
        ('vasp+cc4s', {'vasp', 'cc4s'}),
        ('vasp', {'vasp'}),
    ],
)
def test_the_programs_of_the_engine_are_cited_and_so_are_those_of_labels_that_were_given(
    aiida_profile, engine, programs
):
    assert cited({'cc_energies__engine': orm.Dict({'name': engine})}) == programs
    assert cited({'snapshots': snapshots_by(engine)}) == programs


def test_the_name_of_a_code_is_no_use_of_a_program(aiida_profile):
    assert cited({'note': orm.Str('python-beside-vasp-and-pyscf')}) == set()


@pytest.mark.parametrize(
    ('kind', 'program'),
    [('mace', 'mace'), ('readout', 'mace'), ('force-constants', 'symfc')],
)
def test_what_made_the_force_fields_is_cited_also_where_they_were_given(aiida_profile, kind, program):
    assert cited(jobs=[force_field_of(kind)]) == {program}
    assert cited({'force_fields__hf__seed_1': force_field_of(kind)}) == {program}


def test_every_program_of_the_readme_has_an_entry():
    """PySCF, Cc4s, VASP, MACE, phonopy, symfc and ASE."""
    texts = ' '.join(text for text, _ in (*CITATIONS, *every_program().values()))
    for word in ('PySCF', 'Cc4s', 'Kresse', 'MACE', 'phonopy', 'Seko', 'atomic simulation environment', 'AiiDA 1.0'):
        assert word in texts
