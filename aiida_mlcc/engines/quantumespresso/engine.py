"""Quantum ESPRESSO as an engine of energies and forces: single points with k-points, and no dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Codes, ForceEngine, Inputs, LabelMaker, SaidCost, Step, given
from aiida_mlcc.engines.quantumespresso.jobs import PLACE, is_pw, place_inputs, quantumespresso_ports
from aiida_mlcc.engines.quantumespresso.labels import QuantumEspressoLabelsWorkChain, refuse_electrons
from aiida_mlcc.engines.quantumespresso.potentials import refuse_potentials, valence
from aiida_mlcc.engines.quantumespresso.settings import JOB_ONLY, NAME, QuantumEspressoForces, keywords, source_of
from aiida_mlcc.jobs.inputs import Options
from aiida_mlcc.jobs.wall_time import cores_of
from aiida_mlcc.science.json_values import Json

CITE = {
    'quantumespresso': (
        'P. Giannozzi et al., Advanced capabilities for materials modelling with Quantum ESPRESSO, '
        'J. Phys.: Condens. Matter 29, 465901 (2017)',
        'https://doi.org/10.1088/1361-648X/aa8f79',
    ),
}

_SECONDS_PER_HOUR = 3600.0


def _input_of_frame(_: orm.CalcFunctionNode, inputs: Mapping[str, orm.Data], method: str, frame: int) -> str:
    frames = sorted(int(name.removeprefix('frame_')) for name in inputs if name.startswith('frame_'))
    return f'frame_{frames[frame]}'


class QuantumEspressoEngine(ForceEngine):
    """One structure a job."""

    name, title = NAME, 'Quantum ESPRESSO'
    settings = QuantumEspressoForces
    programs = CITE
    uncounted = JOB_ONLY
    setting_of_cores = 'pseudo_family'
    place = PLACE
    place_of_dynamics = None
    label_makers = (LabelMaker('aiida.calculations:mlcc.quantumespresso_labels', _input_of_frame),)

    def declare_ports(self, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare `quantumespresso`; there is no dynamics."""
        if not dynamics and PLACE not in spec.inputs:
            quantumespresso_ports(spec, required=False)

    def fill(self, inputs: Mapping[str, Any], codes: Codes, options: Options, dynamics: bool = False) -> dict[str, Any]:
        """Return the inputs with `quantumespresso`."""
        if dynamics:
            return dict(inputs)
        return {**inputs, PLACE: place_inputs(inputs.get(PLACE, {}), codes.get(PLACE) or codes['code'], options)}

    def runs(self, code: orm.AbstractCode) -> bool:
        """Tell whether a code is pw.x."""
        return is_pw(code)

    def refuse_crystal(self, settings: Json, atoms: Atoms) -> str | None:
        """Refuse elements without a pseudopotential."""
        return refuse_potentials(atoms.get_chemical_symbols(), settings['pseudo_family'])

    def refuse_electrons(self, settings: Json, atoms: Atoms) -> str | None:
        """Refuse an odd number of electrons, and a mesh of k-points with less symmetry than the supercell."""
        return refuse_electrons(atoms, QuantumEspressoForces.of(settings))

    def is_for_metals(self, settings: Json) -> bool:
        """Tell whether `degauss` is set."""
        return settings.get('degauss') is not None

    def valence(self, settings: Json, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return what the pseudopotentials say, if their family is there."""
        family = settings.get('pseudo_family')
        if family is None or refuse_potentials(symbols, family) is not None:
            return None
        return valence(symbols, family)

    def labels(self, inputs: Inputs, snapshots: SnapshotsData) -> Step:
        """Return the single points of all snapshots."""
        return Step(QuantumEspressoLabelsWorkChain, {'snapshots': snapshots, **given(inputs, 'engine', PLACE)})

    def n_label_jobs(self, n_frames: int) -> int:
        """Return the number of frames."""
        return n_frames

    def source_of(self, settings: Json) -> Json:
        """Return what the labels say of their source."""
        return source_of(settings)

    def what_counts(self, name: str, value: Any) -> Any:
        """Return `parameters` as labels keep them."""
        return keywords(value) if name == 'parameters' and isinstance(value, Mapping) else value

    def cost_of(self, job: orm.CalcJobNode) -> SaidCost | None:
        """Return the wall time that pw.x prints."""
        if job.process_type != 'aiida.calculations:quantumespresso.pw' or 'output_parameters' not in job.outputs:
            return None
        seconds, cores = job.outputs.output_parameters.get('wall_time_seconds', None), cores_of(job)
        hours = None if seconds is None else cores * seconds / _SECONDS_PER_HOUR
        return SaidCost(hours, hours is not None, cores)


FORCES = QuantumEspressoEngine()
