"""PySCF as the engine, in the jobs of the runtime: HF and DFT also with k-points, correlation at the Γ point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.calculations.integrals import refuse_open_shell
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Codes, CorrelationEngine, Inputs, LabelMaker, Step
from aiida_mlcc.engines.pyscf_cost import EnergyCost, energy_cost
from aiida_mlcc.engines.pyscf_elements import refuse_elements, valence
from aiida_mlcc.engines.runtime_jobs import OPTIONAL, RuntimeForces
from aiida_mlcc.jobs.inputs import Options, job_inputs
from aiida_mlcc.jobs.restart import CorrelateRestartWorkChain
from aiida_mlcc.runtime.pyscf_settings import (
    FUNCTIONALS,
    GAMMA,
    LEFT_OUT,
    PyscfCorrelation,
    pseudopotential,
    refuse_forces,
    sampling,
)
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.kpoint_mesh import refuse_mesh, refuse_mesh_of_frames

CORRELATE: Final = 'correlate'

CITE = {
    'pyscf': (
        'Q. Sun et al., Recent developments in the PySCF program package, J. Chem. Phys. 153, 024109 (2020)',
        'https://doi.org/10.1063/5.0006074',
    ),
}

_SOURCE_NAMES = {'name': 'engine', 'conv_tol': 'conv_tol_hartree', 'ke_cutoff': 'ke_cutoff_hartree'}
_UNCOUNTED = ('max_memory_mb', 'max_cycle')

AUXILIARY, MESHES = 'auxbasis', ('xc_mesh_factor', 'ke_ratio')
"""The settings of the density fitting, and of the meshes of density functionals. Labels from before there was a choice
say nothing of them: they have null."""

_OF_FUNCTIONALS, _OF_INTEGRALS = ('ke_cutoff', *MESHES), ('exxdiv', AUXILIARY)
"""What energies of density functionals depend on alone, and those with integrals of four orbitals."""


def source_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of PySCF with these settings say of their source; memory does not count."""
    said = {_SOURCE_NAMES.get(name, name): value for name, value in settings.items() if name not in _UNCOUNTED}
    if 'kpoints' in said:
        said['kpoints'] = sampling(said['kpoints']) or GAMMA
    if 'hf_kpoints' in said:
        said['hf_kpoints'] = sampling(said['hf_kpoints'])
    said = {name: value for name, value in said.items() if name not in MESHES or value is not None}
    return said if said.get(AUXILIARY) is None else {**said, **LEFT_OUT}


def refuse_cell(settings: Mapping[str, Any], atoms: Atoms) -> str | None:
    """Return why the correlated energies of a supercell cannot be calculated, in a sentence, or None."""
    pseudo = pseudopotential(settings.get('pseudo'), 'HF')
    reason = refuse_elements(atoms.symbols, settings['basis'], pseudo) or refuse_open_shell(atoms)
    if reason is None and (mesh := sampling(settings.get('hf_kpoints'))) is not None:
        reason = refuse_mesh_of_frames(atoms, mesh)
    return reason


class PyscfForces(RuntimeForces):
    """LDA, PBE and Hartree–Fock of PySCF."""

    uncounted = _UNCOUNTED
    setting_of_cores = 'pseudo'

    def refuse_crystal(self, settings: Mapping[str, Any], atoms: Atoms) -> str | None:
        """Refuse elements without a basis or a pseudopotential, and a mesh of k-points without forces."""
        pseudo = pseudopotential(settings.get('pseudo'), settings['method'])
        reason = refuse_elements(atoms.symbols, settings['basis'], pseudo)
        return reason or refuse_forces(settings['method'], sampling(settings.get('kpoints')))

    def refuse_electrons(self, settings: Mapping[str, Any], atoms: Atoms) -> str | None:
        """Refuse an odd number of electrons, and a mesh of k-points with less symmetry than the supercell."""
        reason = refuse_open_shell(atoms)
        if reason is None and (mesh := sampling(settings.get('kpoints'))) is not None:
            reason = refuse_mesh(atoms, mesh, [0, 0, 0])
        return reason

    def valence(self, settings: Mapping[str, Any], method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return the electrons that the pseudopotentials leave."""
        return valence(symbols, pseudopotential(settings.get('pseudo'), method))

    def source_of(self, settings: Json) -> Json:
        """Return what the labels say of their source."""
        left_out = (AUXILIARY,) if settings['method'] in FUNCTIONALS else _OF_FUNCTIONALS
        return source_of({name: value for name, value in settings.items() if name not in left_out})

    def said(self, name: str, method: str, source: Mapping[str, Any]) -> Any:
        """Return what labels say of a setting, which some of them call by another name."""
        if name == 'kpoints':
            return None if source.get(name, GAMMA) == GAMMA else source[name]
        if name in (AUXILIARY, *MESHES):
            return source.get(name)
        renamed = _SOURCE_NAMES.get(name, name)
        return super().said(name, method, {name: source[renamed]} if renamed in source else {})

    def counted(self, method: str) -> tuple[str, ...]:
        """Return the settings on which an energy of `method` depends."""
        left_out = _OF_INTEGRALS if method in FUNCTIONALS else _OF_FUNCTIONALS
        return tuple(name for name in super().counted(method) if name not in left_out)

    def like(self, method: str, source: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that label new structures as the labels of `source` were made."""
        # An engine that takes its integrals from another program says nothing of some of these.
        rules = self.settings.rules()
        given = {name: value for name, value in engine.items() if name in rules and name not in self.counted(method)}
        return {**super().like(method, source, engine), **given}

    def is_same(self, name: str, ours: Any, theirs: Any) -> bool:
        """Tell whether two values give the same energies: labels name the pseudopotentials that null stands for."""
        if name == 'kpoints':
            return sampling(ours) == sampling(theirs)
        return ours == theirs or (name == 'pseudo' and None in (ours, theirs))


class PyscfEnergies(CorrelationEngine):
    """HF, MP2, CCSD and CCSD(T) of a batch of snapshots in one job."""

    name, title = 'pyscf', 'PySCF'
    settings = PyscfCorrelation
    programs = CITE
    places = (CORRELATE,)
    setting_of_cores = 'pseudo'
    label_makers = (LabelMaker('aiida.calculations:mlcc.correlate'),)

    def declare_ports(self, spec: WorkChainSpec) -> None:
        """Declare `correlate`, the job in which PySCF computes all energies."""
        spec.expose_inputs(
            CorrelateCalculation,
            namespace=CORRELATE,
            exclude=('snapshots', 'methods', 'engine', 'runtime_source', 'parent_folder'),
            namespace_options=dict(OPTIONAL),
        )

    def fill(self, inputs: Mapping[str, Any], codes: Codes, options: Options) -> dict[str, Any]:
        """Return `correlate` with the code and options of the job."""
        assert codes['code'] is not None
        return {CORRELATE: job_inputs(inputs[CORRELATE], codes['code'], options)}

    def source_of(self, settings: Json) -> Json:
        """Return what the labels say of their source."""
        return source_of(settings)

    def refuse_jobs(self, inputs: Inputs) -> str | None:
        """Return that the code is missing, an element without a basis, or that the snapshots have no closed shells."""
        reason = super().refuse_jobs(inputs)
        return reason or refuse_cell(inputs['engine'].get_dict(), inputs['snapshots'].get_ase(0))

    def valence(self, settings: Mapping[str, Any], method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return the electrons that the pseudopotentials leave."""
        return valence(symbols, pseudopotential(settings.get('pseudo'), method))

    def energy_cost(
        self, settings: Mapping[str, Any], symbols: Sequence[str], methods: Sequence[str]
    ) -> EnergyCost | None:
        """Return what the numbers of orbitals ask for."""
        return energy_cost(settings, symbols, methods)

    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return the job that labels a batch."""
        job = {**inputs[CORRELATE], 'snapshots': snapshots, 'methods': methods, 'engine': inputs['engine']}
        return Step(CorrelateRestartWorkChain, {'job': job})

    def n_jobs(self, settings: Mapping[str, Any], groups: Mapping[tuple[str, ...], Sequence[int]], size: int) -> int:
        """Return the number of batches."""
        return sum(ceil(len(frames) / size) for frames in groups.values())


FORCES = PyscfForces('pyscf', 'PySCF', CITE)
CORRELATION = PyscfEnergies()
