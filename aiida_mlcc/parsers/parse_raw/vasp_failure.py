"""Why VASP stopped, in its own words and in those of the scheduler."""

from __future__ import annotations

import re

from aiida_mlcc.parsers.parse_raw.scheduler import SAYS_MEMORY, SAYS_TIME

TIME, MEMORY, SYMMETRY = 'time', 'memory', 'symmetry'

_MEMORY = re.compile(r'insufficient virtual memory|allocation (?:would exceed|failed)|ran out of memory', re.IGNORECASE)
_SYMMETRY = re.compile(
    r'internal error in subroutine ?(?:IBZKPT|INVGRP|SGRCON|PRICELV?|SETGRP|SYMPREC|POSMAP|RHOSYG)'
    r'|(?:RHOSYG|POSMAP):? internal error'
    r'|IBZKPT: not all point group operations'
    r'|internal error in GENERATE_KPOINTS_TRANS'
    r'|group operation missing'
    r'|rotation matrix was not found'
    r'|non-integer element in rotation matrix'
    r'|Inconsistent Bravais lattice types'
    r'|symmetry equivalent atom not found',
    re.IGNORECASE,
)
"""Messages of VASP's symmetry routines, as parsevasp's ``stream.yml`` and custodian's handlers list them."""


def why_stopped(text: str) -> str | None:
    """Return :data:`TIME`, :data:`MEMORY` or :data:`SYMMETRY`; None where the text does not say.

    :param text: what VASP printed, and what the scheduler wrote on standard error.
    """
    if SAYS_TIME.search(text):
        return TIME
    if SAYS_MEMORY.search(text) or _MEMORY.search(text):
        return MEMORY
    return SYMMETRY if _SYMMETRY.search(text) else None
