"""VaspIntegralsWorkChain: the tensors that Cc4s needs of one structure, by VASP, and its Hartree–Fock energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aiida import orm
from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessHandlerReport,
    ToContext,
    WorkChain,
    if_,
    process_handler,
    while_,
)
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_mlcc.calculations.cc4s_input import (
    BASIS_SET_CORRECTION,
    CCSD,
    FINITE_SIZE_CORRECTION,
    TRIPLES,
    Parameters,
    tensor_names,
)
from aiida_mlcc.calculations.functions.vasp_integrals_summary import vasp_integrals_summary
from aiida_mlcc.calculations.functions.vasp_structures import vasp_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs, Place
from aiida_mlcc.engines.vasp.finished import (
    FINISHED_STEPS,
    choose_steps,
    finished_steps_port,
    refuse_finished_steps,
)
from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, Tags, chain_step
from aiida_mlcc.engines.vasp.jobs import GAMMA, VaspInputs, chain_ports, vasp_job, vasp_ports
from aiida_mlcc.engines.vasp.settings import (
    VaspIntegrals,
    low_cutoff,
    refuse_head,
    refuse_open_shell,
    refuse_program,
    source_of,
)
from aiida_mlcc.engines.vasp.steps import (
    BROKEN_OFF,
    HOPELESS,
    NOT_CONVERGED,
    PAIR_ENERGIES,
    PURPOSE,
    TENSOR_ENDINGS,
    Failure,
    Orbitals,
    failure_of,
    missing_file,
    orbitals_of,
    outcar_of,
    own_mesh,
    step_before,
    tracks,
)
from aiida_mlcc.jobs.inputs import JobOptions, merge
from aiida_mlcc.jobs.rolling import RollingMixin
from aiida_mlcc.parsers.parse_raw.vasp_failure import MEMORY, SYMMETRY, TIME

_TAKE_NATURAL_ORBITALS = 'if test -s WAVECAR.FNO; then mv -f WAVECAR.FNO WAVECAR; else rm -f WAVECAR; fi'
_DROP_ORBITALS = 'rm -f WAVECAR CHGCAR'
_MOST_JOBS = 40
"""Of all steps together, retries included."""

_OTHER_ALGORITHM: Mapping[str, Tags] = {
    'dft': {'ALGO': 'All'},
    'hartree_fock': {'ALGO': 'Damped', 'TIME': 0.4},
}
"""What may converge where the algorithm of the step does not; VASP wiki, ALGO and TIME."""
_TIGHT_SYMPREC = 1e-8
"""Finds fewer symmetries, of which VASP's routines then make more sense; after custodian's handlers of VASP."""


class VaspIntegralsWorkChain(RollingMixin, BaseRestartWorkChain):
    """The steps of the Cc4s user manual, each from the orbitals that the one before left on the compute node.

    The steps on the k-mesh of the Hartree–Fock energy run beside those at Γ. A job that fails is made again here, with
    what its handler changes; no other process waits for it. The tensors stay on the compute node: nothing of them
    enters the repository.
    """

    _process_class = VaspCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='The structure is one of these frames.')
        spec.input('frame', valid_type=orm.Int, default=lambda: orm.Int(0), serializer=orm.to_aiida_type)
        settings_port(spec, 'engine', VaspIntegrals, help='VASP.')
        vasp_ports(spec)
        chain_ports(spec)
        finished_steps_port(spec)
        spec.input(
            'tensors',
            valid_type=orm.List,
            default=lambda: orm.List(tensor_names(_ALL_CORRECTIONS)),
            serializer=orm.to_aiida_type,
            help='Names of the tensors that Cc4s will read, without which the last step has failed; by default those '
            'of CCSD(T) and its corrections.',
        )
        spec.input(
            'clean_workdir',
            valid_type=orm.Bool,
            default=lambda: orm.Bool(True),
            serializer=orm.to_aiida_type,
            help='Empty the remote folders of all steps but the last once it is done, those of `finished_steps` too.',
        )
        spec.inputs['max_iterations'].default = lambda: orm.Int(_MOST_JOBS)
        spec.inputs.validator = _refuse
        spec.output('tensors', valid_type=orm.RemoteData, help='The folder with what Cc4s reads.')
        spec.output('hf_energy', valid_type=orm.Float, help='eV per cell, on the k-mesh of the settings.')
        spec.output(
            'hf_forces',
            valid_type=orm.ArrayData,
            required=False,
            help='`forces` of the same calculation, eV/Å, in the order in which VASP has the atoms.',
        )
        spec.output(
            'summary',
            valid_type=orm.Dict,
            help='Electrons, orbitals, names of the tensors, energies, what the last job of each step cost, which '
            'steps an earlier run made, and the source.',
        )
        spec.outline(
            cls.take_finished_steps,
            while_(cls.steps_left)(
                cls.run_next_steps,
                cls.inspect_steps,
            ),
            cls.hand_over_tensors,
            if_(cls.may_clean)(
                cls.clean_up,
            ),
        )
        for number, step in enumerate((*CHAIN, *MESH)):
            spec.exit_code(
                311 + number, f'ERROR_{step.upper()}_FAILED', message=f'The step `{step}` failed: {{reason}}'
            )
        spec.exit_code(
            321,
            'ERROR_TOO_FEW_PLANE_WAVES',
            message='{n_orbitals} orbitals are asked for ({per_occupied} natural ones per occupied one), but the basis '
            'has {n_all}: raise `encut` or ask for fewer.',
        )
        spec.exit_code(322, 'ERROR_ODD_ELECTRONS', message='VASP counts {n_electrons} electrons: no closed shells.')
        spec.exit_code(323, 'ERROR_OTHER_PROGRAM', message='{reason}.')

    def take_finished_steps(self) -> None:
        """Take the structure, and the steps that an earlier run finished of it."""
        super().setup()
        label = {'call_link_label': 'take_frame'}
        frame = self.inputs.frame.value
        structures = vasp_structures(
            self.inputs.snapshots, orm.List([frame]), science_hash(vasp_structures), metadata=label
        )
        self.ctx.structure = structures[f'frame_{frame}']
        self.ctx.children, self.ctx.failure = [], None
        # Step → job: those that are done, and those that run, with their names in the context.
        self.ctx.done, self.ctx.running = {}, {}
        # What the handlers change: step → tags, options, and the job whose orbitals it goes on from.
        self.ctx.tags, self.ctx.options, self.ctx.going_on, self.ctx.tried = {}, {}, {}, {}
        symbols = [site.kind_name for site in self.ctx.structure.sites]
        if (warning := low_cutoff(symbols, self.settings)) is not None:
            self.report(warning)
        folders = list(self.inputs.get(FINISHED_STEPS, {}).values())
        chosen, notes = choose_steps(folders, self.settings)
        for note in notes:
            self.report(f'{note}: this step is made again')
        for track in tracks(self.settings):
            there = [step for step in track if step in chosen]
            while there and self.lacks_file(chosen[there[-1]], there[-1]):
                there.pop()
            self.ctx.done.update({step: chosen[step].pk for step in there})
            if there and track == MESH:
                self.share_symmetry(chosen[there[-1]].inputs.parameters['ISYM'])
        if self.ctx.done:
            self.report(f'finished by an earlier run: {", ".join(self.ctx.done)}')

    @property
    def settings(self) -> VaspIntegrals:
        """The settings of VASP."""
        return VaspIntegrals.of(self.inputs.engine.get_dict())

    def steps_left(self) -> bool:
        """Tell whether steps are running, or left and not in vain."""
        left = any(step not in self.ctx.done for track in tracks(self.settings) for step in track)
        return bool(self.ctx.running) or (left and self.ctx.failure is None)

    def run_next_steps(self) -> ToContext:
        """Submit the next step at Γ and the next one on the k-mesh, unless they are running."""
        jobs = {name: orm.load_node(pk) for name, pk in self.ctx.running.values()}
        for track in tracks(self.settings):
            step = next((step for step in track if step not in self.ctx.done), None)
            if step is None or step in self.ctx.running or self.ctx.failure is not None:
                continue
            attempt = 1 + sum(job.label == step for job in self.ctx.children)
            name = step if attempt == 1 else f'{step}_{attempt}'
            jobs[name] = self.submit(VaspCalculation, **self.job(step, name))
            self.ctx.running[step] = [name, jobs[name].pk]
            self.report(f'{name}, {_name(jobs[name])}: {PURPOSE[step]}')
        return ToContext(**jobs)

    def inspect_steps(self) -> None:
        """Inspect the jobs that ended: each did its step, is made again, or ends the run."""
        for step, (name, _) in list(self.ctx.running.items()):
            job = self.ctx[name]
            if not isinstance(job, orm.ProcessNode):
                continue
            del self.ctx.running[step]
            self.ctx.children.append(job)
            self.ctx.iteration, self.ctx.is_finished = len(self.ctx.children), False
            considered = self.node.base.extras.get(self._considered_handlers_extra, [])
            self.node.base.extras.set(self._considered_handlers_extra, [*considered, []])
            verdict = super().inspect_process()
            if self.ctx.is_finished:
                self.ctx.done[step] = job.pk
            elif verdict is not None and verdict.status:
                self.note_failure(step, job, verdict)

    def note_failure(self, step: str, job: orm.CalcJobNode, verdict: ExitCode) -> None:
        """Write down why the run ends: no further step is submitted, those that run are waited for."""
        if verdict.status == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status:
            verdict = self.failed(step, f'the {self.inputs.max_iterations.value} jobs of `max_iterations` were made')
        elif verdict.status < _FIRST_OF_OURS or verdict.status == self.exit_codes.ERROR_UNHANDLED_FAILURE.status:
            failure = self.failure(job)
            verdict = self.failed(step, failure.reason if failure is not None else str(verdict.message))
        if self.ctx.failure is None:
            self.ctx.failure = [verdict.status, verdict.message]
            self.report(verdict.message)

    @process_handler(priority=600)
    def check_program(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """The first step tells which program ran: one for other orbitals is of no use for the others."""
        outcar = outcar_of(job) if job.label == CHAIN[0] else None
        if outcar is None or (reason := refuse_head(outcar, self.settings.gamma_only)) is None:
            return None
        return ProcessHandlerReport(True, self.exit_codes.ERROR_OTHER_PROGRAM.format(reason=reason))

    @process_handler(priority=500)
    def raise_walltime(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Out of time: VASP writes its orbitals at the end alone, so give the step twice the time, up to the limit."""
        if (failure := self.failure(job, TIME)) is None:
            return None
        seconds, most = job.get_option('max_wallclock_seconds'), self.limit('max_wallclock_seconds')
        if most is None or seconds is None or seconds >= most:
            return self.give_up(job, failure, 'Give it more time, or raise `vasp.max_wallclock_seconds`.')
        raised = min(2 * seconds, most)
        self.change(job, options={'max_wallclock_seconds': raised})
        return self.try_again(job, failure, f'again with {raised} seconds instead of {seconds}')

    @process_handler(priority=490)
    def spare_memory(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Out of memory: one group of k-points, each of which holds all that there is; then more machines."""
        if (failure := self.failure(job, MEMORY)) is None:
            return None
        if (kpar := job.inputs.parameters.get_dict().get('KPAR', 1)) > 1:
            self.change(job, tags={'KPAR': 1})
            return self.try_again(job, failure, f'again with KPAR = 1 instead of {kpar}')
        resources = dict(job.get_option('resources') or {})
        machines = resources.get('num_machines', 0)
        most = self.limit('max_machines') or machines
        if not 0 < machines < most:
            return self.give_up(job, failure, 'Give it machines with more memory, or raise `vasp.max_machines`.')
        more = min(2 * machines, most)
        # The total is of the machines before; AiiDA computes it anew from what each machine has.
        kept = {key: value for key, value in resources.items() if key != 'tot_num_mpiprocs'}
        self.change(job, options={'resources': {**kept, 'num_machines': more}})
        return self.try_again(job, failure, f'again on {more} machines instead of {machines}')

    @process_handler(priority=480)
    def help_convergence(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Electrons that do not converge: go on from where they are, then with another algorithm."""
        if (failure := self.failure(job, NOT_CONVERGED)) is None:
            return None
        used = job.inputs.parameters.get_dict()
        if used.get('LWAVE') and 'remote_folder' in job.outputs:
            self.ctx.going_on[job.label] = job.pk
            self.change(job, tags={'ISTART': 1})
            how = 'going on from the orbitals that it left'
        else:
            self.change(job, tags={'NELM': 2 * used['NELM']})
            how = f'again with up to {2 * used["NELM"]} electronic steps'
        if self.is_new(job, 'more electronic steps'):
            return self.try_again(job, failure, how)
        if self.is_new(job, 'another algorithm'):
            other = _OTHER_ALGORITHM[job.label.removeprefix('mesh_')]
            self.change(job, tags=other)
            return self.try_again(job, failure, f'{how}, with ALGO = {other["ALGO"]}')
        return self.give_up(job, failure, f'Tried: {", ".join(self.ctx.tried[job.label])}.')

    @process_handler(priority=470)
    def drop_symmetry(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """VASP's symmetry routines failed: do without symmetry on the k-mesh, then find less of it."""
        if (failure := self.failure(job, SYMMETRY)) is None:
            return None
        if job.label in MESH and job.inputs.parameters['ISYM'] != -1 and self.is_new(job, 'ISYM = -1'):
            for step in MESH:
                self.ctx.tags.get(step, {}).pop('ISTART', None)
                self.ctx.done.pop(step, None)
                self.ctx.going_on.pop(step, None)
            self.share_symmetry(-1)
            return self.try_again(job, failure, 'from the first step on the k-mesh with ISYM = -1')
        if self.is_new(job, f'SYMPREC = {_TIGHT_SYMPREC:g}'):
            self.change(job, tags={'SYMPREC': _TIGHT_SYMPREC})
            return self.try_again(job, failure, f'again with SYMPREC = {_TIGHT_SYMPREC:g}')
        return self.give_up(job, failure, f'Tried: {", ".join(self.ctx.tried[job.label])}.')

    def share_symmetry(self, isym: int) -> None:
        """Let all steps on the k-mesh have the same symmetry: their orbitals have to be on the same k-points."""
        for step in MESH:
            self.ctx.tags[step] = {**self.ctx.tags.get(step, {}), 'ISYM': isym}

    @process_handler(priority=460)
    def run_again(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Killed, or a broken node: once more as it was."""
        if (failure := self.failure(job, BROKEN_OFF)) is None:
            return None
        if self.is_new(job, 'once more as it was'):
            return self.try_again(job, failure, 'once more as it was')
        return self.give_up(job, failure, 'It was tried twice.')

    @process_handler(priority=300)
    def count_orbitals(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Hartree–Fock tells the numbers of electrons and plane waves, by which the next steps go."""
        if job.label != 'hartree_fock' or self.failure(job) is not None:
            return None
        outcar = outcar_of(job)
        electrons = None if outcar is None else outcar['n_electrons']
        if electrons is None or (orbitals := orbitals_of(outcar, self.settings)) is None:
            failure = Failure(HOPELESS, 'OUTCAR says neither NELECT nor the maximum number of plane-waves')
            return self.give_up(job, failure, '')
        codes = self.exit_codes
        if round(electrons) % 2 or abs(electrons - round(electrons)) > 1e-3:
            return ProcessHandlerReport(True, codes.ERROR_ODD_ELECTRONS.format(n_electrons=electrons))
        if orbitals.n_kept > orbitals.n_all:
            per_occupied = self.settings.natural_orbitals_per_occupied
            numbers = {'n_orbitals': orbitals.n_kept, 'per_occupied': per_occupied, 'n_all': orbitals.n_all}
            return ProcessHandlerReport(True, codes.ERROR_TOO_FEW_PLANE_WAVES.format(**numbers))
        self.report(
            f'{orbitals.n_occupied} occupied orbitals, {orbitals.n_all} in all, of which {orbitals.n_kept} are kept'
        )
        return None

    @process_handler(priority=100)
    def give_the_reason(self, job: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Nothing here helps, or a file is not there: pass the reason on."""
        failure = self.failure(job)
        if failure is None and (missing := self.lacks_file(job, job.label)) is not None:
            failure = Failure(HOPELESS, f'{_name(job)} left no {missing}')
        return None if failure is None else self.give_up(job, failure, '')

    def failure(self, job: orm.CalcJobNode, kind: str | None = None) -> Failure | None:
        """Return why a job did not do its step, if it is for this kind of reason; None otherwise."""
        known: dict[int, Failure | None] = self.__dict__.setdefault('_failures', {})
        if job.pk not in known:
            known[job.pk] = failure_of(job, job.label)
        failure = known[job.pk]
        return failure if failure is not None and kind in (None, failure.kind) else None

    def limit(self, name: str) -> int | None:
        """Return how far a handler may raise something, None where that is not given."""
        return int(self.inputs.vasp[name].value) if name in self.inputs.vasp else None

    def change(self, job: orm.CalcJobNode, tags: Tags | None = None, options: JobOptions | None = None) -> None:
        """Let the next job of the step have other `tags` or `options`."""
        for kind, entries in (('tags', tags), ('options', options)):
            if entries is not None:
                self.ctx[kind][job.label] = {**self.ctx[kind].get(job.label, {}), **entries}

    def is_new(self, job: orm.CalcJobNode, remedy: str) -> bool:
        """Tell whether a remedy was not tried for the step, and write down that it is now."""
        tried = self.ctx.tried.setdefault(job.label, [])
        if remedy in tried:
            return False
        tried.append(remedy)
        return True

    def try_again(self, job: orm.CalcJobNode, failure: Failure, how: str) -> ProcessHandlerReport:
        """Let the step be made again, with what the handler has changed."""
        self.report(f'{job.label}, {_name(job)}: {failure.reason.removesuffix(".")}. Now {how}.')
        return ProcessHandlerReport(True, ExitCode(0))

    def give_up(self, job: orm.CalcJobNode, failure: Failure, advice: str) -> ProcessHandlerReport:
        """End with the reason."""
        reason = failure.reason if not advice else f'{failure.reason.removesuffix(".")}. {advice}'
        return ProcessHandlerReport(True, self.failed(job.label, reason))

    def failed(self, step: str, reason: str) -> ExitCode:
        """Return the exit code of a step that failed."""
        return self.exit_codes[f'ERROR_{step.upper()}_FAILED'].format(reason=reason)

    def hand_over_tensors(self) -> ExitCode | None:
        """Say where the tensors are, and what they are of."""
        if self.ctx.failure is not None:
            if self.ctx.done:
                self.report(
                    f'finished: {", ".join(self.ctx.done)}; a rerun with their folders as `{FINISHED_STEPS}` goes on '
                    'from there'
                )
            return ExitCode(*self.ctx.failure)
        jobs = {step: orm.load_node(pk) for step, pk in self.ctx.done.items()}
        remote, orbitals = jobs['dump'].outputs.remote_folder, self.orbitals
        assert orbitals is not None  # of a chain that is done
        numbers = {
            'n_electrons': 2 * orbitals.n_occupied,
            'n_occupied': orbitals.n_occupied,
            'n_all_orbitals': orbitals.n_all,
            'n_orbitals': orbitals.n_kept,
            'hf_kpoints': self.settings.hf_kpoints,
            'tensors': sorted(name for name in self.files(jobs['dump']) or () if name.endswith(TENSOR_ENDINGS)),
            'steps_of_earlier_runs': [step for step, job in jobs.items() if job.caller != self.node],
        }
        results = vasp_integrals_summary(
            orm.Dict(numbers),
            orm.Dict(source_of(self.settings)),
            orm.Str(self.settings.energy),
            science_hash(vasp_integrals_summary),
            metadata={'call_link_label': 'summarise'},
            **{step: job.outputs.retrieved for step, job in jobs.items()},
        )
        self.out('tensors', remote)
        self.out_many(results)
        return None

    def may_clean(self) -> bool:
        """Tell whether the folders of the other steps may be emptied."""
        return bool(self.inputs.clean_workdir.value)

    def clean_up(self) -> None:
        """Empty the remote folders of all jobs but the last step's: their orbitals are large."""
        done = {orm.load_node(pk) for step, pk in self.ctx.done.items() if step != CHAIN[-1]}
        failed = {job for job in self.ctx.children if job.pk != self.ctx.done[CHAIN[-1]]}
        for job in sorted(done | failed, key=lambda job: job.pk):
            if 'remote_folder' not in job.outputs:
                continue
            try:
                job.outputs.remote_folder._clean()
            except Exception as error:  # the connection's own kinds; no reason to lose the tensors  # noqa: BLE001
                self.report(f'the folder of `{job.label}` could not be emptied: {error}')

    def on_terminated(self) -> None:
        """Leave the folders as they are: the tensors are in one of them, a rerun goes on from the others."""
        WorkChain.on_terminated(self)

    @property
    def orbitals(self) -> Orbitals | None:
        """The numbers of orbitals, once Hartree–Fock is done."""
        if 'hartree_fock' not in self.ctx.done:
            return None
        return orbitals_of(outcar_of(orm.load_node(self.ctx.done['hartree_fock'])), self.settings)

    def job(self, step: str, name: str) -> VaspInputs:
        """Return the inputs of a step, with this call link label."""
        vasp, ours, orbitals = self.inputs.vasp, self.settings, self.orbitals
        numbers = () if orbitals is None else (orbitals.n_all, orbitals.n_kept, orbitals.n_occupied)
        tags = {**chain_step(ours, step, *numbers), **self.ctx.tags.get(step, {})}
        options = vasp['options'].get_dict() if 'options' in vasp else {}
        if 'step_options' in vasp:
            options = merge(options, vasp['step_options'].get_dict().get(step, {}))
        options = {**options, **self.ctx.options.get(step, {})}
        after_pair_energies = step in CHAIN[CHAIN.index('pair_energies') + 1 :]
        job = vasp_job(
            cast(Place, {**vasp, 'options': orm.Dict(options)}),
            ours.potentials,
            self.ctx.structure,
            tags,
            ours.hf_kpoints if step in MESH else GAMMA,
            step,
            check_errors=False,
            copied=PAIR_ENERGIES if after_pair_energies else (),
            append_text=self._afterwards(step),
        )
        # What a step is for lies on the compute node, and need not lie there any more for a step of another day.
        job['metadata'].update({'disable_cache': True, 'call_link_label': name})
        before = self.ctx.going_on.get(step, self.ctx.done.get(step_before(step)))
        if before is not None:
            job['restart_folder'] = orm.load_node(before).outputs.remote_folder
        return job

    def _afterwards(self, step: str) -> str:
        if step == 'natural_orbitals':
            return _TAKE_NATURAL_ORBITALS
        return _DROP_ORBITALS if step == 'dump' and self.may_clean() else ''

    def lacks_file(self, job: orm.CalcJobNode, step: str) -> str | None:
        """Return the first file that a step should have left on the compute node and did not, or None."""
        there = self.files(job)
        return None if there is None else missing_file(there, step, self.inputs.tensors.get_list())

    def files(self, job: orm.CalcJobNode) -> list[str] | None:
        """Return what is in the folder of a job, None where that cannot be told."""
        try:
            found: list[str] = job.outputs.remote_folder.listdir()
        except Exception as error:  # a connection that is down for a moment does not lose the step  # noqa: BLE001
            self.report(f'the folder of `{job.label}` could not be looked at, going on: {error}')
            return None
        return found


_ALL_CORRECTIONS: Parameters = {CCSD: {}, TRIPLES: {}, BASIS_SET_CORRECTION: {}, FINITE_SIZE_CORRECTION: {}}
_FIRST_OF_OURS = 311
"""Below are the exit codes of AiiDA's own."""


def _name(job: orm.ProcessNode) -> str:
    return f'{job.process_label}<{job.pk}>'


def _refuse(inputs: Inputs, namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', 'vasp'} <= set(inputs):
        return None
    snapshots, frame = inputs['snapshots'], inputs['frame'].value
    if not 0 <= frame < snapshots.n_frames:
        return f'`frame` is {frame}, but the snapshots are 0 to {snapshots.n_frames - 1}'
    settings = VaspIntegrals.of(inputs['engine'].get_dict())
    reason = refuse_chain(snapshots, settings, inputs['vasp'])
    return reason or refuse_finished_steps(snapshots, settings, inputs, [frame])


def refuse_chain(snapshots: SnapshotsData, settings: VaspIntegrals, vasp: Place) -> str | None:
    """Return why VASP cannot make the integrals of the snapshots, in a sentence, or None.

    :param settings: of the integrals.
    :param vasp: the namespace that says where VASP runs.
    """
    if settings.gamma_only and settings.hf_kpoints != GAMMA and 'code_kpoints' not in vasp:
        return (
            f'`vasp.code` is the program for Γ only, but `hf_kpoints` is {settings.hf_kpoints}: give '
            '`vasp.code_kpoints`, which is vasp_std; or set `gamma_only` to false, if `vasp.code` is vasp_std'
        )
    if 'code' in vasp and (reason := refuse_program(vasp['code'], settings.gamma_only)) is not None:
        return reason
    if own_mesh(settings) and 'code_kpoints' in vasp and settings.hf_kpoints != GAMMA:
        name = str(vasp['code_kpoints'].get_executable())
        if refuse_program(vasp['code_kpoints'], False) is not None:
            return f'`vasp.code_kpoints` is {name}, which has no k-points but Γ: give vasp_std'
    return refuse_open_shell(list(snapshots.get_snapshots().symbols), settings.potentials)
