"""For whom something does not work: what of the installation and the home is well, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator

import click

from disdat import ops
from disdat.cli import options, render
from disdat.cli.choices import Choices, Verb
from disdat.core.canonical import Json
from disdat.errors import DisdatError
from disdat.ops.diagnosis import Finding, Verdict
from disdat.ops.doctor import Diagnosis


@click.command(cls=Verb)
@options.json()
@click.pass_obj
def doctor(choices: Choices, *, as_json: bool) -> None:
    """
    Check the installation, the settings and the home.

    Each finding is ok, a note or a problem, with what it means and what to do. Nothing is changed: the files that the
    file system is tried with are removed again. With a problem, the exit code is 1.
    """
    diagnosis = ops.doctor.examine()
    render.out(render.as_json(_as_json(diagnosis)) if as_json else _lines(diagnosis))
    if not diagnosis.is_well:
        raise DisdatError(
            f"{render.count(diagnosis.count(Verdict.PROBLEM), 'problem')} found", hint="each says what to do"
        )


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    width = max(len(finding.check) for finding in diagnosis.findings)
    for finding in diagnosis.findings:
        yield f"{finding.verdict.value:<7}  {render.one_line(finding.check):<{width}}  {render.one_line(finding.found)}"
        if finding.remedy:
            yield f"{'':<7}  {'':<{width}}  do: {render.one_line(finding.remedy)}"
    problems, notes = diagnosis.count(Verdict.PROBLEM), diagnosis.count(Verdict.NOTE)
    yield f"{render.count(problems, 'problem')}, {render.count(notes, 'note')}."


def _as_json(diagnosis: Diagnosis) -> Json:
    return {
        "well": diagnosis.is_well,
        "findings": [_finding_json(finding) for finding in diagnosis.findings],
    }


def _finding_json(finding: Finding) -> Json:
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "found": finding.found,
        "remedy": finding.remedy,
    }
