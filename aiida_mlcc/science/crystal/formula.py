"""Chemical formulas as chemists write them."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

_SEQUENCE = (
    'Rn Xe Kr Ar Ne He '
    'Fr Cs Rb K Na Li '
    'Ra Ba Sr Ca Mg Be '
    'Lr No Md Fm Es Cf Bk Cm Am Pu Np U Pa Th Ac Lu Yb Tm Er Ho Dy Tb Gd Eu Sm Pm Nd Pr Ce La Y Sc '
    'Rf Hf Zr Ti Db Ta Nb V Sg W Mo Cr Bh Re Tc Mn Hs Os Ru Fe Mt Ir Rh Co Ds Pt Pd Ni Rg Au Ag Cu Cn Hg Cd Zn '
    'Tl In Ga Al B Pb Sn Ge Si C Bi Sb As P N H Po Te Se S O At I Br Cl F'
)
"""The element sequence of the IUPAC (Nomenclature of Inorganic Chemistry 2005, Table VI), electropositive first."""


def formula_of(symbols: Iterable[str], reduced: bool = True) -> str:
    """Return the formula of atoms, the most electropositive element first: LiF, SiO2, CaTiO3.

    :param reduced: whether the numbers are divided by what they have in common.
    """
    counts: dict[str, int] = {}
    for symbol in symbols:
        counts[symbol] = counts.get(symbol, 0) + 1
    common = gcd(*counts.values()) if reduced and counts else 1
    place = {symbol: position for position, symbol in enumerate(_SEQUENCE.split())}
    ordered = sorted(counts, key=lambda symbol: (place.get(symbol, -1), symbol))
    return ''.join(symbol + (str(n) if (n := counts[symbol] // common) > 1 else '') for symbol in ordered)
