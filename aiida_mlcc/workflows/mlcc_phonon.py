"""MLCCPhononWorkChain: from a crystal to its phonons at coupled-cluster accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import validate_methods
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.methods import DFT_METHODS, METHODS, WAVEFUNCTION_METHODS, slug_of
from aiida_mlcc.science.selection import chosen_frames
from aiida_mlcc.workflows.cc_energies import CCEnergiesWorkChain
from aiida_mlcc.workflows.delta_train import DeltaTrainWorkChain
from aiida_mlcc.workflows.dft_md import DFTMDWorkChain
from aiida_mlcc.workflows.harmonic_phonon import HarmonicPhononWorkChain
from aiida_mlcc.workflows.inputs import Options, refuse_mismatch
from aiida_mlcc.workflows.ports import count_port, structure_port
from aiida_mlcc.workflows.protocol import ProtocolError, ProtocolMixin
from aiida_mlcc.workflows.vacf import VACFWorkChain

STAGES = {
    'dft_md': DFTMDWorkChain,
    'cc_energies': CCEnergiesWorkChain,
    'delta_train': DeltaTrainWorkChain,
    'harmonic_phonon': HarmonicPhononWorkChain,
    'vacf': VACFWorkChain,
}

SHARED = ('structure', 'snapshots', 'methods', 'base_method', 'force_fields')
"""What the stages get from the master, not from their own inputs."""


class MLCCPhononWorkChain(ProtocolMixin, WorkChain):
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
            help='Start from these: with DFT energies and forces, and whatever else they are labelled with.',
        )
        spec.input_namespace(
            'force_fields',
            required=False,
            dynamic=True,
            valid_type=ForceFieldData,
            help='Start from these: `force_fields.SLUG.seed_N`.',
        )
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input(
            'vacf_methods',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            validator=_refuse_vacf_methods,
            help='Methods whose spectrum is also taken from dynamics; may be empty.',
        )
        count_port(spec, 'max_concurrent', 4, 'Phonon and dynamics WorkChains at a time.')
        # expose_inputs takes the options out of the mapping it is given.
        optional = {'required': False, 'populate_defaults': False}
        for stage, exclude in (
            ('dft_md', ('structure',)),
            ('cc_energies', ('snapshots', 'methods')),
            ('delta_train', ('structure', 'snapshots', 'base_method', 'methods')),
        ):
            spec.expose_inputs(STAGES[stage], namespace=stage, exclude=exclude, namespace_options=dict(optional))
        spec.expose_inputs(
            HarmonicPhononWorkChain,
            namespace='harmonic_phonon',
            exclude=('structure', 'force_fields', 'engine'),
        )
        spec.expose_inputs(
            VACFWorkChain, namespace='vacf', exclude=('structure', 'force_fields'), namespace_options=dict(optional)
        )
        spec.inputs.validator = _refuse_incomplete

        spec.output('snapshots', valid_type=SnapshotsData, required=False, help='All frames with all labels.')
        spec.output('errors', valid_type=orm.Dict, required=False, help='Errors of every fit, per method and seed.')
        spec.output('failures', valid_type=orm.Dict, help='What failed in which stage, and why.')
        spec.output_namespace('base', dynamic=True, valid_type=ForceFieldData)
        spec.output_namespace('delta_ml', dynamic=True)
        spec.output_namespace('dispersion', dynamic=True, valid_type=orm.BandsData)
        spec.output_namespace('dos', dynamic=True, valid_type=orm.XyData)
        spec.output_namespace('special_points', dynamic=True, valid_type=orm.Dict)
        spec.output_namespace('vdos', dynamic=True, valid_type=orm.XyData)
        spec.outline(
            cls.begin,
            if_(cls.needs_snapshots)(
                cls.run_dft_md,
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
        spec.exit_code(410, 'ERROR_INCOMPLETE', message='Finished without {missing}; the rest is there.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        snapshots: SnapshotsData | None = None,
        force_fields: Mapping[str, Mapping[str, ForceFieldData]] | None = None,
        known_labels: Mapping[str, SnapshotsData] | None = None,
        options: Options = None,
        train_options: Options = None,
    ):
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has the packages of the ``runtime`` extra.
        :param snapshots: start from these, with DFT energies and forces at least.
        :param force_fields: start from these: slug of the method → ``seed_N`` → force field.
        :param known_labels: energies of earlier runs, which are not computed again.
        :param options: scheduler options of all jobs, as in ``metadata.options``.
        :param train_options: what differs for the training of networks, such as a GPU partition.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        overrides = dict(overrides or {})
        below = {stage: overrides.pop(stage, None) for stage in STAGES}
        inputs = cls.get_protocol_inputs(protocol, overrides)
        chosen = {**inputs, 'structure': structure, 'snapshots': snapshots, 'force_fields': force_fields}
        methods = inputs['methods']
        known = dict.fromkeys(('structure',), structure)

        def stage_inputs(stage: str, **given: Any) -> dict[str, Any]:
            workchain = STAGES[stage]
            if below[stage] is not None and not isinstance(below[stage], Mapping):
                raise ProtocolError(f'the override `{stage}` is {below[stage]!r}: it must be a mapping of inputs')
            if own := [name for name in SHARED if name in (below[stage] or {})]:
                raise ProtocolError(f'the override `{stage}.{own[0]}` has no effect: `{own[0]}` is set for all stages')
            try:
                builder = workchain.get_builder_from_protocol(
                    code=code, protocol=protocol, overrides=below[stage], options=options, **given
                )
            except ProtocolError as error:
                raise ProtocolError(f'{stage}: {error}') from None
            return builder._inputs(prune=True)

        chosen['harmonic_phonon'] = stage_inputs('harmonic_phonon', **known)
        if inputs['vacf_methods']:
            chosen['vacf'] = stage_inputs('vacf', **known, force_fields={})
        if force_fields is None:
            chosen['delta_train'] = stage_inputs(
                'delta_train', **known, snapshots=None, base_method=None, train_options=train_options
            )
            if snapshots is None or missing_methods(snapshots, methods):
                chosen['cc_energies'] = stage_inputs('cc_energies', snapshots=snapshots)
                chosen['cc_energies'].pop('methods')
                chosen['cc_energies']['known_labels'] = dict(known_labels or {})
            if snapshots is None:
                chosen['dft_md'] = stage_inputs('dft_md', **known)
        for stage in STAGES:
            for name in SHARED:
                chosen.get(stage, {}).pop(name, None)
        return cls.fill(chosen)

    def begin(self) -> None:
        """Note what is given."""
        self.ctx.failed = []
        self.ctx.snapshots = self.inputs.get('snapshots')
        self.ctx.force_fields = {}
        for slug, members in self.inputs.get('force_fields', {}).items():
            self.ctx.force_fields[slug] = dict(members)
        self.report(f'phonons of {self.inputs.structure.get_formula()} with {", ".join(self.inputs.methods)}')

    def needs_snapshots(self) -> bool:
        """Tell whether snapshots must be made."""
        return self.ctx.snapshots is None and not self.ctx.force_fields

    def run_dft_md(self) -> ToContext:
        """Make snapshots by molecular dynamics with DFT."""
        return self.submit_stage('dft_md', structure=self.inputs.structure)

    def collect_snapshots(self) -> ExitCode | None:
        """Take the snapshots, also those of a dynamics that ended early."""
        node = self.ctx.dft_md
        self.note_failure('dft_md', node)
        if 'snapshots' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_SNAPSHOTS, node)
        self.ctx.snapshots = node.outputs.snapshots
        return None

    def needs_energies(self) -> bool:
        """Tell whether wave-function energies must be computed."""
        return not self.ctx.force_fields and bool(missing_methods(self.ctx.snapshots, self.inputs.methods.get_list()))

    def run_cc_energies(self) -> ToContext:
        """Label a selection of the snapshots with the wave-function methods."""
        return self.submit_stage('cc_energies', snapshots=self.ctx.snapshots, methods=self.inputs.methods)

    def collect_energies(self) -> ExitCode | None:
        """Take the energies that there are."""
        node = self.ctx.cc_energies
        self.note_failure('cc_energies', node)
        for entry in node.outputs.failures['failed'] if 'failures' in node.outputs else []:
            self.ctx.failed.append({'stage': 'cc_energies', 'what': f'snapshot {entry["snapshot"]}', **entry})
        if 'snapshots' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_ENERGIES, node)
        self.ctx.snapshots = node.outputs.snapshots
        return None

    def needs_force_fields(self) -> bool:
        """Tell whether force fields must be trained."""
        return not self.ctx.force_fields

    def train_force_fields(self) -> ToContext:
        """Train the base and the Δ of every method, one member a seed."""
        labelled = self.ctx.snapshots.methods
        base_method = next((method for method in DFT_METHODS if method in labelled), DFT_METHODS[0])
        return self.submit_stage(
            'delta_train',
            structure=self.inputs.structure,
            snapshots=self.ctx.snapshots,
            base_method=orm.Str(base_method),
            methods=orm.List([method for method in self.inputs.methods if method in labelled]),
        )

    def collect_force_fields(self) -> ExitCode | None:
        """Take the members that were trained."""
        node = self.ctx.delta_train
        self.note_failure('delta_train', node)
        for entry in node.outputs.failures['failed'] if 'failures' in node.outputs else []:
            self.ctx.failed.append({'stage': 'delta_train', **entry})
        if 'base' not in node.outputs:
            return self.stop_early(self.exit_codes.ERROR_NO_FORCE_FIELDS, node)
        self.out('errors', node.outputs.errors)
        base = dict(node.outputs.base.items())
        self.ctx.force_fields[slug_of(next(iter(base.values())).method)] = base
        self.out('base', base)
        if 'delta_ml' in node.outputs:
            for slug, members in node.outputs.delta_ml.items():
                self.ctx.force_fields[slug] = dict(members.items())
                for name, force_field in members.items():
                    self.out(f'delta_ml.{slug}.{name}', force_field)
        return None

    def plan_phonons(self) -> None:
        """List the dispersions and the spectra to be computed, in the order of the table of methods."""
        slugs = [slug for slug in METHODS if slug in self.ctx.force_fields]
        with_dynamics = {slug_of(method) for method in self.inputs.vacf_methods}
        self.ctx.queue = [('harmonic_phonon', slug) for slug in slugs]
        self.ctx.queue += [('vacf', slug) for slug in slugs if slug in with_dynamics]
        self.ctx.n_dispersions = 0

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
            inputs.setdefault('metadata', {})['call_link_label'] = f'{stage}_{slug}'
            jobs[f'{stage}_{slug}'] = self.submit(STAGES[stage], **inputs)
        return ToContext(**jobs)

    def collect_phonons(self) -> None:
        """Take the curves that there are; name those that are not."""
        for stage, slug in self.ctx.running:
            node = self.ctx[f'{stage}_{slug}']
            self.note_failure(stage, node, slug)
            names = ('dispersion', 'dos', 'special_points') if stage == 'harmonic_phonon' else ('vdos',)
            for name in names:
                if name in node.outputs:
                    self.out(f'{name}.{slug}', node.outputs[name])
            self.ctx.n_dispersions += 'dispersion' in node.outputs

    def finish(self) -> ExitCode | None:
        """Say what is missing, if anything is."""
        self.keep_snapshots_and_failures()
        if not self.ctx.n_dispersions:
            reason = self.ctx.failed[-1]['reason'] if self.ctx.failed else 'no force field was given'
            return self.exit_codes.ERROR_NO_PHONONS.format(reason=reason)
        broken = [entry['what'] for entry in self.ctx.failed if entry['stage'] != 'cc_energies']
        lost = [m for m in self.inputs.methods if slug_of(m) not in self.ctx.force_fields]
        if broken or lost:
            return self.exit_codes.ERROR_INCOMPLETE.format(missing=', '.join(dict.fromkeys(broken + lost)))
        return None

    def keep_snapshots_and_failures(self) -> None:
        """Attach the snapshots with all labels they have by now, and what failed."""
        if self.ctx.snapshots is not None:
            self.out('snapshots', self.ctx.snapshots)
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())

    def submit_stage(self, stage: str, **inputs: Any) -> ToContext:
        """Submit a stage with its exposed inputs and `inputs`."""
        exposed = self.exposed_inputs(STAGES[stage], stage)
        exposed.update(inputs)
        exposed.setdefault('metadata', {})['call_link_label'] = stage
        return ToContext(**{stage: self.submit(STAGES[stage], **exposed)})

    def note_failure(self, stage: str, node: orm.WorkChainNode, slug: str | None = None) -> None:
        """Write down that a stage did not finish in full, and why."""
        if node.is_finished_ok:
            return
        what = stage if slug is None else f'{stage} of {METHODS[slug]}'
        reason = node.exit_message or f'it ended {node.process_state}'
        self.ctx.failed.append({'stage': stage, 'what': what, 'reason': reason})
        self.report(f'{what}: {reason}')

    def stop_early(self, code: ExitCode, node: orm.WorkChainNode) -> ExitCode:
        """End here, with what there is."""
        self.keep_snapshots_and_failures()
        return code.format(reason=node.exit_message or f'it ended {node.process_state}')


def missing_methods(snapshots: SnapshotsData, methods: list[str]) -> list[str]:
    """Return the wave-function methods that label no frame of `snapshots`."""
    return [method for method in methods if method in WAVEFUNCTION_METHODS and method not in snapshots.methods]


def _refuse_vacf_methods(node: orm.List, _: Any) -> str | None:
    for method in node.get_list():
        if method not in METHODS.values():
            return f'unknown method {method!r}: choose from {", ".join(METHODS.values())}'
    return None


def _refuse_incomplete(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse a start that lacks the inputs of a stage it needs."""
    if 'structure' not in inputs or 'methods' not in inputs:
        return None
    if inputs.get('vacf_methods') is not None and inputs['vacf_methods'].get_list() and 'vacf' not in inputs:
        return '`vacf_methods` names methods, but `vacf` says nothing about their dynamics'
    if inputs.get('force_fields'):
        return None
    if 'delta_train' not in inputs:
        return '`delta_train` is missing: give it, or trained `force_fields`'
    snapshots = inputs.get('snapshots')
    if snapshots is None:
        return _refuse_selection(inputs) if 'dft_md' in inputs else '`dft_md` is missing: give it, or `snapshots`'
    if not any(method in snapshots.methods for method in DFT_METHODS):
        return f'`snapshots` have no DFT labels; their methods: {", ".join(snapshots.methods) or "none"}'
    missing = missing_methods(snapshots, inputs['methods'].get_list())
    if missing and 'cc_energies' not in inputs:
        return f'`snapshots` have no {", ".join(missing)} labels, and `cc_energies` is missing'
    return refuse_mismatch(inputs['structure'], snapshots)


def _refuse_selection(inputs: Mapping[str, Any]) -> str | None:
    """Refuse a selection that the dynamics cannot serve, before it has run."""
    if 'cc_energies' not in inputs:
        return '`cc_energies` is missing: the snapshots of the dynamics have DFT labels only'
    parameters = inputs['dft_md']['md']['parameters']
    try:
        chosen_frames(
            parameters['n_steps'] // parameters['record_every'], inputs['cc_energies']['selection'].get_dict()
        )
    except ValueError as error:
        return f'cc_energies.selection: {error}'
    return None
