"""Which of a source's files are to be loaded, each as which load, and whether the expressions fit them."""

import itertools
import json

from orchestration.ingestion import inspection
from orchestration.ingestion.catalog import File, Load, id_of
from orchestration.ingestion.expressions import Reference
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.json_shapes import unnest_hint
from orchestration.ingestion.landing import Landing
from orchestration.ingestion.mappings import Mapping, MappingError, listed, nearest, shown
from orchestration.ingestion.reports import Remarks
from orchestration.ingestion.shapes import Shape
from orchestration.ingestion.sources import REQUIRED_COLUMNS, Source
from orchestration.ingestion.workers import Job


class Plan:
    """What one load of one source has to do.

    Args:
        source: The source.
        landing: Where its files lie.
        seen: The files as they are now.
        loads: Every load of it that there was.
        remarks: Told what cannot be loaded, and what an analyst should know.
    """

    def __init__(
        self, source: Source, landing: Landing, *, seen: dict[str, File], loads: list[Load], remarks: Remarks
    ) -> None:
        self._source = source
        self._fingerprint = source.fingerprint()
        self._landing = landing
        self._seen = seen
        self._loads = loads
        self._live = {load.content_hash: load for load in loads if load.status == "live"}
        self._remarks = remarks

    def _wanted(self) -> dict[str, File]:
        """The first file, by name, of each content that the lake lacks or has under another mapping."""
        holders: dict[str, File] = {}
        for name in sorted(self._seen):
            holders.setdefault(self._seen[name].content_hash, self._seen[name])
        outdated = self._outdated()
        gone = [load.file for content, load in outdated.items() if content not in holders]
        # Where a file has another content by now, its old load gives way to that.
        stuck = [file for file in gone if file not in self._seen]
        if stuck and self._source.removed_files == "keep":
            self._remarks.warn(
                [
                    f"{len(stuck)} loaded files are gone and keep the mapping they were loaded with (such as "
                    f"{stuck[0]}): put them back to have them loaded anew"
                ]
            )
        lacking = (f for content, f in holders.items() if content not in self._live or content in outdated)
        return {file.file: file for file in lacking}

    def _outdated(self) -> dict[str, Load]:
        """Live loads that were made under another mapping, by content."""
        return {c: load for c, load in self._live.items() if load.mapping_fingerprint != self._fingerprint}

    def jobs(self, mapping: Mapping) -> list[Job]:
        """Look at the head of each file that is wanted, and check that the expressions fit it."""
        wanted = self._wanted()
        found: dict[str, Shape] = {}
        self._landing.bring(wanted)
        for name in wanted:
            try:
                shape = inspection.inspect(self._landing.path(name), self._source, mapping.wanted)
                if shape.columns or shape.layout != "csv":
                    mapping.query(shape)
            except UnreadableFileError as error:
                self._remarks.fail_to_read(error, self._landing.named)
            except MappingError as error:
                self._remarks.fail([f"{name}: {error}"])
            else:
                found[name] = shape
        known: set[Reference] = {(name,) for load in self._loads for name in json.loads(load.schema_columns)}
        known |= {(column.name,) for shape in found.values() for column in shape.columns}
        known |= {path for shape in found.values() for path, _ in shape.paths}
        folded = {tuple(map(str.casefold, reference)) for reference in known}
        outdated = self._outdated()
        taken = {load.load_id for load in self._loads}
        return [
            Job(
                path=self._landing.path(name),
                file=wanted[name],
                shape=shape,
                load_id=self._load_id(wanted[name].content_hash, taken),
                replaces=old.load_id if (old := outdated.get(wanted[name].content_hash)) else None,
            )
            for name, shape in found.items()
            if self._fits(mapping, name, shape, folded)
        ]

    def _load_id(self, content: str, taken: set[str]) -> str:
        """A hash of source, content and mapping; numbered when a content comes back after it had gone."""
        base = f"{self._source.name}\n{content}\n{self._fingerprint}"
        ids = (id_of(f"{base}\n{number}" if number else base) for number in itertools.count())
        return next(load_id for load_id in ids if load_id not in taken)

    def _fits(self, mapping: Mapping, file: str, shape: Shape, known: set[Reference]) -> bool:
        """Whether what the expressions read is there, or can be missing from this file.

        A column that other files have may be missing from one; what a preset reads may be missing from all.
        A JSON key may come in later rows, so for it there is but a warning, and only while a mapping is new.
        """
        if not shape.columns:
            return True
        query = mapping.query(shape)
        is_new = all(load.mapping_fingerprint != self._fingerprint for load in self._loads)
        for key, reference in query.missing.items():
            can_be_missing = (
                key in self._source.optional_columns
                or tuple(map(str.casefold, reference)) in known
                or (shape.is_json and not is_new)
            )
            if can_be_missing and not (key in REQUIRED_COLUMNS and key in query.blind):
                continue
            names = [column.name for column in shape.columns]
            lacking = f"source {self._source.name}, {shown(key)}: no column {'.'.join(reference)} in"
            known_names = f"{nearest(reference[0], names)}{_unquoted(mapping, key)} Its columns are {listed(names)}"
            if not shape.is_json:
                self._remarks.fail([f"{lacking} {file}.{known_names}"])
                return False
            hint = unnest_hint(shape, self._source) if key in REQUIRED_COLUMNS else ""
            self._remarks.warn([f"{lacking} any record looked at.{known_names}{hint}"])
        return True


def _unquoted(mapping: Mapping, key: str) -> str:
    """A hint where a name that is no column may be a text whose quotes YAML took."""
    expression = mapping.expressions.get(key)
    if expression is None or expression.bare is None or len(expression.bare) > 1:
        return ""
    name = expression.bare[0]
    return f" For the text {name} write \"'{name}'\"."
