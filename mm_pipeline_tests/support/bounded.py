"""Read hostile files in a process of its own and say what each came to and how much memory it took.

``python -m mm_pipeline_tests.support.bounded DATA_DIR LARGEST YEAR...``: a year's folder holds one delivery. Prints a
line of JSON for each: the message, by how many MB the peak of the process rose above a harmless delivery, and what lies
in the spill folder.
"""

import json
import re
import sys
from pathlib import Path

from mm_pipeline.defs.resources.engine import DuckDBEngine
from mm_pipeline.errors import OperatorError
from mm_pipeline.ingest import files
from mm_pipeline.ingest.contract import DATASETS
from mm_pipeline.ingest.ingest import ingest
from mm_pipeline.reference.areas import areas
from mm_pipeline.storage.lake import Lake
from mm_pipeline_tests.support.pipeline import settings_for


def peak() -> int:
    """MB. Not from ``resource``: what a process counts there begins with the peak of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024  # type: ignore[index]


def main(data_dir: Path, largest: str, years: list[int]) -> None:
    settings = settings_for(data_dir, memory_limit="300MB", largest_delivery=largest)
    lake = Lake(settings.lake_dir)
    harmless = settings.raw_dir / "2003" / "dmg.csv"
    harmless.parent.mkdir(parents=True)
    harmless.write_text("patient_id,practice_id\nP1,G1\n,G2\n")
    with DuckDBEngine.of(settings).session() as backend:
        ingest(backend, lake, settings, "dmg", 2003)
        for year in years:
            before = peak()
            try:
                if (settings.reference_dir / str(year)).is_dir():
                    areas(settings.reference_dir / str(year), year)
                else:
                    folder = settings.raw_dir / str(year)
                    ingest(
                        backend, lake, settings, next(name for name in DATASETS if files.candidates(folder, name)), year
                    )
                message = "taken"
            except OperatorError as error:
                message = str(error)
            left = [path.name for folder in lake.spill_dir().iterdir() for path in folder.glob("[!.]*")]
            print(json.dumps({"message": message, "megabytes": peak() - before, "left": left}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [int(year) for year in sys.argv[3:]])
