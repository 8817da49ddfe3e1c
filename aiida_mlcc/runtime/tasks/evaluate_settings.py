"""How structures are evaluated: the settings of the task ``evaluate``."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_mlcc.science.settings import Settings, setting


@dataclass(frozen=True)
class Relax(Settings):
    """Relaxation of a structure before its evaluation, with its symmetry kept."""

    TITLE = 'relax'

    cell: bool = setting('Whether the cell relaxes, too.', default=False)
    fmax: float = setting('Largest force that is left.', default=1e-4, above=0, unit='eV/Å')
    max_steps: int = setting('Steps after which the relaxation has failed.', default=200, at_least=1)
    symprec: float = setting('Symmetry tolerance.', default=1e-5, above=0, unit='Å')


@dataclass(frozen=True)
class Evaluate(Settings):
    """Energies and forces of many structures."""

    TITLE = 'evaluate'

    forces: bool = setting('Whether forces are computed, too.', default=True)
    dtype: str = setting('Precision of a force field.', default='float64', choices=('float32', 'float64'))
    relax: Relax | None = setting(
        'Relax each structure first; null for none. HarmonicPhononWorkChain fills it in.',
        default=None,
        required=False,
        written=False,
    )
