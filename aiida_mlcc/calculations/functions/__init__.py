"""One calcfunction a file. Those that call ``science`` take its hash as an input, which puts it in the cache key."""
