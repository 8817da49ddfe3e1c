"""A WorkChain that waits for the first of several processes."""

import pytest
from aiida import orm
from aiida.calculations.arithmetic.add import ArithmeticAddCalculation
from aiida.engine import ToContext, WorkChain, run_get_node, while_

from aiida_mlcc.jobs.rolling import RollingMixin

LONG, SECONDS = 0, 6


class Rolling(RollingMixin, WorkChain):
    """Four jobs in two places, of which the first takes long."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode)
        spec.output('order', valid_type=orm.List)
        spec.outline(cls.begin, while_(cls.work_left)(cls.fill, cls.collect), cls.finish)

    def begin(self):
        self.ctx.left, self.ctx.running, self.ctx.order = list(range(4)), {}, []

    def work_left(self):
        return bool(self.ctx.left or self.ctx.running)

    def fill(self):
        jobs = {f'job_{number}': orm.load_node(pk) for number, pk in self.ctx.running.items()}
        while self.ctx.left and len(self.ctx.running) < 2:
            number = self.ctx.left.pop(0)
            options = {'resources': {'num_machines': 1}, 'withmpi': False, 'sleep': SECONDS * (number == LONG)}
            inputs = {'code': self.inputs.code, 'x': orm.Int(number), 'y': orm.Int(1), 'metadata': {'options': options}}
            jobs[f'job_{number}'] = self.submit(ArithmeticAddCalculation, **inputs)
            self.ctx.running[number] = jobs[f'job_{number}'].pk
        return ToContext(**jobs)

    def collect(self):
        for number in list(self.ctx.running):
            node = self.ctx[f'job_{number}']
            if isinstance(node, orm.ProcessNode):
                assert node.is_finished_ok
                self.ctx.order.append(number)
                del self.ctx.running[number]

    def finish(self):
        self.out('order', orm.List(self.ctx.order).store())


@pytest.mark.nightly
def test_places_of_jobs_that_ended_are_filled_while_another_one_runs(aiida_profile, aiida_code_installed):
    code = aiida_code_installed(default_calc_job_plugin='core.arithmetic.add', filepath_executable='/bin/bash')
    code.computer.set_minimum_job_poll_interval(0)
    outputs, node = run_get_node(Rolling, code=code)
    assert node.is_finished_ok, node.exit_message
    assert outputs['order'].get_list() == [1, 2, 3, 0]
