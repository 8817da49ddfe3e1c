"""How many energies a run will compute, as far as that is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ase import Atoms

from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.science.crystal.cells import expand_matrix, primitive_cell, supercell
from aiida_mlcc.science.crystal.spring_crystal import count_frozen_phonons
from aiida_mlcc.science.design.choose_snapshots import DESIGNED, chosen_frames
from aiida_mlcc.science.labels.labelling_plan import Selection, in_one_job, selections_of, with_cheaper
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
    frames, n_new = _asked(inputs)
    there = _labelled_already(inputs)
    missing = {method: [f for f in asked if f not in there.get(method, ())] for method, asked in frames.items()}
    return ExpectedFrames(in_one_job(missing), n_new, 'rounds' in inputs['cc_energies'])


def labels_to_come(inputs: RunInputs) -> dict[str, int]:
    """Return how many frames will have an energy of each method that is calculated, those included that have one."""
    there = _labelled_already(inputs)
    return {method: len({*asked, *there.get(method, ())}) for method, asked in _asked(inputs)[0].items()}


def _asked(inputs: RunInputs) -> tuple[dict[str, list[int]], int]:
    """Return the frames that each method is to have, and how many of them are new structures."""
    labelling = inputs['cc_energies']
    methods = correlation_engine(labelling['engine']).calculates(inputs['methods'])
    n_frames = inputs['snapshots'].n_frames if 'snapshots' in inputs else frames_to_come(inputs)
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
    return with_cheaper(chosen), n_new


def _labelled_already(inputs: RunInputs) -> dict[str, set[int]]:
    if 'snapshots' not in inputs:
        return {}
    labels = inputs['snapshots'].get_snapshots().labels
    return {method: set(label.labelled.nonzero()[0].tolist()) for method, label in labels.items()}


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
