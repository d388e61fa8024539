"""What was exported, kept in a list in place of going to Ray."""

from __future__ import annotations

from hybridbatch.cluster.metric_export import Exporter
from hybridbatch.cluster.metric_names import METRICS


class KeptFigures(Exporter):
    """Keeps every figure; a name or tags that the table does not have are an error."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, float, dict[str, str]]] = []

    def record(self, name: str, value: float, **tags: str) -> None:
        assert set(tags) == set(METRICS[name].tags)
        self.kept.append((name, value, tags))

    def values(self, name: str, **tags: str) -> list[float]:
        return [value for kept, value, own in self.kept if kept == name and tags.items() <= own.items()]
