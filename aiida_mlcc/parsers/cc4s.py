"""Cc4sParser: named contributions in eV, what the run cost, and how it ended."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_input import CCSD, RESTART, steps_of
from aiida_mlcc.parsers.parse_raw.cc4s_outcome import CheckReport, RecordedRun, judge, summarise

_SCHEDULER = {
    'ERROR_SCHEDULER_OUT_OF_MEMORY': 'memory',
    'ERROR_SCHEDULER_OUT_OF_WALLTIME': 'time',
    'ERROR_SCHEDULER_NODE_FAILURE': 'node',
}


class Cc4sParser(Parser):
    """Keep every energy that is one: nothing that was built on bad tensors or unconverged amplitudes."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        parameters = self.node.inputs.parameters.get_dict()
        run = RecordedRun(
            asked=[name for name, _, _ in steps_of(parameters)],
            check=self.check(),
            output_text=self.text(Cc4sCalculation.OUTPUT_FILE),
            stdout_text=self.text(Cc4sCalculation.STDOUT_FILE),
            other_text='\n'.join((self.text(Cc4sCalculation.STDERR_FILE), self.node.get_scheduler_stderr() or '')),
            has_level_shift=bool(parameters.get(CCSD, {}).get('level_shift')),
            checkpoint_text=self.text(Cc4sCalculation.CHECKPOINT),
            is_solved=bool(parameters.get(RESTART, {}).get('converged')),
        )
        verdict = judge(run, self.scheduler_verdict())
        self.out('summary', orm.Dict(summarise(run)))
        energies = run.energies()
        if energies and (verdict is None or self.exit_codes[verdict[0]].status >= 300):
            self.out('energies', orm.Dict(energies))
        if verdict is None:
            return None
        name, message = verdict
        return self.exit_codes[name].format(message=message)

    def text(self, name: str) -> str:
        """Return a retrieved file's content, and nothing where there is none."""
        try:
            content = self.retrieved.base.repository.get_object_content(name, mode='rb')
        except FileNotFoundError:
            return ''
        return content.decode('utf-8', errors='replace')

    def check(self) -> CheckReport | None:
        """Return what the check of the tensors found."""
        try:
            return json.loads(self.text(Cc4sCalculation.CHECK_REPORT))
        except json.JSONDecodeError:
            return None

    def scheduler_verdict(self) -> str | None:
        """Return what the scheduler says ended the job, where AiiDA could read it."""
        status = self.node.exit_status
        for name, verdict in _SCHEDULER.items():
            if status is not None and status == Cc4sCalculation.exit_codes[name].status:
                return verdict
        return None
