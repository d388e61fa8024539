"""Copies of finished trial folders in an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.spec.folders import StudyFolder, TrialFolder

_WHOLE = ".archived"  # written last into a copy: says that nothing of it is missing


class Archive:
    """The copies of one study's trial folders, ``URL/STUDY/NUMBER``.

    Args:
        url: A folder that pyarrow can write: ``s3://``, ``gs://``, ``file://``.
        study: The study.

    Raises:
        StoreError: If it cannot be reached or written, so that a mistake shows before the first trial.
    """

    def __init__(self, url: str, study: StudyFolder) -> None:
        from pyarrow import fs

        self.url, self.study = url, study
        with self._readable_errors():
            self._files, path = fs.FileSystem.from_uri(url)
            self._path = f"{path.rstrip('/')}/{study.name}"
            self._files.create_dir(self._path, recursive=True)

    def add(self, folder: TrialFolder) -> None:
        """Copy the folder of a trial; copying again changes nothing.

        Raises:
            StoreError: If the archive cannot be reached or written.
        """
        from pyarrow import fs

        with self._readable_errors():
            path = self._of(folder)
            self._files.create_dir(path, recursive=True)
            files = folder.files()
            for inner in sorted({file.parent for file in files} - {folder.path}):
                self._files.create_dir(f"{path}/{inner.relative_to(folder.path).as_posix()}", recursive=True)
            for file in files:
                to = f"{path}/{file.relative_to(folder.path).as_posix()}"
                fs.copy_files(str(file), to, fs.LocalFileSystem(), self._files)
            with self._files.open_output_stream(f"{path}/{_WHOLE}"):
                pass

    def missing(self) -> list[TrialFolder]:
        """Return the folders of finished trials of which there is no whole copy.

        Raises:
            StoreError: If the archive cannot be reached.
        """
        finished = [folder for folder in self.study.trials() if (folder.path / "result.json").exists()]
        with self._readable_errors():
            marks = self._files.get_file_info([f"{self._of(folder)}/{_WHOLE}" for folder in finished])
        return [folder for folder, mark in zip(finished, marks, strict=True) if not mark.is_file]

    def add_missing(self) -> tuple[str, ...]:
        """Copy every finished trial that is not there yet; return what went wrong, in one line each."""
        try:
            for folder in self.missing():
                self.add(folder)
        except StoreError as error:
            return (f"{error.problem}: {hide_passwords(self.url)}: {error.seen}",)
        return ()

    def _of(self, folder: TrialFolder) -> str:
        return f"{self._path}/{folder.path.name}"

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        from pyarrow import ArrowException

        try:
            yield
        except (ArrowException, OSError) as error:
            raise StoreError(
                "the archive cannot be written",
                file=hide_passwords(self.url),
                path="stores.archive",
                seen=hide_passwords(" ".join(str(error).split())),
                allowed="a URL that pyarrow can write, such as s3://bucket/path?region=eu-west-1",
                remedy="check the URL and the credentials",
            ) from error
