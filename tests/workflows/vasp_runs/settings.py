"""Settings of a calculation that only made-up outputs answer, and what they are in INCAR."""

FAMILY = 'stubs'
ZVAL = {'Li': 1, 'F': 7}

ENGINE = {
    'name': 'vasp',
    'method': 'PBE',
    'algo': 'Normal',
    'kpoints': [1, 1, 1],
    'encut': 400.0,
    'ediff': 1e-06,
    'nelm': 9,
    'prec': 'Accurate',
    'ismear': 0,
    'sigma': 0.01,
    'energy': 'free',
    'potential_family': FAMILY,
    'potential_mapping': {'Li': 'Li', 'F': 'F'},
    'incar': {},
}

ELECTRONS = {
    'PREC': 'Accurate',
    'ENCUT': 400.0,
    'EDIFF': 1e-06,
    'NELM': 9,
    'ALGO': 'Normal',
    'ISMEAR': 0,
    'SIGMA': 0.01,
    'LWAVE': False,
    'LCHARG': False,
    'GGA': 'PE',
    'ISYM': 0,
}
"""What :data:`ENGINE` is in INCAR, besides the positions' part."""
