"""What the page says of energies that are not to be compared with each other."""

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.engines.cc4s.settings import VaspCc4s
from aiida_mlcc.report.page.provenance import caveat_lines


@pytest.mark.parametrize('corrected', [True, False])
def test_page_says_that_mp2_lacks_the_finite_size_correction_that_ccsd_has(aiida_profile, corrected):
    engine = VaspCc4s.defaults()
    if not corrected:
        engine['cc4s'] = {name: part for name, part in engine['cc4s'].items() if name != 'finite_size_correction'}
    run = orm.WorkChainNode()
    node = orm.Dict(engine).store()
    run.base.links.add_incoming(node, link_type=LinkType.INPUT_WORK, link_label='cc_energies__engine')
    notes = dict(caveat_lines(run.store()))
    assert ('energies' in notes) == corrected
    if corrected:
        assert 'a comparison of MP2 with them is not free of that' in notes['energies']
