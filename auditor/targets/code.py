"""The user's own Python, named as ``FILE.py:callable`` or ``package.module:callable``."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from auditor.config.problems import suggestion
from auditor.core.errors import TargetError


@dataclass(frozen=True)
class Named:
    """A callable by name; picklable, so that a worker process can load the same code.

    Attributes:
        text: As written, e.g. ``target.py:build``.
        folder: Relative files are looked up here.
        where: Place and setting for error messages, e.g. ``audit.yaml:16:3: target.model``.
    """

    text: str
    folder: Path
    where: str

    @property
    def file(self) -> Path | None:
        """The Python file, or None for ``package.module:callable``."""
        name = self.text.rpartition(":")[0]
        return (self.folder / name).resolve() if name.endswith(".py") else None

    def load(self) -> Callable[..., Any]:
        """The callable itself.

        Raises:
            TargetError: The file or name is missing, or the code fails while it is imported.
        """
        name, _, attribute = self.text.rpartition(":")
        module = self._module(name)
        found = getattr(module, attribute, None)
        if found is None:
            public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise TargetError(
                f"{self.where}: {name} has no '{attribute}'{suggestion(attribute, public) or '.'}",
                remedy=f"Define `def {attribute}(): ...` there, or name another function.",
            )
        if not callable(found):
            raise TargetError(
                f"{self.where}: '{attribute}' in {name} is a {type(found).__name__}, not a function.",
                remedy="Name a function that returns it.",
            )
        return found  # type: ignore[no-any-return]

    def call(self, *arguments: Any, **named: Any) -> Any:
        """Load and call it; an error in the user's code becomes one sentence with its line."""
        function = self.load()
        with self.errors(), _import_path(self.folder):
            return function(*arguments, **named)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the user's code raises into one sentence with the line in the user's file."""
        try:
            yield
        except (TargetError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise TargetError(f"{self.where}: {self.text} failed{self._line(error)}: {said(error)}") from None

    def sha256(self) -> str:
        """Hash of the file that defines it."""
        file = self.file or Path(inspect.getsourcefile(self.load()) or __file__)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def _module(self, name: str) -> ModuleType:
        if self.file is not None:
            return self._from_file(self.file)
        with _import_path(self.folder):
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError as error:
                raise TargetError(
                    f"{self.where}: there is no module '{error.name}'.",
                    remedy="Install it in the environment of the auditor, or name a file: FILE.py:callable.",
                ) from None
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise TargetError(f"{self.where}: importing {name} failed: {said(error)}") from None

    def _from_file(self, file: Path) -> ModuleType:
        if not file.is_file():
            raise TargetError(
                f"{self.where}: there is no file '{self.text.rpartition(':')[0]}' in {self.folder}.",
                remedy="Paths are relative to the folder of the audit file.",
            )
        # A name of its own: two audits may both call their file target.py.
        name = f"_auditor_user_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise TargetError(f"{self.where}: {file.name} cannot be imported as Python.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            with self.errors(), _import_path(self.folder), _import_path(file.parent):
                spec.loader.exec_module(module)
        except TargetError:
            del sys.modules[name]
            raise
        return module

    def _line(self, error: BaseException) -> str:
        """`` at line 12`` of the user's file, where the traceback passes through it."""
        if isinstance(error, SyntaxError) and error.lineno:
            return f" at line {error.lineno}"
        lines = []
        trace = error.__traceback__
        while trace:
            if self.file and Path(trace.tb_frame.f_code.co_filename) == self.file:
                lines.append(trace.tb_lineno)
            trace = trace.tb_next
        return f" at line {lines[-1]}" if lines else ""


def said(error: BaseException) -> str:
    """Class and first line of an error, short enough for a sentence."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


@contextmanager
def _import_path(folder: Path) -> Iterator[None]:
    """Let the user's code import its neighbours, without leaving the folder on the path."""
    text = str(folder)
    sys.path.insert(0, text)
    try:
        yield
    finally:
        if text in sys.path:
            sys.path.remove(text)
