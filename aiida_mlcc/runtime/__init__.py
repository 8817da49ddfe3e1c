"""What runs on the compute node: ASE, PySCF and MACE behind `python -m aiida_mlcc.runtime TASK`. No AiiDA."""
