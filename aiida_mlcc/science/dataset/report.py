"""What is to be known about a data set before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from ase import Atoms

from aiida_mlcc.science.dataset.crystal import CrystalReport, describe_crystal, find_sites
from aiida_mlcc.science.dataset.energies import Difference, Outlier, describe_difference
from aiida_mlcc.science.dataset.motion import Motion, describe_motion
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.labels.methods import near_miss
from aiida_mlcc.science.labels.snapshots import Snapshots


@dataclass(frozen=True)
class Account:
    """What became of the frames of one file: read = paired + left over + merged + dropped.

    :param file: its name, without folder and without ``.gz``; `sha256`: of its content, decompressed.
    :param paired: how many frames label one of the data set.
    :param left_over: frames whose structure is not in the base.
    :param merged: frame → the earlier frame that has the same structure and energy.
    :param dropped: frame → why its label is not used.
    :param decimals: with which the energies are written: 3 means a resolution of 1 meV per cell.
    :param forces: whose forces are in the file: ``own`` (stored), ``base`` (equal to the base's, not stored),
        ``own and base`` (those of the method are stored), ``zero`` (placeholders, not stored), ``refused`` (not
        stored, for the energies contradict them) or ``none``.
    :param remarks: what else is to be known of the file, in sentences without a full stop.
    """

    file: str
    sha256: str
    frames_read: int
    paired: int
    left_over: tuple[int, ...]
    merged: Mapping[str, int]
    dropped: Mapping[str, str]
    decimals: int
    forces: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetReport:
    """An account of each file, and the state of what was made from them.

    :param files: method → account of its file; empty where the snapshots come from elsewhere.
    :param crystal: None where none was given or found.
    :param differences: wave-function method → how its energies differ from those of the base.
    """

    formula: str
    n_frames: int
    n_atoms: int
    base_method: str
    n_labelled: Mapping[str, int]
    crystal: CrystalReport | None
    motion: Motion
    differences: Mapping[str, Difference] = field(default_factory=dict)
    files: Mapping[str, Account] = field(default_factory=dict)

    def plain(self) -> Json:
        """Return the report as plain JSON."""
        return asdict(self)

    @classmethod
    def read(cls, content: Json) -> DatasetReport:
        """Read what :meth:`plain` gave, also as JSON has it."""
        crystal, differences = content['crystal'], content['differences']
        return cls(
            content['formula'],
            content['n_frames'],
            content['n_atoms'],
            content['base_method'],
            content['n_labelled'],
            None if crystal is None else CrystalReport(**crystal),
            Motion(**content['motion']),
            {
                method: Difference(**{**found, 'outliers': tuple(Outlier(**one) for one in found['outliers'])})
                for method, found in differences.items()
            },
            {method: Account(**account) for method, account in content['files'].items()},
        )


def describe(
    snapshots: Snapshots,
    base_method: str,
    primitive: Atoms | None = None,
    files: Mapping[str, Account] | None = None,
) -> tuple[DatasetReport, Atoms | None]:
    """Return the report on `snapshots`, and the primitive cell of their crystal, None where none is found.

    :param primitive: the primitive cell, looked for where it is None.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where the frames are not supercells of `primitive`.
    """
    accounts = {method: _with_near_miss(method, account) for method, account in (files or {}).items()}
    sites = find_sites(snapshots, primitive)
    report = DatasetReport(
        formula=str(snapshots.atoms(0).symbols.formula.format('metal')),
        n_frames=snapshots.n_frames,
        n_atoms=snapshots.n_atoms,
        base_method=base_method,
        n_labelled={method: int(snapshots.labels[method].labelled.sum()) for method in snapshots.methods},
        crystal=describe_crystal(sites, given=primitive is not None),
        motion=describe_motion(snapshots, sites),
        differences={
            method: describe_difference(snapshots, base_method, method, accounts[method].decimals if accounts else None)
            for method in snapshots.methods
            if method != base_method
        },
        files=accounts,
    )
    return report, sites.primitive


def _with_near_miss(method: str, account: Account) -> Account:
    if (meant := near_miss(method)) is None:
        return account
    remark = f'{method} is stored as a method of its own: if {meant} is meant, import the file again under that name'
    return replace(account, remarks=(*account.remarks, remark))
