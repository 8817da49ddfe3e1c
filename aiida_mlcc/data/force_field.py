"""ForceFieldData: a sum of terms as JSON and safetensors, which no archive can use to run code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida import orm

from aiida_mlcc.science.force_field import DESCRIPTION_FILE, WEIGHTS_FILE, ForceField

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class ForceFieldData(orm.Data):
    """E = Σ_t w_t·E_t + Σ_i c(Z_i), in eV and Å."""

    def __init__(self, force_field: ForceField | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if force_field is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            force_field.save(folder)
            for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
                self.base.repository.put_object_from_file(Path(folder) / name, name)
        described = force_field.describe()
        terms = [{key: term[key] for key in ('kind', 'weight', 'trained_on')} for term in described['terms']]
        self.base.attributes.set_many(
            {
                'terms': terms,
                'constants': described['constants'],
                'base_scale': force_field.base_scale,
                'method': force_field.method,
                'content_hash': force_field.content_hash(),
            }
        )

    def get_force_field(self) -> ForceField:
        """Return the description with its weights.

        :raises aiida_mlcc.science.force_field.ForceFieldError: where the weights are not those described.
        """
        from safetensors.numpy import load

        repository = self.base.repository
        description = json.loads(repository.get_object_content(DESCRIPTION_FILE))
        return ForceField.rebuild(description, load(repository.get_object_content(WEIGHTS_FILE, mode='rb')))

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
