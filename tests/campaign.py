"""A campaign of coupled-cluster energies with the programs of :mod:`tests.campaign_programs`, on a loaded profile."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.campaign_programs import FAULTS, distance_of
from tests.vasp_outputs import POTCAR, single_point_outputs

FAMILY = 'helium-stubs'
METHODS = ['HF', 'MP2', 'CCSD', 'CCSD(T)']
VASP_ENGINE = {
    'gamma_only': True,
    'natural_orbitals_per_occupied': 1,
    'hf_kpoints': [1, 1, 1],
    'potential_family': FAMILY,
    'potential_mapping': {'He': 'He'},
}


def helium(n_points: int) -> Snapshots:
    """Two atoms in one cell, whose distance is that of the point."""
    cells = np.array([np.diag([2.6, 2.6, 5.2])] * n_points)
    positions = np.array([[[0, 0, 0], [0, 0, distance_of(number)]] for number in range(n_points)])
    return Snapshots(('He', 'He'), cells, positions)


def faults_of(n_points: int, share: float, kinds: Sequence[str] = FAULTS) -> dict[int, str]:
    """Return point → what goes wrong, for `share` of the points, evenly spread, the kinds in turn."""
    counts = [int(share * number + 1e-9) for number in range(n_points + 1)]
    wrong = [number for number in range(n_points) if counts[number + 1] > counts[number]]
    return {number: kinds[place % len(kinds)] for place, number in enumerate(wrong)}


class Campaign:
    """The stand-ins as codes on a computer, and what they have written down in the folder `state`."""

    def __init__(self, state: Path, computer: orm.Computer) -> None:
        self.state = state
        (state / 'starts').mkdir(parents=True)
        self.break_points({})
        self.codes = {name: self._code(name, computer) for name in ('integrals', 'cc4s', 'vasp')}

    def break_points(self, faults: Mapping[int, str]) -> None:
        """Let these points fail from now on, and no others."""
        (self.state / 'faults.json').write_text(json.dumps(dict(faults)))

    def builder(self, snapshots: Snapshots, engine: str = 'pyscf+cc4s', **overrides: Any) -> Any:
        """Return the inputs that label all `snapshots` by all methods, unless `overrides` say otherwise."""
        own = {'basis': 'gth-dzv', 'exp_to_discard': None, 'natural_orbitals_per_occupied': None}
        settings = {'name': engine, **(own if engine.startswith('pyscf') else VASP_ENGINE)}
        inputs = {'methods': METHODS, 'selection': {'kind': 'all'}, 'engine': settings, **overrides}
        builder = CCEnergiesWorkChain.get_builder_from_protocol(
            self.codes['integrals'],
            SnapshotsData(snapshots),
            'paper',
            inputs,
            cc4s_code=self.codes['cc4s'],
            vasp_code=self.codes['vasp'],
        )
        builder.cc4s.metadata.options.withmpi = False
        if engine.startswith('vasp'):
            self._prepare_vasp()
            # The recorded runs know no corrections.
            builder.engine = orm.Dict({**builder.engine.get_dict(), 'cc4s': {'ccsd': {}, 'triples': {}}})
            builder.vasp.options = {'resources': {'num_machines': 1}, 'withmpi': False}
        return builder

    def events(self, program: str) -> dict[int, list[str]]:
        """Return point → what its program wrote down, in order."""
        paths = sorted((self.state / 'starts').glob(f'{program}_*'))
        return {int(path.name.rpartition('_')[2]): path.read_text().split() for path in paths}

    def starts(self, program: str = 'cc4s') -> dict[int, int]:
        """Return point → how often its program started."""
        return {number: events.count('start') for number, events in self.events(program).items()}

    def computed_again(self, program: str = 'cc4s') -> list[int]:
        """Return the points whose program was started after it had been done."""
        return [
            number
            for number, events in self.events(program).items()
            if 'done' in events and 'start' in events[events.index('done') :]
        ]

    def _code(self, name: str, computer: orm.Computer) -> orm.InstalledCode:
        root = Path(__file__).parents[1]
        program = self.state / name
        run = f'{sys.executable} -S -m tests.campaign_programs {self.state} {name}'
        program.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {run} "$@"\n')
        program.chmod(0o755)
        plugins = {'cc4s': 'mlcc.cc4s', 'vasp': 'vasp.vasp'}
        return orm.InstalledCode(
            label=f'{name}-stand-in',
            computer=computer,
            filepath_executable=str(program),
            default_calc_job_plugin=plugins.get(name),
            with_mpi=False,
        ).store()

    def _prepare_vasp(self) -> None:
        """Make the family of potentials, and the files that every step leaves."""
        from aiida_vasp.data.potcar import PotcarData, PotcarGroup

        target = self.state / 'vasp_outputs'
        if target.exists():
            return
        target.mkdir()
        atoms = Atoms('He2', positions=[[0, 0, 0], [0, 0, 2.4]], cell=[2.6, 2.6, 5.2], pbc=True)
        numbers = {'nelm': 100, 'n_electronic': 5, 'n_electrons': 4.0, 'n_plane_waves': 100}
        for name, content in single_point_outputs(atoms, -150.0, np.zeros((2, 3)), **numbers).items():
            (target / name).write_text(content)
        potcar = self.state / FAMILY / 'He' / 'POTCAR'
        potcar.parent.mkdir(parents=True)
        potcar.write_text(POTCAR.format(element='He', zval=2))
        group, _ = PotcarGroup.collection.get_or_create(FAMILY)
        group.add_nodes(PotcarData.get_or_create_from_file(str(potcar))[0])
