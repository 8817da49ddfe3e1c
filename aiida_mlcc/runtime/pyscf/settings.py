"""The settings of PySCF: what fixes its energies, and what its labels say of their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from aiida_mlcc.science.json_values import Source, StoredSettings
from aiida_mlcc.science.labels.methods import DFT_METHODS
from aiida_mlcc.science.settings import Settings, setting, three_counts

FUNCTIONALS = {'LDA': 'lda_xc_teter93', 'PBE': 'pbe,pbe'}
"""Method → functional. Teter's Padé form is the LDA that the gth-pade pseudopotentials were made with (Goedecker, Teter
and Hutter, Phys. Rev. B 54, 1703 (1996)), and the cheapest to evaluate."""

PSEUDOPOTENTIALS = {'LDA': 'gth-pade', 'PBE': 'gth-pbe', 'HF': 'gth-hf-rev'}
"""What a method uses where the settings name none. There is no set for correlated methods: they take Hartree–Fock's."""

DFT_PRECISION = 1e-9
"""Of the integrals on the multigrid, where it also decides how far a pair of Gaussian functions reaches. At 1e-7 forces
on the neighbours of a displaced atom of NaF are off by up to 0.4 meV/Å, and its modes by 2 cm⁻¹."""

MULTIGRID_LEVELS, MULTIGRID_RATIO = 6, 2.0
"""The meshes of the multigrid, and the ratio of the cutoffs of successive ones. With PySCF's 4 and 3 a calculation of
diamond takes half as long again."""


LEFT_OUT = {'dependent_auxiliary_functions': 'left out'}
"""What labels say of a density fitting with a named auxiliary basis; energies of one that kept them differ by meV."""


def pseudopotential(named: str | None, method: str) -> str:
    """Return the name of the pseudopotentials that `method` uses.

    :param named: those that the settings name, if any.
    """
    return named or PSEUDOPOTENTIALS.get(method, PSEUDOPOTENTIALS['HF'])


GAMMA = 'Γ'
"""What labels say of their k-points where there is one."""


def sampling(mesh: Sequence[int] | None) -> list[int] | None:
    """Return a mesh of k-points, None where it is the Γ point alone."""
    return None if mesh is None or list(mesh) == [1, 1, 1] else [int(count) for count in mesh]


def refuse_forces(method: str, mesh: Sequence[int] | None) -> str | None:
    """Return why there are no forces of `method` on a mesh of k-points, in a sentence, or None.

    PySCF 2.14 has no gradients of its multigrid on k-points. Those of a uniform grid belong to another energy: on the
    mesh of a multigrid they differ from the slope by 0.01 eV/Å.
    """
    if mesh is None or method not in FUNCTIONALS:
        return None
    return (
        f'PySCF has no forces of {method} on a mesh of k-points that belong to its energies: set `kpoints` to null and '
        'take a larger supercell, or another engine of forces'
    )


NATURAL_ORBITALS = 'natural_orbitals_per_occupied'

_NAMES_OF_A_MESH = ('kpoints', 'kpoints_mesh', 'k_points', 'k_mesh', 'kmesh', 'kpts', 'mesh')


@dataclass(frozen=True)
class PyscfSettings(Settings):
    """What all energies of PySCF have in common."""

    TITLE = 'PySCF'

    name: str = setting('The program.', default='pyscf', choices=('pyscf',))
    basis: str = setting('Basis set.', default='gth-szv')
    pseudo: str | None = setting('Pseudopotentials; null: those made for the method.', default=None, required=False)
    exp_to_discard: float | None = setting(
        'Primitives with smaller exponents are left out: they make the overlap of a crystal singular; null keeps all.',
        default=0.05,
        at_least=0,
        unit='1/Bohr²',
        required=False,
    )
    exxdiv: str = setting('Treatment of the divergence of the exchange.', default='ewald', choices=('ewald',))
    auxbasis: str | None = setting(
        "Auxiliary basis of the density fitting of Hartree–Fock and what stands on it; null: PySCF's even-tempered "
        'functions.',
        default='def2-universal-jkfit',
        required=False,
    )
    conv_tol: float = setting('Convergence of the SCF energy.', default=1e-9, above=0, unit='Hartree')
    max_cycle: int = setting('Cycles of the SCF.', default=50, at_least=1)
    max_memory_mb: float | None = setting(
        "Memory PySCF may take; null: PySCF's default.", default=None, above=0, unit='MB', required=False
    )

    @classmethod
    def of(cls, given: StoredSettings) -> Self:
        """Build the settings of a job, in which a setting that is left out is null, not what a protocol starts from.

        :raises aiida_mlcc.science.settings.SettingsError: naming the first setting that is not allowed.
        """
        nulls = {name: None for name, rule in cls.rules().items() if not rule.required}
        return super().of({'name': 'pyscf', **nulls, **given})

    def source(self, method: str) -> Source:
        """Return what is stored with a label of `method`: program, version, and every setting that counts."""
        import pyscf

        return {
            'engine': 'pyscf',
            'version': pyscf.__version__,
            'basis': self.basis,
            'pseudo': self.pseudopotential(method),
            'exp_to_discard': self.exp_to_discard,
            'kpoints': self.mesh or GAMMA,
            'conv_tol_hartree': self.conv_tol,
            **self.source_of_method(method),
        }

    def source_of_method(self, method: str) -> Source:  # noqa: ARG002
        """Return the part of a source that the method decides."""
        named = {} if self.auxbasis is None else {'auxbasis': self.auxbasis, **LEFT_OUT}
        return {'exxdiv': self.exxdiv, 'two_electron_integrals': 'Gaussian density fitting', **named}

    @property
    def mesh(self) -> list[int] | None:
        """The mesh of k-points of all energies, None for the Γ point."""
        return None

    @property
    def hf_mesh(self) -> list[int] | None:
        """The mesh of k-points of the Hartree–Fock energy beside correlation at the Γ point, None for Γ there, too."""
        return None

    def pseudopotential(self, method: str) -> str:
        """Return the name of the pseudopotentials that `method` uses."""
        return pseudopotential(self.pseudo, method)


@dataclass(frozen=True)
class PyscfForces(PyscfSettings):
    """Energies and forces: LDA, PBE, or HF."""

    TITLE = 'PySCF engine'

    conv_tol: float = setting('Convergence of the SCF energy.', default=1e-8, above=0, unit='Hartree')
    method: str = setting('Whose energies and forces.', default='LDA', choices=(*DFT_METHODS, 'HF'))
    ke_cutoff: float | None = setting(
        "Of the density's mesh; null: PySCF's choice.", default=None, above=0, unit='Hartree', required=False
    )
    xc_mesh_factor: int | None = setting(
        "How many times finer than the density's mesh that of exchange and correlation is, along each lattice vector; "
        'null: the same mesh.',
        default=2,
        at_least=2,
        at_most=4,
        required=False,
    )
    kpoints: list[int] | None = setting(
        'Γ-centred mesh of k-points of the supercell, for HF, and for energies of a density functional without forces; '
        'null: the Γ point.',
        default=None,
        check=three_counts,
        required=False,
    )

    @property
    def mesh(self) -> list[int] | None:
        """The mesh of k-points of all energies, None for the Γ point."""
        return sampling(self.kpoints)

    def source_of_method(self, method: str) -> Source:
        """Return the part of a source that the method decides."""
        if method not in FUNCTIONALS:
            return super().source_of_method(method)
        finer = {} if self.xc_mesh_factor is None else {'xc_mesh_factor': self.xc_mesh_factor}
        mesh = {'ke_cutoff_hartree': self.ke_cutoff, **finer, 'precision': DFT_PRECISION}
        return {**mesh, 'functional': FUNCTIONALS[method]}


@dataclass(frozen=True)
class PyscfCorrelation(PyscfSettings):
    """HF, MP2, CCSD and CCSD(T)."""

    TITLE = 'PySCF correlation engine'

    pseudo: str | None = setting(
        'Pseudopotentials; null: those made for Hartree–Fock.', default='gth-hf-rev', required=False
    )
    hf_kpoints: list[int] | None = setting(
        'Γ-centred mesh of k-points of the Hartree–Fock energy; null: the Γ point, where the correlation always is.',
        default=None,
        check=three_counts,
        required=False,
    )

    @property
    def hf_mesh(self) -> list[int] | None:
        """The mesh of k-points of the Hartree–Fock energy, None for the Γ point."""
        return sampling(self.hf_kpoints)

    def source_of_method(self, method: str) -> Source:
        """Return the part of a source that the method decides; of a Γ point alone it says nothing more."""
        return {**super().source_of_method(method), **({'hf_kpoints': self.hf_mesh} if self.hf_mesh else {})}

    @classmethod
    def refuse(cls, given: StoredSettings, at: str = '') -> str | None:
        """Return why `given` is not a complete and valid group, in a sentence, or None."""
        if asked := [name for name in _NAMES_OF_A_MESH if name in given]:
            return (
                f'PySCF computes correlation at the Γ point alone: leave out `{asked[0]}`, or take a larger supercell; '
                'the mesh of the Hartree–Fock energy is `hf_kpoints`'
            )
        return super().refuse(given, at)


@dataclass(frozen=True)
class PyscfIntegrals(PyscfCorrelation):
    """Integrals for Cc4s."""

    TITLE = 'PySCF integrals'

    natural_orbitals_per_occupied: float | None = setting(
        'MP2 natural orbitals kept for each occupied one; null: all virtual orbitals are kept, as they are.',
        default=None,
        above=0,
    )
