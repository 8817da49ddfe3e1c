"""Phonons of LiF at coupled-cluster accuracy: run it with ``verdi run docs/examples/launch_lif.py``.

It needs the code that ``aiida-mlcc setup`` makes. Without a daemon it runs here, and the terminal has to stay open.
"""

from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory
from ase.build import bulk

MLCCPhononWorkChain = WorkflowFactory('mlcc.mlcc_phonon')

structure = orm.StructureData(ase=bulk('LiF', 'rocksalt', a=3.93, cubic=True), label='LiF')
builder = MLCCPhononWorkChain.get_builder_from_protocol(
    code=orm.load_code('mlcc-python@localhost'),
    structure=structure,
    protocol='fast',
    overrides={'methods': ['HF', 'MP2', 'CCSD', 'CCSD(T)']},
)
builder.metadata.label = 'LiF'

results, node = run_get_node(builder)
print(f'{node.process_label}<{node.pk}> {node.uuid} {node.process_state.value} [{node.exit_status}]')
for slug, points in results.get('special_points', {}).items():
    optical = ', '.join(f'{frequency:.1f}' for frequency in points['GAMMA']['mean'][3:])
    print(f'{slug:>8}  Γ-TO {optical} cm⁻¹')
