"""The command that all others belong to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from aiida_mlcc import __version__
from aiida_mlcc.cli.profiles import load

Command = TypeVar('Command', bound=Callable[..., Any] | click.Command)


class OrderedGroup(click.Group):
    """List the commands in the order a person needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands, in the order in which they were added."""
        return list(self.commands)


@click.group('aiida-mlcc', cls=OrderedGroup, context_settings={'help_option_names': ['-h', '--help'], 'obj': load})
@click.version_option(__version__, prog_name='aiida-mlcc')
def cli() -> None:
    """Phonons and vibrational spectra of crystals at coupled-cluster accuracy, on AiiDA.

    ID is the PK, UUID or label of a node.
    """
    # AiiDA looks `verdi` up on the PATH to start its daemon; ours may be called without activating its environment.
    os.environ['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', os.defpath)])


def profile_option(function: Command) -> Command:
    """Add ``-p/--profile`` to a command that works in an existing profile."""
    return click.option(
        '-p',
        '--profile',
        metavar='NAME',
        help='Profile in the configuration that AIIDA_PATH points to; the default one if not given.',
    )(function)


def reading_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-p/--profile`` to a command that only reads, and so also reads an archive."""
    return click.option(
        '-p',
        '--profile',
        metavar='NAME|FILE.aiida',
        help='Profile as for all commands, or an archive, which is read without being imported.',
    )(function)
