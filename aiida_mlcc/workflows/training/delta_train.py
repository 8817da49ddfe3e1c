"""DeltaTrainWorkChain: a base force field on DFT, Δ on E_WFT − E_DFT, and their sum, per method and seed.

The article's ML(DFT_E,F) is the base, a network trained on energies and forces; ML(DFT_E), without forces, is the
`control`. The jobs are listed in :mod:`aiida_mlcc.workflows.training.members`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.base import RuntimeCalculation, refuse_reference
from aiida_mlcc.calculations.correlate import validate_names
from aiida_mlcc.calculations.fit import FitCalculation
from aiida_mlcc.calculations.functions.sum_force_fields import sum_force_fields
from aiida_mlcc.calculations.ports import settings_validator
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.calculations.train import TrainCalculation, network_of, refuse_frozen
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import DeltaInputs, Inputs, Step, at
from aiida_mlcc.jobs.crystal import find_primitive_cell
from aiida_mlcc.jobs.inputs import (
    InputTree,
    InputValue,
    JobOptions,
    job_inputs,
    mapping_at,
    merge,
    refuse_mismatch,
    refuse_seeds,
    seed_label,
)
from aiida_mlcc.jobs.ports import count_port, symprec_port
from aiida_mlcc.jobs.restart import FitRestartWorkChain, RuntimeRestartWorkChain, TrainRestartWorkChain
from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, Kind, kinds_for
from aiida_mlcc.runtime.mace.training_settings import Network
from aiida_mlcc.science.fit.base_correction import Correction
from aiida_mlcc.science.fit.dipole import LEAST_CHARGE, is_polar
from aiida_mlcc.science.fit.fit_errors import FitErrors, MemberErrors
from aiida_mlcc.science.labels.methods import control_of, refuse_name, slug_of
from aiida_mlcc.workflows.common.polarity import checked_charges, nac_port
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolError, ProtocolMixin, read_overrides
from aiida_mlcc.workflows.training.members import Training, base_name, plan_trainings

_BASES, _KINDS = kinds_for(BASE), kinds_for(DELTA)


class TrainedDelta(NamedTuple):
    """A Δ that was trained, and its errors."""

    kind: Kind
    method: str
    seed: int
    force_field: ForceFieldData
    errors: FitErrors


class DeltaTrainWorkChain(ProtocolMixin, WorkChain):
    """Each seed is one member: its own base network, and ΔML of every method on top of it."""

    PROTOCOL_FILE = 'delta_train.yaml'
    SETTINGS = {
        **{f'base.{name}': group for kind in _BASES.values() for name, group in kind.settings.items()},
        'base.correction': Correction,
        **{f'delta.{kind.slug}.{name}': group for kind in _KINDS.values() for name, group in kind.settings.items()},
    }

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='The crystal that the snapshots are supercells of.')
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames with the labels of all methods.')
        spec.input('base_method', valid_type=orm.Str, serializer=orm.to_aiida_type, validator=_refuse_base_method)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_names)
        spec.input('seeds', valid_type=orm.List, serializer=orm.to_aiida_type, validator=refuse_seeds)
        spec.input(
            'reference',
            valid_type=SnapshotsData,
            required=False,
            help='Displacements with forces of the base method, in the cell of the snapshots or a larger one: '
            'the second-order force constants of a base are fitted to them, and a network is fine-tuned on '
            'them.',
        )
        nac_port(
            spec,
            'For a polar crystal: the dipole–dipole energy of the Born charges becomes a term of every force '
            'field, and is subtracted before base and Δ are fitted',
        )
        symprec_port(spec)
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        _expose_job(spec, BASE, TrainCalculation, BASE)
        spec.inputs.get_port(f'{BASE}.force_constants').required = True
        spec.input(
            'base.kind',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            validator=_refuse_base_kind,
            help='; '.join(f'`{name}`: {kind.help}' for name, kind in _BASES.items()),
        )
        spec.input_namespace('delta')
        spec.input(
            'delta.kind',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            validator=_refuse_kind,
            help='; '.join(f'`{name}`: {kind.help}' for name, kind in _KINDS.items()),
        )
        spec.input(
            'delta.compare',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            default=lambda: orm.List([]),
            validator=_refuse_compare,
            help='Further kinds, trained for the error budget only.',
        )
        for kind in _KINDS.values():
            calculation = _JOBS[kind.is_trained][0]
            options = {'required': False, 'populate_defaults': False}
            _expose_job(spec, f'delta.{kind.slug}', calculation, DELTA, kind, **options)
        spec.input(
            'control',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help="Also train on the base's energies without its forces: the article's negative control.",
        )
        spec.inputs.validator = _refuse_labels
        spec.output_namespace('base', valid_type=ForceFieldData, dynamic=True, help='The base force field per seed.')
        spec.output_namespace('delta_ml', dynamic=True, help='Base plus Δ, per method and seed.')
        spec.output_namespace('alternatives', dynamic=True, help='The same with other kinds of Δ: kind, method, seed.')
        spec.output_namespace(
            'control', valid_type=ForceFieldData, dynamic=True, help='Force fields trained on energies alone, per seed.'
        )
        spec.output_namespace('samples', valid_type=orm.ArrayData, dynamic=True, help='Δ from resampled labels.')
        spec.output(
            'born_charges',
            valid_type=orm.ArrayData,
            required=False,
            help='Born charges and dielectric tensor as used; the attributes say what was corrected.',
        )
        spec.output('errors', valid_type=orm.Dict, help='Errors of every fit, per method and seed.')
        spec.output('failures', valid_type=orm.Dict, help='Which trainings failed, and why.')
        spec.outline(
            cls.find_primitive_cell,
            if_(cls.has_born_charges)(
                cls.check_born_charges,
            ),
            cls.plan_trainings,
            while_(cls.trainings_left)(
                cls.train_next,
                cls.collect_trained,
            ),
            cls.add_deltas,
            cls.gather_errors,
            cls.judge,
        )
        spec.exit_code(210, 'ERROR_BORN_CHARGES', message='The Born charges do not fit the crystal: {reason}')
        spec.exit_code(310, 'ERROR_NO_MEMBER', message='No member was trained. The first reason: {reason}')
        spec.exit_code(
            420,
            'ERROR_NO_BETTER_THAN_RESCALING',
            message='Δ of {methods} predicts no better than a simpler model: see `errors`. All results are kept.',
        )
        spec.exit_code(410, 'ERROR_MEMBERS_MISSING', message='{n_failed} of {n_planned} trainings failed.')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        snapshots: SnapshotsData,
        base_method: str,
        protocol: str | None = None,
        overrides: Overrides = None,
        options: JobOptions | None = None,
        train_options: JobOptions | None = None,
        nac: orm.SinglefileData | orm.ArrayData | None = None,
        reference: SnapshotsData | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has MACE, symfc and phonopy.
        :param base_method: the method of the labels with forces, such as ``PBE``.
        :param options: scheduler options of all jobs, as in ``metadata.options``.
        :param train_options: what differs for the networks, such as a GPU partition.
        :param nac: Born charges and the dielectric tensor of a polar crystal, a ``BORN`` file or arrays.
        :param reference: displacements with forces of the base method.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        asked = read_overrides(overrides)
        inputs = cls.get_protocol_inputs(protocol, asked)
        gpu = cast(JobOptions, merge(options or {}, train_options or {}))

        def options_of(kind: Kind) -> JobOptions | None:
            return gpu if kind.gpu else options

        of_base, delta = inputs['base'].get('kind'), inputs['delta']
        base_options = options_of(_BASES[of_base]) if of_base in _BASES else options
        base = job_inputs(with_network_of_start(inputs['base'], asked), code, base_options)
        jobs = {
            kind.slug: job_inputs(mapping_at(delta, kind.slug), code, options_of(kind))
            for name, kind in _KINDS.items()
            if name in (delta['kind'], *delta['compare'])
        }
        chosen = {'kind': delta['kind'], 'compare': delta['compare'], **jobs}
        given = {'structure': structure, 'snapshots': snapshots, 'base_method': base_method, 'nac': nac}
        return cls.fill({**given, 'reference': reference, **inputs, 'base': base, 'delta': chosen})

    def find_primitive_cell(self) -> None:
        """Find the primitive cell, to whose symmetry Δ is adapted."""
        self.ctx.primitive = find_primitive_cell(self.inputs)

    def has_born_charges(self) -> bool:
        """Tell whether Born charges are given."""
        return 'nac' in self.inputs

    def check_born_charges(self) -> ExitCode | None:
        """Put Born charges in the order of the primitive cell, free of net charge and with its symmetry."""
        found, reason = checked_charges(self, self.ctx.primitive)
        if found is None:
            return self.exit_codes.ERROR_BORN_CHARGES.format(reason=reason)
        if is_polar(found.get_array('born_charges')):
            self.ctx.born_charges = found
        else:
            self.report(f'no Born charge reaches {LEAST_CHARGE:g} e: no dipole–dipole term')
        return None

    @property
    def trainings(self) -> dict[str, Training]:
        """What is to be trained, by name."""
        inputs = self.inputs
        planned = plan_trainings(
            inputs.base_method.value,
            inputs.methods.get_list(),
            inputs.seeds.get_list(),
            inputs.base.kind.value,
            inputs.delta.kind.value,
            inputs.delta.compare.get_list(),
            inputs.control.value,
        )
        return {training.name: training for training in planned}

    def plan_trainings(self) -> None:
        """List what is to be trained."""
        self.ctx.trained, self.ctx.failed = {}, []
        self.ctx.queue = list(self.trainings)
        kinds = ', '.join([self.inputs.delta.kind.value, *self.inputs.delta.compare])
        self.report(f'{len(self.inputs.seeds)} members, Δ of kind {kinds}: {len(self.ctx.queue)} jobs')

    def trainings_left(self) -> bool:
        """Tell whether anything is left to train."""
        return bool(self.ctx.queue)

    def train_next(self) -> ToContext:
        """Submit as many trainings as may run at a time, of those that can start."""
        trainings, there = self.trainings, (None, *self.ctx.trained)
        ready = [name for name in self.ctx.queue if trainings[name].needs in there]
        self.ctx.running = ready[: self.inputs.max_concurrent.value]
        self.ctx.queue = [name for name in self.ctx.queue if name not in self.ctx.running]
        jobs = {}
        for name in self.ctx.running:
            workchain, job = self.job_of(trainings[name])
            jobs[name] = self.submit(workchain, job=job, metadata={'call_link_label': name})
        return ToContext(**jobs)

    def job_of(self, training: Training) -> Step:
        """Return what runs a training, and its inputs."""
        inputs, kind = self.inputs, training.kind
        calculation, workchain = _JOBS[kind.is_trained]
        if training.role == DELTA:
            job = self.exposed_inputs(calculation, f'delta.{kind.slug}')
        else:
            job = self.base_job(training)
        seed = orm.Int(inputs.seeds[0] if training.seed is None else training.seed)
        job.update(snapshots=inputs.snapshots, seed=seed, **self.target_of(training))
        if 'born_charges' in self.ctx and (training.role != DELTA or kind.fits_dipoles):
            job.update(structure=self.ctx.primitive, born_charges=self.ctx.born_charges)
        if kind.needs_network:
            job['base'] = self.ctx.trained[training.needs].outputs.force_field
        return Step(workchain, job)

    def base_job(self, training: Training) -> dict[str, InputValue]:
        """Return the inputs of the job of a base or of its control that `base` gives."""
        given, kind = self.inputs.base, training.kind
        job = {name: given[name] for name in ('code', 'metadata', 'device') if name in given}
        job['metadata'] = dict(job.get('metadata', {}))
        if 'reference' in self.inputs and training.role == BASE:
            job['reference'] = self.inputs.reference
        if not kind.is_trained:
            # The inputs of a base are those of a training, and so is the parser that they name.
            options = {**job['metadata'].get('options', {})}
            options.pop('parser_name', None)
            job['metadata']['options'] = options
            job.pop('device', None)
            return {**job, 'role': orm.Str(BASE), 'parameters': given[next(iter(kind.settings))]}
        job |= {name: given[name] for name in kind.settings if name in given}
        of_role = ('correction', 'start_from') if training.role == BASE else ('start_from',)
        return job | {name: given[name] for name in of_role if name in given}

    def target_of(self, training: Training) -> dict[str, orm.Data]:
        """Return what a job is to learn, and the crystal where it needs that."""
        inputs, kind = self.inputs, training.kind
        crystal = {'structure': self.ctx.primitive}
        if not kind.is_trained:
            target = {'kind': orm.Str(kind.name), 'base_method': inputs.base_method}
            if training.role == DELTA:
                target['methods'] = inputs.methods if training.method is None else orm.List([training.method])
            return {**target, **(crystal if kind.needs_crystal else {})}
        method = {'method': orm.Str(training.method)}
        if training.role == DELTA:
            return {**method, 'minus': inputs.base_method}
        return {**method, **crystal, **({} if training.role == BASE else {'forces': orm.Bool(False)})}

    def collect_trained(self) -> None:
        """Keep what was trained; name what was not, and what cannot be without it."""
        trainings = self.trainings
        for name in self.ctx.running:
            node = self.ctx[name]
            if node.is_finished_ok:
                self.ctx.trained[name] = node
                for entry in node.outputs.summary.get('failures', []):
                    self.note_failure(trainings[name], entry['reason'], entry['method'])
                continue
            self.note_failure(trainings[name], node.exit_message or f'the training ended as {node.process_state}')
            stranded = [other for other in self.ctx.queue if trainings[other].needs == name]
            for other in stranded:
                self.note_failure(trainings[other], f'its starting point {name} failed')
            self.ctx.queue = [other for other in self.ctx.queue if other not in stranded]

    def note_failure(self, training: Training, reason: str, method: str | None = None) -> None:
        """Write down what was not trained, and why."""
        method = method or training.method
        entry = {'what': training.name, 'method': method, 'seed': training.seed, 'reason': reason}
        self.ctx.failed.append({**entry, 'optional': training.optional})
        self.report(f'{training.name} failed{"" if method is None else f" for {method}"}: {reason}')

    def add_deltas(self) -> None:
        """Add Δ to the base of every member."""
        for training in self.trainings.values():
            if training.role != DELTA and training.name in self.ctx.trained:
                assert training.seed is not None
                force_field = self.ctx.trained[training.name].outputs.force_field
                self.out(f'{training.role}.{seed_label(training.seed)}', force_field)
        for kind, method, seed, delta, _ in self.deltas():
            base = self.ctx.trained.get(base_name(self.inputs.base_method.value, seed))
            if base is None:
                continue
            place = f'{slug_of(method)}.{seed_label(seed)}'
            is_chosen = kind.name == self.inputs.delta.kind.value
            label = place.replace('.', '_') if is_chosen else f'{kind.slug}_{place.replace(".", "_")}'
            total = sum_force_fields(
                base.outputs.force_field,
                delta,
                science_hash(sum_force_fields),
                metadata={'call_link_label': f'add_delta_{label}'},
            )
            self.out(f'delta_ml.{place}' if is_chosen else f'alternatives.{kind.slug}.{place}', total)
        for node in self.ctx.trained.values():
            for slug, samples in node.outputs.samples.items() if 'samples' in node.outputs else ():
                self.out(f'samples.{slug}', samples)

    def gather_errors(self) -> None:
        """Gather the errors of every fit, and what failed."""
        errors: dict[str, MemberErrors] = {}
        alternatives: dict[str, dict[str, MemberErrors]] = {}
        for training in self.trainings.values():
            if training.role != DELTA and training.name in self.ctx.trained:
                assert training.method is not None
                assert training.seed is not None
                method = training.method if training.role == BASE else control_of(training.method)
                found = self.ctx.trained[training.name].outputs.summary['errors']
                found = found if training.kind.is_trained else found[training.method]
                for told_by in (found, found.get('reference', {})):
                    if remark := told_by.get('remark'):
                        self.report(f'{training.name}: {remark}')
                errors.setdefault(method, {})[seed_label(training.seed)] = found
        told: set[tuple[str, int | str | None]] = set()
        for kind, method, seed, _, found in self.deltas():
            for label in found.get('suspicious_labels', ()):
                if (method, label['frame']) not in told:
                    told.add((method, label['frame']))
                    advice = 'left out' if label.get('left_out') else 'look at it'
                    self.report(
                        f'the {method} energy of frame {label["frame"]} is {1000 * label["residual_ev"]:+.1f} meV '
                        f'off the value that all others imply, {label["deviations"]:.0f} errors: {advice}'
                    )
            if (unknown := found.get('undetermined_modes')) and (method, None) not in told:
                told.add((method, None))
                worst = ' '.join(f'{component:.3g}' for component in unknown[0]['qpoint'])
                self.report(
                    f'the {method} energies determine {len(unknown)} modes of the training cell poorly, worst the '
                    f'one at ({worst}) with {unknown[0]["frequency_cm1"]:.0f} cm⁻¹: label structures that move '
                    'along them'
                )
            if (remark := found.get('remark')) and (method, remark) not in told:
                told.add((method, remark))
                self.report(f'Δ of {method}: {remark}')
            is_chosen = kind.name == self.inputs.delta.kind.value
            of_kind = errors if is_chosen else alternatives.setdefault(kind.name, {})
            of_kind.setdefault(method, {})[seed_label(seed)] = found
        compared = {'alternatives': alternatives} if alternatives else {}
        self.out('errors', orm.Dict({**errors, **compared}).store())
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())

    def deltas(self) -> Iterator[TrainedDelta]:
        """Give kind, method, seed, Δ and its errors of all Δ that there are."""
        for training in self.trainings.values():
            node = self.ctx.trained.get(training.name)
            if training.role != DELTA or node is None:
                continue
            seeds = self.inputs.seeds if training.seed is None else [training.seed]
            errors = node.outputs.summary['errors']
            if training.kind.is_trained:
                assert training.method is not None
                assert training.seed is not None
                yield TrainedDelta(training.kind, training.method, training.seed, node.outputs.force_field, errors)
                continue
            for method in self.inputs.methods if training.method is None else [training.method]:
                if slug_of(method) in node.outputs.delta:
                    for seed in seeds:
                        delta = node.outputs.delta[slug_of(method)]
                        yield TrainedDelta(training.kind, method, seed, delta, errors[method])

    def judge(self) -> ExitCode | None:
        """Say whether there are members, and whether all there should be."""
        if 'base' not in self.outputs:
            return self.exit_codes.ERROR_NO_MEMBER.format(reason=self.ctx.failed[0]['reason'])
        if needed := [entry for entry in self.ctx.failed if not entry['optional']]:
            n_planned = sum(not training.optional for training in self.trainings.values())
            return self.exit_codes.ERROR_MEMBERS_MISSING.format(n_failed=len(needed), n_planned=n_planned)
        if worthless := not_worth_it(self.outputs['errors'].get_dict(), self.inputs.methods.get_list()):
            return self.exit_codes.ERROR_NO_BETTER_THAN_RESCALING.format(methods=', '.join(worthless))
        return None


def with_network_of_start(base: InputTree, overrides: InputTree) -> InputTree:
    """Return the inputs of a base with the force field that its `start_from` names, and the settings of that network.

    :param overrides: of the whole WorkChain, which may ask for other settings: these are refused later.
    :raises ProtocolError: where it is not a force field of a single network.
    """
    given = base.get('start_from')
    if given is None:
        return base
    try:
        node = given if isinstance(given, orm.Node) else orm.load_node(given)
        if not isinstance(node, ForceFieldData):
            raise ValueError(f'{given!r} is a {type(node).__name__} and not a force field')
        settings = network_of(node)
    except (NotExistent, MultipleObjectsError, ValueError, TypeError) as error:
        raise ProtocolError(f'`base.start_from`: {error}') from None
    asked = mapping_at(mapping_at(overrides, 'base'), 'network')
    return {**base, 'start_from': node, 'network': {**{name: settings[name] for name in Network.rules()}, **asked}}


def not_worth_it(errors: Mapping[str, MemberErrors], methods: Sequence[str]) -> list[str]:
    """Return the methods of which some Δ predicts no better than the rescaled energy of the base, or a constant.

    :param errors: those of a DeltaTrainWorkChain.
    """
    return [
        method for method in methods if any(found.get('worth_it') is False for found in errors.get(method, {}).values())
    ]


_JOBS: dict[bool, tuple[type[RuntimeCalculation], type[RuntimeRestartWorkChain]]] = {
    True: (TrainCalculation, TrainRestartWorkChain),
    False: (FitCalculation, FitRestartWorkChain),
}
"""Whether a kind is trained → what runs it."""

_SET_HERE = (
    'snapshots',
    'seed',
    'runtime_source',
    'parent_folder',
    'structure',
    'born_charges',
    'method',
    'minus',
    'reference',
)
_SET_HERE_OF_FITS = ('role', 'kind', 'base', 'base_method', 'methods')
_OF_OTHER_ROLES = {BASE: ('forces',), DELTA: ('correction', 'force_constants', 'start_from')}


def _expose_job(
    spec: WorkChainSpec,
    namespace: str,
    calculation: type[RuntimeCalculation],
    role: str,
    kind: Kind | None = None,
    **options: Any,
) -> None:
    """Expose the inputs of a job, but for those that are set here or mean nothing to it.

    :param kind: whose job it always is, if it is.
    :param options: of the namespace.
    """
    device = ('device',) if kind is not None and not (kind.is_trained or kind.needs_network) else ()
    left_out = (*_SET_HERE, *_SET_HERE_OF_FITS, *_OF_OTHER_ROLES[role], *device)
    exclude = [name for name in left_out if name in calculation.spec().inputs]
    spec.expose_inputs(calculation, namespace=namespace, exclude=exclude, namespace_options=options)
    for name, group in {} if kind is None else kind.settings.items():
        spec.inputs.get_port(f'{namespace}.{name}').validator = settings_validator(group)


def _refuse_base_kind(node: orm.Str, _: Any) -> str | None:
    if node.value in _BASES:
        return None
    return f'unknown kind of base {node.value!r}: choose from {", ".join(_BASES)}'


def _refuse_kind(node: orm.Str, _: Any) -> str | None:
    if node.value in _KINDS:
        return None
    return f'unknown kind of Δ {node.value!r}: choose from {", ".join(_KINDS)}'


def _refuse_compare(node: orm.List, _: Any) -> str | None:
    if unknown := [kind for kind in node if kind not in _KINDS]:
        return f'unknown kind of Δ {unknown[0]!r} to compare with: choose from {", ".join(_KINDS)}'
    return f'a kind of Δ is given twice in {node.get_list()}' if len(set(node)) < len(node) else None


def _refuse_kinds(delta: DeltaInputs) -> str | None:
    """Refuse a comparison of a kind with itself, or a kind without its inputs."""
    kind, compare = delta['kind'].value, delta['compare'].get_list()
    if kind in compare:
        return f'`delta.kind` is {kind}, which is also in `delta.compare`: give other kinds there'
    for name in (kind, *compare):
        if (slug := _KINDS[name].slug) not in delta:
            return f'Δ of kind {name} is requested, but `delta.{slug}` is missing'
        job = at(delta, slug)
        if (reason := refuse_frozen(job.get('training'), job.get('start_from'))) is not None:
            return f'`delta.{slug}`: {reason}'
    return None


def _refuse_base(inputs: Inputs) -> str | None:
    """Refuse a base without the settings of its kind, and a readout of a base that has no network."""
    base, delta = inputs['base'], inputs['delta']
    kind = _BASES[base['kind'].value]
    if not kind.has_network:
        if 'start_from' in base:
            return f'`base.start_from` is a network, and a base of kind {kind.name} has none: leave it out'
        if 'correction' in base:
            return f'`base.correction` corrects a network, and a base of kind {kind.name} has none: leave it out'
        readers = [name for name in (delta['kind'].value, *delta['compare']) if _KINDS[name].needs_network]
        if readers:
            return (
                f'Δ of kind {readers[0]} reads the network of the base, and a base of kind {kind.name} has none: '
                'choose another kind, or set `base.kind` to mace or force-constants+mace'
            )
    elif (reason := refuse_frozen(base.get('training'), base.get('start_from'))) is not None:
        return f'`base`: {reason}'
    if 'start_from' in base:
        if 'force_constants' in kind.settings:
            return f'`base.start_from` is a network for total energies: set `base.kind` to mace, not {kind.name}'
        if 'nac' in inputs:
            return (
                '`base.start_from` is a network for total energies, but with `nac` the dipole–dipole energy is '
                'subtracted before the base is trained: leave out one of them'
            )
    return None


def _refuse_base_method(node: orm.Str, _: Any) -> str | None:
    return refuse_name(node.value)


def _refuse_labels(inputs: Inputs, _: Any) -> str | None:
    """Refuse snapshots that lack a label, or belong to another crystal."""
    if 'delta' in inputs and (reason := _refuse_kinds(inputs['delta'])) is not None:
        return reason
    if {'delta', 'base'} <= set(inputs) and (reason := _refuse_base(inputs)) is not None:
        return reason
    if any(name not in inputs for name in ('snapshots', 'structure', 'base_method', 'methods')):
        return None
    snapshots = inputs['snapshots']
    if inputs['base_method'].value in inputs['methods'].get_list():
        return f'`methods` names {inputs["base_method"].value}, which is the method of the base: remove it'
    for method in (inputs['base_method'].value, *inputs['methods']):
        if method not in snapshots.methods:
            return f'`snapshots` have no {method} labels; their methods: {", ".join(snapshots.methods) or "none"}'
    if (
        reason := refuse_reference(inputs.get('reference'), inputs['snapshots'], inputs['base_method'].value)
    ) is not None:
        return reason
    base = snapshots.get_snapshots().labels[inputs['base_method'].value]
    if base.forces is None:
        return f'`snapshots` have no {inputs["base_method"].value} forces, which are needed to train the base'
    return refuse_mismatch(inputs['structure'], snapshots)
