"""Runs Ávila's nights: ingestion, transformation, scoring, audit, publication."""
