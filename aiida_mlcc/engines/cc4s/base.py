"""Cc4sBaseWorkChain: one Cc4s calculation to its end, with the remedies that Cc4s has for what goes wrong."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, process_handler, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase.units import Hartree

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_input import (
    BASIS_SET_CORRECTION,
    CCSD,
    FINITE_SIZE_CORRECTION,
    REFERENCE,
    RESTART,
    TRIPLES,
    with_defaults,
)
from aiida_mlcc.jobs.inputs import refuse_count
from aiida_mlcc.parsers.parse_raw.cc4s_outcome import Cc4sSummary

LEVEL_SHIFT_HARTREE = 0.3
"""Added to every energy difference of the amplitude equations where nothing else makes them converge; ours."""
FEWEST_RESIDUA = 2
SMALLEST_SLICE = 25
"""Below this the slices of the four-virtual integrals are no longer what the memory goes to."""
_DIVERGING = 10.0
_MOST_JOBS = 20
"""Stretches of CCSD and parts of (T) are jobs, and each remedy is one."""
_CODES = Cc4sCalculation.exit_codes
_OUT_OF_TIME = (_CODES.ERROR_OUT_OF_WALLTIME, _CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME)
_OUT_OF_MEMORY = (_CODES.ERROR_OUT_OF_MEMORY, _CODES.ERROR_SCHEDULER_OUT_OF_MEMORY)
_BROKEN_OFF = (_CODES.ERROR_INTERRUPTED, _CODES.ERROR_SCHEDULER_NODE_FAILURE, _CODES.ERROR_NO_RETRIEVED_FOLDER)
_ENDED_BY_AIIDA = (
    'ERROR_SUB_PROCESS_EXCEPTED',
    'ERROR_SUB_PROCESS_KILLED',
    'ERROR_MAXIMUM_ITERATIONS_EXCEEDED',
    'ERROR_UNHANDLED_FAILURE',
)
"""With these AiiDA ends the chain without a handler, or after it."""


_AFTER_CCSD = (TRIPLES, BASIS_SET_CORRECTION, FINITE_SIZE_CORRECTION)


class Cc4sBaseWorkChain(BaseRestartWorkChain):
    """Run Cc4s until its energies are there; where they cannot be had, keep those of the job that came furthest.

    With `ccsd.stretch` a job makes so many iterations and writes its amplitudes, from which the next one goes on. What
    needs the amplitudes is the last job: if it is killed, CCSD is not solved again.
    """

    _process_class = Cc4sCalculation
    JOB = 'cc4s'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.expose_inputs(Cc4sCalculation, namespace=cls.JOB)
        spec.inputs['max_iterations'].default = lambda: orm.Int(_MOST_JOBS)
        spec.input(
            'max_wallclock_seconds',
            valid_type=orm.Int,
            required=False,
            serializer=orm.to_aiida_type,
            validator=refuse_count,
            help='How far the wall time of a job that ran out of it may be raised; by default it is not.',
        )
        spec.input(
            'max_machines',
            valid_type=orm.Int,
            required=False,
            serializer=orm.to_aiida_type,
            validator=refuse_count,
            help='How many machines a job that ran out of memory may be given; by default no more than it has.',
        )
        spec.input(
            'max_reference_memory_gb',
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Float(32.0),
            help='The reference algorithm of (T) keeps N_o³·N_v³ amplitudes: where one such tensor is larger than '
            'this, it is not tried.',
        )
        spec.input(
            'keep_amplitudes',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help='Leave the amplitudes on the computer when the energies are there.',
        )
        spec.expose_outputs(Cc4sCalculation)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.exit_code(310, 'ERROR_JOB_FAILED', message='{reason}')
        spec.exit_code(400, 'ERROR_OUT_OF_WALLTIME', message='{reason} {advice}')
        spec.exit_code(410, 'ERROR_INTERRUPTED', message='Two jobs in a row broke off: {reason}')
        spec.exit_code(411, 'ERROR_OUT_OF_MEMORY', message='{reason} {advice}')
        spec.exit_code(420, 'ERROR_NOT_CONVERGED', message='{reason} Tried: {tried}.')
        spec.exit_code(430, 'ERROR_TRIPLES_FAILED', message='{reason} {advice}')

    def setup(self) -> None:
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(Cc4sCalculation, self.JOB))
        self.ctx.parameters = with_defaults(self.ctx.inputs.parameters.get_dict())
        self.ctx.tried = []
        self.ctx.triples_percent, self.ctx.triples_iterations = 0, 0
        self.ctx.broke_off = False
        # Iterations behind the amplitudes of `amplitudes`, whether these solve the equations, and where they are.
        self.ctx.n_iterations, self.ctx.n_written = 0, 0
        self.ctx.amplitudes, self.ctx.is_solved, self.ctx.amplitudes_folder = None, False, None
        self.prepare_job()

    def prepare_job(self) -> None:
        """Fill in the parameters of the next job: all of the calculation, or a stretch of it."""
        parameters = deepcopy(self.ctx.parameters)
        ccsd = parameters.get(CCSD, {})
        stretch, restart = ccsd.get('stretch'), {}
        if self.ctx.amplitudes is not None:
            restart = {'read': self.ctx.amplitudes, 'converged': self.ctx.is_solved}
        in_triples = bool(self.ctx.triples_percent or self.ctx.triples_iterations)
        if in_triples:
            restart['checkpoint'] = True
        if stretch is not None and not self.ctx.is_solved:
            left = max(ccsd['max_iterations'] - self.ctx.n_iterations, 1)
            # Amplitudes that are given take two iterations to tell that nothing changes any more.
            ccsd['max_iterations'] = max(min(stretch, left), 2)
            restart['write'] = f'Amplitudes{self.ctx.n_written + 1}'
            for name in _AFTER_CCSD:
                parameters.pop(name, None)
        if restart:
            parameters[RESTART] = restart
        if self.ctx.inputs.parameters.get_dict() != parameters:
            self.ctx.inputs.parameters = orm.Dict(parameters)
        metadata = self.ctx.inputs.setdefault('metadata', AttributeDict())
        if stretch is not None:
            # What a job leaves lies on the computer, and need not lie there any more for one of another day.
            metadata['disable_cache'] = True
        if not in_triples:
            self.ctx.inputs.pop('parent_folder', None)
            if self.ctx.amplitudes is not None:
                self.ctx.inputs.parent_folder = self.ctx.amplitudes_folder

    def inspect_process(self) -> ExitCode | None:
        """Inspect the job, and do not let energies go where it was the last and no handler has kept them."""
        job = self.ctx.children[-1]
        if job.is_finished_ok and not summary_of(job).get('amplitudes_written'):
            self.ctx.is_finished = True
            return None
        exit_code = super().inspect_process()
        if exit_code in [self.exit_codes[name] for name in _ENDED_BY_AIIDA]:
            self.keep_what_there_is()
        self.ctx.broke_off = self.ctx.children[-1].exit_status in {code.status for code in _BROKEN_OFF}
        return exit_code

    @process_handler(priority=510)
    def go_on_from_amplitudes(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """A stretch of CCSD has written its amplitudes: make the next one, or what comes after CCSD."""
        summary = summary_of(node)
        if not summary.get('amplitudes_written') or is_diverging(summary) or 'remote_folder' not in node.outputs:
            return None
        self.empty(self.ctx.amplitudes_folder)
        self.ctx.n_written += 1
        self.ctx.n_iterations += summary.get('iterations', 0)
        self.ctx.amplitudes = node.inputs.parameters[RESTART]['write']
        self.ctx.amplitudes_folder = node.outputs.remote_folder
        self.ctx.is_solved = bool(summary.get('converged'))
        done = f'{self.ctx.n_iterations} iterations of CCSD'
        if self.ctx.is_solved:
            if node.is_finished_ok and not any(name in self.ctx.parameters for name in _AFTER_CCSD):
                return None
            return self.try_again(node, f'what comes after {done}, which converged')
        if self.ctx.n_iterations < self.ctx.parameters[CCSD]['max_iterations']:
            return self.try_again(node, f'going on after {done}')
        return None

    @process_handler(priority=500, exit_codes=[*_OUT_OF_TIME, *_BROKEN_OFF])
    def continue_triples(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """(T) was under way: go on from its checkpoint, as long as every job comes further than the one before."""
        summary = summary_of(node)
        percent, iterations = summary.get('triples_percent', 0), summary.get('triples_iterations', 0)
        further = percent > self.ctx.triples_percent or iterations > self.ctx.triples_iterations
        if not further or 'remote_folder' not in node.outputs:
            return None
        self.ctx.triples_percent = max(percent, self.ctx.triples_percent)
        self.ctx.triples_iterations = max(iterations, self.ctx.triples_iterations)
        self.ctx.inputs.parent_folder = node.outputs.remote_folder
        done = f'{iterations} of its steps' if iterations else f'{percent} % of it'
        return self.try_again(node, f'going on with (T) from its checkpoint, after {done}')

    @process_handler(priority=490, exit_codes=list(_OUT_OF_TIME))
    def raise_walltime(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Make shorter stretches of CCSD, if it has any; else give the job twice the time, up to the limit."""
        ccsd, n_done = self.ctx.parameters.get(CCSD, {}), summary_of(node).get('iterations', 0)
        if not self.ctx.is_solved and ccsd.get('stretch') is not None and 2 < n_done <= ccsd['stretch']:
            ccsd['stretch'] = n_done - 1
            return self.try_again(node, f'again in stretches of {ccsd["stretch"]} iterations')
        seconds = node.get_option('max_wallclock_seconds')
        most = self.inputs.max_wallclock_seconds.value if 'max_wallclock_seconds' in self.inputs else None
        if most is None or seconds is None or seconds >= most:
            advice = 'Give it more time, or raise `max_wallclock_seconds`.'
            return self.give_up(self.exit_codes.ERROR_OUT_OF_WALLTIME.format(reason=reason_of(node), advice=advice))
        self.set_option('max_wallclock_seconds', min(2 * seconds, most))
        return self.try_again(node, f'again with {min(2 * seconds, most)} seconds instead of {seconds}')

    @process_handler(priority=480, exit_codes=list(_OUT_OF_MEMORY))
    def reduce_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Smaller slices of the four-virtual integrals, which CCSD makes on the fly; then more machines."""
        ccsd = self.ctx.parameters.get(CCSD, {})
        in_triples = (summary_of(node).get('last_step') or '').startswith('PerturbativeTriples')
        size = ccsd.get('integrals_slice_size', 0)
        if size > SMALLEST_SLICE and not in_triples:
            ccsd['integrals_slice_size'] = max(size // 2, SMALLEST_SLICE)
            return self.try_again(node, f'again with slices of {ccsd["integrals_slice_size"]} instead of {size}')
        resources = dict(node.get_option('resources') or {})
        machines = resources.get('num_machines', 0)
        most = self.inputs.max_machines.value if 'max_machines' in self.inputs else machines
        if not 0 < machines < most:
            advice = 'Give it machines with more memory, or raise `max_machines`.'
            return self.give_up(self.exit_codes.ERROR_OUT_OF_MEMORY.format(reason=reason_of(node), advice=advice))
        # The total is of the machines before; AiiDA computes it anew from what each machine has.
        resources = {key: value for key, value in resources.items() if key != 'tot_num_mpiprocs'}
        self.set_option('resources', {**resources, 'num_machines': min(2 * machines, most)})
        self.forget_checkpoint()
        return self.try_again(node, f'again on {min(2 * machines, most)} machines instead of {machines}')

    @process_handler(priority=470, exit_codes=_CODES.ERROR_NOT_CONVERGED)
    def help_convergence(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """More iterations where they converge at all, then a smaller DIIS space, then a level shift.

        What was diverging begins anew, and not from its amplitudes.
        """
        summary, ccsd = summary_of(node), self.ctx.parameters[CCSD]
        mixer = ccsd['mixer']
        if is_diverging(summary):
            self.ctx.amplitudes, self.ctx.n_iterations = None, 0
        elif ccsd['stretch'] is not None and 'more iterations' in self.ctx.tried:
            self.ctx.n_iterations = 0
        if not is_diverging(summary) and 'more iterations' not in self.ctx.tried:
            self.ctx.tried.append('more iterations')
            ccsd['max_iterations'] *= 2
            return self.try_again(node, f'again with up to {ccsd["max_iterations"]} iterations')
        if mixer.get('max_residua', 0) > FEWEST_RESIDUA:
            self.ctx.tried.append('a smaller DIIS space')
            mixer['max_residua'] = max(mixer['max_residua'] // 2, FEWEST_RESIDUA)
            return self.try_again(node, f'again with {mixer["max_residua"]} residua in the DIIS space')
        if not ccsd['level_shift'] and (unit := summary.get('energy_unit_hartree')):
            self.ctx.tried.append('a level shift')
            ccsd['level_shift'] = LEVEL_SHIFT_HARTREE / unit
            return self.try_again(node, f'again with a level shift of {LEVEL_SHIFT_HARTREE * Hartree:.1f} eV')
        tried = ', '.join(self.ctx.tried) or 'nothing, as its settings leave nothing to try'
        return self.give_up(self.exit_codes.ERROR_NOT_CONVERGED.format(reason=reason_of(node), tried=tried))

    @process_handler(priority=460, exit_codes=_CODES.ERROR_TRIPLES_FAILED)
    def use_reference_triples(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """The parallel algorithm crashes for few states per rank: the reference algorithm does not."""
        triples, needed = self.ctx.parameters[TRIPLES], reference_memory_gb(summary_of(node))
        most = self.inputs.max_reference_memory_gb.value
        if triples['algorithm'] != REFERENCE and needed <= most:
            triples['algorithm'] = REFERENCE
            self.forget_checkpoint()
            return self.try_again(node, 'again with the reference algorithm of (T)')
        tried = f'The reference algorithm would need tensors of {needed:.3g} GB, over `max_reference_memory_gb`.'
        advice = 'The reference algorithm was tried.' if triples['algorithm'] == REFERENCE else tried
        return self.give_up(self.exit_codes.ERROR_TRIPLES_FAILED.format(reason=reason_of(node), advice=advice))

    @process_handler(priority=450, exit_codes=list(_BROKEN_OFF))
    def run_again(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Killed, or a broken node: once more as it was."""
        if self.ctx.broke_off:
            return self.give_up(self.exit_codes.ERROR_INTERRUPTED.format(reason=reason_of(node)))
        return self.try_again(node, 'once more as it was')

    @process_handler(priority=100)
    def give_the_reason(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Nothing here helps, as with bad tensors: pass the job's sentence on."""
        if not node.is_failed:
            return None
        return self.give_up(self.exit_codes.ERROR_JOB_FAILED.format(reason=reason_of(node)))

    def try_again(self, node: orm.CalcJobNode, how: str) -> ProcessHandlerReport:
        """Let the next job run with what the handler has changed."""
        self.prepare_job()
        self.report(f'{node.process_label}<{node.pk}>: {reason_of(node) if node.is_failed else "done."} Now {how}.')
        return ProcessHandlerReport(True, ExitCode(0))

    def give_up(self, exit_code: ExitCode) -> ProcessHandlerReport:
        """End with what there is."""
        self.keep_what_there_is()
        return ProcessHandlerReport(True, exit_code)

    def keep_what_there_is(self) -> None:
        """Attach the outputs of the job that has most energies, the last of them."""
        jobs = [job for job in self.ctx.children if 'summary' in job.outputs]
        if jobs:
            furthest = max(reversed(jobs), key=n_energies_of)
            self.out_many(self.exposed_outputs(furthest, Cc4sCalculation))

    def set_option(self, name: str, value: Any) -> None:
        """Set a scheduler option of the next job."""
        metadata = self.ctx.inputs.setdefault('metadata', AttributeDict())
        metadata['options'] = AttributeDict({**metadata.get('options', {}), name: value})

    def forget_checkpoint(self) -> None:
        """Start (T) anew: a checkpoint is of one algorithm on one number of ranks."""
        self.ctx.triples_percent, self.ctx.triples_iterations = 0, 0

    def results(self) -> ExitCode | None:
        """Return the outputs of the last job, and remove the amplitudes."""
        exit_code = super().results()
        self.remove_amplitudes()
        return exit_code

    def remove_amplitudes(self) -> None:
        """Remove the last amplitudes, which are large; those before went when they were written."""
        if not self.inputs.keep_amplitudes.value:
            self.empty(self.ctx.amplitudes_folder)

    def empty(self, folder: orm.RemoteData | None) -> None:
        """Empty the folder of a job that wrote amplitudes; where that fails, say so and go on."""
        if folder is None:
            return
        try:
            folder._clean()
        except Exception as error:  # a transport raises what it likes  # noqa: BLE001
            self.report(f'the amplitudes in {folder.get_remote_path()} could not be removed: {error}')


def summary_of(node: orm.CalcJobNode) -> Cc4sSummary:
    """Return the summary of a job, which is empty where there is none."""
    return node.outputs.summary.get_dict() if 'summary' in node.outputs else {}


def n_energies_of(node: orm.CalcJobNode) -> int:
    """Return how many contributions a job computed."""
    return len(node.outputs.energies.get_dict()) if 'energies' in node.outputs else 0


def reason_of(node: orm.CalcJobNode) -> str:
    """Return why a job failed, in a sentence."""
    return node.exit_message or f'The job ended with exit status {node.exit_status}.'


def is_diverging(summary: Cc4sSummary) -> bool:
    """Return whether the last residual is far above the best one, or no number."""
    residuals = summary.get('residuals') or []
    if not residuals:
        return False
    best = min((residual for residual in residuals if residual is not None), default=None)
    return residuals[-1] is None or best is None or residuals[-1] > _DIVERGING * best


def reference_memory_gb(summary: Cc4sSummary) -> float:
    """Return the size of one tensor of triples amplitudes, in units of 1024³ bytes."""
    return ((summary.get('n_occupied') or 0) * (summary.get('n_virtual') or 0)) ** 3 * 8 / 1024**3
