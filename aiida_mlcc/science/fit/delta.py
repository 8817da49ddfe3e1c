"""Δ, the difference of the energies of two methods: what its fit starts from and what it gives, whatever its kind.

Its targets are E_method − E_base of the same frames (and F_method − F_base where both have forces); its sum with the
base is the force field of the method. Each kind takes the difference itself: force constants in
:mod:`aiida_mlcc.science.fit.delta_features`, networks in :mod:`aiida_mlcc.runtime.mace.training_data`, readouts in
:mod:`aiida_mlcc.runtime.mace.readout`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ase import Atoms

from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.force_field.kinds import models_of
from aiida_mlcc.science.force_field.sum import Probe
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.settings import Settings


class FitError(ValueError):
    """Labels from which nothing can be fitted."""


@dataclass(frozen=True)
class DeltaFit:
    """A Δ, how wrong it is, and what else the labels would allow, where the fit can tell.

    :param errors: in meV/atom at least ``spread_mev_atom`` (standard deviation of E_method − E_base),
        ``cv_rmse_mev_atom`` (cross-validation) and ``cv_rescaling_mev_atom`` (E_base rescaled and nothing else).
    """

    force_field: ForceField
    errors: FitErrors
    samples: DeltaSamples | None = None


@dataclass(frozen=True)
class FitInput:
    """What the fits of one job have in common.

    :param settings: of the kind of Δ that is fitted.
    :param seed: of everything random.
    :param primitive: the primitive cell of the crystal, for kinds that need it.
    :param base: the force field that the Δ will be added to, for kinds that need it.
    :param device: ``cpu`` or ``cuda``, for kinds that evaluate a network.
    :param dipole: the dipole–dipole energy that the base holds as a term, of a polar crystal.
    :param reference: displacements that a base takes its harmonic force constants from.
    """

    snapshots: Snapshots
    base_method: str
    settings: Settings
    seed: int
    primitive: Atoms | None = None
    base: ForceField | None = None
    device: str = 'cpu'
    dipole: DipoleModel | None = None
    reference: Snapshots | None = None


Fitter = Callable[[FitInput], Callable[[str], DeltaFit]]
"""What does once what all methods share, and returns what fits E_method − E_base for the name of a method.

The latter raises :class:`FitError`, :class:`~aiida_mlcc.science.fit.ridge.RidgeError`,
:class:`~aiida_mlcc.science.labels.snapshots.SnapshotsError` or :class:`~aiida_mlcc.science.crystal.cells.CrystalError`
where the labels of that method allow no fit.
"""


def with_probe(force_field: ForceField, snapshots: Snapshots) -> ForceField:
    """Return a force field without networks with the energy that it gives for the first frame, checked on loading."""
    atoms = snapshots.atoms(0)
    energy = sum(model.bind(atoms).energy_forces(atoms.positions)[0] for model in models_of(force_field.terms))
    probe: Probe = {
        'symbols': list(snapshots.symbols),
        'cell': atoms.cell.array.tolist(),
        'positions': atoms.positions.tolist(),
        'energy': float(energy + force_field.constant_of(snapshots.symbols)),
    }
    return replace(force_field, probe=probe)
