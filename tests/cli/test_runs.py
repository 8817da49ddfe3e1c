"""Listing, stopping and following runs, and labels that several nodes have."""

import datetime
import logging

import click
import pytest

from aiida_mlcc.cli.nodes import find
from aiida_mlcc.cli.runs import _is_not_a_late_answer
from aiida_mlcc.cli.watch import wait_for
from tests.cli.conftest import last_line


def test_runs_are_listed_newest_first_with_their_crystal_and_state(command, run):
    lines = command('list').output.splitlines()
    assert any(str(run.master.pk) == line.split()[0] and 'finished' in line for line in lines)
    pks = [int(line.split()[0]) for line in lines]
    assert pks == sorted(pks, reverse=True)


def test_a_run_that_is_over_is_not_stopped(command, run):
    result = command('stop', run.master.pk)
    assert result.exit_code == 0
    assert 'has already ended: finished' in last_line(result)


def test_a_label_of_several_nodes_lists_them_with_runs_first_and_the_newest_before(aiida_profile):
    from aiida import orm

    now = datetime.datetime.now(datetime.UTC)
    made = {}
    for name, kind, age in (('old', orm.WorkChainNode, 3), ('new', orm.WorkChainNode, 2), ('data', orm.Int, 1)):
        node = kind(ctime=now - datetime.timedelta(hours=age), label='twice told')
        made[name] = node.store().pk
    with pytest.raises(click.UsageError, match='3 nodes have the label') as caught:
        find('twice told')
    listed = [int(line.split('<')[1].split('>')[0]) for line in caught.value.message.splitlines()[1:]]
    assert listed == [made['new'], made['old'], made['data']]


def test_after_ctrl_c_the_run_goes_on_and_it_is_said_how_to_follow_it(aiida_profile, monkeypatch, capsys):
    from aiida import orm

    def interrupt(process):
        raise KeyboardInterrupt

    monkeypatch.setattr('aiida_mlcc.cli.watch.watch', interrupt)
    node = orm.WorkChainNode().store()
    with pytest.raises(click.exceptions.Exit) as caught:
        wait_for(node)
    assert caught.value.exit_code == 130
    assert f'The run goes on. Follow it with `aiida-mlcc status --follow {node.pk}`' in capsys.readouterr().out.replace(
        ' -p test', ''
    )


def test_stages_are_in_the_order_of_their_making_whatever_their_pks(aiida_profile):
    """An import gives new PKs in any order."""
    from aiida import orm
    from aiida.common.links import LinkType

    from aiida_mlcc.report.provenance.progress import survey

    now = datetime.datetime.now(datetime.UTC)
    master = orm.WorkChainNode().store()
    for name, age in (('second', 1), ('first', 2)):
        stage = orm.WorkChainNode(ctime=now - datetime.timedelta(hours=age))
        stage.base.links.add_incoming(master, LinkType.CALL_WORK, name)
        stage.store()
    assert [step.name for step in survey(master).children] == ['first', 'second']


def test_a_late_answer_of_the_daemon_is_not_told_as_a_failure():
    messages = {'Failed to kill Process<45>: Task/RPC timed out after 10s': False, 'Failed to kill Process<45>': True}
    found = {text: _is_not_a_late_answer(logging.makeLogRecord({'msg': text})) for text in messages}
    assert found == messages
