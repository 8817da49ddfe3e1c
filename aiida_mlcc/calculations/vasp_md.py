"""VaspMdCalculation: a segment of VASP's molecular dynamics, from positions and velocities."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from aiida_vasp.calcs.vasp import VaspCalculation


class VaspMdCalculation(VaspCalculation):
    """aiida-vasp's calculation whose POSCAR can hold velocities, which a StructureData cannot."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input(
            'poscar',
            valid_type=orm.SinglefileData,
            required=False,
            help='The POSCAR, byte by byte: the CONTCAR of the segment before. `structure` gives its species.',
        )

    def write_poscar(self, dst: str) -> None:
        """Write the POSCAR that is given, or else that of the structure."""
        if 'poscar' in self.inputs:
            Path(dst).write_text(self.inputs.poscar.get_content(), encoding='utf-8')
        else:
            super().write_poscar(dst)
