"""Pictures of marts, as SVG: what an asset's page shows beside its numbers, and what the report is made of.

Dagster-free. An SVG of a few kilobytes follows its reader into light and dark, stays sharp on paper and has its text as
text; to write one costs milliseconds, where a plotting library takes a second to import.
"""
