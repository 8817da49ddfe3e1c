"""Publish runs: filter their archive, write the bundle from it, check it, and put it in its place only then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aiida import orm

from aiida_mlcc.report.provenance.archive import TRAVERSAL
from aiida_mlcc.report.publication.archive_file import UnpackedArchive
from aiida_mlcc.report.publication.checks import is_bundle
from aiida_mlcc.report.publication.privacy import PrivacyReport, filter_archive, licensed_texts
from aiida_mlcc.report.publication.private_names import Secrets, here, of_profile, secrets_of
from aiida_mlcc.report.publication.request import PublicFinding, PublicReport, Refused, Request
from aiida_mlcc.report.publication.verify_bundle import ARCHIVE, files_of, wrong_sums

RECORD_BYTES, DATABASE_BYTES = 5e9, 50e9
"""What Materials Cloud Archive takes in a record, and with a database of AiiDA."""


@dataclass(frozen=True)
class Published:
    """What was written.

    :param sizes: path in the bundle → bytes.
    """

    folder: Path
    privacy: PrivacyReport
    sizes: dict[str, int]


def publish(
    runs: Sequence[orm.ProcessNode],
    target: Path,
    request: Request,
    groups: Sequence[orm.Group] = (),
    without_remote: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Published:
    """Write the bundle of `runs` to `target`; where anything fails, nothing is left there.

    The profile is only read.

    :param groups: that the archive also holds.
    :param force: replace a bundle also where somebody changed it.
    :raises Refused: in a sentence.
    """
    refuse_target(target, force)
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f'.{target.name}.', dir=target.parent))
    try:
        bundle = scratch / 'bundle'
        bundle.mkdir()
        secrets, privacy = write_archive(
            runs, groups, bundle / ARCHIVE, scratch / 'archive', request.without_models, without_remote
        )
        say(f'filtered the archive ({(bundle / ARCHIVE).stat().st_size / 1e6:.1f} MB)')
        _build(bundle, replace(request, privacy=_public(privacy)), scratch, say)
        refuse_private(bundle, secrets, request)
        sizes = {name: (bundle / name).stat().st_size for name in files_of(bundle)}
        refuse_target(target, force)
        _put_in_place(bundle, target, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Published(target, privacy, sizes)


def what_is_private(
    runs: Sequence[orm.ProcessNode],
    groups: Sequence[orm.Group] = (),
    without_models: bool = False,
    without_remote: bool = False,
) -> tuple[PrivacyReport, int]:
    """Return what is private in the archive of `runs`, what would become of it, and the bytes of the archive."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / ARCHIVE
        _, found = write_archive(runs, groups, archive, Path(folder) / 'archive', without_models, without_remote)
        return found, archive.stat().st_size


def refuse_target(target: Path, force: bool) -> None:
    """Raise where a bundle must not be written to a folder.

    :raises Refused: where the folder is not ours, or holds what is not of the bundle.
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
        return
    if target.is_symlink() or not target.is_dir() or not is_bundle(target):
        raise Refused(f'{target} is there already and is not a bundle of aiida-mlcc: give the name of a new folder')
    if not force and (changed := wrong_sums(target)):
        raise Refused(f'{target} is a bundle that was changed ({changed[0]}): --force replaces it')


def refuse_private(bundle: Path, secrets: Secrets, request: Request) -> None:
    """Raise where a name that is known to be private stands in a file of the bundle.

    :raises Refused: naming the file. What a person asked to be written, as the authors, is not private.
    """
    asked = ' '.join([request.title, *(f'{author.name} {author.affiliation}' for author in request.authors)])
    pattern = secrets.pattern(word for word in secrets.distinctive if word not in asked)
    if pattern is None:
        return
    for name in files_of(bundle):
        if name == ARCHIVE:
            continue
        text = (bundle / name).read_bytes().decode(errors='replace')
        if found := pattern.search(text):
            raise Refused(
                f'{name} would say {found.group()!r}, which is private: look for it in the label of the run, in the '
                'settings that its labels name as their source, and in the descriptions of its force fields'
            )


def write_archive(
    runs: Sequence[orm.ProcessNode],
    groups: Sequence[orm.Group],
    archive: Path,
    folder: Path,
    without_models: bool,
    without_remote: bool,
) -> tuple[Secrets, PrivacyReport]:
    """Export runs, and take what is private out of the archive.

    :param folder: to unpack it in.
    :raises Refused: where a file holds the text of a licensed potential.
    """
    from aiida.tools.archive import create_archive
    from aiida.tools.archive.exceptions import ArchiveExportError

    folder.mkdir()
    exported = folder / 'exported.aiida'
    try:
        create_archive([*runs, *groups], exported, include_comments=True, include_logs=True, **TRAVERSAL)
    except ArchiveExportError as error:
        raise Refused(f'The archive cannot be written: {" ".join(str(error).split())}') from None
    with UnpackedArchive.unpack(exported, folder) as unpacked:
        exported.unlink()
        if licensed := licensed_texts(unpacked):
            uuid, path = licensed[0]
            raise Refused(
                f'{len(licensed)} files hold the text of a licensed potential, {path} of the node {uuid} among them: '
                'it must not be passed on, so publish a run that does not contain it'
            )
        secrets = secrets_of(unpacked, here(), of_profile())
        report = filter_archive(unpacked, secrets, without_models, without_remote)
        unpacked.pack(archive)
    return secrets, report


def _build(bundle: Path, request: Request, scratch: Path, say: Callable[[str], None]) -> None:
    """Run :mod:`aiida_mlcc.report.publication.build` with a configuration of its own.

    :raises Refused: with the sentence that it ends with.
    """
    asked = scratch / 'request.json'
    asked.write_text(request.to_json(), encoding='utf-8')
    (scratch / 'aiida').mkdir()
    environment = {
        **os.environ,
        'AIIDA_PATH': str(scratch / 'aiida'),
        'PYTHONUTF8': '1',
        'PYTHONDONTWRITEBYTECODE': '1',
    }
    command = [sys.executable, '-m', 'aiida_mlcc.report.publication.build', str(bundle), str(asked)]
    said = scratch / 'stderr'
    with said.open('w') as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip())
        status = process.wait()
    if status:
        lines = said.read_text(errors='replace').strip().splitlines() or ['no reason given']
        raise Refused(lines[-1].rstrip('.'))


def _public(privacy: PrivacyReport) -> PublicReport:
    """Return the report without the names themselves."""
    replaced, left = (
        [PublicFinding(what=one.what, count=one.count, becomes=one.becomes) for one in findings]
        for findings in (privacy.replaced, privacy.left)
    )
    return {'n_without_hash': privacy.n_without_hash, 'replaced': replaced, 'left': left}


def _put_in_place(bundle: Path, target: Path, scratch: Path) -> None:
    """Move the bundle to its place, and what was there before out of it only when the new one is whole."""
    # The folder was made for one user alone; what is published is read by others.
    bundle.chmod(0o755)
    try:
        if target.exists():
            target.rename(scratch / 'before')
        bundle.rename(target)
    except BaseException:
        if (scratch / 'before').exists():
            (scratch / 'before').rename(target)
        raise
