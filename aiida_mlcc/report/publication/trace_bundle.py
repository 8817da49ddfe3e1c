"""Follow the curves of a bundle to the energies that made them, in the provenance graph. Needs AiiDA only.

A bundle holds this file as ``trace.py``::

    python trace.py [--method METHOD]

The archive is opened as a read-only profile: nothing is imported, and a profile of your own is not touched.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from aiida_mlcc.report.publication.entries import RunEntry


def broken_links(run: RunEntry, method: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield for each dispersion what it was made from, and a sentence for each energy that it does not lead to.

    The profile of the archive must be loaded.

    :param run: an entry of ``runs`` in ``curves.json``.
    """
    from aiida import orm
    from aiida.common.links import LinkType
    from aiida.tools.graph.graph_traversers import traverse_graph

    arrays: dict[tuple[str, str], Any] = {}

    def energy(uuid: str, slug: str, frame: int) -> float:
        if (uuid, slug) not in arrays:
            with orm.load_node(uuid).base.repository.open(f'energies_{slug}.npy', 'rb') as file:
                arrays[uuid, slug] = np.load(file, allow_pickle=False)
        return float(arrays[uuid, slug][frame])

    known = {label['method']: label for label in run['labels']}
    for curve in run['curves']:
        if curve['kind'] != 'bands' or method not in (None, curve['method']):
            continue
        node = orm.load_node(curve['nodes'][0])
        found = traverse_graph([node.pk], links_backward=[LinkType.CREATE, LinkType.INPUT_CALC])['nodes']
        query = orm.QueryBuilder().append(orm.Node, filters={'id': {'in': list(found)}}, project='uuid')
        above = set(query.all(flat=True))
        problems, n_energies = [], 0
        for name in curve['label_methods']:
            label = known[name]
            for number, entry in enumerate(label['energies']):
                if entry['training_set'] not in curve['training_sets']:
                    continue
                n_energies += 1
                where = f'frame {number + 1} of {label["file"]}'
                if entry['node'] not in above or (entry['calculation'] and entry['calculation'] not in above):
                    problems.append(f'the dispersion of {curve["method"]} was not made from {where}')
                elif energy(entry['node'], label['slug'], entry['frame']) != entry['energy_eV']:
                    problems.append(f'{where} has another energy than the node {entry["node"]}')
        yield f'dispersion of {curve["method"]} {node.uuid}: {n_energies} energies', problems


def main() -> None:
    """Print each curve, and its energies with the jobs that computed them."""
    parser = argparse.ArgumentParser(description='Follow the curves of this bundle to the energies that made them.')
    parser.add_argument('bundle', nargs='?', type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument('--method', help='only the dispersion of this method')
    given = parser.parse_args()
    # AiiDA makes its folder when it is imported: not in the home of whoever only reads.
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault('AIIDA_PATH', folder)
        from aiida.manage.configuration import load_profile
        from aiida.storage.sqlite_zip.backend import SqliteZipBackend

        load_profile(SqliteZipBackend.create_profile(given.bundle / 'archive.aiida'), allow_switch=True)
        content = json.loads((given.bundle / 'curves.json').read_text(encoding='utf-8'))
        n_wrong = 0
        for run in content['runs']:
            for what, problems in broken_links(run, given.method):
                print(what)
                for line in problems:
                    print(f'  WRONG: {line}')
                n_wrong += len(problems)
            for label in run['labels']:
                if given.method not in (None, label['method']):
                    continue
                print(f'energies of {label["method"]} (eV per cell)')
                for entry in label['energies']:
                    where = entry['calculation'] or f'given in {entry["node"]}'
                    print(f'  {entry["energy_eV"]:>18.8f}  {where}  {entry["name"]}')
    sys.exit(1 if n_wrong else 0)


if __name__ == '__main__':
    main()
