"""Open an archive as a read-only profile, so that it is read without being imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiida_mlcc.report.data.remembered import forget
from aiida_mlcc.report.publication.request import Refused


@contextmanager
def archive_as_profile(archive: Path) -> Iterator[None]:
    """Load an archive as the profile, and unload it at the end; what was loaded before is loaded again.

    :raises Refused: where the file is not an archive of AiiDA, or this AiiDA does not read its format.
    """
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile

    before = get_manager().get_profile()
    load_archive(archive)
    try:
        yield
    finally:
        forget()
        get_manager().unload_profile()
        if before is not None:
            load_profile(before, allow_switch=True)


def load_archive(archive: Path) -> None:
    """Load an archive as the profile.

    :raises Refused: where the file is not an archive of AiiDA, or this AiiDA does not read its format.
    """
    from aiida import __version__
    from aiida.common.exceptions import AiidaException
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend

    try:
        found = SqliteZipBackend.version_profile(SqliteZipBackend.create_profile(archive))
    except (AiidaException, OSError, ValueError, KeyError) as error:
        raise Refused(f'{archive} is not an archive of AiiDA: {" ".join(str(error).split())}') from None
    if found != (known := SqliteZipBackend.version_head()):
        raise Refused(
            f'{archive.name} has the format {found} and AiiDA {__version__} reads {known}: bring the archive to it '
            'with `verdi archive migrate`, or where it is newer install a newer AiiDA'
        )
    load_profile(SqliteZipBackend.create_profile(archive), allow_switch=True)
    try:
        get_manager().get_profile_storage()
    except AiidaException as error:
        raise Refused(f'{archive} cannot be read: {" ".join(str(error).split())}') from None
