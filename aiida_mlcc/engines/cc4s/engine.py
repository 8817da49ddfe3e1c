"""Cc4s as an engine of correlated energies, with integrals from PySCF at the Γ point, or from VASP."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import pi, sqrt
from typing import ClassVar, TypeVar, cast

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms
from ase.units import Bohr, Hartree

from aiida_mlcc.calculations.cc4s import refuse_code
from aiida_mlcc.calculations.cc4s_dry_run import Cc4sDryRunCalculation
from aiida_mlcc.calculations.cc4s_input import CCSD, FINITE_SIZE_CORRECTION, Dimensions
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines import pyscf
from aiida_mlcc.engines.cc4s.batch import Cc4sBatchWorkChain
from aiida_mlcc.engines.cc4s.point import Cc4sPointWorkChain
from aiida_mlcc.engines.cc4s.ports import cc4s_ports, chain_of_vasp_ports, clean_tensors_port, integrals_port
from aiida_mlcc.engines.cc4s.settings import (
    BASIS_SET_CORRECTION,
    CC4S,
    PYSCF_CC4S,
    VASP_CC4S,
    PyscfCc4s,
    VaspCc4s,
    cc4s_parameters,
    parts_that_count,
)
from aiida_mlcc.engines.engine import (
    Codes,
    CorrelationEngine,
    Engine,
    Groups,
    Inputs,
    LabelMaker,
    Step,
    at,
    given,
)
from aiida_mlcc.engines.pyscf_cost import orbital_numbers
from aiida_mlcc.engines.vasp import engine as vasp
from aiida_mlcc.engines.vasp.finished import (
    FINISHED_STEPS,
    find_finished_steps,
    fitting,
    refuse_finished_steps,
)
from aiida_mlcc.engines.vasp.incar import CHAIN, MESH
from aiida_mlcc.engines.vasp.integrals import refuse_chain
from aiida_mlcc.engines.vasp.settings import n_electrons, source_of
from aiida_mlcc.engines.vasp.steps import own_mesh
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, mapping_at, merge, options_of, place_inputs
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.labelling_plan import Selection
from aiida_mlcc.science.settings import Settings

CITE = {
    'cc4s': ('Cc4s, Coupled Cluster for Solids, and what its manual asks to cite', 'https://manuals.cc4s.org'),
}

_SECONDS_OF_DRY_RUN = 600
_OWN_OPTIONS = ('parser_name', 'input_filename', 'output_filename', 'max_memory_kb')
"""Options of a job of Cc4s that are not those of its dry run."""

_PROCESSES_ABOVE = 5
"""What waits for all points together."""

Parts = TypeVar('Parts', bound=PyscfCc4s | VaspCc4s, covariant=True)


def _input_of_point(_: orm.CalcFunctionNode, inputs: Mapping[str, orm.Data], method: str, frame: int) -> str:
    if method != 'HF':
        return 'energies'
    return 'hf_energy' if 'hf_energy' in inputs else 'integrals'


class Cc4sEngine(CorrelationEngine[Parts]):
    """A snapshot a job of Cc4s; the integrals of a batch before, in one job or each on its own."""

    label_makers = (LabelMaker('aiida.calculations:mlcc.label_point', _input_of_point),)
    of_integrals: ClassVar[type[Engine[Settings]]]
    """An engine of the program that makes them."""
    processes_per_point: ClassVar[int]
    """How many processes of a point wait or run at a time, at most, its jobs included."""

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec) -> None:
        """Declare `cc4s`, the places of the integrals and `clean_tensors`."""
        if 'cc4s' in spec.inputs:
            return
        cc4s_ports(spec, required=False)
        chain_of_vasp_ports(spec, required=False)
        integrals_port(spec)
        clean_tensors_port(spec)

    @classmethod
    def fill(cls, inputs: InputTree, codes: Codes, options: JobOptions | None) -> InputTree:
        """Return the inputs at the places; the options of Cc4s itself go before those of all jobs."""
        asked = {'metadata': {'options': dict(options or {})}}
        options_of_jobs = merge(options_of(codes['cc4s']), asked)
        of_cc4s = {'code': codes['cc4s'], **merge(options_of_jobs, mapping_at(inputs, 'cc4s'))}
        return {**super().fill(inputs, codes, options), 'cc4s': of_cc4s}

    @classmethod
    def valence(cls, source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
        """Return the electrons that the potentials of the integrals leave."""
        return cls.of_integrals.valence(source, method, symbols)

    def refuse_jobs(self, inputs: Inputs) -> str | None:
        """Refuse a missing code, snapshots without integrals, codes that do not go together, and a deadlock."""
        reason = super().refuse_jobs(inputs) or self.refuse_integrals(inputs)
        if reason is not None:
            return reason
        code = inputs['cc4s']['code']
        if (reason := refuse_code(code)) is not None:
            return reason
        maker = self.places[0]
        before = at(inputs, maker)['code'].computer
        if before is not None and code.computer is not None and before.uuid != code.computer.uuid:
            return (
                f'`{maker}.code` runs on {before.label} and `cc4s.code` on {code.computer.label}: the integrals stay '
                'where they are made, so take codes of one computer'
            )
        return _refuse_deadlock(inputs, self.processes_per_point)

    @abstractmethod
    def refuse_integrals(self, inputs: Inputs) -> str | None:
        """Return why there can be no integrals of the snapshots, in a sentence, or None."""

    def refuse_methods(self, methods: Sequence[str], frames: Mapping[str, Selection]) -> str | None:
        """Refuse MP2 of frames without coupled cluster, if a correction is asked for that needs its amplitudes."""
        if 'MP2' not in methods or BASIS_SET_CORRECTION not in self.settings.cc4s:
            return None
        coupled = [method for method in ('CCSD', 'CCSD(T)') if method in methods]
        if coupled and all(frames['MP2'] == frames[method] for method in coupled):
            return None
        return (
            f'Cc4s corrects MP2 for its basis set (`engine.{CC4S}.{BASIS_SET_CORRECTION}`) in runs of CCSD alone: '
            'give MP2 the selection of CCSD and CCSD(T), or leave the correction out'
        )

    def forecast(self, inputs: Inputs, atoms: Atoms, methods: Sequence[str]) -> Step | None:
        """Return Cc4s' dry run of a point, where CCSD is asked for and the size of its integrals is known."""
        place, parameters = inputs['cc4s'], cc4s_parameters(self.settings.cc4s, methods)
        if CCSD not in parameters or (dimensions := self.dimensions(atoms)) is None:
            return None
        options = cast(JobOptions, dict(place.get('metadata', {}).get('options', {})))
        computer = place['code'].computer
        resources = options.pop('resources', None) or {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        if 'max_wallclock_seconds' in options:
            options['max_wallclock_seconds'] = min(options['max_wallclock_seconds'], _SECONDS_OF_DRY_RUN)
        job = {
            'code': place['code'],
            'parameters': orm.Dict(parameters),
            'dimensions': orm.Dict(dimensions.to_dict()),
            'ranks': orm.Int(_ranks_of(resources, computer)),
            'metadata': {'options': {name: value for name, value in options.items() if name not in _OWN_OPTIONS}},
        }
        if 'gflops_per_core' in place:
            job['gflops_per_core'] = place['gflops_per_core']
        return Step(Cc4sDryRunCalculation, job)

    def caveat(self) -> str | None:
        """Say that MP2 has no finite-size correction, where CCSD has one."""
        if FINITE_SIZE_CORRECTION not in self.settings.cc4s:
            return None
        return (
            'CCSD and CCSD(T) are corrected for the finite size of the cell, MP2 is not: a comparison of MP2 with them '
            'is not free of that'
        )

    def dimensions(self, atoms: Atoms) -> Dimensions | None:
        """Return how large the integrals of a point are; None where only making them would tell."""
        return None

    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return what labels a batch."""
        shared = given(inputs, 'engine', 'cc4s', 'integrals', 'clean_tensors')
        return Step(Cc4sBatchWorkChain, {**shared, 'snapshots': snapshots, 'methods': methods})

    def n_jobs(self, groups: Groups, size: int) -> int:
        """Return the jobs of the integrals, and one of Cc4s for each frame that goes beyond Hartree–Fock."""
        beyond = sum(len(frames) for methods, frames in groups.items() if set(methods) != {'HF'})
        return self.n_integral_jobs(groups, size) + beyond

    def n_integral_jobs(self, groups: Groups, size: int) -> int:
        """Return how many jobs make the integrals."""
        return super().n_jobs(groups, size)


class Cc4sWithPyscf(Cc4sEngine[PyscfCc4s]):
    """PySCF makes the integrals of a batch in one job."""

    name, title = PYSCF_CC4S, 'Cc4s with PySCF'
    settings_class = PyscfCc4s
    programs = {**pyscf.CITE, **CITE}
    places = ('integrals', 'cc4s')
    processes_per_point = 2  # Cc4s from start to end, and its job
    of_integrals = pyscf.PyscfEnergies
    setting_of_cores = of_integrals.setting_of_cores

    def source(self) -> Source:
        """Return what the labels say of their source."""
        return {**pyscf.source_of(self.given, self.settings), CC4S: parts_that_count(self.settings.cc4s)}

    def refuse_integrals(self, inputs: Inputs) -> str | None:
        """Refuse elements without a basis, and open shells."""
        return pyscf.refuse_cell(self.settings, inputs['snapshots'].get_ase(0))

    def dimensions(self, atoms: Atoms) -> Dimensions | None:
        """Return the numbers of orbitals, and about how many functions fit the density."""
        numbers = orbital_numbers(self.settings, atoms.get_chemical_symbols())
        if numbers is None or not numbers.n_virtual:
            return None
        per_occupied = self.settings.natural_orbitals_per_occupied
        wanted = numbers.n_virtual if per_occupied is None else max(1, round(per_occupied * numbers.n_occupied))
        return Dimensions(numbers.n_occupied, min(wanted, numbers.n_virtual), numbers.n_auxiliary, real=True)


class Cc4sWithVasp(Cc4sEngine[VaspCc4s]):
    """VASP makes the integrals of each snapshot on their own."""

    name, title = VASP_CC4S, 'Cc4s with VASP'
    settings_class = VaspCc4s
    programs = {**vasp.CITE, **CITE}
    places = ('vasp', 'cc4s')
    processes_per_point = 4  # the point, the steps of VASP, and a job at Γ and one on the k-mesh
    of_integrals = vasp.VaspEngine
    setting_of_cores = of_integrals.setting_of_cores
    shares_jobs = False

    def source(self) -> Source:
        """Return what the labels say of their source."""
        return {**source_of(self.settings), 'engine': self.name, CC4S: parts_that_count(self.settings.cc4s)}

    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return what labels the one snapshot of a batch."""
        shared = given(inputs, 'engine', 'vasp', 'cc4s', 'clean_tensors')
        finished = fitting(snapshots, 0, inputs.get(FINISHED_STEPS) or {})
        point = {'snapshots': snapshots, 'frame': orm.Int(0), 'methods': methods}
        return Step(Cc4sPointWorkChain, {**shared, **point, **({FINISHED_STEPS: finished} if finished else {})})

    def find_finished(self, snapshots: SnapshotsData) -> dict[str, dict[str, orm.RemoteData]]:
        """Return the folders of the steps of VASP that are finished."""
        found = find_finished_steps(snapshots, self.settings)
        return {FINISHED_STEPS: found} if found else {}

    @classmethod
    def fill(cls, inputs: InputTree, codes: Codes, options: JobOptions | None) -> InputTree:
        """Return the inputs at the places; the options of VASP and of Cc4s go before those of all jobs."""
        of_vasp = place_inputs(mapping_at(inputs, 'vasp'), codes['vasp'], options)
        return {**super().fill(inputs, codes, options), 'vasp': of_vasp}

    def refuse_integrals(self, inputs: Inputs) -> str | None:
        """Refuse what the steps of VASP cannot do."""
        reason = refuse_chain(inputs['snapshots'], self.settings, inputs['vasp'])
        return reason or refuse_finished_steps(inputs['snapshots'], self.settings, inputs)

    def dimensions(self, atoms: Atoms) -> Dimensions:
        """Return the numbers of orbitals and of plane waves, of which VASP writes at most as many field variables."""
        ours = self.settings
        n_occupied = round(n_electrons(atoms.get_chemical_symbols(), ours.potentials)) // 2
        n_virtual = ours.natural_orbitals_per_occupied * n_occupied
        return Dimensions(n_occupied, n_virtual, n_plane_waves(atoms.get_volume(), ours.encutgw), ours.gamma_only)

    def n_integral_jobs(self, groups: Groups, size: int) -> int:
        """Return the number of steps of all frames."""
        n_steps = len(CHAIN) + len(MESH) * own_mesh(self.settings)
        return n_steps * sum(len(frames) for frames in groups.values())


def n_plane_waves(volume: float, cutoff: float) -> int:
    """Return how many plane waves of an energy below `cutoff` (eV) a cell of `volume` (Å³) has: V·k³/6π².

    ħ²k²/2m is the cutoff.
    """
    wave_number = sqrt(2 * (cutoff / Hartree)) / Bohr
    return max(1, round(volume * wave_number**3 / (6 * pi**2)))


def _ranks_of(resources: Mapping[str, int], computer: orm.Computer) -> int:
    """Return the ranks of a job with these resources."""
    if (total := resources.get('tot_num_mpiprocs')) is not None:
        return int(total)
    each = resources.get('num_mpiprocs_per_machine') or computer.get_default_mpiprocs_per_machine() or 1
    return int(resources.get('num_machines', 1) * each)


def _refuse_deadlock(inputs: Inputs, processes_per_point: int) -> str | None:
    """Refuse more points at a time than a daemon worker has places for: all would wait for a place for their jobs."""
    from aiida.manage.configuration import get_config_option

    slots = get_config_option('daemon.worker_process_slots')
    n_batches = inputs['max_concurrent'].value
    n_points = n_batches * inputs['batch_size'].value
    if (n_processes := n_points * processes_per_point + n_batches + _PROCESSES_ABOVE) <= slots:
        return None
    return (
        f'`batch_size` times `max_concurrent` is {n_points} points at a time, up to {n_processes} processes: a daemon '
        f'worker holds {slots}, and all of them would wait for a place for their jobs. Take fewer points, or set '
        '`verdi config set daemon.worker_process_slots` higher'
    )
