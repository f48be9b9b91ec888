"""The command line: options and what they mean, no logic."""

from __future__ import annotations

import typer

from convert.cli import checking, converting, reading, recipes, reporting, sharing, trusting, using

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Convert a language-model checkpoint for Arm, Xeon and Gaudi, and check every artifact "
    "against the original before it may exist. Add --debug to any command for tracebacks.",
)
app.callback()(reading.program)
app.command("run")(converting.run)
app.command("plan")(converting.plan)
app.command("verify")(checking.verify)
app.command("sign")(trusting.sign)
app.command("diff")(trusting.diff)
app.command("report")(reporting.report)
app.command("publish")(sharing.publish)
app.command("pull")(sharing.pull)
app.command("bench")(using.bench)
app.command("generate")(using.generate)
app.command("inspect")(reading.inspect)
app.command("import")(reading.import_)
app.command("imatrix")(reading.imatrix)
app.command("list")(reading.list_)
app.command("lint-recipe")(recipes.lint_recipe)

golden_app = typer.Typer(no_args_is_help=True, help="Record the original; compare an artifact.")
golden_app.command("record")(checking.golden_record)
golden_app.command("compare")(checking.golden_compare)
app.add_typer(golden_app, name="golden")
