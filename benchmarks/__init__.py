"""Benchmarks: each compares two things in one run and prints their ratio beside its budget."""
