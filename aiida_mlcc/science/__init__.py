"""The physics in plain NumPy, SciPy, ASE and phonopy: no AiiDA, no torch.

What a person needs in a notebook is exported here, by name, and imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida_mlcc.science.crystal.cells import CrystalError, primitive_cell, supercell
    from aiida_mlcc.science.dataset.dataset import Dataset, read_dataset
    from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource
    from aiida_mlcc.science.design.optimal_structures import DesignError, design_frozen_phonons, optimal_frames
    from aiida_mlcc.science.dynamics.vdos import VibrationalSpectrum, spectrum
    from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator
    from aiida_mlcc.science.fit.base_model import BaseForceConstants, ForceConstantsFit, fit_base
    from aiida_mlcc.science.fit.delta import DeltaFit, FitError
    from aiida_mlcc.science.fit.force_constants import ForceConstants, fit_delta
    from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term, add_delta
    from aiida_mlcc.science.force_field.phonons import phonopy_of
    from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
    from aiida_mlcc.science.labels.extxyz import read_extxyz, write_extxyz
    from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError, concatenate
    from aiida_mlcc.science.phonons.dispersion import BandPath, DensityOfStates, band_path, density_of_states
    from aiida_mlcc.science.phonons.ensemble import Bands, ForceFieldEnsemble, SpecialPoint, fit_ensemble

_MODULES = {
    'crystal.cells': ('CrystalError', 'primitive_cell', 'supercell'),
    'dataset.dataset': ('Dataset', 'read_dataset'),
    'dataset.energy_file': ('DatasetError', 'LabelSource'),
    'design.optimal_structures': ('DesignError', 'design_frozen_phonons', 'optimal_frames'),
    'dynamics.vdos': ('VibrationalSpectrum', 'spectrum'),
    'dynamics.velocity_correlation': ('VelocityCorrelator',),
    'fit.base_model': ('BaseForceConstants', 'ForceConstantsFit', 'fit_base'),
    'fit.delta': ('DeltaFit', 'FitError'),
    'fit.force_constants': ('ForceConstants', 'fit_delta'),
    'force_field': ('ForceField', 'ForceFieldError', 'Term', 'add_delta'),
    'force_field.phonons': ('phonopy_of',),
    'labels.displacements': ('Displacements', 'displaced_cells'),
    'labels.extxyz': ('read_extxyz', 'write_extxyz'),
    'labels.snapshots': ('Label', 'Snapshots', 'SnapshotsError', 'concatenate'),
    'phonons.dispersion': ('BandPath', 'DensityOfStates', 'band_path', 'density_of_states'),
    'phonons.ensemble': ('Bands', 'ForceFieldEnsemble', 'SpecialPoint', 'fit_ensemble'),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    'BandPath',
    'Bands',
    'BaseForceConstants',
    'CrystalError',
    'Dataset',
    'DatasetError',
    'DeltaFit',
    'DensityOfStates',
    'DesignError',
    'Displacements',
    'FitError',
    'ForceConstants',
    'ForceConstantsFit',
    'ForceField',
    'ForceFieldEnsemble',
    'ForceFieldError',
    'Label',
    'LabelSource',
    'Snapshots',
    'SnapshotsError',
    'SpecialPoint',
    'Term',
    'VelocityCorrelator',
    'VibrationalSpectrum',
    'add_delta',
    'band_path',
    'concatenate',
    'density_of_states',
    'design_frozen_phonons',
    'displaced_cells',
    'fit_base',
    'fit_delta',
    'fit_ensemble',
    'optimal_frames',
    'phonopy_of',
    'primitive_cell',
    'read_dataset',
    'read_extxyz',
    'spectrum',
    'supercell',
    'write_extxyz',
]


def __getattr__(name: str) -> Any:
    """Import what is exported when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULE_OF[name]}'), name)


def __dir__() -> list[str]:
    """Return what is exported."""
    return sorted([*globals(), *_MODULE_OF])
