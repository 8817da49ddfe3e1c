"""PySCF as the engine, in the jobs of the runtime: HF and DFT also with k-points, correlation at the Γ point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.calculations.integrals import refuse_open_shell
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import CorrelationEngine, Inputs, LabelMaker, Step
from aiida_mlcc.engines.pyscf_cost import EnergyCost, energy_cost
from aiida_mlcc.engines.pyscf_elements import refuse_auxiliary, refuse_elements, valence
from aiida_mlcc.engines.runtime_jobs import OPTIONAL, RuntimeForces
from aiida_mlcc.jobs.restart import CorrelateRestartWorkChain
from aiida_mlcc.runtime.pyscf.settings import (
    FUNCTIONALS,
    GAMMA,
    LEFT_OUT,
    PyscfCorrelation,
    PyscfForces,
    PyscfSettings,
    pseudopotential,
    refuse_forces,
)
from aiida_mlcc.science.crystal.cells import orthogonal_axes
from aiida_mlcc.science.crystal.kpoint_mesh import refuse_mesh, refuse_mesh_of_frames
from aiida_mlcc.science.json_values import JsonValue, Source, StoredSettings

CORRELATE: Final = 'correlate'

CITE = {
    'pyscf': (
        'Q. Sun et al., Recent developments in the PySCF program package, J. Chem. Phys. 153, 024109 (2020)',
        'https://doi.org/10.1063/5.0006074',
    ),
}

_SOURCE_NAMES = {'name': 'engine', 'conv_tol': 'conv_tol_hartree', 'ke_cutoff': 'ke_cutoff_hartree'}
_UNCOUNTED = ('max_memory_mb', 'max_cycle')

AUXILIARY, MESH = 'auxbasis', 'xc_mesh_factor'
"""The settings of the density fitting, and of the mesh of exchange and correlation. Labels from before there was a
choice say nothing of them: they have null."""

_OF_FUNCTIONALS, _OF_INTEGRALS = ('ke_cutoff', MESH), ('exxdiv', AUXILIARY)
"""What energies of density functionals depend on alone, and those with integrals of four orbitals."""


def source_of(given: StoredSettings, settings: PyscfSettings) -> Source:
    """Return what the labels of PySCF say of their source; memory does not count.

    :param given: as they are stored: of those that are left out nothing is said.
    """
    said = {_SOURCE_NAMES.get(name, name): value for name, value in given.items() if name not in _UNCOUNTED}
    if 'kpoints' in said:
        said['kpoints'] = settings.mesh or GAMMA
    if 'hf_kpoints' in said:
        said['hf_kpoints'] = settings.hf_mesh
    said = {name: value for name, value in said.items() if name != MESH or value is not None}
    return said if said.get(AUXILIARY) is None else {**said, **LEFT_OUT}


def refuse_cell(settings: PyscfCorrelation, atoms: Atoms) -> str | None:
    """Return why the correlated energies of a supercell cannot be calculated, in a sentence, or None."""
    reason = (
        refuse_elements(atoms.symbols, settings.basis, settings.pseudopotential('HF'))
        or refuse_auxiliary(atoms.symbols, settings.auxbasis)
        or refuse_open_shell(atoms)
    )
    if reason is None and settings.hf_mesh is not None:
        reason = refuse_mesh_of_frames(atoms, settings.hf_mesh)
    return reason


class PyscfEngine(RuntimeForces[PyscfForces]):
    """LDA, PBE and Hartree–Fock of PySCF."""

    name, title = 'pyscf', 'PySCF'
    settings_class = PyscfForces
    programs = CITE
    uncounted = _UNCOUNTED
    setting_of_cores = 'pseudo'

    def refuse_crystal(self, atoms: Atoms) -> str | None:
        """Refuse elements without a basis or a pseudopotential, and a mesh of k-points without forces."""
        ours = self.settings
        reason = refuse_elements(atoms.symbols, ours.basis, ours.pseudopotential(ours.method))
        if reason is None and ours.method not in FUNCTIONALS:
            reason = refuse_auxiliary(atoms.symbols, ours.auxbasis)
        return reason or refuse_forces(ours.method, ours.mesh)

    def warn_of(self, atoms: Atoms) -> str | None:
        """Warn of a cell whose vectors are not orthogonal, for which the multigrid is slow."""
        if self.settings.method not in FUNCTIONALS or orthogonal_axes(atoms.cell.array) is not None:
            return None
        return (
            "PySCF's density functionals can take many times as long in a cell whose vectors are not orthogonal: "
            'an orthogonal supercell may be faster, even with twice as many atoms (`dft_md.supercell_matrix`)'
        )

    def refuse_electrons(self, atoms: Atoms) -> str | None:
        """Refuse an odd number of electrons, and a mesh of k-points with less symmetry than the supercell."""
        reason = refuse_open_shell(atoms)
        if reason is None and self.settings.mesh is not None:
            reason = refuse_mesh(atoms, self.settings.mesh, [0, 0, 0])
        return reason

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return the electrons that the pseudopotentials leave."""
        named = source.get('pseudo')
        return valence(symbols, pseudopotential(named if isinstance(named, str) else None, method))

    def source(self) -> Source:
        """Return what the labels say of their source."""
        left_out = (AUXILIARY,) if self.settings.method in FUNCTIONALS else _OF_FUNCTIONALS
        said = {name: value for name, value in self.given.items() if name not in left_out}
        return source_of(said, self.settings)

    @classmethod
    def said(cls, name: str, method: str, source: Source) -> JsonValue:
        """Return what labels say of a setting, which some of them call by another name."""
        if name == 'kpoints':
            return None if source.get(name, GAMMA) == GAMMA else source[name]
        if name in (AUXILIARY, MESH):
            return source.get(name)
        renamed = _SOURCE_NAMES.get(name, name)
        return super().said(name, method, {name: source[renamed]} if renamed in source else {})

    @classmethod
    def counted(cls, method: str) -> tuple[str, ...]:
        """Return the settings on which an energy of `method` depends."""
        left_out = _OF_INTEGRALS if method in FUNCTIONALS else _OF_FUNCTIONALS
        return tuple(name for name in super().counted(method) if name not in left_out)

    @classmethod
    def like(cls, method: str, source: Source, engine: StoredSettings) -> StoredSettings:
        """Return the settings that label new structures as the labels of `source` were made."""
        # An engine that takes its integrals from another program says nothing of some of these.
        uncounted = set(cls.settings_class.rules()) - set(cls.counted(method))
        given = {name: value for name, value in engine.items() if name in uncounted}
        return {**super().like(method, source, engine), **given}

    @classmethod
    def is_same(cls, name: str, ours: JsonValue, theirs: JsonValue) -> bool:
        """Tell whether two values give the same energies: labels name the pseudopotentials that null stands for."""
        if name == 'kpoints':
            ours, theirs = (None if mesh == [1, 1, 1] else mesh for mesh in (ours, theirs))
        return ours == theirs or (name == 'pseudo' and None in (ours, theirs))


class PyscfEnergies(CorrelationEngine[PyscfCorrelation]):
    """HF, MP2, CCSD and CCSD(T) of a batch of snapshots in one job."""

    name, title = 'pyscf', 'PySCF'
    settings_class = PyscfCorrelation
    programs = CITE
    places = (CORRELATE,)
    setting_of_cores = 'pseudo'
    label_makers = (LabelMaker('aiida.calculations:mlcc.correlate'),)

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec) -> None:
        """Declare `correlate`, the job in which PySCF computes all energies."""
        spec.expose_inputs(
            CorrelateCalculation,
            namespace=CORRELATE,
            exclude=('snapshots', 'methods', 'engine', 'runtime_source', 'parent_folder'),
            namespace_options=dict(OPTIONAL),
        )

    def source(self) -> Source:
        """Return what the labels say of their source."""
        return source_of(self.given, self.settings)

    def refuse_jobs(self, inputs: Inputs) -> str | None:
        """Return that the code is missing, an element without a basis, or that the snapshots have no closed shells."""
        return super().refuse_jobs(inputs) or refuse_cell(self.settings, inputs['snapshots'].get_ase(0))

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return the electrons that the pseudopotentials leave."""
        return PyscfEngine.valence(source, method, symbols)

    def energy_cost(self, symbols: Sequence[str], methods: Sequence[str]) -> EnergyCost | None:
        """Return what the numbers of orbitals ask for."""
        return energy_cost(self.settings, symbols, methods)

    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return the job that labels a batch."""
        job = {**inputs[CORRELATE], 'snapshots': snapshots, 'methods': methods, 'engine': inputs['engine']}
        return Step(CorrelateRestartWorkChain, {'job': job})
