"""SnapshotsData: all frames of one crystal and their labels in one node."""

from __future__ import annotations

from typing import Any

from aiida import orm
from ase import Atoms

from aiida_mlcc.science.labels.methods import DFT, slug_of, usual_kind
from aiida_mlcc.science.labels.snapshots import Snapshots


class SnapshotsData(orm.ArrayData):
    """Structures of the same atoms, and energies and forces per method (eV, Å).

    The arrays are those of :meth:`aiida_mlcc.science.labels.snapshots.Snapshots.to_arrays`, by fixed names, so that
    equal snapshots are equal nodes to AiiDA's cache.
    """

    def __init__(self, snapshots: Snapshots | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if snapshots is None:
            return
        for name, array in snapshots.to_arrays().items():
            self.set_array(name, array)
        self.base.attributes.set_many(
            {
                **snapshots.describe(),
                'n_frames': snapshots.n_frames,
                'n_atoms': snapshots.n_atoms,
                'methods': list(snapshots.methods),
                'n_labelled': {m: int(snapshots.labels[m].labelled.sum()) for m in snapshots.methods},
                'content_hash': snapshots.content_hash(),
            }
        )

    def get_snapshots(self) -> Snapshots:
        """Return the content as :class:`~aiida_mlcc.science.labels.snapshots.Snapshots`."""
        attributes = self.base.attributes.all
        description: Any = {key: attributes[key] for key in ('symbols', 'sources', 'named') if key in attributes}
        return Snapshots.from_arrays(description, {name: self.get_array(name) for name in self.get_arraynames()})

    def get_ase(self, frame: int = 0) -> Atoms:
        """Return one frame as ASE atoms, without labels."""
        return self.get_snapshots().atoms(frame)

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return self.base.attributes.get('n_frames')

    @property
    def n_atoms(self) -> int:
        """How many atoms each frame has."""
        return self.base.attributes.get('n_atoms')

    @property
    def methods(self) -> list[str]:
        """The methods that label at least one frame."""
        return self.base.attributes.get('methods')

    @property
    def base_methods(self) -> list[str]:
        """The methods of kind ``dft``, those with forces first: a base is trained on the first."""
        named = self.base.attributes.get('named', {}).values()
        kinds = {entry['name']: entry['kind'] for entry in named}
        found = [method for method in self.methods if (kinds.get(method) or usual_kind(method)) == DFT]
        arrays = self.get_arraynames()
        return sorted(found, key=lambda method: f'forces_{slug_of(method)}' not in arrays)

    @property
    def content_hash(self) -> str:
        """Hash of structures, labels and sources: the same in every database."""
        return self.base.attributes.get('content_hash')

    def _validate(self) -> bool:
        from aiida.common.exceptions import ValidationError

        if 'content_hash' not in self.base.attributes.all:
            raise ValidationError('SnapshotsData holds no snapshots')
        return super()._validate()
