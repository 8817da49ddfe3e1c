"""What VASP writes, read as plain data: vasprun.xml, OUTCAR, CONTCAR."""
