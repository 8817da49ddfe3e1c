"""Methods, snapshots with their labels, pairing by geometry, merging, extended XYZ."""
