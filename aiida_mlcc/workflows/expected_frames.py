"""How many energies a run will compute, as far as that is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ase import Atoms

from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.science.crystal import expand_matrix, primitive_cell, supercell
from aiida_mlcc.science.labelling_plan import Selection, in_one_job, selections_of, with_cheaper
from aiida_mlcc.science.selection import DESIGNED, chosen_frames
from aiida_mlcc.science.spring_crystal import count_frozen_phonons
from aiida_mlcc.workflows.run_inputs import RunInputs


@dataclass(frozen=True)
class ExpectedFrames:
    """What is to be labelled.

    :param groups: methods → the frames that lack these; which frames those are may be a stand-in, their number is not.
    :param n_new: new structures, which need a DFT job of their own.
    :param at_most: whether labelling may end earlier.
    """

    groups: Mapping[tuple[str, ...], list[int]]
    n_new: int = 0
    at_most: bool = False

    def of(self, method: str) -> int:
        """Return how many frames a method labels."""
        return sum(len(frames) for methods, frames in self.groups.items() if method in methods)


def expected_frames(inputs: RunInputs) -> ExpectedFrames:
    """Return what the inputs of the master WorkChain ask to be labelled."""
    labelling = inputs['cc_energies']
    methods = correlation_engine(labelling['engine']).calculates(inputs['methods'])
    snapshots = inputs['snapshots'].get_snapshots() if 'snapshots' in inputs else None
    n_frames = frames_to_come(inputs) if snapshots is None else snapshots.n_frames
    selection = labelling['selection'].get_dict()
    if 'rounds' in labelling:
        selection['n'] = labelling['rounds'].get_dict()['most']
    chosen, n_new = {}, 0
    for method, asked in selections_of(methods, selection).items():
        if asked['kind'] == DESIGNED:
            n_new = n_new or _new_structures(inputs, asked)
            chosen[method] = list(range(n_frames, n_frames + n_new))
        else:
            chosen[method] = _stand_in(n_frames, asked)
    frames = with_cheaper(chosen)
    if snapshots is not None:
        there = {m: set(label.labelled.nonzero()[0].tolist()) for m, label in snapshots.labels.items()}
        frames = {method: [f for f in found if f not in there.get(method, ())] for method, found in frames.items()}
    return ExpectedFrames(in_one_job(frames), n_new, 'rounds' in labelling)


def first_point(inputs: RunInputs) -> Atoms:
    """Return a cell like those that are labelled: a snapshot, or the training cell."""
    if 'snapshots' in inputs:
        return inputs['snapshots'].get_ase()
    return supercell(inputs['structure'].get_ase(), expand_matrix(inputs['dft_md']['supercell_matrix'].get_list()))


def frames_to_come(inputs: RunInputs) -> int:
    """Return how many frames the dynamics will have, or how many structures are drawn instead."""
    if 'parameters' in inputs.get('thermal_structures', {}):
        return int(inputs['thermal_structures']['parameters']['n_structures'])
    parameters = inputs['dft_md']['md']['parameters'].get_dict()
    return parameters['n_steps'] // parameters['record_every']


def _stand_in(n_frames: int, asked: Selection) -> list[int]:
    # Which frames are optimal takes the structures to say, but their number does not.
    return list(range(asked['n'])) if asked['kind'] == 'optimal' else chosen_frames(n_frames, asked).tolist()


def _new_structures(inputs: RunInputs, asked: Selection) -> int:
    return count_frozen_phonons(primitive_cell(inputs['structure'].get_ase()), first_point(inputs), asked)
