"""MLCCPhononWorkChain: from a crystal to its phonons at coupled-cluster accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import validate_names
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import correlation_engine, refuse_code_names
from aiida_mlcc.jobs.inputs import JobOptions
from aiida_mlcc.jobs.ports import count_port, structure_port
from aiida_mlcc.science.crystal.formula import formula_of
from aiida_mlcc.science.labels.methods import (
    CONTROL,
    DFT,
    METHODS,
    control_of,
    in_order,
    refuse_name,
    slug_of,
    usual_kind,
)
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolMixin, read_overrides
from aiida_mlcc.workflows.curve_table import curve_namespaces, outputs_of_stage
from aiida_mlcc.workflows.labelling.forecast import ForecastMixin
from aiida_mlcc.workflows.labelling.selections import base_method_of
from aiida_mlcc.workflows.sampling.expected_frames import expected_frames, first_point
from aiida_mlcc.workflows.stages import (
    MD,
    SAMPLING,
    SHARED,
    STAGES,
    THERMAL,
    Known,
    inputs_of_stages,
    makes_displacements,
    missing_methods,
    refuse_incomplete,
    refuse_other_sampling,
    samples_thermally,
    stages_needed,
    tolerance_for,
    with_symprec,
)
from aiida_mlcc.workflows.training.delta_train import not_worth_it


class MLCCPhononWorkChain(ForecastMixin, ProtocolMixin, WorkChain):
    """Start from a structure, snapshots, labelled snapshots or force fields; what is given is skipped."""

    PROTOCOL_FILE = 'mlcc_phonon.yaml'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        spec.input(
            'snapshots',
            valid_type=SnapshotsData,
            required=False,
            help='Start from these snapshots, which need DFT energies and forces and may have other labels.',
        )
        spec.input(
            'displacements',
            valid_type=SnapshotsData,
            required=False,
            help='Reference displacements with DFT forces, in place of the stage `reference`.',
        )
        spec.input(
            'sampling.kind',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Str(MD),
            validator=_refuse_sampling,
            help='; '.join(f'`{name}`: {what}' for name, what in SAMPLING.items()),
        )
        spec.input_namespace(
            'force_fields',
            required=False,
            dynamic=True,
            valid_type=ForceFieldData,
            help='Start from these force fields: `force_fields.SLUG.seed_N`.',
        )
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_names)
        spec.input(
            'vacf_methods',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            validator=_refuse_vacf_methods,
            help='Methods for which a spectrum from dynamics is computed; may be empty.',
        )
        count_port(spec, 'max_concurrent', 4, 'Phonon and dynamics WorkChains at a time.')
        for stage, workchain in STAGES.items():
            # expose_inputs takes the options out of the mapping it is given.
            optional = {} if stage == 'harmonic_phonon' else {'required': False, 'populate_defaults': False}
            spec.expose_inputs(workchain, namespace=stage, exclude=SHARED[stage], namespace_options=optional)
        # The engine and the cell are needed without a dynamics, too.
        spec.inputs['dft_md'].validator = None
        spec.inputs['dft_md']['md'].required = spec.inputs['dft_md']['md'].populate_defaults = False
        spec.inputs['reference']['supercell_matrix'].required = False
        spec.inputs.validator = refuse_incomplete

        spec.output('snapshots', valid_type=SnapshotsData, required=False, help='All frames with all labels.')
        spec.output('displacements', valid_type=SnapshotsData, required=False, help='Reference displacements.')
        spec.output('errors', valid_type=orm.Dict, required=False, help='Errors of every fit, per method and seed.')
        spec.output(
            'learning_curve', valid_type=orm.Dict, required=False, help='Learning curve of labelling in rounds.'
        )
        spec.output('failures', valid_type=orm.Dict, help='Failures of each stage, with the reasons.')
        spec.output_namespace('base', dynamic=True, valid_type=ForceFieldData)
        spec.output_namespace('delta_ml', dynamic=True)
        spec.output_namespace('control', dynamic=True, valid_type=ForceFieldData)
        for stage in ('harmonic_phonon', 'vacf'):
            curve_namespaces(spec, stage)
        spec.outline(
            cls.begin,
            if_(cls.may_forecast)(
                cls.run_dry,
                cls.judge_forecast,
            ),
            if_(cls.needs_displacements)(
                cls.run_reference,
                cls.collect_displacements,
            ),
            if_(cls.needs_snapshots)(
                if_(cls.samples_thermally)(
                    cls.draw_thermal_structures,
                ).else_(
                    cls.run_dft_md,
                ),
                cls.collect_snapshots,
            ),
            if_(cls.needs_energies)(
                cls.run_cc_energies,
                cls.collect_energies,
            ),
            if_(cls.needs_force_fields)(
                cls.train_force_fields,
                cls.collect_force_fields,
            ),
            cls.plan_phonons,
            while_(cls.phonons_left)(
                cls.run_phonons,
                cls.collect_phonons,
            ),
            cls.finish,
        )
        spec.exit_code(310, 'ERROR_NO_SNAPSHOTS', message='No snapshots: {reason}')
        spec.exit_code(311, 'ERROR_NO_ENERGIES', message='No energies beyond DFT: {reason}')
        spec.exit_code(312, 'ERROR_NO_FORCE_FIELDS', message='No force fields: {reason}')
        spec.exit_code(313, 'ERROR_NO_PHONONS', message='No dispersion: {reason}')
        spec.exit_code(410, 'ERROR_INCOMPLETE', message='Finished without {missing}; the other results are complete.')
        spec.exit_code(411, 'ERROR_TOO_EXPENSIVE', message='No force fields yet: {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        protocol: str | None = None,
        overrides: Overrides = None,
        snapshots: SnapshotsData | None = None,
        displacements: SnapshotsData | None = None,
        force_fields: Mapping[str, Mapping[str, ForceFieldData]] | None = None,
        known_labels: Mapping[str, SnapshotsData] | None = None,
        options: JobOptions | None = None,
        train_options: JobOptions | None = None,
        nac: orm.SinglefileData | orm.ArrayData | None = None,
        nac_other: orm.SinglefileData | orm.ArrayData | None = None,
        symprec: float | None = None,
        **codes: orm.AbstractCode | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has the packages of the ``runtime`` extra.
        :param snapshots: start from these, with DFT energies and forces at least.
        :param displacements: reference displacements with DFT forces, which are not made then.
        :param force_fields: start from these: slug of the method → ``seed_N`` → force field.
        :param known_labels: energies of earlier runs, which are not computed again.
        :param options: scheduler options of all jobs, as in ``metadata.options``.
        :param train_options: what differs for the training of networks, such as a GPU partition.
        :param nac: Born charges and the dielectric tensor of a polar crystal, a ``BORN`` file or arrays.
        :param nac_other: the same from another k mesh, to be compared with.
        :param symprec: the symmetry tolerance of all stages, Å; by default the one that fits the digits given.
        :param codes: the codes of engines with a program of their own: ``cc4s_code`` for the engines ``pyscf+cc4s`` and
            ``vasp+cc4s`` of the energies, ``vasp_code`` for ``vasp+cc4s`` and the engine ``vasp`` of the dynamics.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        refuse_code_names(codes)
        asked = read_overrides(overrides)
        asked_for_energies = bool(asked.get('cc_energies'))
        tolerance = tolerance_for(structure) if symprec is None else symprec
        below = {stage: with_symprec(stage, asked.pop(stage, None), tolerance) for stage in STAGES}
        inputs = cls.get_protocol_inputs(protocol, asked)
        sampling = inputs['sampling']['kind']
        refuse_other_sampling(sampling, below)
        needed = stages_needed(
            snapshots,
            force_fields is not None,
            inputs['methods'],
            bool(inputs['vacf_methods']),
            sampling == THERMAL,
            displacements is None and makes_displacements(sampling, protocol, below),
        )
        if asked_for_energies and 'cc_energies' not in needed and 'delta_train' in needed:
            # Asked for by name: what the snapshots carry already is not computed again.
            needed = ['cc_energies', *needed]
        known: Known = {
            'codes': codes,
            'snapshots': snapshots,
            'nac': nac,
            'nac_other': nac_other,
            'train_options': train_options,
        }
        stages = inputs_of_stages(needed, code, structure, protocol, below, options, sampling, known)
        if 'cc_energies' in stages:
            stages['cc_energies']['known_labels'] = dict(known_labels or {})
        given = {'snapshots': snapshots, 'displacements': displacements, 'force_fields': force_fields}
        return cls.fill({**inputs, 'structure': structure, **given, **stages})

    def begin(self) -> None:
        """Note what is given."""
        self.ctx.failed = []
        self.ctx.snapshots = self.inputs.get('snapshots')
        self.ctx.displacements = self.inputs.get('displacements')
        self.ctx.errors = None
        self.ctx.force_fields, self.ctx.alternatives, self.ctx.delta_samples = {}, {}, {}
        for slug, members in self.inputs.get('force_fields', {}).items():
            self.ctx.force_fields[slug] = dict(members)
        self.report(
            f'phonons of {formula_of(self.inputs.structure.get_ase().symbols)} with {", ".join(self.inputs.methods)}'
        )

    def may_forecast(self) -> bool:
        """Tell whether energies will be computed, of which a dry run can say what they cost."""
        self.ctx.forecast = None
        return 'cc_energies' in self.inputs and not self.ctx.force_fields

    def run_dry(self) -> ToContext | None:
        """Let Cc4s say what a point will cost, without calculating it, before the dynamics."""
        labelling = self.inputs.cc_energies
        methods = correlation_engine(labelling['engine']).calculates(self.inputs.methods)
        return self.submit_forecast(labelling, first_point(self.inputs), methods)

    def judge_forecast(self) -> ExitCode | None:
        """Report what the energies will cost, and end where the budget is below one point."""
        budget = self.inputs.cc_energies.get('max_core_hours')
        reason = self.take_forecast(budget, expected_frames(self.inputs).groups)
        if reason is None:
            return None
        self.ctx.failed.append({'stage': 'cc_energies', 'what': 'cc_energies', 'reason': reason})
        self.keep_snapshots_and_failures()
        return self.exit_codes.ERROR_TOO_EXPENSIVE.format(reason=reason)

    def needs_displacements(self) -> bool:
        """Tell whether reference displacements must be made."""
        return 'reference' in self.inputs and not self.ctx.force_fields

    def run_reference(self) -> ToContext:
        """Get the DFT forces of displaced atoms, in the training cell unless another is asked for."""
        asked = self.inputs.reference.get('supercell_matrix')
        shared = {'structure': self.inputs.structure, 'engine': self.inputs.dft_md.engine}
        shared['supercell_matrix'] = self.inputs.dft_md.supercell_matrix if asked is None else asked
        return self.submit_stage('reference', **shared)

    def collect_displacements(self) -> ExitCode | None:
        """Take the displacements; without them there is no harmonic distribution to draw from."""
        node = self.ctx.reference
        self.note_failure('reference', node)
        if 'snapshots' in node.outputs:
            self.ctx.displacements = node.outputs.snapshots
            self.out('displacements', self.ctx.displacements)
        elif self.samples_thermally():
            return self.stop_early(self.exit_codes.ERROR_NO_SNAPSHOTS, node)
        return None

    def samples_thermally(self) -> bool:
        """Tell whether structures are drawn from the harmonic distribution."""
        return samples_thermally(self.inputs)

    def draw_thermal_structures(self) -> ToContext:
        """Make snapshots by draws from the harmonic distribution."""
        return self.submit_stage(
            'thermal_structures',
            structure=self.inputs.structure,
            engine=self.inputs.dft_md.engine,
            supercell_matrix=self.inputs.dft_md.supercell_matrix,
            reference=self.ctx.displacements,
        )

    def needs_snapshots(self) -> bool:
        """Tell whether snapshots must be made."""
        return self.ctx.snapshots is None and not self.ctx.force_fields

    def run_dft_md(self) -> ToContext:
        """Make snapshots by molecular dynamics with DFT."""
        known = {} if self.ctx.displacements is None else {'reference': self.ctx.displacements}
        return self.submit_stage('dft_md', structure=self.inputs.structure, **known)

    def collect_snapshots(self) -> ExitCode | None:
        """Take the snapshots, also where not all are there."""
        stage = 'thermal_structures' if self.samples_thermally() else 'dft_md'
        node = self.ctx[stage]
        self.note_failure(stage, node)
        if 'snapshots' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_SNAPSHOTS, node)
        self.ctx.snapshots = node.outputs.snapshots
        return None

    def needs_energies(self) -> bool:
        """Tell whether wave-function energies must be computed."""
        return not self.ctx.force_fields and (
            'cc_energies' in self.inputs or bool(missing_methods(self.ctx.snapshots, self.inputs.methods.get_list()))
        )

    def run_cc_energies(self) -> ToContext:
        """Label a selection of the snapshots with the wave-function methods."""
        methods = correlation_engine(self.inputs.cc_energies['engine']).calculates(self.inputs.methods)
        same = methods == self.inputs.methods.get_list()
        shared = {'structure': self.inputs.structure, 'methods': self.inputs.methods if same else orm.List(methods)}
        if self.ctx.get('forecast') is not None:
            shared['forecast'] = self.ctx.forecast
        return self.submit_stage('cc_energies', snapshots=self.ctx.snapshots, **shared)

    def collect_energies(self) -> ExitCode | None:
        """Take the energies that there are."""
        node = self.ctx.cc_energies
        self.note_failure('cc_energies', node)
        for entry in node.outputs.failures['failed'] if 'failures' in node.outputs else []:
            self.ctx.failed.append({'stage': 'cc_energies', 'what': f'snapshot {entry["snapshot"]}', **entry})
        if 'learning_curve' in node.outputs:
            self.out('learning_curve', node.outputs.learning_curve)
        if 'snapshots' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_ENERGIES, node)
        self.ctx.snapshots = node.outputs.snapshots
        if node.exit_status == STAGES['cc_energies'].exit_codes.ERROR_TOO_EXPENSIVE.status:
            return self.stop_early(self.exit_codes.ERROR_TOO_EXPENSIVE, node)
        return None

    def needs_force_fields(self) -> bool:
        """Tell whether force fields must be trained."""
        return not self.ctx.force_fields

    def train_force_fields(self) -> ToContext:
        """Train the base and the Δ of every method, one member a seed."""
        labelled = self.ctx.snapshots.methods
        base_method = base_method_of(self.ctx.snapshots)
        known = {} if self.ctx.displacements is None else {'reference': self.ctx.displacements}
        return self.submit_stage(
            'delta_train',
            **known,
            structure=self.inputs.structure,
            snapshots=self.ctx.snapshots,
            base_method=orm.Str(base_method),
            methods=orm.List([method for method in self.inputs.methods if method in labelled]),
        )

    def collect_force_fields(self) -> ExitCode | None:
        """Take the members that were trained."""
        node = self.ctx.delta_train
        if node.exit_status == STAGES['delta_train'].exit_codes.ERROR_NO_BETTER_THAN_RESCALING.status:
            worthless = not_worth_it(node.outputs.errors.get_dict(), self.inputs.methods.get_list())
            for method in worthless:
                what = f'a Δ of {method} that predicts better than the rescaled energy of the base or a constant'
                self.ctx.failed.append({'stage': 'delta_train', 'what': what, 'reason': node.exit_message})
        else:
            self.note_failure('delta_train', node)
        for entry in node.outputs.failures['failed'] if 'failures' in node.outputs else []:
            self.ctx.failed.append({'stage': 'delta_train', **entry})
        if 'base' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_FORCE_FIELDS, node)
        self.ctx.errors = node.outputs.errors
        self.out('errors', self.ctx.errors)
        members = {name: dict(node.outputs[name].items()) for name in ('base', 'control') if name in node.outputs}
        base_method = node.inputs.base_method.value
        for name, method in (('base', base_method), ('control', control_of(base_method))):
            if name in members:
                self.ctx.force_fields[slug_of(method)] = members[name]
                self.out(name, members[name])
        for slug, by_seed in node.outputs.delta_ml.items() if 'delta_ml' in node.outputs else ():
            self.ctx.force_fields[slug] = dict(by_seed.items())
            for name, force_field in by_seed.items():
                self.out(f'delta_ml.{slug}.{name}', force_field)
        for kind, by_method in node.outputs.alternatives.items() if 'alternatives' in node.outputs else ():
            for slug, by_seed in by_method.items():
                self.ctx.alternatives.setdefault(slug, {})[kind] = dict(by_seed.items())
        self.ctx.delta_samples = dict(node.outputs.samples.items()) if 'samples' in node.outputs else {}
        return None

    def plan_phonons(self) -> None:
        """List the dispersions and the spectra to be computed, the cheapest methods first."""
        names = {slug: self.method_named(slug) for slug in self.ctx.force_fields}
        places = {method: place for place, method in enumerate(in_order(names.values(), self.kinds()))}
        slugs = sorted(names, key=lambda slug: places[names[slug]])
        with_dynamics = {slug_of(method) for method in self.inputs.vacf_methods}
        self.ctx.queue = [('harmonic_phonon', slug) for slug in slugs]
        self.ctx.queue += [('vacf', slug) for slug in slugs if slug in with_dynamics]
        self.ctx.n_dispersions = 0

    def method_named(self, slug: str) -> str:
        """Return the method of a slug, as the inputs, the snapshots or its force fields name it."""
        labelled = [] if self.ctx.snapshots is None else self.ctx.snapshots.methods
        given = [*self.inputs.methods, *labelled, *map(control_of, self.kinds())]
        of_members = [member.method for member in self.ctx.force_fields.get(slug, {}).values()]
        return next((name for name in (*METHODS.values(), *given, *of_members) if name and slug_of(name) == slug), slug)

    def kinds(self) -> dict[str, str]:
        """Return method → kind, of the bases that the snapshots name."""
        return dict.fromkeys([] if self.ctx.snapshots is None else self.ctx.snapshots.base_methods, DFT)

    def phonons_left(self) -> bool:
        """Tell whether any curve is still to be computed."""
        return bool(self.ctx.queue)

    def run_phonons(self) -> ToContext:
        """Compute the next curves."""
        size = self.inputs.max_concurrent.value
        self.ctx.running, self.ctx.queue = self.ctx.queue[:size], self.ctx.queue[size:]
        jobs = {}
        for stage, slug in self.ctx.running:
            inputs = self.exposed_inputs(STAGES[stage], stage)
            inputs.update(structure=self.inputs.structure, force_fields=self.ctx.force_fields[slug])
            if stage == 'harmonic_phonon':
                inputs.update(self.evidence_of(slug))
            inputs.setdefault('metadata', {})['call_link_label'] = f'{stage}_{slug}'
            jobs[f'{stage}_{slug}'] = self.submit(STAGES[stage], **inputs)
        return ToContext(**jobs)

    def evidence_of(self, slug: str) -> dict[str, orm.Data]:
        """Return what is known of the errors of the force fields of a method."""
        evidence = {
            'alternatives': self.ctx.alternatives.get(slug),
            'delta_samples': self.ctx.delta_samples.get(slug),
            'training_snapshots': self.ctx.snapshots,
            # What the modes say of the base is nothing of its control, which is another force field.
            'training_errors': None if usual_kind(self.method_named(slug)) == CONTROL else self.ctx.errors,
        }
        return {name: node for name, node in evidence.items() if node is not None}

    def collect_phonons(self) -> None:
        """Take the curves that there are; name those that are not."""
        for stage, slug in self.ctx.running:
            node = self.ctx[f'{stage}_{slug}']
            self.note_failure(stage, node, slug)
            for name in outputs_of_stage(stage):
                if name in node.outputs:
                    self.out(f'{name}.{slug}', node.outputs[name])
            self.ctx.n_dispersions += 'dispersion' in node.outputs

    def finish(self) -> ExitCode | None:
        """Say what is missing, if anything is."""
        self.keep_snapshots_and_failures()
        if not self.ctx.n_dispersions:
            reason = self.ctx.failed[-1]['reason'] if self.ctx.failed else 'no force field was given'
            return self.exit_codes.ERROR_NO_PHONONS.format(reason=reason)
        needed = [entry for entry in self.ctx.failed if not entry.get('optional')]
        broken = [_MISSING.get(entry['what'], entry['what']) for entry in needed if not _is_a_snapshot(entry)]
        lost = [m for m in self.inputs.methods if slug_of(m) not in self.ctx.force_fields]
        if broken or lost:
            return self.exit_codes.ERROR_INCOMPLETE.format(missing=', '.join(dict.fromkeys(broken + lost)))
        return None

    def keep_snapshots_and_failures(self) -> None:
        """Attach the snapshots with all labels they have by now, and what failed."""
        if self.ctx.snapshots is not None:
            self.out('snapshots', self.ctx.snapshots)
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())

    def submit_stage(self, stage: str, **inputs: Any) -> ToContext | ExitCode:
        """Submit a stage with its exposed inputs and `inputs`; where it refuses them, end with what there is."""
        exposed = self.exposed_inputs(STAGES[stage], stage)
        exposed.update(inputs)
        exposed.setdefault('metadata', {})['call_link_label'] = stage
        try:
            node = self.submit(STAGES[stage], **exposed)
        except ValueError as error:
            # What came before this stage may have changed what it can do: fewer frames, for instance.
            self.ctx.failed.append({'stage': stage, 'what': stage, 'reason': str(error)})
            self.keep_snapshots_and_failures()
            return self.exit_codes[_STAGE_FAILED[stage]].format(reason=error)
        return ToContext(**{stage: node})

    def note_failure(self, stage: str, node: orm.WorkChainNode, slug: str | None = None) -> None:
        """Write down that a stage did not finish in full, and why."""
        if node.is_finished_ok:
            return
        what = stage if slug is None else f'{stage} of {self.method_named(slug)}'
        reason = node.exit_message or f'it ended {node.process_state}'
        optional = slug is not None and usual_kind(self.method_named(slug)) == CONTROL
        self.ctx.failed.append({'stage': stage, 'what': what, 'reason': reason, 'optional': optional})
        self.report(f'{what}: {reason}')

    def stop_early(self, code: ExitCode, node: orm.WorkChainNode) -> ExitCode:
        """End here, with what there is."""
        self.keep_snapshots_and_failures()
        return code.format(reason=node.exit_message or f'it ended {node.process_state}')


_MISSING = {'cc_energies': 'the energies of many snapshots'}
_STAGE_FAILED = {
    'dft_md': 'ERROR_NO_SNAPSHOTS',
    'reference': 'ERROR_NO_SNAPSHOTS',
    'thermal_structures': 'ERROR_NO_SNAPSHOTS',
    'cc_energies': 'ERROR_NO_ENERGIES',
    'delta_train': 'ERROR_NO_FORCE_FIELDS',
}


def _is_a_snapshot(entry: Mapping[str, str | int | bool]) -> bool:
    """Tell whether an entry of `failures` is one snapshot that has no energy: others have."""
    return entry['stage'] == 'cc_energies' and 'snapshot' in entry


def _refuse_sampling(node: orm.Str, _: Any) -> str | None:
    if node.value in SAMPLING:
        return None
    return f'there is no sampling of kind {node.value!r}: choose from {", ".join(SAMPLING)}'


def _refuse_vacf_methods(node: orm.List, _: Any) -> str | None:
    for method in node.get_list():
        if usual_kind(method) != CONTROL and (reason := refuse_name(method)) is not None:
            return reason
    return None
