"""CCEnergiesWorkChain: HF, MP2, CCSD and CCSD(T) energies of selected snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import validate_names
from aiida_mlcc.calculations.functions.choose_frames import choose_frames
from aiida_mlcc.calculations.functions.estimate_frequencies import estimate_frequencies
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cost import add_costs
from aiida_mlcc.engines.runtime_jobs import EVALUATE
from aiida_mlcc.engines.table import (
    CORRELATION,
    FORCES,
    codes_by_place,
    correlation_engine,
    label_ports,
    places_of_labels,
    refuse_force_engine,
    with_jobs,
)
from aiida_mlcc.jobs.crystal import find_primitive_cell
from aiida_mlcc.jobs.inputs import JobOptions, job_inputs, refuse_fraction
from aiida_mlcc.jobs.ports import symprec_port
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate
from aiida_mlcc.science.design.choose_snapshots import DESIGNED, KINDS, SELECTION
from aiida_mlcc.science.labels.labelling_plan import (
    PER_METHOD,
    Rounds,
    Selection,
    costliest,
    in_one_job,
    selections_of,
    with_cheaper,
)
from aiida_mlcc.science.labels.merging import made_with
from aiida_mlcc.workflows.common.engine_protocol import EngineProtocolMixin
from aiida_mlcc.workflows.common.protocol import Overrides, PlainInputs, ProtocolError
from aiida_mlcc.workflows.labelling.forecast import ForecastMixin
from aiida_mlcc.workflows.labelling.label_frames import LabelFramesWorkChain
from aiida_mlcc.workflows.labelling.new_structures import NewStructuresWorkChain
from aiida_mlcc.workflows.labelling.selections import (
    NEEDS_CRYSTAL,
    base_engine_of,
    base_method_of,
    growing_methods,
    kinds_of,
    refuse_labelling,
)


class CCEnergiesWorkChain(ForecastMixin, EngineProtocolMixin, WorkChain):
    """Label a selection of snapshots in batches; a snapshot that fails is named and does not stop the others."""

    PROTOCOL_FILE = 'cc_energies.yaml'
    SETTINGS: ClassVar = {
        'engine': CORRELATION,
        'base_engine': FORCES,
        'selection': SELECTION,
        'rounds': Rounds,
        'evaluate.parameters': Evaluate,
    }

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            required=False,
            help='The crystal; selections that look at its phonons need it.',
        )
        symprec_port(spec)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_names)
        settings_port(
            spec,
            'selection',
            SELECTION,
            help=(
                'Selection of the frames: `kind` and its settings; `per_method` contains selections for single methods.'
            ),
        )
        settings_port(
            spec,
            'rounds',
            Rounds,
            required=False,
            help='Label `first` frames, then `step` more at a time, until the errors of the modes at `qpoints` '
            '(label: q-point) are below `target_sd_cm1`, or `most` frames are labelled.',
        )
        spec.expose_inputs(LabelFramesWorkChain, exclude=('snapshots', 'frames', 'metadata'))
        spec.input(
            'base_engine',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=refuse_force_engine,
            help='Engine for the DFT energies and forces of new structures; by default that of the snapshots.',
        )
        spec.input_namespace(
            'known_labels',
            valid_type=SnapshotsData,
            required=False,
            dynamic=True,
            help='Labels from earlier runs with the same settings, which are not computed again.',
        )
        spec.input(
            'min_success_fraction',
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Float(0.5),
            validator=refuse_fraction,
            help='Fraction of the frames selected for a method that must get a label for the WorkChain to succeed.',
        )
        label_ports(spec)
        spec.inputs.validator = refuse_labelling
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots, and new ones, with all labels.')
        spec.output('failures', valid_type=orm.Dict, help='Which snapshots failed, and why.')
        spec.output('cost', valid_type=orm.Dict, help='Core hours, jobs and memory, with the forecast.')
        spec.output(
            'learning_curve',
            valid_type=orm.Dict,
            required=False,
            help='For each round: number of labels, frequencies and their errors (cm⁻¹).',
        )
        spec.outline(
            cls.begin,
            if_(cls.asks_for_new_structures)(
                cls.make_new_structures,
                cls.add_new_structures,
            ),
            cls.use_known_labels,
            cls.run_dry,
            while_(cls.another_round)(
                cls.select_frames,
                cls.forecast_cost,
                cls.label_frames,
                cls.collect_labels,
                cls.estimate_frequencies,
            ),
            cls.return_labels,
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')
        spec.exit_code(311, 'ERROR_NO_SELECTION', message='No snapshot could be selected: {reason}')
        spec.exit_code(
            410,
            'ERROR_TOO_FEW_LABELLED',
            message='Only {n_labelled} of {n_selected} snapshots have a {method} energy; these are kept.',
        )

        spec.exit_code(411, 'ERROR_TOO_EXPENSIVE', message='{reason}')

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Overrides = None) -> PlainInputs:
        """Return the inputs of a protocol, with the settings of the engine that is named.

        What the selection of a method leaves out has its default.
        """
        inputs = super().get_protocol_inputs(protocol, overrides)
        if isinstance(own := inputs['selection'].get(PER_METHOD), Mapping):
            inputs['selection'][PER_METHOD] = {
                method: _completed(asked, f'selection.{PER_METHOD}.{method}') for method, asked in own.items()
            }
        return inputs

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        snapshots: SnapshotsData,
        protocol: str | None = None,
        overrides: Overrides = None,
        structure: orm.StructureData | None = None,
        options: JobOptions | None = None,
        **codes: orm.AbstractCode | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has PySCF.
        :param structure: the crystal, for selections that look at its phonons.
        :param options: scheduler options of all jobs, as in ``metadata.options``; those of Cc4s and VASP themselves go
            before them.
        :param codes: the codes of engines with a program of their own: ``cc4s_code``, ``vasp_code``.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        places = codes_by_place(code, codes)
        inputs = cls.get_protocol_inputs(protocol, overrides)
        chosen = dict(with_jobs(inputs, inputs['engine']['name'], places, options))
        if DESIGNED in kinds_of(inputs['methods'], inputs['selection']):
            chosen[EVALUATE] = job_inputs(inputs[EVALUATE], code, options)
        return cls.fill({'snapshots': snapshots, 'structure': structure, **chosen})

    def begin(self) -> None:
        """Start with what is given, and find the primitive cell where the selection looks at phonons."""
        self.ctx.snapshots = self.inputs.snapshots
        self.ctx.new_frames, self.ctx.chosen = [], {}
        self.ctx.failed, self.ctx.rounds = [], []
        self.ctx.costs, self.ctx.too_expensive = [], None
        if (warning := other_potentials(self.inputs.snapshots, self.inputs.engine)) is not None:
            self.report(warning)
        kinds = kinds_of(self.inputs.methods, self.inputs.selection.get_dict())
        if kinds & set(NEEDS_CRYSTAL) or 'rounds' in self.inputs:
            self.ctx.primitive = find_primitive_cell(self.inputs)

    def asks_for_new_structures(self) -> bool:
        """Tell whether a selection is not of the snapshots but of structures yet to be made."""
        return DESIGNED in kinds_of(self.inputs.methods, self.inputs.selection.get_dict())

    def make_new_structures(self) -> ToContext:
        """Make the structures that say most about the phonons, with DFT labels like those of the snapshots."""
        selections = selections_of(self.inputs.methods, self.inputs.selection.get_dict())
        asked = next(one for one in selections.values() if one['kind'] == DESIGNED)
        node = self.submit(
            NewStructuresWorkChain,
            snapshots=self.inputs.snapshots,
            structure=self.ctx.primitive,
            selection=orm.Dict(asked),
            engine=orm.Dict(base_engine_of(self.inputs)),
            **places_of_labels(self.inputs),
            metadata={'call_link_label': 'make_new_structures'},
        )
        return ToContext(new_structures=node)

    def add_new_structures(self) -> ExitCode | None:
        """Take the new structures, which stand behind the snapshots."""
        node = self.ctx.new_structures
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NO_SELECTION.format(reason=node.exit_message)
        self.ctx.snapshots = node.outputs.snapshots
        self.ctx.new_frames = list(range(self.inputs.snapshots.n_frames, self.ctx.snapshots.n_frames))
        return None

    def use_known_labels(self) -> None:
        """Take what earlier runs labelled with the same settings."""
        settings = correlation_engine(self.inputs.engine).source()
        own = self.inputs.snapshots.get_snapshots().labels
        known = {}
        for name, node in sorted(self.inputs.get('known_labels', {}).items()):
            labels = node.get_snapshots().labels
            wanted = [method for method in self.inputs.methods if method in labels]
            sources = [side[method].source for method in wanted for side in (labels, own) if method in side]
            if wanted and all(made_with(source, settings) for source in sources):
                known[name] = node
            else:
                self.report(f'the labels of {name}, SnapshotsData<{node.pk}>, have other settings and are not used')
        if known:
            label = {'call_link_label': 'merge_known_labels'}
            asked = {'methods': self.inputs.methods, 'metadata': label}
            self.ctx.snapshots = merge_labels(self.ctx.snapshots, science_hash(merge_labels), **asked, **known)

    def run_dry(self) -> ToContext | None:
        """Let Cc4s say what a point will cost, without calculating it."""
        return self.submit_forecast(self.inputs, self.ctx.snapshots.get_ase(0), self.inputs.methods.get_list())

    def another_round(self) -> bool:
        """Tell whether labelling goes on: once, or in rounds until the frequencies are known well enough."""
        if not self.ctx.rounds or self.ctx.too_expensive:
            return not self.ctx.chosen
        last = self.ctx.rounds[-1]
        return not last['met'] and last['n_asked'] < self.inputs.rounds['most'] and last['n_labels'] > 0

    def select_frames(self) -> ExitCode | None:
        """Choose the frames that are worth the energy of each method."""
        selection = self.inputs.selection.get_dict()
        if 'rounds' in self.inputs:
            rounds = self.inputs.rounds
            before = self.ctx.rounds[-1]['n_asked'] if self.ctx.rounds else rounds['first'] - rounds['step']
            selection['n'] = min(before + rounds['step'], rounds['most'])
        asked, node = choose_frames.run_get_node(
            self.inputs.snapshots,
            orm.Dict(selection),
            self.inputs.methods,
            science_hash(choose_frames),
            **({'primitive': self.ctx.primitive} if 'primitive' in self.ctx else {}),
            metadata={'call_link_label': 'choose_frames'},
        )
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_NO_SELECTION.format(reason=node.exit_message)
        chosen = asked.get_dict()
        for method, one in selections_of(self.inputs.methods, selection).items():
            chosen[method] += self.ctx.new_frames if one['kind'] == DESIGNED else []
        self.ctx.chosen = with_cheaper(chosen)
        numbers = ', '.join(f'{method} of {len(frames)}' for method, frames in self.ctx.chosen.items())
        self.report(f'{numbers} out of {self.ctx.snapshots.n_frames} snapshots')
        return None

    def forecast_cost(self) -> None:
        """Say what the energies that are missing will cost; where the budget is below one point, compute none."""
        labels = self.ctx.snapshots.get_snapshots().labels
        missing = {}
        for method, frames in self.ctx.chosen.items():
            there = set(labels[method].labelled.nonzero()[0].tolist()) if method in labels else set()
            missing[method] = [frame for frame in frames if frame not in there | self.failed_frames(method)]
            if known := len(there.intersection(frames)):
                self.report(f'{known} of these already have a {method} energy')
        self.ctx.labelling, self.ctx.asked = None, missing
        if any(missing.values()):
            budget = self.inputs.get('max_core_hours')
            self.ctx.too_expensive = self.take_forecast(budget, in_one_job(missing))
            if self.ctx.too_expensive:
                self.ctx.failed += [
                    {'snapshot': frame, 'methods': [method], 'reason': self.ctx.too_expensive}
                    for method, frames in missing.items()
                    for frame in frames
                ]

    def label_frames(self) -> ToContext | None:
        """Compute the energies that are missing; what failed once is not tried again."""
        missing = self.ctx.asked
        if not any(missing.values()) or self.ctx.too_expensive:
            return None
        inputs = self.exposed_inputs(LabelFramesWorkChain)
        if 'max_core_hours' in inputs:
            left = inputs['max_core_hours'].value - add_costs(self.ctx.costs)['core_hours']
            if left <= 0:
                self.ctx.too_expensive = (
                    f'The previous rounds used the {inputs["max_core_hours"].value:g} core hours of `max_core_hours`.'
                )
                return None
            inputs['max_core_hours'] = orm.Float(left)
        if self.ctx.forecast is not None:
            inputs['forecast'] = self.ctx.forecast
        node = self.submit(
            LabelFramesWorkChain,
            **inputs,
            snapshots=self.ctx.snapshots,
            frames=orm.Dict(missing),
            metadata={'call_link_label': f'label_frames_{len(self.ctx.rounds):02d}'},
        )
        return ToContext(labelling=node)

    def collect_labels(self) -> None:
        """Take the energies that there are, and the reasons for those that are not."""
        if (node := self.ctx.labelling) is None:
            return
        self.ctx.snapshots = node.outputs.snapshots if 'snapshots' in node.outputs else self.ctx.snapshots
        if 'failures' in node.outputs:
            self.ctx.failed += node.outputs.failures['failed']
        else:
            reason = node.exit_message or f'the labelling ended as {node.process_state.value}'
            self.ctx.failed += [
                {'snapshot': frame, 'methods': [method], 'reason': reason}
                for method, frames in self.ctx.asked.items()
                for frame in frames
            ]
        if 'cost' in node.outputs:
            self.ctx.costs.append(node.outputs.cost.get_dict())
        if node.exit_status == LabelFramesWorkChain.exit_codes.ERROR_TOO_EXPENSIVE.status:
            self.ctx.too_expensive = node.exit_message

    def estimate_frequencies(self) -> None:
        """Ask what the labels of this round say of the frequencies, and how well."""
        if 'rounds' not in self.inputs:
            return
        selection, rounds = self.inputs.selection.get_dict(), self.inputs.rounds.get_dict()
        method = costliest(growing_methods(self.inputs.methods, selection))
        parameters = {
            'base_method': base_method_of(self.inputs.snapshots),
            'method': method,
            'qpoints': rounds['qpoints'],
            'covariates': bool(selection.get(PER_METHOD)),
            'seed': selection['seed'],
        }
        estimate, node = estimate_frequencies.run_get_node(
            self.ctx.snapshots,
            self.ctx.primitive,
            orm.Dict(parameters),
            science_hash(estimate_frequencies),
            metadata={'call_link_label': 'estimate_frequencies'},
        )
        entry = {'method': method, 'n_asked': len(self.ctx.chosen[method])}
        if node.is_finished_ok:
            found = estimate.get_dict()
            largest = max(sd for modes in found['sd_cm1'].values() for sd in modes)
            entry |= {**found, 'met': largest <= rounds['target_sd_cm1']}
            self.report(f'{found["n_labels"]} {method} energies: the given frequencies to ±{largest:.1f} cm⁻¹')
        else:
            n_labels = len(self.ctx.chosen[method]) - len(self.failed_frames(method))
            entry.update(n_labels=n_labels, met=False, reason=node.exit_message)
            self.report(f'{n_labels} {method} energies give no estimate: {node.exit_message}')
        self.ctx.rounds.append(entry)

    def return_labels(self) -> None:
        """Return the snapshots with all labels there are."""
        if any(method in self.ctx.snapshots.methods for method in self.inputs.methods):
            self.out('snapshots', self.ctx.snapshots)
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        forecasts = [entry for cost in self.ctx.costs for entry in cost['forecasts']]
        self.out('cost', orm.Dict({**add_costs(self.ctx.costs), 'forecasts': forecasts}).store())
        if self.ctx.rounds:
            target = self.inputs.rounds['target_sd_cm1']
            self.out('learning_curve', orm.Dict({'target_sd_cm1': target, 'rounds': self.ctx.rounds}).store())

    def judge(self) -> ExitCode | None:
        """Say whether enough snapshots were labelled, by the method that fared worst."""
        if self.ctx.too_expensive:
            return self.exit_codes.ERROR_TOO_EXPENSIVE.format(reason=self.ctx.too_expensive)
        chosen = {method: set(frames) for method, frames in self.ctx.chosen.items() if frames}
        labelled = {method: frames - self.failed_frames(method) for method, frames in chosen.items()}
        if not any(labelled.values()):
            reason = self.ctx.failed[0]['reason'] if self.ctx.failed else 'no frame is selected'
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=reason)
        worst = min(chosen, key=lambda method: len(labelled[method]) / len(chosen[method]))
        numbers = {'n_labelled': len(labelled[worst]), 'n_selected': len(chosen[worst]), 'method': worst}
        if numbers['n_labelled'] < self.inputs.min_success_fraction.value * numbers['n_selected']:
            return self.exit_codes.ERROR_TOO_FEW_LABELLED.format(**numbers)
        self.report('{n_labelled} of {n_selected} snapshots have a {method} energy'.format(**numbers))
        return None

    def failed_frames(self, method: str) -> set[int]:
        """Return the frames for which the energy of a method was tried in vain."""
        return {entry['snapshot'] for entry in self.ctx.failed if method in entry['methods']}


def other_potentials(snapshots: SnapshotsData, engine: orm.Dict) -> str | None:
    """Return that base and labels have different potentials, in a sentence, or None where nothing says so."""
    method = base_method_of(snapshots)
    base = snapshots.get_snapshots().labels[method].source.get(_POTENTIALS) if method is not None else None
    ours = engine.get_dict().get(_POTENTIALS)
    if not isinstance(base, Mapping) or not ours or all(base.get(kind, name) == name for kind, name in ours.items()):
        return None
    return (
        f'the {method} labels of the snapshots have the potentials {base}, the energies beyond it {ours}: Δ then '
        f'contains the difference of the potentials; label the frames also by {method} in the potentials of the '
        'energies'
    )


_POTENTIALS = 'potential_mapping'


def _completed(selection: Any, path: str) -> Selection:
    """Return the selection of a method with the defaults of its kind.

    :raises ProtocolError: where it is not allowed.
    """
    if not isinstance(selection, Mapping):
        raise ProtocolError(f'`{path}` is {selection!r}: give a selection with its kind')
    reason = KINDS.refuse_name(selection.get(KINDS.key), path)
    if reason is None:
        selection = {**KINDS.starting_values(selection[KINDS.key]), **selection}
        reason = KINDS.refuse(selection, path)
    if reason is not None:
        raise ProtocolError(reason)
    return cast(Selection, dict(selection))
