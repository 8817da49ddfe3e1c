"""The data published with arXiv:2507.06929: which files, of which content, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiida_mlcc.science.dataset.dataset import Dataset, read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.dataset.file_content import ContentError, checksum

REPOSITORY = 'https://github.com/waup-1/MLphononsdata'
COMMIT = 'd13cfd26afc17d3c720596ec64d3e2a876e3117d'
ARTICLE = 'https://arxiv.org/abs/2507.06929'


@dataclass(frozen=True)
class PublishedFile:
    """A file of the repository: its path there, and the SHA-256 of its content, which is not compressed."""

    path: str
    sha256: str


@dataclass(frozen=True)
class PublishedSet:
    """Files of one crystal: method → file; the first one is that of the base."""

    base_method: str
    files: Mapping[str, PublishedFile]


MLPHONONS = {
    'diamond': PublishedSet(
        'PBE',
        {
            'PBE': PublishedFile(
                'c/200221forcc.xyz', '65b030b86243878d0f6b7993027347f2f471439b860fbb723ca889d101413919'
            ),
            'HF': PublishedFile(
                'c/200221forcc_hfe.xyz', '3f02290e61dd9222b27a710bb582dd99e2bb15ea9e4ecca87d4ab1b19f1c0d81'
            ),
            'MP2': PublishedFile(
                'c/200221forcc_mp2.xyz', '6d037eb9ea7742440bdab78b5cae49736cf9965ba6316108c8804422566c3e90'
            ),
            'CCSD': PublishedFile(
                'c/200221forcc_ccsd.xyz', '6f482d4be5cc23d968fb17f3c8d469dff2dbae4f17032b047671161c0b47818d'
            ),
            'CCSD(T)': PublishedFile(
                'c/200221forcc_ccsdt.xyz', 'f07c22aedaf761f40a865add8b25bb1e712a1d9de44141df5134ad959a37296b'
            ),
        },
    ),
    'lih': PublishedSet(
        'LDA',
        {
            'LDA': PublishedFile(
                'lih/200222forcc.xyz', '48558f20368410eba9b011f5709a5ff1c5cf7a72be69d644e80ff9818909c673'
            ),
            'HF': PublishedFile(
                'lih/200222forcc_hfe.xyz', 'f586954eb5101602409cb1a2c8ffd31b868f80105462f9b402755bc47fe364fd'
            ),
            'MP2': PublishedFile(
                'lih/200222forcc_mp2.xyz', 'ad332e4d5218477a65aa50f56da2c41761cf9837b76e4dd16e3f88d8cbcdf385'
            ),
            'CCSD': PublishedFile(
                'lih/200222forcc_ccsd.xyz', '9c950765466fef3c0e410e81c1f2e1fafa7a6cdf265d2971bb8185c29b4c6faa'
            ),
            'CCSD(T)': PublishedFile(
                'lih/200222forcc_ccsdt.xyz', '2bcec44970faf60af3eac5c2fc8f5afaebc01361309d01f69f4810275a7007d4'
            ),
        },
    ),
}
"""Crystal → its files. The 2000 frames of LiH with LDA labels alone, ``lih/lih_md_sweep222.xyz``, are not used."""


def address_of(file: PublishedFile) -> str:
    """Return where the file can be had, at the pinned commit."""
    return f'{REPOSITORY.replace("https://github.com", "https://raw.githubusercontent.com")}/{COMMIT}/{file.path}'


def locate(folder: Path, file: PublishedFile) -> Path:
    """Return the file in a copy of the repository, or a gzipped copy of it.

    :raises DatasetError: where neither is there.
    """
    for path in (folder / file.path, folder / f'{file.path}.gz'):
        if path.is_file():
            return path
    raise DatasetError(f'there is no {file.path} in {folder}, gzipped or not')


def verify(path: Path, file: PublishedFile) -> None:
    """Check the content of a copy, gzipped or not.

    :raises DatasetError: where it is not that of the published file.
    """
    try:
        found = checksum(path)
    except ContentError as error:
        raise DatasetError(str(error)) from None
    if found != file.sha256:
        raise DatasetError(
            f'{path} is not the published {file.path}: its content has the SHA-256 {found[:12]}…, and should have '
            f'{file.sha256[:12]}…'
        )


def read_published(folder: Path, crystal: str) -> Dataset:
    """Check the files of `crystal` in a copy of the repository, and pair their frames.

    :raises DatasetError: where a file is missing or has another content.
    """
    published = MLPHONONS[crystal]
    paths = {method: locate(folder, file) for method, file in published.files.items()}
    for method, file in published.files.items():
        verify(paths[method], file)
    return read_dataset(paths.pop(published.base_method), published.base_method, paths)
