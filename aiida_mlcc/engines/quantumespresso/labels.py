"""QuantumEspressoLabelsWorkChain: energies and forces of given snapshots by pw.x, one job for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs, Step
from aiida_mlcc.engines.quantumespresso.functions import quantumespresso_labels, quantumespresso_structures
from aiida_mlcc.engines.quantumespresso.jobs import PLACE, pw_job, quantumespresso_ports, why
from aiida_mlcc.engines.quantumespresso.potentials import potentials, refuse_potentials, valence
from aiida_mlcc.engines.quantumespresso.pw_xml import XML, PwXmlError, gap_of, parse_pw_xml
from aiida_mlcc.engines.quantumespresso.settings import Namelists, QuantumEspressoForces, keywords, source_of
from aiida_mlcc.engines.single_points import SinglePointsWorkChain, refuse_frames
from aiida_mlcc.engines.table import other_valence, valence_of
from aiida_mlcc.science.crystal.kpoint_mesh import refuse_mesh_of_frames
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.snapshots import Snapshots


class QuantumEspressoLabelsWorkChain(SinglePointsWorkChain):
    """A frame that fails is named and does not stop the others, unless all of the first batch fail."""

    PROGRAM: ClassVar = 'Quantum ESPRESSO'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        settings_port(spec, 'engine', QuantumEspressoForces, help='Quantum ESPRESSO.')
        quantumespresso_ports(spec)
        spec.inputs.validator = _refuse

    @property
    def settings(self) -> QuantumEspressoForces:
        """The settings of pw.x."""
        return QuantumEspressoForces.of(self.inputs.engine.get_dict())

    def take_structures(self, frames: orm.List, label: str) -> Mapping[str, orm.StructureData]:
        """Return ``frame_N`` → the structure of frame N."""
        found: dict[str, orm.StructureData] = quantumespresso_structures(
            self.inputs.snapshots, frames, science_hash(quantumespresso_structures), metadata={'call_link_label': label}
        )
        return found

    def single_point(self, structure: orm.StructureData, label: str) -> Step:
        """Return pw.x and its inputs."""
        further = _with_an_empty_level(self.inputs.snapshots, self.settings)
        job = pw_job(self.inputs[PLACE], self.settings, structure, label, further)
        return Step(CalculationFactory('quantumespresso.pw'), {**job})

    @staticmethod
    def why_no_label(node: orm.CalcJobNode) -> str | None:
        """Return why pw.x gives no label, in a sentence, or None."""
        return why_no_label(node)

    def read_labels(self, retrieved: Mapping[str, orm.FolderData], label: str) -> SnapshotsData:
        """Return snapshots with the labels of ``frame_N``."""
        return quantumespresso_labels(
            self.inputs.snapshots,
            orm.Str(self.settings.method),
            orm.Dict(_source(self.settings, self.inputs.snapshots)),
            science_hash(quantumespresso_labels),
            metadata={'call_link_label': label},
            **retrieved,
        )


def _source(settings: QuantumEspressoForces, snapshots: SnapshotsData) -> Source:
    """Return what the labels say of their source, with the MD5 of each pseudopotential: families may share a name."""
    found = potentials(snapshots.get_snapshots().symbols, settings.pseudo_family)
    return {**source_of(settings), 'pseudopotentials': {name: str(node.md5) for name, node in sorted(found.items())}}


def _with_an_empty_level(snapshots: SnapshotsData, settings: QuantumEspressoForces) -> Namelists:
    """Return the keyword for one level more than there are pairs of electrons, which shows whether there is a gap.

    Where the keywords of a person fix the levels, or there are no pairs, they stay as they are.
    """
    own = {'nbnd', 'nspin', 'noncolin'} & set(keywords(settings.parameters).get('SYSTEM', {}))
    if settings.degauss is not None or own:
        return {}
    symbols = snapshots.get_snapshots().symbols
    of_element = valence(symbols, settings.pseudo_family)
    return {'SYSTEM': {'nbnd': round(sum(of_element[symbol] for symbol in symbols)) // 2 + 1}}


def why_no_label(node: orm.CalcJobNode) -> str | None:
    """Return why a job gives no label, in a sentence, or None."""
    if not node.is_finished_ok:
        return _overlap_of(node) or why(node)
    if XML not in node.outputs.retrieved.list_object_names():
        return f'{node.process_label}<{node.pk}> left no {XML}'
    try:
        run = parse_pw_xml(node.outputs.retrieved.get_object_content(XML, 'rb'))
    except PwXmlError as error:
        return str(error)
    if not run.converged:
        return 'the electrons did not converge'
    return _overlap(node, run.gap)


def _overlap_of(node: orm.CalcJobNode) -> str | None:
    """Return that a job failed for want of a gap: the electrons of a metal do not converge with fixed occupations."""
    try:
        return _overlap(node, gap_of(node.outputs.retrieved.get_object_content(XML, 'rb')))
    except (OSError, NotExistent):
        return None


def _overlap(node: orm.CalcJobNode, gap: float | None) -> str | None:
    fixed = node.inputs.parameters.get_dict()['SYSTEM'].get('occupations') == 'fixed'
    if not fixed or gap is None or gap > 0:
        return None
    return (
        f'occupied and empty levels overlap by {-gap:.3g} eV on the mesh of k-points: fixed occupations need a gap; '
        'for a metal, set `degauss`'
    )


def refuse_electrons(atoms: Atoms, settings: QuantumEspressoForces) -> str | None:
    """Return why pw.x cannot calculate a supercell and displaced atoms in it, in a sentence, or None."""
    symbols = atoms.get_chemical_symbols()
    if (reason := refuse_potentials(symbols, settings.pseudo_family)) is not None:
        return reason
    of_element = valence(symbols, settings.pseudo_family)
    n_electrons = sum(of_element[symbol] for symbol in symbols)
    if settings.degauss is None and round(n_electrons) % 2:
        return (
            f'the cell has {n_electrons:g} valence electrons: fixed occupations need an even number; for a metal, '
            'set `degauss`'
        )
    return refuse_mesh_of_frames(atoms, settings.kpoints, settings.kpoints_shift)


def _refuse_valence(snapshots: Snapshots, family: str) -> str | None:
    """Return that labels of the snapshots have other valence electrons, in a sentence, or None."""
    symbols = list(dict.fromkeys(snapshots.symbols))
    here = valence(symbols, family)
    for method, label in snapshots.labels.items():
        found = other_valence(here, valence_of(label.source, method, symbols))
        if found is not None:
            symbol, ours, theirs = found
            return (
                f'{symbol} has {ours:g} valence electrons in the family {family!r} but {theirs:g} '
                f'in the {method} labels of the snapshots: such energies cannot be added or compared; '
                f'take a `pseudo_family` with {theirs:g} (`aiida-mlcc upf TABLE {symbol}:{theirs:g} …`)'
            )
    return None


def _refuse(inputs: Inputs, namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', PLACE} <= set(inputs):
        return None
    settings = QuantumEspressoForces.of(inputs['engine'].get_dict())
    snapshots = inputs['snapshots'].get_snapshots()
    reason = refuse_electrons(snapshots.atoms(0), settings) or _refuse_valence(snapshots, settings.pseudo_family)
    if reason is not None:
        return reason
    return refuse_frames(inputs, _source(settings, inputs['snapshots']) if settings.method in snapshots.labels else {})
