"""The ``aiida-mlcc`` command.

No module here imports AiiDA, torch or matplotlib at its top: the directory of the profile has to be settled before
AiiDA is imported, and ``aiida-mlcc --help`` should not take seconds.
"""

from aiida_mlcc.cli.article import article
from aiida_mlcc.cli.cells import cells
from aiida_mlcc.cli.dataset import dataset
from aiida_mlcc.cli.demo import demo
from aiida_mlcc.cli.export import export
from aiida_mlcc.cli.launch import launch
from aiida_mlcc.cli.model import model
from aiida_mlcc.cli.plot import plot
from aiida_mlcc.cli.publish import publish
from aiida_mlcc.cli.report import report
from aiida_mlcc.cli.results import results
from aiida_mlcc.cli.root import cli, profile_option
from aiida_mlcc.cli.runs import list_runs, stop
from aiida_mlcc.cli.setup import setup
from aiida_mlcc.cli.status import status
from aiida_mlcc.cli.trace import trace
from aiida_mlcc.cli.verify import verify
from aiida_mlcc.engines.table import commands

_OF_RUNS = (setup, demo, article, dataset, cells, model, launch, list_runs, status, stop)
_OF_ENGINES = tuple(profile_option(command) for command in commands())
_OF_RESULTS = (results, plot, report, trace, export, publish, verify)

for command in (*_OF_RUNS, *_OF_ENGINES, *_OF_RESULTS):
    cli.add_command(command)

__all__ = ('cli',)
