"""Cc4sDryRunCalculation: what Cc4s says of memory and operations of a calculation, from its dimensions alone."""

from __future__ import annotations

import io
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.cc4s import Cc4sCalculation, refuse_code
from aiida_mlcc.calculations.cc4s_input import CCSD, Dimensions, refuse_parameters, render_dry_run
from aiida_mlcc.calculations.ports import settings_port

ASSUMED_GFLOPS_PER_CORE = 10.0
"""Billions of operations a core and second, as Cc4s assumes them in its own estimate."""

EXPECTED_ITERATIONS = 15
"""Of CCSD with DIIS: the recorded runs of insulators took 10 to 12 to 1e-8."""


class Cc4sDryRunCalculation(CalcJob):
    """Let Cc4s run through a calculation without calculating it, which takes seconds on one core and no tensors."""

    OUTPUT_FILE = f'dry-{Cc4sCalculation.OUTPUT_FILE}'
    PLUGIN = 'mlcc.cc4s_dry_run'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_refuse_parameters,
            help='The calculation, as that of a Cc4sCalculation; its corrections are left out.',
        )
        settings_port(spec, 'dimensions', Dimensions, help='How large it is.')
        spec.input(
            'ranks',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=_refuse_ranks,
            help='Ranks on which the calculation is to run.',
        )
        spec.input(
            'gflops_per_core',
            valid_type=orm.Float,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Float(ASSUMED_GFLOPS_PER_CORE),
            validator=refuse_speed,
            help='Billions of operations a core and second.',
        )
        spec.inputs['code'].validator = lambda code, _: refuse_code(code)
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = cls.PLUGIN
        options['resources'].default = lambda: {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = True
        options['input_filename'].default = Cc4sCalculation.INPUT_FILE
        options['output_filename'].default = Cc4sCalculation.STDOUT_FILE

        spec.output(
            'forecast',
            valid_type=orm.Dict,
            help='`core_hours` of a point: method → core hours; `operations` of each step, `memory_gb` in total and '
            '`memory_gb_per_rank`, `disk_gb` of what it writes, and the dimensions.',
        )
        spec.exit_code(300, 'ERROR_NO_ESTIMATE', invalidates_cache=True, message='{message}')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        text = render_dry_run(
            self.inputs.parameters.get_dict(), Dimensions.of(self.inputs.dimensions.get_dict()), EXPECTED_ITERATIONS
        )
        folder.create_file_from_filelike(io.BytesIO(text.encode()), Cc4sCalculation.INPUT_FILE, mode='wb')
        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = ['-i', Cc4sCalculation.INPUT_FILE, '-d', str(self.inputs.ranks.value)]
        code_info.stdout_name = Cc4sCalculation.STDOUT_FILE
        code_info.stderr_name = Cc4sCalculation.STDERR_FILE
        calc_info = CalcInfo()
        calc_info.codes_info = [code_info]
        calc_info.local_copy_list = calc_info.remote_copy_list = []
        calc_info.retrieve_list = [self.OUTPUT_FILE, Cc4sCalculation.STDOUT_FILE, Cc4sCalculation.STDERR_FILE]
        return calc_info


def refuse_speed(node: orm.Float, _: Any) -> str | None:
    """Refuse a core that does not calculate."""
    return None if node.value > 0 else f'`gflops_per_core` is {node.value:g}: it must be above 0'


def _refuse_ranks(node: orm.Int, _: Any) -> str | None:
    return None if node.value >= 1 else f'`ranks` is {node.value}: it must be at least 1'


def _refuse_parameters(node: orm.Dict, _: Any) -> str | None:
    parameters = node.get_dict()
    if CCSD not in parameters:
        return 'only the cost of `ccsd` is worth a forecast: the parameters do not ask for it'
    return refuse_parameters(parameters)
