"""The two remotes of the demo:

`orders`, from the example, and `orders-gitops`, whose environments have nothing deployed yet.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ameide.errors import NotFound

ENVIRONMENTS = ("dev", "staging", "production")

_VALUES = """\
# What runs in {environment}. Promotions change image.ref and nothing else.
replicas: {replicas}

image:
  # Always by digest; the release's manifest.
  ref: ""

service:
  port: 8080
"""


def create_orders_remotes(folder: Path) -> tuple[str, str]:
    """Create the bare repositories `orders.git` and `orders-gitops.git` in `folder`; their file URLs.

    What is there stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    orders, gitops = folder / "orders.git", folder / "orders-gitops.git"
    if not orders.exists():
        _create(orders, _files(example("orders")), "The orders service")
    if not gitops.exists():
        replicas = {"dev": 1, "staging": 2, "production": 3}
        files = {
            f"environments/{name}/values.yaml": _VALUES.format(environment=name, replicas=replicas[name]).encode()
            for name in ENVIRONMENTS
        }
        files["README.md"] = (
            b"# orders-gitops\n\nOne folder for every environment. `image.ref` in its values.yaml is what runs there.\n"
        )
        _create(gitops, files, "Environments without a release")
    return orders.resolve().as_uri(), gitops.resolve().as_uri()


def orders_patches() -> Path:
    """The folder with the patches that the offline coder of the demo applies in turn."""
    return example("patches") / "orders"


def example(name: str) -> Path:
    """A folder of `examples/`: shipped in the package, or beside the sources. Raises `NotFound`."""
    package = Path(str(resources.files("ameide")))
    for folder in (package / "_examples" / name, package.parents[1] / "examples" / name):
        if folder.is_dir():
            return folder
    raise NotFound(f"this installation has no example {name!r}", remedy="Install the wheel of ameide again.")


def _files(folder: Path) -> Mapping[str, bytes]:
    skip = {"__pycache__", ".ameide", ".pytest_cache", ".venv"}
    paths = (
        path for path in folder.rglob("*") if path.is_file() and not skip.intersection(path.relative_to(folder).parts)
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _create(bare: Path, files: Mapping[str, bytes], message: str) -> None:
    """Build beside the target and rename, so that an interrupted creation leaves nothing half done."""
    with tempfile.TemporaryDirectory(dir=bare.parent, prefix=f".{bare.name}.") as scratch:
        tree, staged = Path(scratch) / "tree", Path(scratch) / "bare"
        tree.mkdir()
        _git(bare.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(staged))
        for path, data in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        where = (f"--git-dir={staged}", f"--work-tree={tree}")
        _git(tree, *where, "add", "--force", "--all", "--", ".")
        _git(tree, *where, "commit", "--quiet", "-m", message)
        (staged / "index").unlink(missing_ok=True)
        shutil.move(staged, bare)


def _git(folder: Path, *args: str) -> None:
    identity = {"NAME": "ameide demo", "EMAIL": "demo@ameide.invalid"}
    env = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in identity.items()}
    quiet = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    subprocess.run(["git", *args], cwd=folder, env={**quiet, **env}, check=True, capture_output=True, text=True)
