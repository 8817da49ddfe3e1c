"""How curves are read and shown: each file belongs to the file of the same name in `aiida_mlcc.workflows.curves`."""
