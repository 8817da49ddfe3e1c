"""HF, MP2, CCSD and CCSD(T) energies of selected snapshots."""
