"""What gitcd says to the API server of a cluster, and hears from it. The only importer of kubernetes."""
