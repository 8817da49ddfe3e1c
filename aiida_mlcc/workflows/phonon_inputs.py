"""The settings of the phonons, and what is wrong with them, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from aiida import orm
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.calculations.functions.born_charges import born_of
from aiida_mlcc.calculations.parameters import Setting
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.engines.forces import is_vasp
from aiida_mlcc.engines.vasp.settings import refuse_potentials
from aiida_mlcc.science.crystal import PRIMITIVE_CELLS, primitive_cell
from aiida_mlcc.science.dispersion import band_path, mesh_breaks_symmetry
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.thermal import temperature_grid

RELAX = ('none', 'positions', 'cell')

_POSITIVE = Setting(Real, above=0)

PARAMETERS = {
    'displacement_angstrom': _POSITIVE,
    'band_points': Setting(Integral, at_least=2),
    'mesh': Setting(list),
    'dos_width_cm1': _POSITIVE,
    'dos_spacing_cm1': _POSITIVE,
    'path': Setting(dict, optional=True),
    'primitive': Setting(str, choices=PRIMITIVE_CELLS, optional=True),
    'temperatures_K': Setting(dict),
    'relax': Setting(str, choices=RELAX),
    'relax_fmax_eV_A': _POSITIVE,
    'relax_max_steps': Setting(Integral, at_least=1),
    'gruneisen': Setting(dict, optional=True),
}
"""``path``: ``points`` (label → q-point) and ``path`` (pairs of labels), seekpath's where it is null;
``primitive``: the cell in whose basis ``path``, ``mesh`` and the supercell are (``auto``, ``as-given``,
``standardised``), as :func:`~aiida_mlcc.science.crystal.primitive_cell` has it;
``temperatures_K``: ``start``, ``stop`` and ``step``; ``relax``: what is relaxed before atoms are displaced;
``gruneisen``: ``strain``, by which the lattice vectors are made longer and shorter."""

_TEMPERATURES = {'start', 'stop', 'step'}
_LARGEST_STRAIN = 0.05


def validate_parameters(node: orm.Dict, _: Any) -> str | None:
    """Refuse settings that are missing, unknown or no good."""
    settings = node.get_dict()
    required = {name for name, setting in PARAMETERS.items() if not setting.optional}
    if wrong := sorted((set(settings) - set(PARAMETERS)) | (required - set(settings))):
        return f'unknown or missing phonon setting `{wrong[0]}`: there are {", ".join(PARAMETERS)}'
    for name, value in settings.items():
        if (reason := PARAMETERS[name].refuse(name, value)) is not None:
            return reason
    mesh = settings['mesh']
    if not (len(mesh) == 3 and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in mesh)):
        return f'`mesh` is {mesh!r}: give three whole numbers above 0'
    temperatures = settings['temperatures_K']
    if set(temperatures) != _TEMPERATURES:
        return f'`temperatures_K` is {temperatures!r}: give start, stop and step'
    try:
        temperature_grid(**temperatures)
    except (TypeError, ValueError) as error:
        return f'`temperatures_K`: {error}'
    return _refuse_gruneisen(settings.get('gruneisen'))


def refuse_calculators(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    """Refuse inputs without one source of forces, and what does not fit the crystal."""
    if 'engine' not in namespace:
        return None
    if ('engine' in inputs) == bool(inputs.get('force_fields')):
        return 'give one of `force_fields` and `engine`'
    if not {'structure', 'symprec', 'parameters'} <= set(inputs):
        return None
    if (reason := refuse_unfit(inputs['structure'], inputs)) is not None:
        return reason
    return _refuse_places(inputs)


def refuse_unfit(structure: orm.StructureData, inputs: Mapping[str, Any]) -> str | None:
    """Refuse a mesh that breaks the symmetry of the crystal, a path that is none, and charges of another cell.

    :param inputs: of the phonons, ``parameters`` and ``symprec`` at least.
    """
    parameters, symprec = inputs['parameters'].get_dict(), inputs['symprec'].value
    try:
        primitive = primitive_cell(structure.get_ase(), symprec, primitive_kind(parameters))
        if mesh_breaks_symmetry(primitive, parameters['mesh'], symprec):
            return (
                f'the mesh {"×".join(map(str, parameters["mesh"]))} breaks the symmetry of the crystal: give '
                'directions that symmetry makes equal the same number of points'
            )
        band_path(primitive, parameters['band_points'], symprec, parameters.get('path'))
        if 'nac' in inputs:
            born_of(inputs['nac'], orm.StructureData(ase=primitive), symprec)
    except ValueError as error:
        return str(error)
    return None


def primitive_kind(parameters: Mapping[str, Any]) -> str:
    """Return which primitive cell is meant."""
    return str(parameters.get('primitive') or 'auto')


def of_one_cell_only(force_fields: Mapping[str, ForceFieldData]) -> list[str]:
    """Return the force fields that know a single cell and refuse a strained one, such as those with force constants."""
    return [
        name
        for name, node in force_fields.items()
        if any(kind_of(term['kind']).one_crystal for term in node.base.attributes.get('terms'))
    ]


def _refuse_gruneisen(settings: Mapping[str, Any] | None) -> str | None:
    if settings is None:
        return None
    strain = settings.get('strain')
    if set(settings) != {'strain'} or isinstance(strain, bool) or not isinstance(strain, Real):
        return f'`gruneisen` is {settings!r}: give `strain`, by which the lattice vectors change, such as 0.005'
    if not 0 < strain <= _LARGEST_STRAIN:
        return f'`gruneisen.strain` is {strain!r}, but must be above 0 and at most {_LARGEST_STRAIN:g}'
    return None


def _refuse_places(inputs: Mapping[str, Any]) -> str | None:
    """Refuse an engine without the code that runs it, and what VASP cannot do."""
    code_of_job = 'code' in inputs.get('evaluate', {})
    if 'engine' not in inputs or not is_vasp(inputs['engine']):
        return None if code_of_job else '`evaluate.code` is missing: a Python that has ASE and MACE or PySCF'
    if 'code' not in inputs.get('vasp', {}):
        return 'the engine is VASP, but `vasp.code` is missing: give the code to run it'
    if inputs['parameters']['relax'] == 'cell':
        return 'the engine is VASP, which relaxes no cell here: relax it beforehand and set `relax` to none'
    symbols = inputs['structure'].get_ase().get_chemical_symbols()
    return refuse_potentials(symbols, inputs['engine'].get_dict())
