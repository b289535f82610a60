"""
The main job, told as it goes: add files and tables, run a pipeline over real images, edit it, read it back, share it.

Everything happens in a directory of its own, which is made anew each time: ``.demo`` in the current directory. The
pipeline that is edited there is a copy.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DSDT = Path(sys.executable).with_name("dsdt")


def main() -> None:
    place = Path.cwd() / ".demo"
    shutil.rmtree(place, ignore_errors=True)
    os.environ["DISDAT_HOME"] = str(place / "home")
    os.environ["DISDAT_CONFIG"] = str(place / "disdat.cfg")
    shutil.copytree(HERE, place / "examples", ignore=shutil.ignore_patterns("__pycache__", ".demo"))
    os.chdir(place / "examples")
    work()
    share(place)
    print(f"\nEverything is in {place}; delete it when you like.")


def work() -> None:
    say("A context is where versions of data are kept.")
    dsdt("context demo")
    dsdt("switch demo")

    say("Add a file, a directory, and a table whose cells name files.")
    dsdt("add my.first.bundle hello_data.csv")
    dsdt("add -t source:landsat my.images hello_data")
    dsdt("add -i my.second.bundle hello_data.csv")
    dsdt("ls -v")
    dsdt("cat my.first.bundle")
    dsdt("cat my.second.bundle")

    say("Run three tasks over 1,797 images of digits; each output becomes a bundle.")
    dsdt("apply pipelines.mnist.Evaluate")
    say("Run them again: nothing is left to do, and each says why.")
    dsdt("apply pipelines.mnist.Evaluate")
    dsdt("why Evaluate")
    say("Another parameter makes new versions of what depends on it, and only of that.")
    dsdt("apply pipelines.mnist.Evaluate --gamma 0.01")
    say("Edit a function that two of the tasks call, for fewer greys: what would run again, and what did?")
    edit("pipelines/mnist.py", "images.reshape(len(images), -1)", "(images.reshape(len(images), -1) // 4 * 4)")
    dsdt("plan pipelines.mnist.Evaluate --gamma 0.01")
    dsdt("apply pipelines.mnist.Evaluate --gamma 0.01")
    dsdt("why Evaluate")

    say("Read it back, from the command line and from Python.")
    dsdt("cat Evaluate")
    python(
        "import disdat.api as api; "
        'images = api.get("demo", "GetData").data["images"]; '
        'print(images.shape, images.dtype, "mean", images.mean().round(3))'
    )

    say("Which versions are there, and where did the latest come from?")
    dsdt("ls -v -a")
    dsdt("lineage Evaluate")
    dsdt("show Evaluate@-1")
    dsdt("status")


def share(place: Path) -> None:
    say("Share it: commit what is fit for others, and push it to a place they reach, be it in S3 or on a disk.")
    shared = (place / "shared").as_uri()
    dsdt("commit Evaluate")
    dsdt("commit my.images")
    dsdt(f"remote team {shared}")
    dsdt("push")

    say("A colleague, who has a home of their own, pulls what they need.")
    os.environ["DISDAT_HOME"] = str(place / "colleague")
    dsdt("context mine")
    dsdt("switch mine")
    dsdt(f"remote team {shared}")
    dsdt("pull Evaluate")
    dsdt("cat Evaluate")
    dsdt("pull -l my.images")
    dsdt("cat my.images")
    dsdt("ls -v")


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def dsdt(line: str) -> None:
    print(f"\n$ dsdt {line}", flush=True)
    subprocess.run([DSDT, *shlex.split(line)], check=True)


def edit(name: str, old: str, new: str) -> None:
    """Replace *old*, which is there once."""
    path = Path(name)
    before, after = path.read_text(encoding="utf-8").split(old)
    path.write_text(before + new + after, encoding="utf-8")
    print(f"\n{name}\n- {old}\n+ {new}", flush=True)


def python(code: str) -> None:
    print(f"\n$ python -c {shlex.quote(code)}", flush=True)
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
