"""Quantum ESPRESSO as an engine of energies and forces: single points with k-points, and no dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import ForceEngine, Inputs, LabelMaker, SaidCost, Step, given, input_of_frame
from aiida_mlcc.engines.quantumespresso.jobs import PLACE, is_pw, quantumespresso_ports
from aiida_mlcc.engines.quantumespresso.labels import QuantumEspressoLabelsWorkChain, refuse_electrons
from aiida_mlcc.engines.quantumespresso.potentials import refuse_potentials, valence
from aiida_mlcc.engines.quantumespresso.settings import (
    JOB_ONLY,
    NAME,
    Namelists,
    QuantumEspressoForces,
    keywords,
    source_of,
)
from aiida_mlcc.jobs.wall_time import cores_of
from aiida_mlcc.science.json_values import JsonValue, Source

CITE = {
    'quantumespresso': (
        'P. Giannozzi et al., Advanced capabilities for materials modelling with Quantum ESPRESSO, '
        'J. Phys.: Condens. Matter 29, 465901 (2017)',
        'https://doi.org/10.1088/1361-648X/aa8f79',
    ),
}

_SECONDS_PER_HOUR = 3600.0


class QuantumEspressoEngine(ForceEngine[QuantumEspressoForces]):
    """One structure a job."""

    name, title = NAME, 'Quantum ESPRESSO'
    settings_class = QuantumEspressoForces
    programs = CITE
    uncounted = JOB_ONLY
    shares_jobs = False
    setting_of_cores = 'pseudo_family'
    place = PLACE
    place_of_dynamics = None
    label_makers = (LabelMaker('aiida.calculations:mlcc.quantumespresso_labels', input_of_frame),)

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare `quantumespresso`; there is no dynamics."""
        if not dynamics and PLACE not in spec.inputs:
            quantumespresso_ports(spec, required=False)

    @classmethod
    def runs(cls, code: orm.AbstractCode) -> bool:
        """Tell whether a code is pw.x."""
        return is_pw(code)

    def refuse_crystal(self, atoms: Atoms) -> str | None:
        """Refuse elements without a pseudopotential."""
        return refuse_potentials(atoms.get_chemical_symbols(), self.settings.pseudo_family)

    def refuse_electrons(self, atoms: Atoms) -> str | None:
        """Refuse an odd number of electrons, and a mesh of k-points with less symmetry than the supercell."""
        return refuse_electrons(atoms, self.settings)

    @classmethod
    def is_for_metals(cls, source: Source) -> bool:
        """Tell whether `degauss` is set."""
        return source.get('degauss') is not None

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return what the pseudopotentials say, if their family is there."""
        family = source.get('pseudo_family')
        if not isinstance(family, str) or refuse_potentials(symbols, family) is not None:
            return None
        return valence(symbols, family)

    def labels(self, inputs: Inputs, snapshots: SnapshotsData) -> Step:
        """Return the single points of all snapshots."""
        return Step(QuantumEspressoLabelsWorkChain, {'snapshots': snapshots, **given(inputs, 'engine', PLACE)})

    def source(self) -> Source:
        """Return what the labels say of their source."""
        return source_of(self.settings)

    @classmethod
    def what_counts(cls, name: str, value: JsonValue) -> JsonValue:
        """Return `parameters` as labels keep them."""
        return keywords(cast(Namelists, value)) if name == 'parameters' and isinstance(value, Mapping) else value

    @classmethod
    def cost_of(cls, job: orm.CalcJobNode) -> SaidCost | None:
        """Return the wall time that pw.x prints."""
        if job.process_type != 'aiida.calculations:quantumespresso.pw' or 'output_parameters' not in job.outputs:
            return None
        seconds, cores = job.outputs.output_parameters.get('wall_time_seconds', None), cores_of(job)
        hours = None if seconds is None else cores * seconds / _SECONDS_PER_HOUR
        return SaidCost(hours, hours is not None, cores)
