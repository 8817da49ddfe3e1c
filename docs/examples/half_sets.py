"""The half-set study: networks and fits that saw one half of the published frames, asked about the other half.

    python docs/examples/half_sets.py --data DIR --crystal diamond --output half_sets_diamond.json --figure diamond.svg

Each seed draws a half of its own. On it are trained ML(DFT_E,F), its negative control ML(DFT_E), and ΔML of each
wave-function method by every kind of Δ: ``mace``, the article's, ``readout`` and ``force-constants``. The root mean
square errors on both halves go to the output file (JSON), which is written after each seed: a run that was stopped
goes on with the seeds that the file lacks, and several runs may fill one file, each with seeds of its own. The table
comes on stdout, what is being done on stderr.

The study is that of arXiv:2507.06929 (Figs. A1 and A2 for diamond, B4 and B5 for LiH), and the settings are those of
the protocol ``paper``, as far as the options leave them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from plot_half_sets import draw, table

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.readout import ReadoutFitter
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.runtime.tasks import train as training_task
from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.dataset.published_data import MLPHONONS, read_published
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.readout import Readout
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS, control_of
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.npz import write_json
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain

N_TRAIN = 98
R_MAX = {'diamond': 3.0, 'lih': 9.0}
"""The article's cutoffs, Å."""

_HALVES = 2
"""What random numbers of a seed are drawn for; a training draws its own for other purposes."""

_MEV = 1000.0


@dataclass(frozen=True)
class Half:
    """What one seed is to learn from: a random half of the frames, and the settings of the trainings.

    :param snapshots: frames with energies (eV per cell) of all methods and forces (eV/Å) of the base method.
    :param train: indices of the frames of the half to learn from; all others are the half to be tested on.
    :param protocol: inputs of DeltaTrainWorkChain.
    """

    snapshots: Snapshots
    primitive: Atoms
    base_method: str
    train: NDArray[np.int64]
    protocol: Mapping[str, Any]
    seed: int

    @property
    def test(self) -> NDArray[np.int64]:
        """The frames that are not trained on."""
        return np.setdiff1d(np.arange(self.snapshots.n_frames), self.train)

    @property
    def known(self) -> Snapshots:
        """The frames to learn from; nothing else is ever given to a training or a fit."""
        return self.snapshots.select(self.train)

    def rmse(self, wrong: NDArray[np.float64], per: int = 1) -> dict[str, float]:
        """Return the root mean square of errors in eV or eV/Å on either half, in thousandths and divided by `per`."""
        halves = {'train': self.train, 'test': self.test}
        return {name: _MEV * float(np.sqrt(np.mean(wrong[half] ** 2))) / per for name, half in halves.items()}

    def energy_rmse(self, wrong: NDArray[np.float64]) -> dict[str, float]:
        """Return the root mean square of errors in eV per cell on either half, meV/atom."""
        return self.rmse(wrong, per=self.snapshots.n_atoms)


def random_half(n_frames: int, n_train: int, seed: int) -> NDArray[np.int64]:
    """Return the indices of `n_train` frames drawn by `seed`, in ascending order."""
    return np.sort(np.random.default_rng([seed, _HALVES]).permutation(n_frames)[:n_train])


def models_of(half: Half) -> list[dict[str, Any]]:
    """Return an entry for each method and kind, with its errors on either half.

    ``energy_rmse_mev_atom`` is that of E_DFT or, for a Δ, of E_method − E_DFT, where a Δ with a part s·E_DFT is given
    the E_DFT of the label; ``sum_energy_rmse_mev_atom`` is that of base and Δ together against E_method: nothing but
    positions go in. ``forces_rmse_mev_angstrom`` is given where there are forces to compare with.
    """
    label = half.snapshots.labels[half.base_method]
    base = train(half, half.base_method, None, forces=True)
    base_energies, base_forces = predict(base, half.snapshots)
    control = predict(train(half, half.base_method, None, forces=False), half.snapshots)
    entries = [
        _functional(half, control_of(half.base_method), label, *control),
        _functional(half, half.base_method, label, base_energies, base_forces),
    ]
    fitter = ReadoutFitter(half.known, base.terms[0], half.base_method)
    for method in WAVEFUNCTION_METHODS:
        difference = half.snapshots.labels[method].energies - label.energies
        entries.append(_rescaling(half, method, label.energies, difference))
        for kind, delta in deltas(half, fitter, method).items():
            own = predict(without_base(delta, base), half.snapshots)[0]
            wrong = own + delta.base_scale * label.energies - difference
            sum_wrong = own + (1 + delta.base_scale) * base_energies - half.snapshots.labels[method].energies
            errors = {
                'energy_rmse_mev_atom': half.energy_rmse(wrong),
                'sum_energy_rmse_mev_atom': half.energy_rmse(sum_wrong),
            }
            entries.append({'method': method, 'kind': kind, **errors})
    return entries


def deltas(half: Half, fitter: ReadoutFitter, method: str) -> dict[str, ForceField]:
    """Return kind → Δ of `method`, each learnt from the energies of the half.

    :param fitter: of readouts of the base, on the frames of the half.
    """
    readout = Readout.of(half.protocol['delta']['readout']['parameters'])
    force_constants = half.protocol['delta']['force_constants']['parameters']
    return {
        'mace': train(half, method, half.base_method, forces=False),
        'readout': fitter.fit(method, readout, half.seed).force_field,
        'force-constants': fit_delta(
            half.known, half.primitive, half.base_method, method, **force_constants, seed=half.seed
        ).force_field,
    }


def without_base(delta: ForceField, base: ForceField) -> ForceField:
    """Return what a Δ adds of its own: without the part that rescales the base. A readout takes its network along."""
    networks = base.terms if any(kind_of(term.kind).needs for term in delta.terms) else ()
    terms = (*(replace(term, weight=0.0) for term in networks), *delta.terms)
    return ForceField(terms, delta.constants, method=delta.method)


def train(half: Half, method: str, minus: str | None, forces: bool) -> ForceField:
    """Train a network on the half by the package's own task, as a job would.

    :raises SystemExit: with the sentence of a training that failed.
    """
    settings = half.protocol['base' if forces else 'delta']
    settings = settings if forces else settings['mace']
    started = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half.known.save(folder / 'snapshots.npz')
        content = {
            'task': 'train',
            'max_seconds': None,
            'snapshots': 'snapshots.npz',
            'target': {'method': method, 'minus': minus, 'forces': forces},
            'network': settings['network'],
            'training': settings['training'],
            'seed': half.seed,
            'device': settings['device'],
        }
        write_json(folder / 'input.json', content)
        try:
            training_task.run(Job(folder, 'train'))
        except JobError as error:
            raise SystemExit(str(error)) from None
        force_field = ForceField.load(folder / training_task.FORCE_FIELD_FOLDER)
    what = f'{method}{"" if minus is None else f" − {minus}"}, {"energies and forces" if forces else "energies"}'
    sys.stderr.write(f'seed {half.seed}: network of {what} trained in {time.process_time() - started:.0f} s\n')
    return force_field


def predict(force_field: ForceField, snapshots: Snapshots) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return energies (eV per cell, shape (n_frames,)) and forces (eV/Å, shape (n_frames, n_atoms, 3))."""
    calculator = ForceFieldCalculator(force_field)
    energies, forces = [], []
    for frame in range(snapshots.n_frames):
        atoms = snapshots.atoms(frame)
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
    return np.array(energies), np.array(forces)


def _functional(
    half: Half, method: str, label: Label, energies: NDArray[np.float64], forces: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        'method': method,
        'kind': 'mace',
        'energy_rmse_mev_atom': half.energy_rmse(energies - label.energies),
        'forces_rmse_mev_angstrom': half.rmse(forces - label.forces),
    }


def _rescaling(
    half: Half, method: str, base_energies: NDArray[np.float64], difference: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the errors of Δ = s·E_DFT + constant, which is not a force field but what every Δ has to beat."""
    deviations = base_energies - base_energies[half.train].mean()
    slope, constant = np.polyfit(deviations[half.train], difference[half.train], 1)
    errors = half.energy_rmse(slope * deviations + constant - difference)
    return {'method': method, 'kind': 'rescaling', 'energy_rmse_mev_atom': errors}


def mean_of(seeds: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the entries with their errors as means over the seeds."""
    means = []
    for entries in zip(*seeds.values(), strict=True):
        errors = {
            name: {half: float(np.mean([entry[name][half] for entry in entries])) for half in ('train', 'test')}
            for name in entries[0]
            if '_rmse_' in name
        }
        means.append({'method': entries[0]['method'], 'kind': entries[0]['kind'], **errors})
    return means


def study(
    snapshots: Snapshots,
    primitive: Atoms,
    base_method: str,
    protocol: Mapping[str, Any],
    n_train: int,
    seeds: Sequence[int],
    output: Path,
) -> dict[str, Any]:
    """Return the errors of all seeds, those computed now and those that `output` has, and write them there.

    :raises SystemExit: where `output` is of other frames or settings, or one half is empty.
    """
    snapshots = snapshots.select(snapshots.labelled_by(base_method, *WAVEFUNCTION_METHODS))
    if not 0 < n_train < snapshots.n_frames:
        raise SystemExit(f'{n_train} frames to learn from leave none of {snapshots.n_frames} for the test, or are none')
    networks = {'base': protocol['base'], 'delta': protocol['delta']['mace']}
    about = {
        'base_method': base_method,
        'snapshots': snapshots.content_hash(),
        'n_train': n_train,
        'n_test': snapshots.n_frames - n_train,
        'settings': {name: {key: one[key] for key in ('network', 'training')} for name, one in networks.items()},
    }
    for seed in seeds:
        if str(seed) in _stored(output, about)['seeds']:
            sys.stderr.write(f'seed {seed}: its errors are in {output}\n')
            continue
        started = time.process_time()
        drawn = random_half(snapshots.n_frames, n_train, seed)
        entries = models_of(Half(snapshots, primitive, base_method, drawn, protocol, seed))
        # Read again: other seeds may have been computed elsewhere in the meantime.
        result = _stored(output, about)
        result['seeds'][str(seed)] = entries
        result['cpu_seconds'][str(seed)] = round(time.process_time() - started)
        result['mean'] = mean_of(result['seeds'])
        write_json(output, result)
    return _stored(output, about)


def _stored(output: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    if not output.exists():
        return {**about, 'seeds': {}, 'cpu_seconds': {}}
    result = json.loads(output.read_text())
    if different := [name for name, value in about.items() if result.get(name) != value]:
        raise SystemExit(f'{output} has other {" and ".join(different)} than asked for: name another --output')
    return result


def protocol_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the inputs of the protocol ``paper`` with what the options change."""
    inputs = DeltaTrainWorkChain.get_protocol_inputs('paper')
    for part in (inputs['base'], inputs['delta']['mace']):
        part['network']['r_max'] = options.r_max or R_MAX[options.crystal]
        for name in ('max_L', 'max_ell', 'correlation'):
            if (value := getattr(options, name)) is not None:
                part['network'][name] = value
        if options.channels:
            part['network'] |= {'num_channels': options.channels, 'MLP_irreps': f'{options.channels}x0e'}
        if options.epochs:
            part['training']['epochs'] = options.epochs
    if options.energy_epochs:
        inputs['delta']['mace']['training']['epochs'] = options.energy_epochs
    return inputs


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what it leaves open is None, but for the defaults that the help names."""
    parser = argparse.ArgumentParser(description='Half-set study of arXiv:2507.06929 on its published data.')
    parser.add_argument('--data', type=Path, required=True, help='a copy of the published repository')
    parser.add_argument('--crystal', choices=MLPHONONS, default='diamond')
    parser.add_argument('--seeds', type=int, nargs='+', default=[5192, 5391, 5735, 7271, 861])
    parser.add_argument('--n-train', type=int, default=N_TRAIN, help='frames to learn from; default: %(default)s')
    parser.add_argument('--epochs', type=int, help='of all networks')
    parser.add_argument('--energy-epochs', type=int, help='of the networks that learn from energies alone')
    parser.add_argument('--r-max', type=float, help="cutoff of one interaction, Å; by default the article's")
    parser.add_argument('--channels', type=int)
    parser.add_argument('--max-L', type=int)
    parser.add_argument('--max-ell', type=int)
    parser.add_argument('--correlation', type=int)
    parser.add_argument('--output', type=Path, required=True, help='JSON; what it has is not computed again')
    parser.add_argument('--figure', type=Path, help='to draw, its format by the ending')
    return parser.parse_args(arguments)


def main() -> None:
    """Run what the options ask for."""
    options = options_of()
    try:
        data = read_published(options.data, options.crystal)
    except DatasetError as error:
        raise SystemExit(str(error)) from None
    if data.primitive is None:
        raise SystemExit(f'the frames of {options.crystal} show no crystal')
    base_method = MLPHONONS[options.crystal].base_method
    result = study(
        data.snapshots,
        data.primitive,
        base_method,
        protocol_of(options),
        options.n_train,
        options.seeds,
        options.output,
    )
    print(table(result))
    if options.figure:
        draw(result).savefig(options.figure, metadata={'Date': None})


if __name__ == '__main__':
    main()
