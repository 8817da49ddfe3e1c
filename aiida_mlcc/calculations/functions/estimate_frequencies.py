"""How well the energies there are say what the phonons will be."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.fit.learning_curve import frequency_estimate


@calcfunction
def estimate_frequencies(
    snapshots: SnapshotsData, primitive: orm.StructureData, parameters: orm.Dict, science: orm.Str
) -> orm.Dict:
    """Return ``n_labels``, ``frequencies_cm1`` and ``sd_cm1`` of the modes at some q-points.

    It ends with the reason where the labels do not suffice.

    :param parameters: ``base_method``, ``method``, ``qpoints`` (label → q-point), ``covariates`` (whether
        energies of cheaper methods on more frames help) and ``seed``.
    """
    try:
        estimate = frequency_estimate(snapshots.get_snapshots(), primitive.get_ase(), **parameters.get_dict())
    except ValueError as error:
        return ExitCode(400, str(error))
    return orm.Dict(estimate)
