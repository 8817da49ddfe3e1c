"""Cc4sDryRunParser: what a point will cost, from a dry run of Cc4s."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_dry_run import Cc4sDryRunCalculation
from aiida_mlcc.calculations.cc4s_input import Dimensions
from aiida_mlcc.parsers.parse_raw.cc4s_dry_run import forecast_of


class Cc4sDryRunParser(Parser):
    """Turn the operations and the memory that Cc4s counted into core hours and gigabytes."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        output, stdout = self.text(Cc4sDryRunCalculation.OUTPUT_FILE), self.text(Cc4sCalculation.STDOUT_FILE)
        inputs = self.node.inputs
        ranks, speed = inputs.ranks.value, inputs.gflops_per_core.value
        try:
            forecast = forecast_of(output, stdout, Dimensions.of(inputs.dimensions.get_dict()), ranks, speed)
        except ValueError as error:
            return self.exit_codes.ERROR_NO_ESTIMATE.format(message=f'{error}.')
        self.out('forecast', orm.Dict(forecast))
        return None

    def text(self, name: str) -> str:
        """Return a retrieved file's content, and nothing where there is none."""
        try:
            content = self.retrieved.base.repository.get_object_content(name, mode='rb')
        except FileNotFoundError:
            return ''
        return content.decode('utf-8', errors='replace')
