"""Options that commands share which submit a run."""

from __future__ import annotations

import click

protocol_option = click.option('--protocol', help='fast, balanced, stringent or paper; the default one if not given.')
code_option = click.option(
    '--code', metavar='LABEL', help='The Python that runs the jobs; mlcc-python@localhost if not given.'
)
scheduler_option = click.option(
    '--option',
    'options',
    metavar='KEY=VALUE',
    multiple=True,
    help='A scheduler option of all jobs, for instance max_wallclock_seconds=3600; can be repeated.',
)
label_option = click.option('--label', default='', help='Label of the run, for use as ID in other commands.')
