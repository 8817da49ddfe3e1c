"""VaspIntegralsWorkChain: the tensors that Cc4s needs of one structure, by VASP, and its Hartree–Fock energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_mlcc.calculations.functions.vasp_integrals_summary import vasp_integrals_summary
from aiida_mlcc.calculations.functions.vasp_structures import vasp_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, chain_step
from aiida_mlcc.engines.vasp.jobs import GAMMA, retrieved_run, vasp_job, vasp_ports, why
from aiida_mlcc.engines.vasp.settings import (
    VaspIntegrals,
    low_cutoff,
    refuse_head,
    refuse_open_shell,
    refuse_program,
    source_of,
)
from aiida_mlcc.parsers.parse_raw.outcar import parse_outcar

PAIR_ENERGIES = ('Mp2PairEnergies.yaml', 'Mp2PairEnergies.elements')
_VERTEX_AND_PAIRS = ('CoulombVertex', 'EigenEnergies', 'Mp2PairEnergies')

_SELF_CONSISTENT = ('dft', 'hartree_fock', *MESH)
_HANDS_OVER = {
    **{step: ('WAVECAR',) for step in (*CHAIN[:-1], 'mesh_dft')},
    'pair_energies': ('WAVECAR', *PAIR_ENERGIES),
    'mesh_hartree_fock': (),
    'dump': (),
}
"""Step → files that have to be there after it; after the last one those that Cc4s will read."""

_TAKE_NATURAL_ORBITALS = 'if test -s WAVECAR.FNO; then mv -f WAVECAR.FNO WAVECAR; else rm -f WAVECAR; fi'
_DROP_ORBITALS = 'rm -f WAVECAR CHGCAR'
_TENSOR_ENDINGS = ('.yaml', '.elements')


class VaspIntegralsWorkChain(WorkChain):
    """The steps of the Cc4s user manual, each from the orbitals that the one before left on the compute node.

    The tensors stay there: nothing of them enters the repository.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='The structure is one of these frames.')
        spec.input('frame', valid_type=orm.Int, default=lambda: orm.Int(0), serializer=orm.to_aiida_type)
        settings_port(spec, 'engine', VaspIntegrals, help='VASP.')
        vasp_ports(spec)
        spec.input(
            'tensors',
            valid_type=orm.List,
            default=lambda: orm.List(list(_VERTEX_AND_PAIRS)),
            serializer=orm.to_aiida_type,
            help='Names of the tensors that Cc4s will read, without which the last step has failed.',
        )
        spec.input(
            'clean_workdir',
            valid_type=orm.Bool,
            default=lambda: orm.Bool(True),
            serializer=orm.to_aiida_type,
            help='Empty the remote folders of all steps but the last once it is done.',
        )
        spec.inputs.validator = _refuse
        spec.output('tensors', valid_type=orm.RemoteData, help='The folder with what Cc4s reads.')
        spec.output('hf_energy', valid_type=orm.Float, help='eV per cell, on the k-mesh of the settings.')
        spec.output(
            'hf_forces',
            valid_type=orm.ArrayData,
            required=False,
            help='`forces` of the same calculation, eV/Å, in the order in which VASP has the atoms.',
        )
        spec.output(
            'summary',
            valid_type=orm.Dict,
            help='Electrons, orbitals, names of the tensors, energies, what each step cost, and the source.',
        )
        spec.outline(
            cls.converge_dft,
            cls.converge_hartree_fock,
            cls.diagonalise_for_all_virtuals,
            cls.evaluate_pair_energies,
            cls.find_natural_orbitals,
            cls.recanonicalise,
            cls.write_tensors,
            cls.hand_over_tensors,
            if_(cls.may_clean)(
                cls.clean_up,
            ),
        )
        for number, step in enumerate((*CHAIN, *MESH)):
            spec.exit_code(
                311 + number, f'ERROR_{step.upper()}_FAILED', message=f'The step `{step}` failed: {{reason}}'
            )
        spec.exit_code(
            321,
            'ERROR_TOO_FEW_PLANE_WAVES',
            message='{n_orbitals} orbitals are asked for ({per_occupied} natural ones per occupied one), but the basis '
            'has {n_all}: raise `encut` or ask for fewer.',
        )
        spec.exit_code(322, 'ERROR_ODD_ELECTRONS', message='VASP counts {n_electrons} electrons: no closed shells.')

        spec.exit_code(323, 'ERROR_OTHER_PROGRAM', message='{reason}.')

    def converge_dft(self) -> ToContext:
        """Converge the density functional at Γ, and on the k-mesh of the Hartree–Fock energy."""
        label = {'call_link_label': 'take_frame'}
        frame = self.inputs.frame.value
        structures = vasp_structures(
            self.inputs.snapshots, orm.List([frame]), science_hash(vasp_structures), metadata=label
        )
        self.ctx.structure = structures[f'frame_{frame}']
        engine = self.inputs.engine.get_dict()
        self.ctx.meshes = MESH if own_mesh(engine) else ()
        symbols = [site.kind_name for site in self.ctx.structure.sites]
        if (warning := low_cutoff(symbols, engine)) is not None:
            self.report(warning)
        return self._submit(CHAIN[0], *self.ctx.meshes[:1])

    def converge_hartree_fock(self) -> ToContext | ExitCode:
        """Converge Hartree–Fock from the orbitals of the density functional."""
        if failed := self._inspect(CHAIN[0], *self.ctx.meshes[:1]):
            return failed
        if (reason := refuse_head(self._outcar(CHAIN[0]), self.inputs.engine['gamma_only'])) is not None:
            return self.exit_codes.ERROR_OTHER_PROGRAM.format(reason=reason)
        return self._submit('hartree_fock', *self.ctx.meshes[1:])

    def diagonalise_for_all_virtuals(self) -> ToContext | ExitCode:
        """Diagonalise the Fock matrix in the basis of all plane waves."""
        if failed := self._inspect('hartree_fock', *self.ctx.meshes[1:]):
            return failed
        engine, found = self.inputs.engine, self._outcar('hartree_fock')
        electrons, plane_waves = found['n_electrons'], found['n_plane_waves']
        if electrons is None or plane_waves is None:
            reason = 'OUTCAR says neither NELECT nor the maximum number of plane-waves'
            return self.exit_codes.ERROR_HARTREE_FOCK_FAILED.format(reason=reason)
        if round(electrons) % 2 or abs(electrons - round(electrons)) > 1e-3:
            return self.exit_codes.ERROR_ODD_ELECTRONS.format(n_electrons=electrons)
        self.ctx.n_occupied = round(electrons) // 2
        self.ctx.n_all = 2 * plane_waves - 1 if engine['gamma_only'] else plane_waves
        per_occupied = engine['natural_orbitals_per_occupied']
        self.ctx.n_orbitals = (per_occupied + 1) * self.ctx.n_occupied
        if self.ctx.n_orbitals > self.ctx.n_all:
            return self.exit_codes.ERROR_TOO_FEW_PLANE_WAVES.format(
                n_orbitals=self.ctx.n_orbitals, per_occupied=per_occupied, n_all=self.ctx.n_all
            )
        self.report(
            f'{self.ctx.n_occupied} occupied orbitals, {self.ctx.n_all} in all, of which {self.ctx.n_orbitals} are kept'
        )
        return self._submit('virtuals')

    def evaluate_pair_energies(self) -> ToContext | ExitCode:
        """Evaluate the pair energies of second order with all orbitals, for the basis-set correction."""
        return self._inspect('virtuals') or self._submit('pair_energies')

    def find_natural_orbitals(self) -> ToContext | ExitCode:
        """Find approximate natural orbitals of second order."""
        return self._inspect('pair_energies') or self._submit('natural_orbitals')

    def recanonicalise(self) -> ToContext | ExitCode:
        """Diagonalise the Fock matrix again, in the occupied and the most occupied natural orbitals."""
        return self._inspect('natural_orbitals') or self._submit('recanonicalise')

    def write_tensors(self) -> ToContext | ExitCode:
        """Write the Coulomb vertex, the orbital energies and what the corrections need."""
        return self._inspect('recanonicalise') or self._submit('dump')

    def hand_over_tensors(self) -> ExitCode | None:
        """Say where the tensors are, and what they are of."""
        if failed := self._inspect('dump'):
            return failed
        remote = self.ctx.dump.outputs.remote_folder
        numbers = {
            'n_electrons': 2 * self.ctx.n_occupied,
            'n_occupied': self.ctx.n_occupied,
            'n_all_orbitals': self.ctx.n_all,
            'n_orbitals': self.ctx.n_orbitals,
            'hf_kpoints': self.inputs.engine['hf_kpoints'],
            'tensors': sorted(name for name in self._files('dump') or () if name.endswith(_TENSOR_ENDINGS)),
        }
        engine = self.inputs.engine.get_dict()
        results = vasp_integrals_summary(
            orm.Dict(numbers),
            orm.Dict(source_of(engine)),
            orm.Str(engine['energy']),
            science_hash(vasp_integrals_summary),
            metadata={'call_link_label': 'summarise'},
            **{step: self.ctx[step].outputs.retrieved for step in (*CHAIN, *self.ctx.meshes)},
        )
        self.out('tensors', remote)
        self.out_many(results)
        return None

    def may_clean(self) -> bool:
        """Tell whether the folders of the other steps may be emptied."""
        return self.inputs.clean_workdir.value

    def clean_up(self) -> None:
        """Empty the remote folders of all steps but the last: their orbitals are large."""
        for step in (*CHAIN[:-1], *self.ctx.meshes):
            try:
                self.ctx[step].outputs.remote_folder._clean()
            except Exception as error:  # the connection's own kinds; no reason to lose the tensors
                self.report(f'the folder of `{step}` could not be emptied: {error}')

    def _submit(self, *steps: str) -> ToContext:
        return ToContext(**{step: self.submit(VaspCalculation, **self._job(step)) for step in steps})

    def _job(self, step: str) -> dict[str, Any]:
        vasp, engine = self.inputs.vasp, self.inputs.engine.get_dict()
        numbers = [self.ctx.get(name) for name in ('n_all', 'n_orbitals', 'n_occupied')]
        tags = chain_step(engine, step, *numbers)
        after_pair_energies = step in CHAIN[CHAIN.index('pair_energies') + 1 :]
        job = vasp_job(
            vasp,
            engine,
            self.ctx.structure,
            tags,
            engine['hf_kpoints'] if step in MESH else GAMMA,
            step,
            check_errors=False,
            copied=PAIR_ENERGIES if after_pair_energies else (),
            append_text=self._afterwards(step),
        )
        # What a step is for lies on the compute node, and need not lie there any more for a step of another day.
        job['metadata']['disable_cache'] = True
        if (before := _step_before(step)) is not None:
            job['restart_folder'] = self.ctx[before].outputs.remote_folder
        return job

    def _afterwards(self, step: str) -> str:
        if step == 'natural_orbitals':
            return _TAKE_NATURAL_ORBITALS
        return _DROP_ORBITALS if step == 'dump' and self.may_clean() else ''

    def _inspect(self, *steps: str) -> ExitCode | None:
        for step in steps:
            if (reason := self._why_failed(step)) is not None:
                return self.exit_codes[f'ERROR_{step.upper()}_FAILED'].format(reason=reason)
        return None

    def _why_failed(self, step: str) -> str | None:
        node = self.ctx[step]
        if not node.is_finished_ok:
            return why(node)
        if not self._outcar(step)['finished']:
            return f'{node.process_label}<{node.pk}> was stopped before its end'
        if step in _SELF_CONSISTENT:
            run = retrieved_run(node)
            if run is None or not run.steps:
                return f'{node.process_label}<{node.pk}> left no energy'
            if not run.converged(len(run.steps) - 1):
                return f'the electrons did not converge in {run.nelm} steps'
        if (there := self._files(step)) is None:
            return None
        needed = list(_HANDS_OVER[step])
        if step == 'dump':
            needed += [f'{name}{ending}' for name in self.inputs.tensors for ending in _TENSOR_ENDINGS]
        if missing := [name for name in needed if name not in there]:
            return f'{node.process_label}<{node.pk}> left no {missing[0]}'
        return None

    def _files(self, step: str) -> list[str] | None:
        try:
            return self.ctx[step].outputs.remote_folder.listdir()
        except Exception as error:  # a connection that is down for a moment is no reason to lose the step
            self.report(f'the folder of `{step}` could not be looked at, going on: {error}')
            return None

    def _outcar(self, step: str) -> dict[str, Any]:
        return parse_outcar(self.ctx[step].outputs.retrieved.get_object_content('OUTCAR'))


def own_mesh(engine: Mapping[str, Any]) -> bool:
    """Tell whether the Hartree–Fock energy needs a calculation of its own."""
    return engine['hf_kpoints'] != GAMMA or engine['hf_encut'] != engine['encut']


def _step_before(step: str) -> str | None:
    steps = MESH if step in MESH else CHAIN
    return steps[steps.index(step) - 1] if step != steps[0] else None


def _refuse(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', 'vasp'} <= set(inputs):
        return None
    snapshots, frame = inputs['snapshots'], inputs['frame'].value
    if not 0 <= frame < snapshots.n_frames:
        return f'`frame` is {frame}, but the snapshots are 0 to {snapshots.n_frames - 1}'
    return refuse_chain(snapshots, inputs['engine'].get_dict(), inputs['vasp'])


def refuse_chain(snapshots: SnapshotsData, engine: Mapping[str, Any], vasp: Mapping[str, Any]) -> str | None:
    """Return why VASP cannot make the integrals of the snapshots, in a sentence, or None.

    :param engine: the settings of the integrals.
    :param vasp: the namespace that says where VASP runs.
    """
    if engine['gamma_only'] and engine['hf_kpoints'] != GAMMA and 'code_kpoints' not in vasp:
        mesh = engine['hf_kpoints']
        return (
            f'`vasp.code` is the program for Γ only, but `hf_kpoints` is {mesh}: give `vasp.code_kpoints`, which is '
            'vasp_std; or set `gamma_only` to false, if `vasp.code` is vasp_std'
        )
    if 'code' in vasp and (reason := refuse_program(vasp['code'], engine['gamma_only'])) is not None:
        return reason
    if own_mesh(engine) and 'code_kpoints' in vasp and engine['hf_kpoints'] != GAMMA:
        name = str(vasp['code_kpoints'].get_executable())
        if refuse_program(vasp['code_kpoints'], False) is not None:
            return f'`vasp.code_kpoints` is {name}, which has no k-points but Γ: give vasp_std'
    return refuse_open_shell(list(snapshots.get_snapshots().symbols), engine)
