"""HarmonicPhononWorkChain: dispersion and density of states of one method, with the spread over its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_, while_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.calculations.functions.displaced_supercells import displaced_supercells
from aiida_mlcc.calculations.functions.error_budget import error_budget
from aiida_mlcc.calculations.functions.phonon_curves import phonon_curves
from aiida_mlcc.calculations.functions.phonon_from_forces import phonon_from_forces
from aiida_mlcc.calculations.functions.primitive_structure import primitive_structure
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.workflows.inputs import Options, job_inputs
from aiida_mlcc.workflows.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.workflows.protocol import ProtocolMixin
from aiida_mlcc.workflows.restart import EvaluateRestartWorkChain


class HarmonicPhononWorkChain(ProtocolMixin, WorkChain):
    """Finite displacements by phonopy; the forces of all displaced cells of all members come from one job."""

    PROTOCOL_FILE = 'harmonic_phonon.yaml'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        spec.input_namespace(
            'force_fields', valid_type=ForceFieldData, required=False, dynamic=True, help='The members, by seed.'
        )
        spec.input(
            'engine',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            help='Take the forces from an engine instead: a reference dispersion.',
        )
        spec.input_namespace(
            'alternatives',
            valid_type=ForceFieldData,
            required=False,
            dynamic=True,
            help='The members with other kinds of Δ, KIND.MEMBER, which count for the error budget only.',
        )
        spec.input(
            'delta_samples',
            valid_type=orm.ArrayData,
            required=False,
            help='Δ from resampled labels: how far the choice of snapshots moves the frequencies.',
        )
        spec.input(
            'training_snapshots',
            valid_type=SnapshotsData,
            required=False,
            help='What the members were trained on: their cell says which wave vectors they know.',
        )
        supercell_port(spec, 'the primitive cell')
        symprec_port(spec)
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_validate_parameters,
            help='Displacement (Å), points along the longest segment, mesh, width and spacing (cm⁻¹) of the DOS.',
        )
        spec.expose_inputs(
            EvaluateCalculation,
            namespace='evaluate',
            exclude=('snapshots', 'engine', 'force_fields', 'runtime_source', 'parent_folder'),
        )
        spec.inputs.validator = _refuse_calculators
        spec.output_namespace('phonopy_data', valid_type=PhonopyData, dynamic=True, help='Forces of each member.')
        spec.output('dispersion', valid_type=orm.BandsData, help='Mean over members, cm⁻¹; members, min, max, sd.')
        spec.output('dos', valid_type=orm.XyData, help='Density of states over frequency, modes per cm⁻¹.')
        spec.output('special_points', valid_type=orm.Dict, help='Frequencies at the special points, cm⁻¹.')
        spec.output(
            'error_budget',
            valid_type=orm.Dict,
            required=False,
            help='At each special point: `sd` of every mode (cm⁻¹), the `contributions` to it, and whether the '
            'training cell holds the wave vector (`commensurate`).',
        )
        spec.outline(
            cls.find_primitive_cell,
            cls.displace_atoms,
            while_(cls.forces_missing)(
                cls.evaluate_forces,
                cls.look_at_forces,
            ),
            cls.collect_forces,
            cls.draw_curves,
            if_(cls.has_members)(
                cls.make_error_budget,
            ),
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NO_FORCES', message='No forces of the displaced cells. {reason}')
        spec.exit_code(410, 'ERROR_MEMBERS_MISSING', message='Without {members}, of the others only.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        force_fields: Mapping[str, ForceFieldData] | None = None,
        engine: Mapping[str, Any] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
    ):
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and, by the calculator, MACE or PySCF.
        :param force_fields: members by name, such as ``seed_5192``; or else an `engine`.
        :param options: scheduler options of the job, as in ``metadata.options``.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        inputs['evaluate'] = job_inputs(inputs['evaluate'], code, options)
        calculators = {'force_fields': force_fields, 'engine': engine}
        return cls.fill({'structure': structure, **calculators, **inputs})

    def find_primitive_cell(self) -> None:
        """Find the primitive cell, in the orientation of the crystal."""
        self.ctx.primitive = primitive_structure(
            self.inputs.structure,
            self.inputs.symprec,
            science_hash(),
            metadata={'call_link_label': 'find_primitive_cell'},
        )

    def displace_atoms(self) -> None:
        """Let phonopy displace the atoms that symmetry leaves to be displaced."""
        self.ctx.preprocess = PreProcessData.generate_preprocess_data(
            structure=self.ctx.primitive,
            displacement_generator=orm.Dict({'distance': self.inputs.parameters['displacement_angstrom']}),
            supercell_matrix=self.inputs.supercell_matrix,
            symprec=self.inputs.symprec,
        )
        self.ctx.displaced = displaced_supercells(
            self.ctx.preprocess, science_hash(), metadata={'call_link_label': 'displaced_supercells'}
        )
        n_cells, n_atoms = self.ctx.displaced.n_frames, self.ctx.displaced.n_atoms
        self.report(f'{n_cells} cells of {n_atoms} atoms, one of them undisplaced')

    def forces_missing(self) -> bool:
        """Tell whether the forces are still to be evaluated: once, or again without the alternatives."""
        return 'forces' not in self.ctx

    def evaluate_forces(self) -> ToContext:
        """Get the forces of every cell from every member, in one job."""
        job = self.exposed_inputs(EvaluateCalculation, 'evaluate')
        job['snapshots'] = self.ctx.displaced
        self.ctx.alternatives = {} if 'job' in self.ctx else self.named_alternatives()
        if 'engine' in self.inputs:
            job['engine'] = self.inputs.engine
        else:
            others = {
                name: self.inputs.alternatives[kind][member] for name, (kind, member) in self.ctx.alternatives.items()
            }
            job['force_fields'] = {**self.inputs.force_fields, **others}
        label = 'forces_without_alternatives' if 'job' in self.ctx else 'forces'
        return ToContext(job=self.submit(EvaluateRestartWorkChain, job=job, metadata={'call_link_label': label}))

    def look_at_forces(self) -> None:
        """Go on with the forces; where the alternatives may have spoilt the whole job, do without them."""
        if self.ctx.job.is_finished_ok or not self.ctx.alternatives:
            self.ctx.forces = self.ctx.job
        else:
            self.report(f'no forces, tried again without the alternatives: {self.ctx.job.exit_message}')

    def named_alternatives(self) -> dict[str, list[str]]:
        """Return the name of each alternative among the calculators of a job → its kind and member."""
        alternatives = self.inputs.get('alternatives', {})
        return {f'{kind}_of_{member}': [kind, member] for kind in sorted(alternatives) for member in alternatives[kind]}

    def collect_forces(self) -> ExitCode | None:
        """Hand the forces of each member to phonopy."""
        node = self.ctx.forces
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NO_FORCES.format(reason=node.exit_message or f'It ended {node.process_state}.')
        lost = {entry['calculator']: entry['reason'] for entry in node.outputs.summary.get('failures', [])}
        for name, reason in lost.items():
            self.report(f'no forces from {name}: {reason}')
        self.ctx.lost = ', '.join(name for name in lost if name not in self.ctx.alternatives)
        self.ctx.members, self.ctx.others = {}, {}
        for name, evaluated in node.outputs.evaluated.items():
            if name in lost:
                continue
            phonon = phonon_from_forces(
                self.ctx.preprocess,
                evaluated,
                science_hash(),
                metadata={'call_link_label': f'phonon_from_forces_{name}'},
            )
            if name in self.ctx.alternatives:
                kind, member = self.ctx.alternatives[name]
                self.ctx.others.setdefault(kind, {})[member] = phonon
            else:
                self.ctx.members[name] = phonon
                self.out(f'phonopy_data.{name}', phonon)
        if not self.ctx.members:
            return self.exit_codes.ERROR_NO_FORCES.format(reason=next(iter(lost.values())))
        return None

    def draw_curves(self) -> None:
        """Calculate dispersion, density of states and special points, with their spread over the members."""
        curves = phonon_curves(
            self.inputs.parameters, science_hash(), metadata={'call_link_label': 'draw_curves'}, **self.ctx.members
        )
        self.ctx.special_points = curves['special_points']
        for name in ('dispersion', 'dos', 'special_points'):
            self.out(name, curves[name])
        if flagged := curves['special_points']['imaginary']:
            worst = ', '.join(f'{name} {mode["frequency_cm1"]:.0f} cm⁻¹' for name, mode in sorted(flagged.items()))
            self.report(f'imaginary modes beyond the acoustic ones, the worst of each member: {worst}')

    def has_members(self) -> bool:
        """Tell whether the frequencies come from force fields, whose errors can be estimated."""
        return 'force_fields' in self.inputs

    def make_error_budget(self) -> None:
        """Say how far each frequency at the special points can be trusted."""
        known = {name: self.inputs[name] for name in ('delta_samples', 'training_snapshots') if name in self.inputs}
        budget, node = error_budget.run_get_node(
            self.ctx.special_points,
            science_hash(),
            members=self.ctx.members,
            alternatives=self.ctx.others,
            metadata={'call_link_label': 'make_error_budget'},
            **known,
        )
        if node.is_finished_ok:
            self.out('error_budget', budget)
        else:
            self.report(f'no error budget: {node.exit_message}')

    def judge(self) -> ExitCode | None:
        """Say whether members are missing."""
        return self.exit_codes.ERROR_MEMBERS_MISSING.format(members=self.ctx.lost) if self.ctx.lost else None


_PARAMETERS = ('displacement_angstrom', 'band_points', 'mesh', 'dos_width_cm1', 'dos_spacing_cm1')


def _validate_parameters(node: orm.Dict, _: Any) -> str | None:
    settings = node.get_dict()
    if set(settings) != set(_PARAMETERS):
        wrong = sorted(set(settings) ^ set(_PARAMETERS))[0]
        return f'unknown or missing phonon setting `{wrong}`: there are {", ".join(_PARAMETERS)}'
    if not settings['displacement_angstrom'] > 0:
        return f'`displacement_angstrom` is {settings["displacement_angstrom"]!r}, but must be above 0'
    mesh = settings['mesh']
    if not (isinstance(mesh, list) and len(mesh) == 3 and all(isinstance(n, int) and n > 0 for n in mesh)):
        return f'`mesh` is {mesh!r}: give three whole numbers above 0'
    for name in ('band_points', 'dos_width_cm1', 'dos_spacing_cm1'):
        if not settings[name] > 0:
            return f'`{name}` is {settings[name]!r}, but must be above 0'
    return None


def _refuse_calculators(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    if 'engine' not in namespace:
        return None
    if ('engine' in inputs) == bool(inputs.get('force_fields')):
        return 'give one of `force_fields` and `engine`'
    return None
