"""The optical mode of diamond at Γ by PBE in plane waves: run it with ``python docs/examples/diamond_pw.py``.

It needs pw.x and the extra ``quantumespresso``, and makes a profile of its own in ``mlcc-plane-waves``.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import units
from ase.build import bulk

from aiida_mlcc.cli.setup import COMPUTER, set_up

set_up(Path('mlcc-plane-waves'), None, None)

from aiida import orm  # noqa: E402, the profile comes first
from aiida.engine import run_get_node  # noqa: E402

from aiida_mlcc.cli import cli  # noqa: E402
from aiida_mlcc.data.snapshots import SnapshotsData  # noqa: E402
from aiida_mlcc.engines.quantumespresso.labels import QuantumEspressoLabelsWorkChain  # noqa: E402
from aiida_mlcc.engines.quantumespresso.settings import QuantumEspressoForces  # noqa: E402
from aiida_mlcc.science.labels.snapshots import Snapshots  # noqa: E402

STEP = 0.02
"""Å, by which one of the two atoms is moved."""

program = shutil.which('pw.x')
assert program is not None, 'pw.x is not installed: apt-get install quantum-espresso'
pw = orm.InstalledCode(
    label='pw',
    computer=orm.load_computer(COMPUTER),
    filepath_executable=program,
    default_calc_job_plugin='quantumespresso.pw',
    prepend_text='export OMP_NUM_THREADS=1',
).store()
family = f'gth-pbe-{pw.pk}'
with TemporaryDirectory() as folder:
    cli.main(['upf', 'gth-pbe', 'C', '--folder', f'{folder}/upf', '--family', family], standalone_mode=False)

frames = []
for sign in (1, -1):
    frames.append(bulk('C', 'diamond', a=3.57))
    frames[-1].positions[0, 0] += sign * STEP
outputs, node = run_get_node(
    QuantumEspressoLabelsWorkChain,
    snapshots=SnapshotsData(Snapshots.from_atoms(frames)),
    engine={
        **QuantumEspressoForces.defaults(),
        'method': 'PBE',
        'pseudo_family': family,
        'kpoints': [4, 4, 4],
        'kpoints_shift': [1, 1, 1],
    },
    quantumespresso={'code': pw},
)
if not node.is_finished_ok:
    raise SystemExit(node.exit_message)
forces = outputs['snapshots'].get_snapshots().labels['PBE'].forces
# The atoms move against each other: half of the mass, and the same stiffness.
stiffness = -(forces[0, 0, 0] - forces[1, 0, 0]) / (2 * STEP)
energy = units._hbar * units.J * units.second * np.sqrt(2 * stiffness / frames[0].get_masses()[0])
print(f'the optical mode of diamond at Γ by PBE: {energy / units.invcm:.0f} cm⁻¹')
