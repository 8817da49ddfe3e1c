"""ΔML: a base force field plus its Δ."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.science.force_field import add_delta


@calcfunction
def sum_force_fields(base: ForceFieldData, delta: ForceFieldData, science: orm.Str) -> ForceFieldData:
    """Return (1 + s)·base + Δ as one force field."""
    return ForceFieldData(add_delta(base.get_force_field(), delta.get_force_field()))
