"""QuantumEspressoBornWorkChain: Born charges and ε∞ of a crystal by ph.x, at two meshes of k-points."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.plugins import CalculationFactory

from aiida_mlcc.calculations.functions.born_charges import born_charges
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.quantumespresso.functions import quantumespresso_ph_output
from aiida_mlcc.engines.quantumespresso.jobs import PLACE, job_options, pw_job, quantumespresso_ports, refuse_ph, why
from aiida_mlcc.engines.quantumespresso.labels import why_no_label
from aiida_mlcc.engines.quantumespresso.potentials import refuse_potentials
from aiida_mlcc.engines.quantumespresso.settings import QuantumEspressoForces
from aiida_mlcc.jobs.crystal import find_primitive_cell
from aiida_mlcc.jobs.ports import structure_port, symprec_port
from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.crystal.kpoint_mesh import refuse_mesh
from aiida_mlcc.science.settings import three_counts

_TR2_PH = 1e-15


class QuantumEspressoBornWorkChain(WorkChain):
    """Both meshes run at the same time; the second one, the denser, gives the charges."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        symprec_port(spec)
        settings_port(spec, 'engine', QuantumEspressoForces, help='Of the DFT; `kpoints` are those of `meshes`.')
        spec.input(
            'meshes',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            validator=_refuse_meshes,
            help='Two meshes of k-points of the primitive cell, the denser one last, such as [[4, 4, 4], [6, 6, 6]].',
        )
        quantumespresso_ports(spec)
        spec.input(f'{PLACE}.ph_code', valid_type=orm.AbstractCode, validator=refuse_ph, help='ph.x.')
        spec.inputs.validator = _refuse
        spec.output('nac', valid_type=orm.SinglefileData, help='What ph.x printed, as the phonons take it as `nac`.')
        spec.output('other', valid_type=orm.SinglefileData, help='The same from the first mesh.')
        spec.output('born_charges', valid_type=orm.ArrayData, help='Checked and symmetrised, with a report.')
        spec.outline(
            cls.find_primitive_cell,
            cls.run_ground_states,
            cls.run_responses,
            cls.collect_charges,
        )
        spec.exit_code(310, 'ERROR_NO_GROUND_STATE', message='There is no ground state to respond to: {reason}')
        spec.exit_code(311, 'ERROR_NO_RESPONSE', message='ph.x gave no Born charges: {reason}')

    def find_primitive_cell(self) -> None:
        """Find the primitive cell."""
        self.ctx.primitive = find_primitive_cell(self.inputs)

    def run_ground_states(self) -> ToContext:
        """Run pw.x on each mesh."""
        jobs = {}
        for number, mesh in enumerate(self.inputs.meshes.get_list()):
            settings = QuantumEspressoForces.of({**self.inputs.engine.get_dict(), 'kpoints': mesh})
            job = pw_job(self.inputs[PLACE], settings, self.ctx.primitive, f'ground_state_{number}')
            jobs[f'ground_state_{number}'] = self.submit(CalculationFactory('quantumespresso.pw'), **job)
        return ToContext(**jobs)

    def run_responses(self) -> ExitCode | ToContext:
        """Run ph.x at Γ in an electric field."""
        # A point, not a mesh: on a mesh, ph.x would also displace the atoms, which takes most of its time.
        gamma = orm.KpointsData()
        gamma.set_cell_from_structure(self.ctx.primitive)
        gamma.set_kpoints([[0.0, 0.0, 0.0]])
        jobs = {}
        for number in range(2):
            node = self.ctx[f'ground_state_{number}']
            if (reason := why_no_label(node)) is not None:
                return self.exit_codes.ERROR_NO_GROUND_STATE.format(reason=reason)
            name = f'response_{number}'
            jobs[name] = self.submit(
                CalculationFactory('quantumespresso.ph'),
                code=self.inputs[PLACE]['ph_code'],
                parent_folder=node.outputs.remote_folder,
                qpoints=gamma,
                parameters=orm.Dict({'INPUTPH': {'epsil': True, 'zeu': True, 'trans': False, 'tr2_ph': _TR2_PH}}),
                metadata={'call_link_label': name, 'label': name, 'options': job_options(self.inputs[PLACE])},
            )
        return ToContext(**jobs)

    def collect_charges(self) -> ExitCode | None:
        """Check and symmetrise the charges, and say by how much the meshes differ."""
        found = []
        for number in range(2):
            node = self.ctx[f'response_{number}']
            if 'retrieved' not in node.outputs:
                return self.exit_codes.ERROR_NO_RESPONSE.format(reason=why(node))
            label = {'call_link_label': f'take_output_{number}'}
            printed, function = quantumespresso_ph_output.run_get_node(node.outputs.retrieved, metadata=label)
            if not function.is_finished_ok:
                return self.exit_codes.ERROR_NO_RESPONSE.format(reason=function.exit_message)
            found.append(printed)
        other, nac = found
        charges, function = born_charges.run_get_node(
            nac,
            self.ctx.primitive,
            self.inputs.symprec,
            science_hash(born_charges),
            other=other,
            metadata={'call_link_label': 'check_born_charges'},
        )
        if not function.is_finished_ok:
            return self.exit_codes.ERROR_NO_RESPONSE.format(reason=function.exit_message)
        self.report(charges.base.attributes.get('report'))
        self.out('nac', nac)
        self.out('other', other)
        self.out('born_charges', charges)
        return None


def _refuse_meshes(node: orm.List, _: Any) -> str | None:
    meshes = node.get_list()
    if len(meshes) != 2 or any(not isinstance(mesh, list) or three_counts(mesh) for mesh in meshes):
        return f'`meshes` is {meshes}: give two meshes of three whole numbers above 0'
    return None


class BornInputs(Inputs, total=False):
    """The inputs that a check reads: two meshes of k-points beside those of other WorkChains."""

    meshes: orm.List


def _refuse(inputs: BornInputs, namespace: PortNamespace) -> str | None:
    if not {'structure', 'symprec', 'engine', 'meshes'} <= set(inputs):
        return None
    settings, atoms = QuantumEspressoForces.of(inputs['engine'].get_dict()), inputs['structure'].get_ase()
    if settings.degauss is not None:
        return '`engine.degauss` is set, but only an insulator has Born charges: set it to null'
    if settings.is_hybrid:
        return f'`engine.method` is {settings.method}, but ph.x has no exact exchange: take a functional without it'
    symprec = inputs['symprec'].value
    primitive = primitive_cell(atoms, symprec)
    for mesh in inputs['meshes'].get_list():
        if (reason := refuse_mesh(primitive, mesh, settings.kpoints_shift, symprec, at_rest=True)) is not None:
            return reason
    return refuse_potentials(atoms.get_chemical_symbols(), settings.pseudo_family)
