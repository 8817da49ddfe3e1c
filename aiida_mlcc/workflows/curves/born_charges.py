"""Born charges and dielectric tensor as used: the outline checks them before anything is displaced."""

from aiida import orm

from aiida_mlcc.calculations.functions.born_charges import born_charges
from aiida_mlcc.workflows.curve_table import Curve, Output

CURVE = Curve(
    stage='harmonic_phonon',
    step='check_born_charges',
    calculate=born_charges,
    outputs={
        'born_charges': Output(
            orm.ArrayData,
            'Born charges and dielectric tensor as used; the attributes say what was corrected.',
            always=False,
        )
    },
    arguments=None,
)
