"""The commands of ``dsdt``, by what people come for: where each is, and the line the help shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # click, which a shell that completes a word does not wait for
    import click


class Entry(NamedTuple):
    """A command that is not loaded yet: where it is, and the line the help shows."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Contexts, where bundles are kept": {
        "context": Entry("disdat.cli.contexts:context", "List data contexts, create one, or delete one."),
        "switch": Entry("disdat.cli.contexts:switch", "Make a data context the current one, which commands work in."),
        "status": Entry("disdat.cli.contexts:status", "Show the current context and what is in it."),
        "fork": Entry("disdat.cli.moves:fork", "Make a context that begins as another one is."),
    },
    "Make bundles": {
        "add": Entry("disdat.cli.bundles:add", "Make a bundle of files, directories or a table."),
        "apply": Entry(
            "disdat.cli.pipelines:apply", "Run a pipeline up to a task; what is up to date is not run again."
        ),
        "plan": Entry("disdat.cli.pipelines:plan", "Show what an apply would do, and why; nothing runs."),
        "why": Entry("disdat.cli.why:why", "Show why a task ran, or why its result was used again."),
    },
    "Look at bundles": {
        "ls": Entry("disdat.cli.look:ls", "List bundles."),
        "cat": Entry("disdat.cli.look:cat", "Print the value of a bundle."),
        "show": Entry("disdat.cli.look:show", "Show all that is recorded of a bundle: tags, code, run, inputs."),
        "lineage": Entry("disdat.cli.lineage:lineage", "Show what a bundle was made from, step by step."),
        "diff": Entry("disdat.cli.diff:diff", "Show how two bundles, or two versions of one, differ."),
        "checkout": Entry("disdat.cli.checkout:checkout", "Put a bundle's files into a directory of your own."),
    },
    "Change what is said of bundles, and where they are": {
        "tag": Entry("disdat.cli.bundles:tag", "Set tags of a bundle."),
        "untag": Entry("disdat.cli.bundles:untag", "Remove tags of a bundle."),
        "commit": Entry("disdat.cli.bundles:commit", "Mark a bundle as ready to be shared."),
        "rename": Entry("disdat.cli.moves:rename", "Give a bundle another name."),
        "copy": Entry("disdat.cli.moves:copy", "Give bundles to another context too."),
        "move": Entry("disdat.cli.moves:move", "Move bundles to another context."),
        "rm": Entry("disdat.cli.bundles:rm", "Remove bundles from the context; `dsdt undo` brings them back."),
    },
    "Share bundles": {
        "remote": Entry("disdat.cli.remotes:remote", "Show, set or remove the remote of the current context."),
        "push": Entry("disdat.cli.remotes:push", "Send committed bundles to the remote."),
        "pull": Entry("disdat.cli.remotes:pull", "Get bundles that others pushed."),
        "fetch": Entry(
            "disdat.cli.remotes:fetch", "Learn what others pushed, removed and tagged; bytes stay where they are."
        ),
        "clone": Entry("disdat.cli.remotes:clone", "Make a context that has what a remote has."),
        "localize": Entry("disdat.cli.here:localize", "Fetch the bytes of a bundle that are not here."),
        "delocalize": Entry("disdat.cli.here:delocalize", "Drop the bytes of a bundle here that the remote has."),
        "rmr": Entry("disdat.cli.remotecare:rmr", "Remove bundles for everybody who shares the remote."),
        "share": Entry(
            "disdat.cli.remotecare:share", "Print URLs by which anybody can read the files and values of a bundle."
        ),
    },
    "History": {
        "log": Entry("disdat.cli.history:log", "Show what happened in the context: who did what, and when."),
        "undo": Entry("disdat.cli.history:undo", "Take back the last change, or a named one."),
    },
    "Disk space and health": {
        "du": Entry("disdat.cli.space:du", "Show what takes space, and what removing it would free."),
        "gc": Entry("disdat.cli.space:gc", "Find what nobody needs, and get its space back."),
        "verify": Entry("disdat.cli.maintenance:verify", "Read everything, and find what is damaged."),
        "doctor": Entry("disdat.cli.doctor:doctor", "Check the installation, the settings and the home."),
        "reindex": Entry("disdat.cli.maintenance:reindex", "Make the catalog of a context again from its log."),
    },
    "Set up": {
        "init": Entry("disdat.cli.contexts:init", "Write a settings file, every default in it, to be edited."),
        "config": Entry("disdat.cli.contexts:config", "Show every setting and where it comes from."),
        "completion": Entry(
            "disdat.cli.completion:completion", "Print the script for tab completion in bash, zsh or fish."
        ),
    },
}

COMMANDS: Mapping[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

OTHER_WORDS: Mapping[str, str] = {
    "branch": "fork",
    "check": "verify",
    "clean": "gc",
    "compare": "diff",
    "cp": "copy",
    "delete": "rm",
    "export": "checkout",
    "fsck": "verify",
    "get": "cat",
    "help": "--help",
    "history": "log",
    "info": "show",
    "list": "ls",
    "mv": "move",
    "prune": "gc",
    "remove": "rm",
    "restore": "undo",
    "revert": "undo",
    "run": "apply",
    "version": "--version",
}
"""What people coming from elsewhere type, and what it is called here."""
