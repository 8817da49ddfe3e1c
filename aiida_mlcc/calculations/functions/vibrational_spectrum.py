"""The vibrational density of states of one method, from the autocorrelations of its members."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.calculations.functions.curves import curve_with_spread
from aiida_mlcc.science.vdos import spectrum

_PREFIX = 'vacf_'


@calcfunction
def vibrational_spectrum(
    primitive: orm.StructureData, parameters: orm.Dict, science: orm.Str, **vacfs: orm.ArrayData
) -> orm.XyData:
    """Return modes per cm⁻¹, normalised to three modes an atom of the primitive cell."""
    settings = parameters.get_dict()
    symbols = primitive.get_ase().get_chemical_symbols()
    counts = {symbol: symbols.count(symbol) for symbol in dict.fromkeys(symbols)}
    found = {}
    for name, node in sorted(vacfs.items()):
        lags = node.get_array('time_fs')
        correlation = {symbol: node.get_array(f'{_PREFIX}{symbol}') for symbol in counts}
        found[name] = spectrum(
            correlation, counts, lags[1] - lags[0], settings['window'], max_frequency_cm1=settings['highest_cm1']
        )
    grid = next(iter(found.values())).frequencies_cm1
    node = curve_with_spread(
        grid,
        {name: curve.total for name, curve in found.items()},
        {name: curve.elements for name, curve in found.items()},
    )
    node.base.attributes.set('resolution_cm1', next(iter(found.values())).resolution_cm1)
    return node
