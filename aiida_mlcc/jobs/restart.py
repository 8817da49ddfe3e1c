"""RuntimeRestartWorkChain: the one owner of resuming, for every job of the runtime."""

from __future__ import annotations

from aiida import orm
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, process_handler, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.base import RuntimeCalculation
from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.calculations.fit import FitCalculation
from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.calculations.train import TrainCalculation
from aiida_mlcc.parsers.base import describe_progress, last_progress

MOST_SEGMENTS = 100
"""A job that makes progress may be continued this often: weeks of dynamics in walltimes of a day."""


class RuntimeRestartWorkChain(BaseRestartWorkChain):
    """Run one task to its end, continuing it from its checkpoint after a kill or a walltime limit."""

    _process_class = RuntimeCalculation
    JOB = 'job'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.expose_inputs(cls._process_class, namespace=cls.JOB)
        spec.inputs['max_iterations'].default = lambda: orm.Int(MOST_SEGMENTS)
        spec.expose_outputs(cls._process_class)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.exit_code(310, 'ERROR_TASK_FAILED', message='{reason}')
        spec.exit_code(
            410,
            'ERROR_NO_PROGRESS',
            message='The last job came no further than the one before it: {done}. What they left is kept.',
        )

    def setup(self) -> None:
        super().setup()
        self.ctx.inputs = self.exposed_inputs(self._process_class, self.JOB)
        self.ctx.furthest = -1

    @process_handler(priority=400)
    def continue_from_checkpoint(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Out of time or room, killed, a broken node or a truncated result: go on where the job was."""
        if not node.is_failed or node.exit_status not in self.transient_statuses():
            return None
        progress = last_progress(node.outputs.retrieved) if 'retrieved' in node.outputs else None
        done = -1 if progress is None else progress['done']
        if self.ctx.iteration > 1 and done <= self.ctx.furthest:
            self.keep_what_there_is(node)
            return ProcessHandlerReport(
                True, self.exit_codes.ERROR_NO_PROGRESS.format(done=describe_progress(progress))
            )
        self.ctx.furthest = done
        if 'remote_folder' in node.outputs:
            self.ctx.inputs['parent_folder'] = node.outputs.remote_folder
        self.report(f'{node.process_label}<{node.pk}> ended after {describe_progress(progress)}: continuing from there')
        return ProcessHandlerReport(True, ExitCode(0))

    @process_handler(priority=100)
    def give_the_reason(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """The task itself said what is wrong: pass its sentence on, with whatever it finished."""
        if not node.is_failed:
            return None
        self.keep_what_there_is(node)
        reason = node.exit_message or f'{node.process_label}<{node.pk}> failed with exit status {node.exit_status}.'
        return ProcessHandlerReport(True, self.exit_codes.ERROR_TASK_FAILED.format(reason=reason))

    def transient_statuses(self) -> set[int]:
        """Exit statuses of a job that may simply be continued."""
        codes = self._process_class.exit_codes
        names = (
            'ERROR_OUT_OF_WALLTIME',
            'ERROR_INTERRUPTED',
            'ERROR_NO_RETRIEVED',
            'ERROR_UNREADABLE_RESULT',
            'ERROR_OUT_OF_RESOURCES',
            'ERROR_SCHEDULER_OUT_OF_MEMORY',
            'ERROR_SCHEDULER_OUT_OF_WALLTIME',
            'ERROR_SCHEDULER_NODE_FAILURE',
        )
        return {codes[name].status for name in names if name in codes}

    def keep_what_there_is(self, node: orm.CalcJobNode) -> None:
        """Attach the outputs of a job that failed: a partial trajectory is hours of work."""
        self.out_many(self.exposed_outputs(node, self._process_class))


class MdRestartWorkChain(RuntimeRestartWorkChain):
    """Molecular dynamics to its last step."""

    _process_class = MdCalculation


class EvaluateRestartWorkChain(RuntimeRestartWorkChain):
    """Energies and forces of every structure."""

    _process_class = EvaluateCalculation


class CorrelateRestartWorkChain(RuntimeRestartWorkChain):
    """Wave-function energies of every snapshot."""

    _process_class = CorrelateCalculation


class IntegralsRestartWorkChain(RuntimeRestartWorkChain):
    """The integrals of every snapshot, all of them in the last job's folder."""

    _process_class = IntegralsCalculation


class TrainRestartWorkChain(RuntimeRestartWorkChain):
    """Training to its last epoch."""

    _process_class = TrainCalculation


class FitRestartWorkChain(RuntimeRestartWorkChain):
    """A linear fit, to its end."""

    _process_class = FitCalculation
