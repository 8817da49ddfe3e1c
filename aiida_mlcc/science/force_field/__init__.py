"""A force field as a weighted sum of terms, and each kind of term."""

from aiida_mlcc.science.force_field.kinds import ForceFieldError
from aiida_mlcc.science.force_field.sum import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ForceField,
    Term,
    TrainedOn,
    add_delta,
)

__all__ = ['DESCRIPTION_FILE', 'WEIGHTS_FILE', 'ForceField', 'ForceFieldError', 'Term', 'TrainedOn', 'add_delta']
