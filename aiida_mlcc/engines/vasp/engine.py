"""VASP as an engine of energies and forces: single points and Langevin dynamics in jobs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import ForceEngine, Inputs, LabelMaker, Place, SaidCost, Step, given, input_of_frame
from aiida_mlcc.engines.vasp.dynamics import VaspMdWorkChain, refuse_dynamics
from aiida_mlcc.engines.vasp.jobs import PLACE, segment_port, vasp_ports, without_chain
from aiida_mlcc.engines.vasp.labels import VaspLabelsWorkChain
from aiida_mlcc.engines.vasp.settings import (
    JOB_ONLY,
    Potentials,
    VaspForces,
    is_vasp_code,
    refuse_potentials,
    source_of,
    tags_that_count,
    valence,
)
from aiida_mlcc.science.dataset.vasp_files.outcar import cost, parse_outcar
from aiida_mlcc.science.json_values import JsonValue, Source

CITE = {
    'vasp': (
        'G. Kresse, J. Furthmüller, Efficient iterative schemes for ab initio total-energy calculations using a '
        'plane-wave basis set, Phys. Rev. B 54, 11169 (1996)',
        'https://doi.org/10.1103/PhysRevB.54.11169',
    ),
}

_KB_PER_GB = 1e6


def _input_of_segment(
    function: orm.CalcFunctionNode, inputs: Mapping[str, orm.Data], method: str, frame: int
) -> str | None:
    """Return the part of a dynamics in which a frame lies."""
    summary = function.base.links.get_outgoing(link_label_filter='summary').all_nodes()
    if not summary or not {'steps', 'parameters'} <= set(inputs):
        return None
    step = summary[0]['steps'][frame] + inputs['parameters']['equilibration_steps']
    for name, n_steps in sorted(inputs['steps'].get_dict().items()):
        if step <= n_steps:
            return str(name)
        step -= n_steps
    return None


class VaspEngine(ForceEngine[VaspForces]):
    """One structure a job; a dynamics in as many jobs as it takes."""

    name, title = 'vasp', 'VASP'
    setting_of_cores = 'potential_mapping'
    settings_class = VaspForces
    programs = CITE
    uncounted = JOB_ONLY
    shares_jobs = False
    place = place_of_dynamics = PLACE
    label_makers = (
        LabelMaker('aiida.calculations:mlcc.vasp_labels', input_of_frame),
        LabelMaker('aiida.calculations:mlcc.vasp_trajectory', _input_of_segment),
    )

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare `vasp`, for a dynamics with the steps of one job."""
        if PLACE not in spec.inputs:
            vasp_ports(spec, required=False)
        if dynamics:
            segment_port(spec)

    @classmethod
    def runs(cls, code: orm.AbstractCode) -> bool:
        """Tell whether a code is VASP."""
        return is_vasp_code(code)

    def refuse_crystal(self, atoms: Atoms) -> str | None:
        """Refuse elements without a potential."""
        return refuse_potentials(atoms.get_chemical_symbols(), self.settings.potentials)

    def refuse_dynamics(self, parameters: orm.Dict) -> str | None:
        """Refuse a dynamics that VASP is not asked for here."""
        return refuse_dynamics(parameters, None)

    @classmethod
    def is_for_metals(cls, source: Source) -> bool:
        """Tell whether the smearing is that of Methfessel and Paxton."""
        return source.get('ismear') in (1, 2)

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return what the potentials say, if they are in the database."""
        family, mapping = source.get('potential_family'), source.get('potential_mapping')
        if not isinstance(family, str) or not isinstance(mapping, Mapping):
            return None
        said = Potentials(family, {symbol: str(potential) for symbol, potential in mapping.items()})
        return None if refuse_potentials(list(symbols), said) is not None else valence(list(symbols), said)

    @classmethod
    def at_place(cls, inputs: Inputs) -> Place:
        """Return `vasp` without what is for the steps towards Cc4s alone."""
        return without_chain(inputs[PLACE])

    def labels(self, inputs: Inputs, snapshots: SnapshotsData) -> Step:
        """Return the single points of all snapshots."""
        return Step(
            VaspLabelsWorkChain,
            {'snapshots': snapshots, 'engine': inputs['engine'], PLACE: self.at_place(inputs)},
        )

    def dynamics(self, inputs: Inputs, start: SnapshotsData) -> Step:
        """Return the dynamics."""
        return Step(
            VaspMdWorkChain,
            {**given(inputs, 'engine', 'seed', PLACE), 'start': start, 'parameters': inputs['md']['parameters']},
        )

    def n_dynamics_jobs(self, inputs: Inputs) -> int:
        """Return the number of segments."""
        if 'segment_steps' not in inputs[PLACE]:
            return 1
        parameters = inputs['md']['parameters'].get_dict()
        n_steps = parameters['equilibration_steps'] + parameters['n_steps']
        return ceil(n_steps / inputs[PLACE]['segment_steps'].value)

    def source(self) -> Source:
        """Return what the labels say of their source."""
        return source_of(self.settings)

    @classmethod
    def what_counts(cls, name: str, value: JsonValue) -> JsonValue:
        """Return of ``incar`` the tags that labels keep."""
        return tags_that_count(value) if name == 'incar' and isinstance(value, dict) else value

    @classmethod
    def cost_of(cls, job: orm.CalcJobNode) -> SaidCost | None:
        """Return what OUTCAR says."""
        if 'retrieved' not in job.outputs or 'OUTCAR' not in job.outputs.retrieved.list_object_names():
            return None
        content = job.outputs.retrieved.get_object_content('OUTCAR', 'rb')
        outcar = parse_outcar(content.decode('utf-8', errors='replace'))
        found, memory = cost(outcar), outcar['memory_kb']
        gigabytes = None if memory is None else memory / _KB_PER_GB
        is_complete = outcar['finished'] and found['core_hours'] is not None
        return SaidCost(found['core_hours'], is_complete, found['cores'], gigabytes)
