"""Dagster definitions: each asset reads, calls one pure function, writes and reports metadata."""
