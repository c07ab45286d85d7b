"""Event dumps of any shape, loaded exactly once into a lake of canonical Parquet."""
