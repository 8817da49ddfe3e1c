"""The crystal: cells, symmetry, sites, and which supercell is commensurate with which wave vectors."""
