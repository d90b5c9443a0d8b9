"""The package of kernels as a zip that a Spark cluster without our package can import.

Only how the zip is made belongs here; when it is sent: see `jobs.lakehouse.tables`.
"""

import hashlib
import io
import os
import tempfile
import zipfile
from pathlib import Path

from jobs import unfinished
from jobs.state_files import replace_bytes

PACKAGE = Path(__file__).parent.parent


def package_zip(package: Path = PACKAGE, folder: Path | None = None) -> Path:
    """A zip of every `.py` file of `package`, the same bytes for the same sources, named by its content.

    Stored in `folder` (default: one of this user's in the temporary directory) and reused.
    """
    content = _zip(package)
    folder = folder or Path(tempfile.gettempdir()) / f"evergreen-artifacts-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{package.name}-{hashlib.sha256(content).hexdigest()[:16]}.zip"
    if not target.exists():
        unfinished.sweep(folder)
        replace_bytes(target, content)
    return target


def _zip(package: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(package.rglob("*.py")):
            # A fixed time: the name says which content this is, and Spark refuses a changed file of one name.
            entry = zipfile.ZipInfo(str(source.relative_to(package.parent)), date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, source.read_bytes())
    return buffer.getvalue()
