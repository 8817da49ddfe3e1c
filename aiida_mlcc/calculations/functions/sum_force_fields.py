"""ΔML: a base force field plus its Δ."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.science.force_field import add_delta


@calcfunction
def sum_force_fields(base: ForceFieldData, delta: ForceFieldData, science: orm.Str) -> ForceFieldData:
    """Return (1 + s)·base + Δ as one force field."""
    total = ForceFieldData(add_delta(base.get_force_field(), delta.get_force_field()))
    of_base, of_delta = base.base.attributes.all, delta.base.attributes.all
    if 'role' in of_base and 'role' in of_delta:
        kind = f'{of_base["kind"]} + {of_delta["kind"]}'
        total.say_origin('sum', kind, of_base['seed'], of_delta['base_method'])
    return total
