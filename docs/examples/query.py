"""What a dispersion was made from: its energies, the training snapshots and the seeds.

Run it with ``verdi run docs/examples/query.py [UUID]``, where the UUID is that of a dispersion. Without one it takes
the CCSD(T) dispersion of the latest run, or that of the costliest method it has.
"""

import sys

from aiida import orm
from aiida.plugins import DataFactory

from aiida_mlcc.data.process_types import process_types
from aiida_mlcc.science.labels.methods import METHODS

SnapshotsData = DataFactory('mlcc.snapshots')
ForceFieldData = DataFactory('mlcc.force_field')


def latest_dispersion():
    """Return the dispersion of the costliest method in the latest run that has any."""
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:mlcc.mlcc_phonon'}, tag='run')
    query.append(orm.BandsData, with_incoming='run', edge_filters={'label': {'like': 'dispersion%'}})
    query.order_by({'run': {'ctime': 'desc'}})
    query.add_projection('run', '*')
    run = query.limit(1).first(flat=True)
    if run is None:
        sys.exit('There is no dispersion in this profile.')
    dispersions = run.outputs.dispersion
    return dispersions[[slug for slug in METHODS if slug in dispersions][-1]]


def above(dispersion, node_class, **filters):
    """Return the nodes of a class among all that `dispersion` was made from."""
    query = orm.QueryBuilder()
    query.append(orm.Node, filters={'uuid': dispersion.uuid}, tag='curve')
    query.append(node_class, with_descendants='curve', filters=filters, tag='node', project='*')
    return query.order_by({'node': 'id'}).distinct().all(flat=True)


dispersion = orm.load_node(sys.argv[1]) if len(sys.argv) > 1 else latest_dispersion()
print(f'dispersion {dispersion.uuid}')

methods = {node.method for node in above(dispersion, ForceFieldData)}
print(f'force fields of {", ".join(sorted(methods))}')

trainings = process_types(*(f'aiida.calculations:mlcc.{task}' for task in ('train', 'fit')))
for job in above(dispersion, orm.CalcJobNode, process_type={'in': trainings}):
    snapshots = job.inputs.snapshots
    print(f'  {job.process_label} {job.uuid}: seed {job.inputs.seed.value}')
    print(f'    {snapshots.n_frames} snapshots {snapshots.uuid}, labelled by {", ".join(snapshots.methods)}')

# `label_point` stores what Cc4s gave for one snapshot.
labellings = process_types('aiida.calculations:mlcc.correlate', 'aiida.calculations:mlcc.label_point')
for process in above(dispersion, orm.CalculationNode, process_type={'in': labellings}):
    (node,) = process.base.links.get_outgoing(node_class=SnapshotsData).all_nodes()
    labelled = node.get_snapshots()
    print(f'energies of {process.process_label} {process.uuid}')
    for method in labelled.methods:
        if method in methods:
            energies = labelled.labels[method].energies
            print(f'  {method:<8}', ' '.join(f'{energy:.4f}' for energy in energies), 'eV')
