"""`ameide.yaml`: the schema's errors instruct; without one a Python project's own test requirements are found."""

from __future__ import annotations

import pytest

from ameide.infra.repo_config import ConfigError, parse
from ameide.infra.repo_config.detecting import detect

VERIFY = "verify: {suites: {default: {run: [x], junit: y}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"version: 2\n{VERIFY}", "ameide.yaml version: 1 was expected. Write 1."),
        (f"version: 1\n{VERIFY}verfy: 1\n", "Known here: $schema, build, component"),
        (f"version: 1\n{VERIFY}component: Bad Name\n", "ameide.yaml component"),
        ("version: 1\nverify: {suites: {default: {run: [x], junit: ../y}}}\n", "verify.suites.default.junit"),
        (f"version: 1\n{VERIFY}scaffold: {{run: [[a], b]}}\n", "scaffold.run[1]: 'b' is not of type 'array'"),
        ("a: &a 1\nb: *a\n", "aliases are not read"),
        ("", "Write a mapping"),
        ("a: [", "Correct the syntax"),
    ],
)
def test_errors_name_file_field_and_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert str(refused.value).startswith("ameide.yaml")
    assert message in str(refused.value)


def test_the_schema_line_of_an_editor_is_accepted() -> None:
    config = parse(f"$schema: ./ameide.schema.json\nversion: 1\n{VERIFY}")
    assert config.suites["default"].run == ("x",)


async def install(files: dict[str, str]) -> tuple[str, ...]:
    """What the detected set-up installs beside pytest."""

    async def read(path: str) -> bytes | None:
        return files[path].encode() if path in files else None

    found = await detect(sorted(files), read)
    assert found is not None
    argv = found.config.setup[1]
    return argv[argv.index("pytest") + 1 :]


PROJECT = "[project]\nname = 'x'\nversion = '1'\n"


@pytest.mark.parametrize(
    ("files", "installed"),
    [
        ({"setup.py": ""}, ("--editable", ".")),
        ({"pyproject.toml": PROJECT}, ("--editable", ".")),
        (
            {"pyproject.toml": f"{PROJECT}[project.optional-dependencies]\ntests = ['a']\ndev = ['b']\n"},
            ("--editable", ".[tests]"),
        ),
        ({"pyproject.toml": f"{PROJECT}[dependency-groups]\ntest = ['a']\n"}, ("--group", "test", "--editable", ".")),
        (
            {"setup.py": "", "requirements-test.txt": "a\n"},
            ("-r", "requirements-test.txt", "--editable", "."),
        ),
        (
            {"setup.py": "", "tox.ini": "[testenv]\ndeps =\n  a>=1\n  py311: b\n  {c}\n  -r more.txt\n"},
            ("-r", "more.txt", "a>=1", "--editable", "."),
        ),
        ({"setup.cfg": "[metadata]\nname = x\n[options.extras_require]\ntest = a\n"}, ("--editable", ".[test]")),
        ({"pyproject.toml": "[tool.black]\n", "requirements.txt": "a\n"}, ("-r", "requirements.txt")),
    ],
)
async def test_test_requirements_are_found(files: dict[str, str], installed: tuple[str, ...]) -> None:
    assert await install({**files, "tests/test_x.py": ""}) == installed


@pytest.mark.parametrize("paths", [["pyproject.toml", "x.py"], ["tests/test_x.py"], ["package.json"]])
async def test_anything_else_is_not_guessed(paths: list[str]) -> None:
    async def read(_path: str) -> bytes | None:
        return None

    assert await detect(paths, read) is None
