"""Born charges and dielectric tensor as used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from aiida import orm

from aiida_mlcc.report.curve_table import Placed, Shown
from aiida_mlcc.report.data.records import BornCharges, HarmonicResults, Results
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.tables import Table

_COMPONENTS = [f'{a}{b}' for a in 'xyz' for b in 'xyz']
_NOISE = 5e-4
"""Components that round to zero in all tensors are left out."""


def read(nodes: Mapping[str, orm.Data]) -> HarmonicResults:
    """Return ``born_charges``: the charges (e) and the ``dielectric`` tensor of the ``atoms`` of the primitive cell.

    ``report`` and the other numbers say what was corrected.
    """
    if (node := nodes.get('born_charges')) is None:
        return {}
    said = node.base.attributes
    content: BornCharges = {
        'report': said.get('report'),
        'net_charge': said.get('net_charge'),
        'asymmetry': said.get('asymmetry'),
        'dielectric_asymmetry': said.get('dielectric_asymmetry'),
        'born_charges': node.get_array('born_charges').tolist(),
        'dielectric': node.get_array('dielectric').tolist(),
        'atoms': _atoms_of(node),
    }
    return {'born_charges': content}


def born_table(results: Results) -> Table | None:
    """Return Born charges (e) and dielectric tensor as used, and what was corrected; methods that share them once."""
    shared: dict[str, tuple[list[str], BornCharges]] = {}
    for method, entry in results['methods'].items():
        if (content := entry.get('born_charges')) is not None:
            rounded = np.round(np.concatenate([content['born_charges'], [content['dielectric']]]), 6)
            shared.setdefault(f'{rounded.tolist()} {content["report"]}', ([], content))[0].append(method)
    if not shared:
        return None
    tensors = [np.array([*content['born_charges'], content['dielectric']]) for _, content in shared.values()]
    largest = np.max([np.abs(of_methods.reshape(-1, 9)).max(axis=0) for of_methods in tensors], axis=0)
    diagonal = [0, 4, 8]
    chosen = diagonal + [number for number in range(9) if number not in diagonal and largest[number] > _NOISE]
    groups = []
    for (methods, content), of_methods in zip(shared.values(), tensors, strict=True):
        names = [*_atom_names(content), 'ε∞']
        rows = [
            [name, *(f'{value:.3f}' for value in np.round(tensor.ravel()[chosen], 3) + 0.0)]
            for name, tensor in zip(names, of_methods, strict=True)
        ]
        groups.append((', '.join(methods), rows))
    told = {', '.join(methods): content['report'] for methods, content in shared.values() if content['report']}
    reports = [f'{report}.' if len(shared) == 1 else f'{names}: {report}.' for names, report in told.items()]
    note = ['As used for the LO–TO splitting. Z*: Born effective charges (e); ε∞: dielectric tensor.', *reports]
    if len(chosen) < 9:
        note.append('Components that are zero are left out.')
    header = ['tensor', *(_COMPONENTS[number] for number in chosen)]
    return Table('Born charges and dielectric tensor', header, groups, ' '.join(note))


def _atoms_of(node: orm.ArrayData) -> list[str]:
    """Return the symbols of the primitive cell that Born charges belong to, empty where it is not there."""
    links = [] if node.creator is None else node.creator.base.links.get_incoming(link_label_filter='primitive').all()
    return [str(symbol) for link in links for symbol in link.node.get_ase().get_chemical_symbols()]


def _atom_names(content: BornCharges) -> list[str]:
    n_atoms = len(content['born_charges'])
    symbols: Sequence[str] = content['atoms'] if len(content['atoms']) == n_atoms else ['atom'] * n_atoms
    return [f'Z* of {symbol} {number + 1}' for number, symbol in enumerate(symbols)]


def _tables(found: Findings) -> list[Placed]:
    return [Placed(born_table(found.results), 70)]


SHOWN = Shown(
    part='methods',
    outputs=('born_charges',),
    read=read,
    units={'born_charges': 'charges in e, the dielectric tensor without unit'},
    tables=_tables,
    place=70,
)
