"""The process types that nodes were stored under before every process of this package was an entry point."""

from __future__ import annotations

_CALCULATIONS = {
    'aiida.calculations:mlcc.readout': 'mlcc.fit',
    'aiida_mlcc.calculations.functions.born_charges.born_charges': 'mlcc.born_charges',
    'aiida_mlcc.calculations.functions.build_supercell.build_supercell': 'mlcc.build_supercell',
    'aiida_mlcc.calculations.functions.choose_frames.choose_frames': 'mlcc.choose_frames',
    'aiida_mlcc.calculations.functions.design_structures.design_structures': 'mlcc.design_structures',
    'aiida_mlcc.calculations.functions.displaced_supercells.displaced_supercells': 'mlcc.displaced_supercells',
    'aiida_mlcc.calculations.functions.error_budget.error_budget': 'mlcc.error_budget',
    'aiida_mlcc.calculations.functions.estimate_frequencies.estimate_frequencies': 'mlcc.estimate_frequencies',
    'aiida_mlcc.calculations.functions.gruneisen_curves.gruneisen_curves': 'mlcc.gruneisen_curves',
    'aiida_mlcc.calculations.functions.join_snapshots.join_snapshots': 'mlcc.join_snapshots',
    'aiida_mlcc.calculations.functions.label_point.label_point': 'mlcc.label_point',
    'aiida_mlcc.calculations.functions.merge_labels.merge_labels': 'mlcc.merge_labels',
    'aiida_mlcc.calculations.functions.phonon_curves.phonon_curves': 'mlcc.phonon_curves',
    'aiida_mlcc.calculations.functions.phonon_from_forces.phonon_from_forces': 'mlcc.phonon_from_forces',
    'aiida_mlcc.calculations.functions.primitive_structure.primitive_structure': 'mlcc.primitive_structure',
    'aiida_mlcc.calculations.functions.relaxed_structure.relaxed_structure': 'mlcc.relaxed_structure',
    'aiida_mlcc.calculations.functions.strained_structure.strained_structure': 'mlcc.strained_structure',
    'aiida_mlcc.calculations.functions.sum_force_fields.sum_force_fields': 'mlcc.sum_force_fields',
    'aiida_mlcc.calculations.functions.take_frames.take_frames': 'mlcc.take_frames',
    'aiida_mlcc.calculations.functions.thermal_curves.thermal_curves': 'mlcc.thermal_curves',
    'aiida_mlcc.calculations.functions.vasp_born_charges.vasp_born_charges': 'mlcc.vasp_born_charges',
    'aiida_mlcc.calculations.functions.vasp_integrals_summary.vasp_integrals_summary': 'mlcc.vasp_integrals_summary',
    'aiida_mlcc.calculations.functions.vasp_labels.vasp_labels': 'mlcc.vasp_labels',
    'aiida_mlcc.calculations.functions.vasp_structures.vasp_structures': 'mlcc.vasp_structures',
    'aiida_mlcc.calculations.functions.vasp_trajectory.vasp_trajectory': 'mlcc.vasp_trajectory',
    'aiida_mlcc.calculations.functions.vasp_velocities.draw_velocities': 'mlcc.draw_velocities',
    'aiida_mlcc.calculations.functions.vasp_velocities.hand_over_velocities': 'mlcc.hand_over_velocities',
    'aiida_mlcc.calculations.functions.vibrational_spectrum.vibrational_spectrum': 'mlcc.vibrational_spectrum',
}
_WORKFLOWS = {
    'aiida_mlcc.workflows.cc4s_batch.Cc4sBatchWorkChain': 'mlcc.cc4s_batch',
    'aiida_mlcc.workflows.cc4s_point.Cc4sPointWorkChain': 'mlcc.cc4s_point',
    'aiida_mlcc.workflows.label_frames.LabelFramesWorkChain': 'mlcc.label_frames',
    'aiida_mlcc.workflows.new_structures.NewStructuresWorkChain': 'mlcc.new_structures',
    'aiida_mlcc.workflows.restart.MdRestartWorkChain': 'mlcc.md_restart',
    'aiida_mlcc.workflows.restart.EvaluateRestartWorkChain': 'mlcc.evaluate_restart',
    'aiida_mlcc.workflows.restart.CorrelateRestartWorkChain': 'mlcc.correlate_restart',
    'aiida_mlcc.workflows.restart.IntegralsRestartWorkChain': 'mlcc.integrals_restart',
    'aiida_mlcc.workflows.restart.TrainRestartWorkChain': 'mlcc.train_restart',
    'aiida_mlcc.workflows.restart.FitRestartWorkChain': 'mlcc.fit_restart',
    'aiida_mlcc.workflows.restart.ReadoutRestartWorkChain': 'mlcc.fit_restart',
}
"""Old process type → entry point. Only a process that is removed needs to be added, with what took its place."""


def process_types(*entry_points: str) -> list[str]:
    """Return every process type that nodes of these processes have, today's first.

    :param entry_points: as AiiDA writes them, ``aiida.calculations:mlcc.label_point``.
    """
    older = [old for old in _entry_points() if entry_point_of(old) in entry_points]
    return [*entry_points, *older]


def entry_point_of(process_type: str | None) -> str | None:
    """Return the entry point of a process by the process type of its node, which may be of an older version."""
    return _entry_points().get(process_type or '', process_type)


def _entry_points() -> dict[str, str]:
    groups = {'aiida.calculations': _CALCULATIONS, 'aiida.workflows': _WORKFLOWS}
    return {old: f'{group}:{name}' for group, names in groups.items() for old, name in names.items()}
