"""VASP as an engine of energies and forces: single points and Langevin dynamics in jobs of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Codes, ForceEngine, Inputs, LabelMaker, SaidCost, Step, given
from aiida_mlcc.engines.vasp.dynamics import VaspMdWorkChain, refuse_dynamics
from aiida_mlcc.engines.vasp.jobs import PLACE, segment_port, vasp_inputs, vasp_ports, without_chain
from aiida_mlcc.engines.vasp.labels import VaspLabelsWorkChain
from aiida_mlcc.engines.vasp.settings import (
    JOB_ONLY,
    VaspForces,
    is_vasp_code,
    refuse_potentials,
    source_of,
    tags_that_count,
    valence,
)
from aiida_mlcc.jobs.inputs import Options
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.vasp_files.outcar import cost, parse_outcar

CITE = {
    'vasp': (
        'G. Kresse, J. Furthmüller, Efficient iterative schemes for ab initio total-energy calculations using a '
        'plane-wave basis set, Phys. Rev. B 54, 11169 (1996)',
        'https://doi.org/10.1103/PhysRevB.54.11169',
    ),
}

_KB_PER_GB = 1e6


def _input_of_frame(_: orm.CalcFunctionNode, inputs: Mapping[str, orm.Data], method: str, frame: int) -> str:
    frames = sorted(int(name.removeprefix('frame_')) for name in inputs if name.startswith('frame_'))
    return f'frame_{frames[frame]}'


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


class VaspEngine(ForceEngine):
    """One structure a job; a dynamics in as many jobs as it takes."""

    name, title = 'vasp', 'VASP'
    setting_of_cores = 'potential_mapping'
    settings = VaspForces
    programs = CITE
    uncounted = JOB_ONLY
    place = place_of_dynamics = PLACE
    label_makers = (
        LabelMaker('aiida.calculations:mlcc.vasp_labels', _input_of_frame),
        LabelMaker('aiida.calculations:mlcc.vasp_trajectory', _input_of_segment),
    )

    def declare_ports(self, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare `vasp`, for a dynamics with the steps of one job."""
        if PLACE not in spec.inputs:
            vasp_ports(spec, required=False)
        if dynamics:
            segment_port(spec)

    def fill(self, inputs: Mapping[str, Any], codes: Codes, options: Options, dynamics: bool = False) -> dict[str, Any]:
        """Return the inputs with `vasp`, and of a job of the runtime only the parameters of a dynamics."""
        filled = dict(inputs)
        code = codes[PLACE] or codes['code']
        filled[PLACE] = vasp_inputs(inputs.get(PLACE, {}), code, options)
        if dynamics:
            filled['md'] = {'parameters': inputs['md']['parameters']}
        return filled

    def runs(self, code: orm.AbstractCode) -> bool:
        """Tell whether a code is VASP."""
        return is_vasp_code(code)

    def refuse_crystal(self, settings: Mapping[str, Any], atoms: Atoms) -> str | None:
        """Refuse elements without a potential."""
        return refuse_potentials(atoms.get_chemical_symbols(), settings)

    def refuse_dynamics(self, parameters: orm.Dict) -> str | None:
        """Refuse a dynamics that VASP is not asked for here."""
        return refuse_dynamics(parameters, None)

    def is_for_metals(self, settings: Mapping[str, Any]) -> bool:
        """Tell whether the smearing is that of Methfessel and Paxton."""
        return settings.get('ismear') in (1, 2)

    def valence(self, settings: Mapping[str, Any], method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return what the potentials say, if they are in the database."""
        if not {'potential_family', 'potential_mapping'} <= set(settings):
            return None
        if refuse_potentials(list(symbols), settings) is not None:
            return None
        return valence(list(symbols), settings)

    def at_place(self, inputs: Inputs) -> dict[str, Any]:
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

    def n_label_jobs(self, n_frames: int) -> int:
        """Return the number of frames."""
        return n_frames

    def n_dynamics_jobs(self, inputs: Inputs) -> int:
        """Return the number of segments."""
        if 'segment_steps' not in inputs[PLACE]:
            return 1
        parameters = inputs['md']['parameters'].get_dict()
        n_steps = parameters['equilibration_steps'] + parameters['n_steps']
        return ceil(n_steps / inputs[PLACE]['segment_steps'].value)

    def source_of(self, settings: Json) -> Json:
        """Return what the labels say of their source."""
        return source_of(settings)

    def what_counts(self, name: str, value: Any) -> Any:
        """Return of ``incar`` the tags that labels keep."""
        return tags_that_count(value) if name == 'incar' and isinstance(value, Mapping) else value

    def cost_of(self, job: orm.CalcJobNode) -> SaidCost | None:
        """Return what OUTCAR says."""
        if 'retrieved' not in job.outputs or 'OUTCAR' not in job.outputs.retrieved.list_object_names():
            return None
        content = job.outputs.retrieved.get_object_content('OUTCAR', 'rb')
        outcar = parse_outcar(content.decode('utf-8', errors='replace'))
        found, memory = cost(outcar), outcar['memory_kb']
        gigabytes = None if memory is None else memory / _KB_PER_GB
        is_complete = outcar['finished'] and found['core_hours'] is not None
        return SaidCost(found['core_hours'], is_complete, found['cores'], gigabytes)


FORCES = VaspEngine()
