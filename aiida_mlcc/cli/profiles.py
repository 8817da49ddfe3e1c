"""Which profile a command works in."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiida.manage.configuration.config import Config

CONFIG_FOLDER = '.aiida'
OWN_PROFILE = 'mlcc'
ARCHIVE_ENDING = '.aiida'


def own_directory() -> Path:
    """Return the directory that `setup` uses where the person names none."""
    return Path.home() / '.aiida-mlcc'


def settle_directory(directory: Path) -> None:
    """Make `directory` the one that holds AiiDA's configuration, for this process and its children."""
    os.environ['AIIDA_PATH'] = str(directory)
    if 'aiida.manage.configuration' in sys.modules:
        from aiida.manage.configuration import reset_config
        from aiida.manage.configuration.settings import AiiDAConfigDir

        AiiDAConfigDir.set(directory / CONFIG_FOLDER)
        reset_config()


def configured_folders() -> list[Path]:
    """Return the configuration folders that AiiDA would consider, best first, as ``verdi`` does."""
    bases = [Path(part).expanduser() for part in os.environ.get('AIIDA_PATH', '').split(os.pathsep) if part]
    return [base if base.name == CONFIG_FOLDER else base / CONFIG_FOLDER for base in bases or [Path.home()]]


def load(profile: str | None) -> None:
    """Load `profile`, or the default one.

    :raises click.UsageError: in a sentence that says how to come to a profile.
    """
    if 'aiida.manage' in sys.modules:
        from aiida.manage import get_manager

        loaded = get_manager().get_profile()
        if loaded is not None and profile in (None, loaded.name):
            return
    folders = configured_folders()
    # Importing AiiDA makes its folder where there is none; whoever only asked for a result should not get one.
    if not any((folder / 'config.json').is_file() for folder in folders) and 'aiida' not in sys.modules:
        raise click.UsageError(f'There is no AiiDA profile in {folders[-1]}. {_hint()}')
    from aiida.common.exceptions import ConfigurationError, StorageMigrationError
    from aiida.manage.configuration import get_config, load_profile

    try:
        config = get_config()
        refuse_unknown(config, profile)
        load_profile(profile, allow_switch=True)
    except ConfigurationError as error:
        raise click.UsageError(f'{_sentence(error)} {_hint()}') from None
    except StorageMigrationError as error:
        raise click.ClickException(_sentence(error)) from None
    quieten()


def load_to_read(profile: str | None) -> None:
    """Load `profile` as :func:`load` does, or where it is the path of an archive this, without importing it.

    :raises click.UsageError: in a sentence.
    """
    if profile is None or not profile.endswith(ARCHIVE_ENDING):
        load(profile)
        return
    if not Path(profile).is_file():
        raise click.UsageError(f'There is no archive {profile}.')
    with_scratch_configuration()
    from aiida_mlcc.report.publication.read_archive import load_archive
    from aiida_mlcc.report.publication.request import Refused

    try:
        load_archive(Path(profile))
    except Refused as error:
        raise click.ClickException(f'{error}.') from None
    quieten()


def with_scratch_configuration() -> None:
    """Let AiiDA have a configuration until this process ends, where it is not imported yet and has none.

    Whoever reads an archive or a bundle needs no profile, and gets no folder in the home.
    """
    if 'aiida' in sys.modules or any((folder / 'config.json').is_file() for folder in configured_folders()):
        return
    folder = tempfile.mkdtemp(prefix='aiida-mlcc-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ['AIIDA_PATH'] = folder


def quieten() -> None:
    """Let AiiDA's log speak where something is wrong only: the commands say what happens themselves."""
    import logging

    from aiida.common.log import AIIDA_LOGGER
    from aiida.manage import get_manager

    # Opening the storage sets the levels by the configuration: they can be lowered only after that.
    get_manager().get_profile_storage()
    AIIDA_LOGGER.setLevel(logging.ERROR)


def refuse_unknown(config: Config, profile: str | None) -> None:
    """Raise where `config` holds no profile of that name."""
    if profile is not None and profile not in config.profile_names:
        known = ', '.join(config.profile_names) or 'none'
        raise click.UsageError(f'There is no profile {profile!r} in {config.dirpath}; profiles there: {known}.')


def _hint() -> str:
    if (own_directory() / CONFIG_FOLDER / 'config.json').is_file():
        return f'Point to the one that `aiida-mlcc setup` made: export AIIDA_PATH={own_directory()}'
    return 'Make one with `aiida-mlcc setup`, or point AIIDA_PATH to the directory of yours.'


def _sentence(error: Exception) -> str:
    text = ' '.join(str(error).split())
    return text if text.endswith('.') else f'{text}.'
