"""Copies of finished trial folders in an object store."""

from __future__ import annotations

from pathlib import Path

from hybridbatch.foundation.errors import StoreError
from hybridbatch.search.storage import hide_password


def archive_folder(folder: Path, url: str) -> None:
    """Copy ``folder`` to ``url`` (``s3://``, ``gs://``, ``file://``), file by file; copying again changes nothing.

    Raises:
        StoreError: If the store cannot be reached or written.
    """
    from pyarrow import ArrowException, fs

    try:
        target, path = fs.FileSystem.from_uri(url)
        target.create_dir(path, recursive=True)
        fs.copy_files(str(folder), path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=target)
    except (ArrowException, OSError) as error:
        raise StoreError(
            "the archive cannot be written",
            file=hide_password(url),
            path="stores.archive",
            seen=str(error).strip().splitlines()[0],
            allowed="a URL that pyarrow can write, such as s3://bucket/path?region=eu-west-1",
            remedy="the trial itself is recorded; check the URL and the credentials, then run `hybridbatch resume`",
        ) from error
