"""Who sees the rows that a load does not keep."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.ingestion import records
from orchestration.ingestion.cuts import BLANK, EMPTY
from orchestration.ingestion.fields import RETYPE

REJECTS_SCHEMA = pa.schema(
    [
        ("load_id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("row_number", pa.int64()),
        ("raw_text", pa.string()),
        ("reason", pa.string()),
    ]
)

_WAITING_BYTES = 16 << 20


class Witness:
    """Takes note of rejected rows and writes them to Parquet.

    DuckDB calls it from within a query's filter, for the rows that fail it and no others: so one scan both
    loads the good rows and explains the bad ones, and a file without bad rows pays nothing.

    Args:
        path: The Parquet file; it is written only if a row is rejected.
        load_id: The load the rows belong to.
        source: Its source.
        file: Its file, as the lake calls it.

    Attributes:
        blank: Lines that held no record.
        empty: Documents that held no event.
        rejected: Rejected rows.
        total: All records of the file, blank ones included; None until its end has been seen.
        retyped: Columns that turned out to hold more than the whole numbers of their sample.
        reasons: How often each kind of reason was given.
    """

    def __init__(self, path: Path, *, load_id: str, source: str, file: str) -> None:
        self.blank = 0
        self.empty = 0
        self.rejected = 0
        self.total: int | None = None
        self.retyped: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self._path = path
        self._constants = (load_id, source, file)
        self._waiting: list[tuple[int, str | None, str]] = []
        self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __call__(self, row: int, reason: str, raw: str | None) -> None:
        """Take note of one row. It is not kept: no answer is null to SQL, which is as good as false.

        To take in any other answer DuckDB would import pandas, at up to a second a process.
        """
        if reason == BLANK:
            self.blank += 1
        elif reason == EMPTY:
            self.empty += 1
        elif reason == records.END:
            self.total = row - 1
        elif reason.startswith(RETYPE):
            self.retyped.add(reason.removeprefix(RETYPE))
        else:
            self.reject(row, raw, reason)

    def reject(self, row: int, raw: str | None, reason: str) -> None:
        """Take note of one rejected row."""
        self.rejected += 1
        self.reasons[reason.split("'", 1)[0].strip()] += 1
        self._waiting.append((row, raw, reason))
        self._waiting_bytes += len(raw or "") + len(reason)
        if self._waiting_bytes > _WAITING_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left to write."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        numbers, raws, reasons = zip(*sorted(self._waiting, key=lambda waiting: waiting[0]), strict=True)
        constants = [[constant] * len(numbers) for constant in self._constants]
        columns = dict(zip(REJECTS_SCHEMA.names, [*constants, numbers, raws, reasons], strict=True))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, REJECTS_SCHEMA, compression="zstd")
        self._writer.write_table(pa.table(columns, schema=REJECTS_SCHEMA))
        self._waiting, self._waiting_bytes = [], 0
