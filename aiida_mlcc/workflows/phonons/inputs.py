"""Which inputs of the phonons do not go together, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.calculations.functions.born_charges import born_of
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import force_engine
from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.phonons.dispersion import band_path, mesh_breaks_symmetry
from aiida_mlcc.science.phonons.nac import refuse_supercell
from aiida_mlcc.science.phonons.settings import PhononSettings


def refuse_calculators(inputs: Inputs, namespace: PortNamespace) -> str | None:
    """Refuse inputs without one source of forces, and what does not fit the crystal."""
    if 'engine' not in namespace:
        return None
    if ('engine' in inputs) == bool(inputs.get('force_fields')):
        return 'give one of `force_fields` and `engine`'
    if not {'structure', 'symprec', 'parameters', 'supercell_matrix'} <= set(inputs):
        return None
    if (reason := refuse_unfit(inputs['structure'], inputs)) is not None:
        return reason
    return _refuse_places(inputs)


def refuse_unfit(structure: orm.StructureData, inputs: Inputs) -> str | None:
    """Refuse a mesh that breaks the symmetry of the crystal, a path that is none, charges of another cell, and a
    supercell too small for them.

    :param inputs: of the phonons, ``parameters``, ``supercell_matrix`` and ``symprec`` at least.
    """
    given, symprec = inputs['parameters'].get_dict(), inputs['symprec'].value
    settings = PhononSettings.of(given)
    try:
        primitive = primitive_cell(structure.get_ase(), symprec, settings.primitive)
        if mesh_breaks_symmetry(primitive, settings.mesh, symprec):
            return (
                f'the mesh {"×".join(map(str, settings.mesh))} breaks the symmetry of the crystal: give '
                'symmetry-equivalent directions the same number of points'
            )
        band_path(primitive, settings.band_points, symprec, given.get('path'))
        for name in ('nac', 'nac_other'):
            if name in inputs:
                born_of(inputs[name], orm.StructureData(ase=primitive), symprec)
        if 'nac' in inputs or any(_is_polar(node) for node in inputs.get('force_fields', {}).values()):
            return refuse_supercell(primitive, inputs['supercell_matrix'].get_list())
    except ValueError as error:
        return str(error)
    return None


def _is_polar(node: ForceFieldData) -> bool:
    return any(kind_of(term['kind']).polar for term in node.base.attributes.get('terms'))


def of_one_cell_only(force_fields: Mapping[str, ForceFieldData]) -> list[str]:
    """Return the force fields that know a single cell and refuse a strained one, such as those with force constants."""
    return [
        name
        for name, node in force_fields.items()
        if any(kind_of(term['kind']).one_crystal for term in node.base.attributes.get('terms'))
    ]


def _refuse_places(inputs: Inputs) -> str | None:
    """Refuse forces without the code that gives them, and what an engine cannot do."""
    if 'engine' not in inputs:
        found = 'code' in inputs.get('evaluate', {})
        return None if found else '`evaluate.code` is missing: give a Python with ASE and MACE'
    engine = force_engine(inputs['engine'])
    if (reason := engine.refuse_places(inputs)) is not None:
        return reason
    if inputs['parameters']['relax'] == 'cell' and not engine.relaxes:
        return (
            f'the engine is {engine.title}, which does not relax the cell: relax the structure first and set '
            '`relax` to none'
        )
    return engine.refuse_crystal(inputs['structure'].get_ase())
