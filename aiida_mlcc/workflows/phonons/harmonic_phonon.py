"""HarmonicPhononWorkChain: dispersion and density of states of one method, with the spread over its members."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.calculations.functions.build_supercell import build_supercell
from aiida_mlcc.calculations.functions.displaced_supercells import displaced_supercells
from aiida_mlcc.calculations.functions.phonon_from_forces import phonon_from_forces
from aiida_mlcc.calculations.functions.phonopy_displacements import phonopy_displacements
from aiida_mlcc.calculations.functions.relaxed_structure import relaxed_structure
from aiida_mlcc.calculations.functions.strained_structure import strained_structure
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.engines.table import FORCES, codes_by_place, force_engine, force_kind
from aiida_mlcc.jobs.crystal import find_primitive_cell
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, job_inputs
from aiida_mlcc.jobs.restart import EvaluateRestartWorkChain
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate, Relax
from aiida_mlcc.science.crystal.relaxation import free_positions
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.phonons.settings import PhononSettings
from aiida_mlcc.workflows.common.draw_curve import draw
from aiida_mlcc.workflows.common.polarity import checked_charges
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolMixin
from aiida_mlcc.workflows.curve_table import AT_REST, Phonons, curves_of
from aiida_mlcc.workflows.phonons.forces import PhononForces, alternatives_of, evaluated_by, lost_in, reason_of
from aiida_mlcc.workflows.phonons.inputs import of_one_cell_only
from aiida_mlcc.workflows.phonons.ports import phonon_inputs, phonon_outputs


class HarmonicPhononWorkChain(ProtocolMixin, WorkChain):
    """Finite displacements by phonopy; the forces of all displaced cells of all members come from one job.

    Where the members relax to different positions, each has displaced cells, and a job, of its own.
    """

    PROTOCOL_FILE = 'harmonic_phonon.yaml'
    SETTINGS = {'parameters': PhononSettings, 'evaluate.parameters': Evaluate}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        phonon_inputs(spec)
        phonon_outputs(spec)
        spec.outline(
            cls.find_primitive_cell,
            if_(cls.is_polar)(
                cls.check_born_charges,
            ),
            if_(cls.can_relax)(
                cls.relax,
                cls.collect_relaxed_cells,
            ),
            cls.displace_atoms,
            while_(cls.forces_missing)(
                cls.evaluate_forces,
                cls.look_at_forces,
            ),
            cls.collect_forces,
            while_(cls.curves_left)(
                cls.draw_next_curve,
            ),
            cls.judge,
        )
        spec.exit_code(210, 'ERROR_BORN_CHARGES', message='The Born charges do not fit the crystal: {reason}')
        spec.exit_code(211, 'ERROR_ONE_CELL_ONLY', message='{reason}')
        spec.exit_code(310, 'ERROR_NO_FORCES', message='No forces of the displaced cells. {reason}')
        spec.exit_code(311, 'ERROR_NOT_AT_REST', message='The positions could not be relaxed. {reason}')
        spec.exit_code(410, 'ERROR_MEMBERS_MISSING', message='Without {members}; the results are those of the others.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        force_fields: Mapping[str, ForceFieldData] | None = None,
        engine: StoredSettings | None = None,
        nac: orm.SinglefileData | orm.ArrayData | None = None,
        protocol: str | None = None,
        overrides: Overrides = None,
        options: JobOptions | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and, by the calculator, MACE or PySCF; or the program of the engine.
        :param force_fields: members by name, such as ``seed_5192``; or else an `engine`.
        :param nac: Born charges and the dielectric tensor, a ``BORN`` file or arrays.
        :param options: scheduler options of the job, as in ``metadata.options``; those of an engine's
            own place go before them.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        filled: InputTree = {**inputs}
        if engine is None:
            filled = {**inputs, 'evaluate': job_inputs(inputs['evaluate'], code, options)}
        elif FORCES.refuse(engine) is None:
            filled = force_kind(str(engine['name'])).fill(inputs, codes_by_place(code, {}), options)
        given = {'structure': structure, 'force_fields': force_fields, 'engine': engine, 'nac': nac}
        return cls.fill({**given, **filled})

    def find_primitive_cell(self) -> None:
        """Find the primitive cell, in the orientation of the crystal."""
        settings = PhononSettings.of(self.inputs.parameters.get_dict())
        self.ctx.primitive = find_primitive_cell(self.inputs, settings.primitive)
        self.ctx.lost, self.ctx.cells = {}, {}

    def is_polar(self) -> bool:
        """Tell whether there are Born charges for the non-analytical correction."""
        return 'nac' in self.inputs

    def check_born_charges(self) -> ExitCode | None:
        """Put Born charges in the order of the primitive cell, free of net charge and with its symmetry."""
        found, reason = checked_charges(self, self.ctx.primitive)
        if found is None:
            return self.exit_codes.ERROR_BORN_CHARGES.format(reason=reason)
        self.ctx.nac = found
        return None

    def can_relax(self) -> bool:
        """Tell whether anything is to be relaxed: the cell, or positions that symmetry leaves free."""
        kind = self.inputs.parameters['relax']
        if kind == 'none':
            return False
        return kind == 'cell' or free_positions(self.ctx.primitive.get_ase(), self.inputs.symprec.value) > 0

    def relax(self) -> ToContext | ExitCode:
        """Let each member relax the supercell in its symmetry, all in one job."""
        settings, known = self.inputs.parameters, self.inputs.get('force_fields', {})
        if settings['relax'] == 'cell' and (stiff := of_one_cell_only(known)):
            return self.exit_codes.ERROR_ONE_CELL_ONLY.format(
                reason=(
                    f'{", ".join(stiff)} contain force constants, which are valid for one cell only: set `relax` '
                    'to positions'
                )
            )
        if 'engine' in self.inputs and not (engine := force_engine(self.inputs.engine)).relaxes:
            return self.exit_codes.ERROR_NOT_AT_REST.format(
                reason=f'Symmetry does not fix all positions: relax the structure with {engine.title} first and '
                'set `relax` to none.'
            )
        label = {'call_link_label': 'build_supercell'}
        self.ctx.ideal = build_supercell(
            self.ctx.primitive, self.inputs.supercell_matrix, science_hash(build_supercell), metadata=label
        )
        job = self.exposed_inputs(EvaluateCalculation, 'evaluate')
        relax = Relax(
            cell=settings['relax'] == 'cell',
            fmax=settings['relax_fmax_eV_A'],
            max_steps=settings['relax_max_steps'],
            symprec=self.inputs.symprec.value,
        )
        job['parameters'] = orm.Dict({**job['parameters'].get_dict(), 'relax': relax.to_dict()})
        job['snapshots'] = self.ctx.ideal
        job |= {name: self.inputs[name] for name in ('engine', 'force_fields') if name in self.inputs}
        return ToContext(at_rest=self.submit(EvaluateRestartWorkChain, job=job, metadata={'call_link_label': 'relax'}))

    def collect_relaxed_cells(self) -> ExitCode | None:
        """Take the primitive cell of each member."""
        node = self.ctx.at_rest
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NOT_AT_REST.format(reason=reason_of(node))
        self.ctx.lost = lost_in(node)
        for name, evaluated in evaluated_by(node).items():
            if name in self.ctx.lost:
                self.report(f'{name} does not relax: {self.ctx.lost[name]}')
                continue
            self.ctx.cells[name] = relaxed_structure(
                self.ctx.primitive,
                self.inputs.supercell_matrix,
                self.ctx.ideal,
                evaluated,
                science_hash(relaxed_structure),
                metadata={'call_link_label': f'relaxed_structure_{name}'},
            )
            self.out(f'relaxed.{name}', self.ctx.cells[name])
        if not self.ctx.cells:
            return self.exit_codes.ERROR_NOT_AT_REST.format(reason=next(iter(self.ctx.lost.values())))
        return None

    def displace_atoms(self) -> None:
        """Let phonopy displace the atoms that symmetry leaves to be displaced, at each volume."""
        left_out = []
        if self.ctx.cells and self.inputs.parameters['relax'] == 'cell':
            left_out = of_one_cell_only(alternatives_of(self.inputs))
        if left_out:
            self.report(f'without {", ".join(left_out)}, whose force constants are for the unrelaxed cell')
        self.ctx.plan = PhononForces.of(self.inputs, self.ctx.cells, left_out)
        self.ctx.volumes = {AT_REST: 0.0}
        if wanted := self.inputs.parameters.get_dict().get('gruneisen'):
            if stiff := of_one_cell_only(self.inputs.get('force_fields', {})):
                self.report(
                    f'no Grüneisen parameters: {", ".join(stiff)} contain force constants, which are valid '
                    'for one cell only'
                )
            else:
                self.ctx.volumes |= {'expanded': wanted['strain'], 'compressed': -wanted['strain']}
        self.ctx.preprocess, self.ctx.displaced = {}, {}
        for geometry in self.ctx.plan.geometries:
            cell = self.ctx.cells.get(geometry, self.ctx.primitive)
            self.ctx.preprocess[geometry] = {
                volume: self.displacements_of(cell, strain, f'{geometry}_{volume}')
                for volume, strain in self.ctx.volumes.items()
            }
            label = {'call_link_label': f'displaced_supercells_{geometry}'}
            self.ctx.displaced[geometry] = displaced_supercells(
                science_hash(displaced_supercells), metadata=label, **self.ctx.preprocess[geometry]
            )
        found = next(iter(self.ctx.displaced.values()))
        self.ctx.n_cells = found.n_frames // len(self.ctx.volumes)
        self.report(f'{found.n_frames} cells of {found.n_atoms} atoms, {len(self.ctx.volumes)} of them undisplaced')

    def displacements_of(self, cell: orm.StructureData, strain: float, label: str) -> PreProcessData:
        """Return phonopy's displacements in a cell, strained before."""
        if strain:
            named = {'call_link_label': f'strain_{label}'}
            cell = strained_structure(cell, orm.Float(strain), science_hash(strained_structure), metadata=named)
        return phonopy_displacements(
            cell,
            self.inputs.supercell_matrix,
            orm.Float(self.inputs.parameters['displacement_angstrom']),
            self.inputs.symprec,
            science_hash(phonopy_displacements),
            metadata={'call_link_label': f'displace_{label}'},
        )

    def forces_missing(self) -> bool:
        """Tell whether forces are still to be evaluated: once, or again without the alternatives."""
        return bool(self.ctx.plan.waiting)

    def evaluate_forces(self) -> ToContext:
        """Get the forces of every cell from every member that shares it, in one job."""
        jobs = {}
        for geometry in self.ctx.plan.waiting:
            label = {'call_link_label': self.ctx.plan.label(geometry)}
            if 'engine' in self.inputs:
                process, inputs = force_engine(self.inputs.engine).labels(self.inputs, self.ctx.displaced[geometry])
                jobs[geometry] = self.submit(process, **inputs, metadata=label)
                continue
            job = self.exposed_inputs(EvaluateCalculation, 'evaluate')
            job['snapshots'] = self.ctx.displaced[geometry]
            job |= self.ctx.plan.calculators(geometry, self.inputs)
            jobs[geometry] = self.submit(EvaluateRestartWorkChain, job=job, metadata=label)
        return ToContext(**{f'forces_{geometry}': job for geometry, job in jobs.items()})

    def look_at_forces(self) -> None:
        """Go on with the forces; where the alternatives may have spoilt the whole job, do without them."""
        for geometry in list(self.ctx.plan.waiting):
            node = self.ctx[f'forces_{geometry}']
            if not self.ctx.plan.accept(geometry, node):
                self.report(f'no forces, tried again without the alternatives: {node.exit_message}')

    def collect_forces(self) -> ExitCode | None:
        """Hand the forces of each member to phonopy."""
        self.ctx.found, self.ctx.others = {volume: {} for volume in self.ctx.volumes}, {}
        self.ctx.curves, self.ctx.made = list(curves_of('harmonic_phonon')), {}
        for geometry, members in self.ctx.plan.geometries.items():
            node = self.ctx[f'forces_{geometry}']
            if not node.is_finished_ok:
                self.ctx.lost |= dict.fromkeys(members, reason_of(node))
                continue
            lost = lost_in(node, before=self.ctx.n_cells)
            for name, evaluated in evaluated_by(node).items():
                if name not in lost:
                    lost |= self.collect_member(geometry, name, evaluated)
            self.ctx.lost |= lost
        for name, reason in self.ctx.lost.items():
            self.report(f'no forces from {name}: {reason}')
        if not self.ctx.found[AT_REST]:
            return self.exit_codes.ERROR_NO_FORCES.format(reason=next(iter(self.ctx.lost.values())))
        return None

    def collect_member(self, geometry: str, name: str, evaluated: orm.Data) -> dict[str, str]:
        """Keep the forces of a member or an alternative at each volume; return why those at rest are of no use."""
        polar = {'nac': self.ctx.nac} if 'nac' in self.ctx else {}
        if 'force_fields' in self.inputs:
            polar['force_field'] = self.inputs.force_fields.get(name) or alternatives_of(self.inputs)[name]
        for number, (volume, preprocess) in enumerate(self.ctx.preprocess[geometry].items()):
            label = f'phonon_from_forces_{name}' + (f'_{volume}' if number else '')
            first = orm.Int(number * self.ctx.n_cells)
            cell = self.ctx.cells.get(geometry, self.ctx.primitive)
            phonon, process = phonon_from_forces.run_get_node(
                preprocess,
                evaluated,
                first,
                science_hash(phonon_from_forces),
                cell,
                metadata={'call_link_label': label},
                **polar,
            )
            if not process.is_finished_ok:
                if number == 0:
                    return {name: process.exit_message}
                self.report(f'no Grüneisen parameters from {name}: {process.exit_message}')
            elif number:
                self.ctx.found[volume][name] = phonon
            elif alternative := self.ctx.plan.alternatives.get(name):
                kind, member = alternative
                self.ctx.others.setdefault(kind, {})[member] = phonon
            else:
                self.ctx.found[AT_REST][name] = phonon
                self.out(f'phonopy_data.{name}', phonon)
        return {}

    def curves_left(self) -> bool:
        """Tell whether any curve is still to be calculated."""
        return bool(self.ctx.curves)

    def draw_next_curve(self) -> None:
        """Calculate the next of dispersion, density of states and the others, with its spread over the members."""
        self.ctx.made |= draw(self, self.ctx.curves.pop(0), self.phonons())

    def phonons(self) -> Phonons:
        """Return what the curves are calculated from."""
        volumes = {volume: self.ctx.found[volume] for volume in self.ctx.volumes}
        return Phonons(self.inputs, self.ctx.primitive, volumes, self.ctx.others, self.ctx.made)

    def judge(self) -> ExitCode | None:
        """Say whether members are missing, or their Grüneisen parameters."""
        missing = [name for name in self.ctx.lost if name not in self.ctx.plan.alternatives]
        if len(self.ctx.volumes) > 1:
            phonons = self.phonons()
            partly = set(phonons.members) - set(phonons.at_all_volumes)
            missing += [f'Grüneisen parameters of {name}' for name in sorted(partly)]
        if self.inputs.parameters.get_dict().get('gruneisen') and 'gruneisen' not in self.ctx.made:
            missing.append('any Grüneisen parameters')
        return self.exit_codes.ERROR_MEMBERS_MISSING.format(members=', '.join(missing)) if missing else None
