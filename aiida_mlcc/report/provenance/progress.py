"""How far a run is: its processes as a tree, and what its running jobs say."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aiida import orm
from aiida.common.exceptions import AiidaException
from aiida.common.links import LinkType

from aiida_mlcc.runtime.task import Progress

PROGRESS_FILE = 'progress.jsonl'
_CALLS = [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]
_TERMINAL = ('finished', 'excepted', 'killed')
_END_OF_FILE = 4096
_SILENT = ('Cc4sCalculation', 'VaspCalculation', 'VaspMdCalculation')
"""Programs that are not ours write no progress file."""
_ON_THE_WAY = {
    'uploading': ('being uploaded', 'The upload'),
    'submitting': ('being submitted', 'The submission'),
    'unstashing': ('being submitted', 'The submission'),
    'stashing': ('being stashed', 'The stashing'),
    'retrieving': ('being retrieved', 'The retrieval'),
}
"""AiiDA's state of a job between it and the scheduler → the same in words, and what fails there.

A job whose files are uploaded is said to unstash until the scheduler has taken it.
"""
_ERROR_LINE = re.compile(r'^[\w.]*(?:Error|Exception|Timeout|Failed)\w*: ', re.MULTILINE)


@dataclass
class Step:
    """One process of a run and those it called.

    :param name: its link label in the process that called it.
    :param place: names from the stage down to this process, without the iterations of restart WorkChains.
    :param state: AiiDA's word: created, waiting, running, finished, excepted, killed.
    :param scheduler: the scheduler's word on a job, as AiiDA saw it last: queued, running, done.
    :param job_state: where AiiDA is with a job: uploading, submitting, withscheduler, stashing, retrieving, parsing.
    :param complaint: the last error that AiiDA met on the way of a job to or from the scheduler, as it was said there.
    """

    pk: int
    uuid: str
    name: str
    process: str
    node_type: str
    state: str
    scheduler: str | None = None
    job_state: str | None = None
    complaint: str | None = None
    exit_status: int | None = None
    exit_message: str | None = None
    paused: bool = False
    workdir: str | None = None
    transport: str | None = None
    cached: bool = False
    place: str = ''
    children: list[Step] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever state."""
        return self.state in _TERMINAL

    @property
    def is_failed(self) -> bool:
        """Whether it ended without success."""
        return self.state in ('excepted', 'killed') or (self.state == 'finished' and self.exit_status != 0)

    @property
    def is_job(self) -> bool:
        """Whether it is a job of a computer."""
        return 'calculation.calcjob' in self.node_type

    @property
    def is_local(self) -> bool:
        """Whether the job's folder can be read without asking another computer."""
        return self.transport == 'core.local'

    @property
    def is_workchain(self) -> bool:
        """Whether it is a WorkChain."""
        return 'workflow.workchain' in self.node_type

    def walk(self) -> Iterator[Step]:
        """Give this step and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


_PROJECTED = {
    'id': 'pk',
    'uuid': 'uuid',
    'node_type': 'node_type',
    'attributes.process_label': 'process',
    'attributes.process_state': 'state',
    'attributes.scheduler_state': 'scheduler',
    'attributes.state': 'job_state',
    'attributes.exit_status': 'exit_status',
    'attributes.exit_message': 'exit_message',
    'attributes.paused': 'paused',
    'attributes.remote_workdir': 'workdir',
    'extras._aiida_cached_from': 'cached',
}


def survey(process: orm.ProcessNode) -> Step:
    """Return the tree of processes below `process`, by one query a level."""
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': process.pk}, project=list(_PROJECTED))
    root = _step(query.first(), process.label or process.process_label)
    level = {root.pk: root}
    while level:
        query = orm.QueryBuilder()
        query.append(orm.ProcessNode, filters={'id': {'in': list(level)}}, project='id', tag='caller')
        query.append(
            orm.ProcessNode,
            with_incoming='caller',
            project=list(_PROJECTED),
            edge_filters={'type': {'in': _CALLS}},
            edge_project='label',
            tag='called',
        )
        # An import gives new PKs in any order; the time of making stays.
        query.order_by({'called': ['ctime', 'id']})
        below = {}
        for caller, *values, label in query.all():
            step = _step(values, label)
            parts = [level[caller].place, '' if label.startswith('iteration_') else label]
            step.place = '/'.join(part for part in parts if part)
            level[caller].children.append(step)
            below[step.pk] = step
        level = below
    _ask_transports(root)
    _ask_complaints(root)
    return root


def _ask_transports(root: Step) -> None:
    """Note for the jobs that run how their computer is reached."""
    jobs = {step.pk: step for step in root.walk() if step.is_job and not step.is_over}
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': {'in': list(jobs)}}, project='id', tag='job')
    query.append(orm.Computer, with_node='job', project='transport_type')
    for pk, transport in query.all() if jobs else ():
        jobs[pk].transport = transport


def _ask_complaints(root: Step) -> None:
    """Note for the jobs between AiiDA and the scheduler what went wrong there, if anything did."""
    jobs = {step.pk: step for step in root.walk() if not step.is_over and step.job_state in _ON_THE_WAY}
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': {'in': list(jobs)}}, project='id', tag='job')
    query.append(orm.Log, with_node='job', filters={'levelname': 'ERROR'}, project='message', tag='log')
    query.order_by({'log': ['time', 'id']})
    for pk, message in query.all() if jobs else ():
        jobs[pk].complaint = _complaint(message)


def _complaint(message: str) -> str:
    """Return what the last exception of a traceback says, in one line."""
    start = [found.end() for found in _ERROR_LINE.finditer(message)]
    text = message[start[-1] :] if start else (message.strip().splitlines() or [''])[-1]
    return ' '.join(text.split())


def _step(values: Sequence[Any], name: str) -> Step:
    known = dict(zip(_PROJECTED.values(), values, strict=True))
    known |= {'paused': bool(known['paused']), 'cached': known['cached'] is not None}
    return Step(name=name, **{**known, 'state': known['state'] or 'created', 'process': known['process'] or ''})


def stage(root: Step) -> Step:
    """Return the step of the outline that is at work: the latest of the root's WorkChains that is not over."""
    open_steps = [child for child in root.children if child.is_workchain and not child.is_over]
    return open_steps[0] if open_steps else root


def running_jobs(root: Step) -> list[Step]:
    """Return the jobs that are not over."""
    return [step for step in root.walk() if step.is_job and not step.is_over]


def how_far(step: Step) -> str:
    """Say in words how far a process is that is not over, and where it is paused, what to do."""
    if step.job_state in _ON_THE_WAY:
        return _on_the_way(step)
    how = _of_job(step) if step.is_job and (step.workdir or step.job_state) else step.state
    if step.paused:
        how += f', PAUSED: see `verdi process report {step.pk}`, then `verdi process play {step.pk}`'
    return how


def _of_job(step: Step) -> str:
    """Say how far a job is, by the scheduler where its program writes no progress."""
    if step.process in _SILENT:
        return step.scheduler or step.state
    progress = job_progress(step)
    return words(progress) if progress is not None or step.scheduler is None else f'{step.scheduler}, no progress yet'


def _on_the_way(step: Step) -> str:
    """Say of a job between AiiDA and the scheduler where it is, and what the scheduler or the computer refuse."""
    words_of_it, what = _ON_THE_WAY[str(step.job_state)]
    why = f': {step.complaint}' if step.complaint else ''
    if step.paused:
        return (
            f'PAUSED. {what} failed every time{why or "."} Fix this, then run `verdi process play {step.pk}`. The job '
            'waits until then.'
        )
    return f'{words_of_it}; the last try failed{why}' if why else words_of_it


def job_progress(step: Step) -> Progress | None:
    """Return the last whole line of a running job's progress file, from the computer it runs on; None without one."""
    if step.workdir is None:
        return None
    path = Path(step.workdir) / PROGRESS_FILE
    try:
        if step.is_local:
            return last_line(_tail(path))
        node = orm.load_node(step.pk)
        with tempfile.TemporaryDirectory() as folder, node.get_transport() as transport:
            copy = Path(folder) / PROGRESS_FILE
            transport.getfile(str(path), str(copy))
            return last_line(_tail(copy))
    except (OSError, AiidaException):
        return None


def _tail(path: Path) -> str:
    with path.open('rb') as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - _END_OF_FILE))
        return stream.read().decode(errors='replace')


def last_line(text: str) -> Progress | None:
    """Return the last line of `text` that is a whole JSON object, or None."""
    for line in reversed(text.splitlines()):
        try:
            content = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(content, dict):
            return cast(Progress, content)
    return None


_NOT_SHOWN = ('done', 'total', 'unit', 'seconds')


def words(progress: Progress | None) -> str:
    """Say a line of a progress file in words."""
    if progress is None:
        return 'waiting to start'
    extras = [f'{name} {_number(value)}' for name, value in progress.items() if name not in _NOT_SHOWN]
    return ', '.join([f'{progress.get("unit", "step")} {progress.get("done")} of {progress.get("total")}', *extras[:3]])


def _number(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
