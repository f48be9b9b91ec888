from typer.testing import CliRunner

from convert.cli import app, sharing
from tests.support.finished import finished_artifact

RUN = CliRunner()


def test_a_dry_run_from_the_command_line(tmp_path):
    artifact = finished_artifact(tmp_path / "gguf-q4_0")
    ended = RUN.invoke(
        app, ["publish", str(artifact), "org/name", "--dry-run", "--public", "--language", "en"]
    )
    assert ended.exit_code == 0, ended.output
    assert "would publish to hf://org/name (public)" in ended.output
    assert "language:\n- en" in ended.output


def test_no_option_takes_a_token():
    for command in ("publish", "pull"):
        text = RUN.invoke(app, [command, "--help"]).output.lower()
        assert "--dry-run" in text or command == "pull"
        assert "--token" not in text
        assert "--password" not in text
    assert sharing.publish.__doc__
