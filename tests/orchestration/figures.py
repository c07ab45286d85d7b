"""A metrics file as Prometheus's own parser reads it."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


def figures_of(path: Path) -> dict[str, dict[Labels, float]]:
    """By name and labels; each family stands there once, as a gauge with a word of help, and each sample once."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        assert family.name not in found
        assert family.type == "gauge"
        assert family.documentation
        samples = [(tuple(sorted(sample.labels.items())), sample.value) for sample in family.samples]
        found[family.name] = dict(samples)
        assert len(found[family.name]) == len(samples) > 0
    return found
