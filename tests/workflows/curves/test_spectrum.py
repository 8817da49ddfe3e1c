"""The spectrum of members whose modes are made up: what is cut off, what is compared, and what sd means."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_mlcc.workflows.curves.spectrum import vibrational_spectrum
from tests.curve_sources import MODES, autocorrelation


def transformed(highest_cm1=None, **vacfs):
    settings = {'window': 'hann', 'highest_cm1': highest_cm1}
    return vibrational_spectrum(orm.StructureData(ase=bulk('C')), orm.Dict(settings), orm.Str('science'), **vacfs)


def curves_of(node):
    return {name: curve for name, curve, _ in node.get_y()}


pytestmark = pytest.mark.usefixtures('aiida_profile')


def test_a_spectrum_reaches_as_far_as_the_modes_and_says_what_a_lower_end_cuts_off():
    whole, cut = transformed(seed_1=autocorrelation()), transformed(1000.0, seed_1=autocorrelation())
    n_above = 11  # 1030, 1070 … 1430
    assert whole['sampling']['share_of_modes_cut_off'] == 0
    for told in (cut['sampling'].get_dict(), cut['vdos'].base.attributes.all):
        assert told['share_of_modes_cut_off'] == pytest.approx(n_above / 33)
    # Six primitive cells share 33 modes.
    for outputs, expected in ((whole, 33 / 6), (cut, 22 / 6)):
        grid = outputs['vdos'].get_x()[1]
        for name in ('vdos', 'harmonic_dos'):
            assert np.trapezoid(curves_of(outputs[name])['mean'], grid) == pytest.approx(expected, rel=0.01)
    assert 1430 < whole['vdos'].get_x()[1][-1] < 1700


def test_without_harmonic_modes_nothing_is_compared_and_the_reason_is_told():
    outputs = transformed(seed_1=autocorrelation(harmonic=False, no_harmonic_modes_because='no memory'))
    assert set(outputs) == {'vdos', 'sampling'}
    assert outputs['sampling']['runs']['seed_1']['no_harmonic_modes_because'] == 'no memory'
    assert outputs['sampling']['share_of_modes_cut_off'] is None


def test_of_a_crystal_that_is_not_at_rest_no_peaks_are_compared():
    at_rest, strained = (transformed(seed_1=autocorrelation(residual_force=force)) for force in (0.002, 0.03))
    assert len(at_rest['peaks']['peaks']) == 33
    assert at_rest['sampling']['no_peaks_because'] is None
    assert set(strained) == {'vdos', 'harmonic_dos', 'sampling'}
    assert 'forces of up to 0.03 eV/Å' in strained['sampling']['no_peaks_because']
    assert strained['sampling']['runs']['seed_1']['residual_force_eV_A'] == 0.03


def test_sd_is_that_of_one_member_and_counts_its_sampling_once():
    """Members of the very same modes, which differ by the energies that these have drawn, and by nothing else."""
    random = np.random.default_rng(0)
    members = {f'seed_{n}': autocorrelation(random.exponential(size=33)) for n in range(24)}
    curves = curves_of(transformed(**members)['vdos'])
    high = curves['mean'] > 0.5 * curves['mean'].max()
    scatter = np.std([curves[name] for name in members], axis=0, ddof=1)
    assert np.mean((curves['sampling_sd'] / scatter)[high]) == pytest.approx(1, abs=0.15)
    assert np.mean((curves['sd'] / scatter)[high]) == pytest.approx(1, abs=0.15)
    assert (curves['sd'] >= curves['sampling_sd']).all()


def test_members_that_differ_by_more_than_their_sampling_have_their_own_spread_as_sd():
    members = {f'seed_{n}': autocorrelation(modes=MODES + 60 * n) for n in range(3)}
    curves = curves_of(transformed(**members)['vdos'])
    spread = np.std([curves[name] for name in members], axis=0, ddof=1)
    wide = spread > curves['sampling_sd']
    assert wide.any()
    assert np.allclose(curves['sd'][wide], spread[wide])
