"""ForceFieldData: a sum of terms as JSON and safetensors, which no archive can use to run code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from aiida import orm

from aiida_mlcc.science.force_field import DESCRIPTION_FILE, WEIGHTS_FILE, ForceField
from aiida_mlcc.science.force_field.sum import Description
from aiida_mlcc.science.labels.methods import control_of, predicted

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class Origin(TypedDict):
    """What a force field is, see :meth:`ForceFieldData.say_origin`."""

    role: str
    kind: str
    seed: int
    base_method: str | None


class ForceFieldData(orm.Data):
    """E = Σ_t w_t·E_t + Σ_i c(Z_i), in eV and Å."""

    ORIGIN = 'mlcc'
    """The extra that says what a force field is, with the keys of :meth:`say_origin`."""

    def __init__(self, force_field: ForceField | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if force_field is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            force_field.save(folder)
            for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
                self.base.repository.put_object_from_file(Path(folder) / name, name)
        described = force_field.describe()
        terms = [
            {'kind': term['kind'], 'weight': term['weight'], 'trained_on': term['trained_on']}
            for term in described['terms']
        ]
        self.base.attributes.set_many(
            {
                'terms': terms,
                'constants': described['constants'],
                'base_scale': force_field.base_scale,
                'method': force_field.method,
                'content_hash': force_field.content_hash(),
            }
        )

    def say_origin(self, role: str, kind: str, seed: int, base_method: str | None = None) -> ForceFieldData:
        """Write down what a force field that is not yet stored is, for queries to find.

        ``label`` (``ML(CCSD(T)), seed 5192``), ``role``, ``kind``, ``method``, ``base_method`` and ``seed`` are
        attributes, and the extra :attr:`ORIGIN` holds them, too; the node gets the label.

        :param role: ``base``, ``control``, ``delta``, ``sum`` of a base and a Δ, or ``distilled`` from one of them.
        :param kind: of the base or of the Δ; of a sum both, joined by `` + ``.
        :param base_method: the method that a Δ starts from.
        """
        method = control_of(self.method) if role == 'control' else self.method
        name = f'Δ({method} − {base_method})' if role == 'delta' else predicted(method)
        name += ' distilled' if role == 'distilled' else ''
        origin = {
            'label': f'{name}, seed {seed}',
            'role': role,
            'kind': kind,
            'method': self.method,
            'base_method': self.method if base_method is None else base_method,
            'seed': seed,
        }
        self.base.attributes.set_many(origin)
        self.base.extras.set(self.ORIGIN, origin)
        self.label = origin['label']
        return self

    def get_force_field(self) -> ForceField:
        """Return the description with its weights.

        :raises aiida_mlcc.science.force_field.ForceFieldError: where the files are not a force field.
        """
        repository = self.base.repository
        description = repository.get_object_content(DESCRIPTION_FILE, mode='rb')
        return ForceField.read(description, repository.get_object_content(WEIGHTS_FILE, mode='rb'))

    def describe(self) -> Description:
        """Return all but the weights, as :meth:`ForceField.describe` gives it."""
        described: Description = json.loads(self.base.repository.get_object_content(DESCRIPTION_FILE))
        return described

    def get_calculator(self, device: str = 'cpu', dtype: str = 'float64') -> Calculator:
        """Return an ASE calculator for use by hand; needs the ``runtime`` extra where a term is a network."""
        from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator

        return ForceFieldCalculator(self.get_force_field(), device=device, dtype=dtype)

    @property
    def method(self) -> str:
        """The method this force field stands for."""
        return self.base.attributes.get('method')

    @property
    def content_hash(self) -> str:
        """Hash of all that fixes the energy: the same in every database."""
        return self.base.attributes.get('content_hash')

    def _validate(self) -> bool:
        from aiida.common.exceptions import ValidationError

        if set(self.base.repository.list_object_names()) != {DESCRIPTION_FILE, WEIGHTS_FILE}:
            raise ValidationError(f'ForceFieldData needs the files {DESCRIPTION_FILE} and {WEIGHTS_FILE}')
        return super()._validate()
