"""Born charges of a polar crystal, which the training and the phonons both begin with."""

from __future__ import annotations

from aiida import orm
from aiida.engine import WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.born_charges import born_charges
from aiida_mlcc.calculations.runtime_source import science_hash

_FORMATS = (
    'a `BORN` file of phonopy, an output of `ph.x`, a file of `q2r.x`, or the arrays `born_charges` (e, n_atoms '
    '× 3 × 3) and `dielectric` (3 × 3) of the primitive cell, or of the cell described by `numbers`, `cell` and '
    '`positions` (Å)'
)


def nac_port(spec: WorkChainSpec, purpose: str) -> None:
    """Declare the Born charges, and those of another k mesh, which they are compared with."""
    types = (orm.SinglefileData, orm.ArrayData)
    spec.input('nac', valid_type=types, required=False, help=f'{purpose}. Formats: {_FORMATS}.')
    spec.input(
        'nac_other',
        valid_type=types,
        required=False,
        help=(
            'The same from another k mesh: if Z*²/ε∞ of the two differs by more than 3 %, the report contains a remark.'
        ),
    )


def checked_charges(process: WorkChain, primitive: orm.StructureData) -> tuple[orm.ArrayData | None, str]:
    """Return the Born charges of a process in the order of `primitive`, as its output, or the reason why not."""
    inputs = process.inputs
    other = {'other': inputs.nac_other} if 'nac_other' in inputs else {}
    found, call = born_charges.run_get_node(
        inputs.nac,
        primitive,
        inputs.symprec,
        science_hash(born_charges),
        metadata={'call_link_label': 'check_born_charges'},
        **other,
    )
    if not call.is_finished_ok:
        return None, call.exit_message
    process.report(found.base.attributes.get('report'))
    process.out('born_charges', found)
    return found, ''
