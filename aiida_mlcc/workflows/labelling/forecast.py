"""What a campaign of energies will cost, before it has begun: a job of seconds says what a point costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aiida import orm
from aiida.engine import ToContext
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.parsers.parse_raw.cc4s_dry_run import Forecast

if TYPE_CHECKING:
    from aiida.engine import WorkChain as _WorkChain
else:
    _WorkChain = object

FORECAST = 'forecast'


def forecast_port(spec: WorkChainSpec) -> None:
    """Declare the input `forecast`."""
    spec.input(
        FORECAST,
        valid_type=orm.Dict,
        required=False,
        help='Cost of a point from a dry run of Cc4s; if not given, a job runs the dry run.',
    )


class ForecastMixin(_WorkChain):
    """Run the job of seconds, and judge by what it says."""

    def submit_forecast(self, inputs: Inputs, atoms: Atoms, methods: Sequence[str]) -> ToContext | None:
        """Submit the job, unless there is none for the engine or its answer is given.

        :param inputs: those of a CCEnergiesWorkChain.
        """
        self.ctx.forecast = inputs.get(FORECAST)
        if self.ctx.forecast is not None:
            return None
        step = correlation_engine(inputs['engine']).forecast(inputs, atoms, methods)
        if step is None:
            return None
        process, job = step
        labelled = merge(job, {'metadata': {'call_link_label': FORECAST}})
        return ToContext(forecast_job=self.submit(process, **labelled))

    def take_forecast(self, budget: orm.Float | None, groups: Mapping[tuple[str, ...], Sequence[int]]) -> str | None:
        """Report what the campaign will cost; return why it need not begin, where the budget is below one point.

        :param groups: methods → the frames that lack these.
        """
        if (job := self.ctx.get('forecast_job')) is not None:
            if FORECAST not in job.outputs:
                self.report(f'no forecast of the cost: {job.exit_message or job.process_state.value}')
                return None
            self.ctx.forecast = job.outputs[FORECAST]
        if self.ctx.forecast is None:
            return None
        found = self.ctx.forecast.get_dict()
        self.report(f'{describe_point(found)}; {describe_campaign(found, groups, budget)}')
        return refuse_below_one_point(found, groups, budget)


def hours_of(forecast: Forecast, methods: Sequence[str]) -> float:
    """Return the core hours of one point, labelled by `methods`; cheap methods cost nothing here."""
    return max((forecast['core_hours'].get(method, 0.0) for method in methods), default=0.0)


def hours_of_campaign(forecast: Forecast, groups: Mapping[tuple[str, ...], Sequence[int]]) -> float:
    """Return the core hours of all points.

    :param groups: methods → the frames that lack these.
    """
    return sum(len(frames) * hours_of(forecast, methods) for methods, frames in groups.items())


def describe_point(forecast: Forecast) -> str:
    """Say what a point costs."""
    arithmetic = 'real' if forecast['real'] else 'complex'
    return (
        f'a point with {forecast["n_occupied"]} occupied and {forecast["n_virtual"]} virtual orbitals ({arithmetic}) '
        f'takes about {max(forecast["core_hours"].values()):,.3g} core hours of Cc4s, at '
        f'{forecast["gflops_per_core"]:g} GFLOPS a core, and on {forecast["ranks"]} ranks '
        f'{forecast["memory_gb"]:,.3g} GB of memory ({forecast["memory_gb_per_rank"]:.3g} GB a rank); '
        f'the amplitudes take {forecast["disk_gb"]:,.3g} GB of disk'
    )


def describe_campaign(
    forecast: Forecast, groups: Mapping[tuple[str, ...], Sequence[int]], budget: orm.Float | None
) -> str:
    """Say what all points cost together, and whether the budget is enough."""
    hours = hours_of_campaign(forecast, groups)
    n_points = sum(len(frames) for methods, frames in groups.items() if hours_of(forecast, methods))
    text = f'{n_points} points take about {hours:,.3g} core hours'
    if budget is None:
        return text
    enough = 'within' if hours <= budget.value else 'MORE than'
    return f'{text}, {enough} the {budget.value:,.6g} of `max_core_hours`'


def refuse_below_one_point(
    forecast: Forecast, groups: Mapping[tuple[str, ...], Sequence[int]], budget: orm.Float | None
) -> str | None:
    """Return that the budget is below the cheapest point that costs anything, in a sentence, or None."""
    costs = [hours for methods, frames in groups.items() if frames and (hours := hours_of(forecast, methods))]
    if budget is None or not costs or min(costs) <= budget.value:
        return None
    return (
        f'one point is forecast to take {min(costs):,.3g} core hours, more than the {budget.value:,.6g} of '
        '`max_core_hours`: raise it, or set `cc4s.gflops_per_core` to what a core of this computer achieves'
    )
