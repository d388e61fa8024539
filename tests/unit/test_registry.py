"""Registries: one new file in a package is found by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registry import Registry


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    """A registry over a package with one module, which registers ``circle``."""
    package = tmp_path / "package_of_shapes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "round.py").write_text("import __main__\n__main__.SHAPES.register('circle')(int)\n")
    registry: Registry[type] = Registry("shape", "package_of_shapes")
    monkeypatch.setattr(sys.modules["__main__"], "SHAPES", registry, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield registry
    for name in [name for name in sys.modules if name.startswith("package_of_shapes")]:
        del sys.modules[name]


def test_modules_of_the_package_are_found_at_the_first_look_up(shapes: Registry[type]):
    assert "package_of_shapes.round" not in sys.modules
    assert shapes.get("circle") is int
    assert shapes.entries() == {"circle": int}


def test_an_entry_registered_elsewhere_stands_beside_them_in_order_of_names(shapes: Registry[type]):
    assert shapes.register("arc")(float) is float
    assert list(shapes.entries()) == ["arc", "circle"]


def test_a_name_cannot_be_taken_twice(shapes: Registry[type]):
    shapes.register("square")(int)
    with pytest.raises(ValueError, match="shape 'square' is registered twice in package_of_shapes"):
        shapes.register("square")(float)


def test_an_unknown_name_is_refused_with_the_known_ones_and_a_suggestion(shapes: Registry[type]):
    shapes.register("square")(int)
    with pytest.raises(UserError) as caught:
        shapes.get("circel")
    assert str(caught.value) == (
        "unknown shape\n  seen:    'circel'\n  allowed: circle, square\n  mend:    did you mean 'circle'?"
    )
