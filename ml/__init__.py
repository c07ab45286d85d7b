"""Churn and conversion models; knows nothing of Dagster or dbt."""
