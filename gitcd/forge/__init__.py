"""Pull requests on the forges: one module for each behind one small protocol."""
