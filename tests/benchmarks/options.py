"""Options that the benchmarks share, and the networks that they make of them."""

from __future__ import annotations

import argparse
from typing import Any

from tests.benchmarks.data import CRYSTALS


def parser_of(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--data', help='the folder of the published files, with the folders c and lih')
    parser.add_argument('--crystal', choices=CRYSTALS, default='diamond')
    parser.add_argument('--seeds', type=int, nargs='+', default=[5192])
    return parser


def network_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a network to `parser`; what they leave open is that of the protocol ``balanced``."""
    parser.add_argument('--r-max', type=float, default=3.0, help='cutoff of one interaction, Å')
    parser.add_argument('--channels', type=int, default=16)
    parser.add_argument('--max-L', type=int, default=1)


def network_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the network that `options` ask for."""
    return {
        'r_max': options.r_max,
        'num_channels': options.channels,
        'max_L': options.max_L,
        'max_ell': 3,
        'num_interactions': 2,
        'correlation': 3,
        'num_radial_basis': 6,
        'num_cutoff_basis': 5,
        'MLP_irreps': f'{options.channels}x0e',
    }
