import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from client.errors import BadArgument, JobFailed, code_of
from client.installation import initialise, python_command
from client.main import VERBS, group, main
from config.home import Home


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, said.out, said.err


def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str]):
    for verb in VERBS:
        code, out, _ = run([verb, "--help"], capsys)
        assert code == 0
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        inner = getattr(command, "commands", {}) or {verb: command}
        for each in inner.values():
            assert each.epilog.startswith("Example: strongroom "), verb
            # A worker runs in the foreground until it is stopped: it has nothing to print for a script.
            assert verb == "worker" or any(option.name == "as_json" for option in each.params), verb
        assert "--help" in out


def test_help_is_quick_because_it_imports_no_verb():
    command, environment = python_command("client.main", "--help")
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    heavy = ("rich", "redis", "celery", "cryptography")
    loaded = f"import sys, client.main; print(*[name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([command[0], "-c", loaded], env=environment, check=True, capture_output=True)
    assert found.stdout.strip() == b""


def test_an_error_is_one_line_a_remedy_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path / "none"))
    code, out, err = run(["snapshots", "docs"], capsys)
    assert code == 1
    assert out == ""
    assert err.splitlines()[0].startswith("strongroom: there is no Strongroom in")
    assert err.splitlines()[1].startswith("  -> ")
    assert "Traceback" not in err


def test_an_error_with_json_is_the_last_line_of_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path / "none"))
    code, out, _ = run(["snapshots", "docs", "--json"], capsys)
    assert code == 1
    assert json.loads(out.splitlines()[-1])["code"] == "not-initialised"


@pytest.mark.parametrize(
    ("words", "says", "ends"),
    [
        (["backup", "docs", "/etc"], "there is no vault 'docs'", 1),
        (["restore", "docs", "nonsense", "--target", "/nowhere"], "'nonsense' is not a snapshot", 2),
        (["vault", "create", "a b", "--repo", "/x", "--kms", "local-kms://x"], "not a name", 2),
        (["vault", "create", "ab", "--repo", "s3://x", "--kms", "local-kms://x"], "bucket", 2),
        (
            ["vault", "attach", "ab", "--repo", "/nowhere/at/all", "--kms", "local-kms://x"],
            "/nowhere/at/all",
            1,
        ),
        (["down"], "no stack is up", 1),
        (["status"], "no stack is up", 1),
    ],
)
def test_bad_words_are_told_before_anything_is_started(
    words: list[str],
    says: str,
    ends: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    initialise(Home(tmp_path / "home"))
    monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("subprocess.Popen", None)  # starting a stack would fail differently
    code, _, err = run(words, capsys)
    assert code == ends
    assert says in err


def test_wrong_usage_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    initialise(Home(tmp_path / "home"))
    assert run(["backup"], capsys)[0] == 2
    assert run(["no-such-verb"], capsys)[0] == 2
    for words in (
        ["check", "v", "--read-data-subset", "0/3"],
        ["forget", "v"],
        ["forget", "v", "--keep-last", "0"],
        ["forget", "v", "--keep-within", "30 days"],
        ["forget", "v", "--keep-daily", "7", "c1ab"],
    ):
        monkeypatch.setenv("STRONGROOM_HOME", str(tmp_path / "home"))
        assert run(words, capsys)[0] == 2, words


def test_codes_of_errors():
    assert code_of(BadArgument("x")) == "bad-argument"
    assert code_of(JobFailed("kms-key-disabled", "x")) == "kms-key-disabled"


def test_closed_and_full_outputs_do_not_change_how_the_command_ends(tmp_path: Path):
    command, environment = python_command("client.main")
    environment = {**environment, "STRONGROOM_HOME": str(tmp_path / "none")}

    def ended(words: str) -> tuple[int, str]:
        script = f'"$@" {words}'
        found = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *command], env=environment, capture_output=True, check=False
        )
        return found.returncode, found.stderr.decode()

    assert ended("--help >&-") == (0, "")
    assert ended("--help 2>&-") == (0, "")
    assert ended("no-such-verb >&- 2>&-") == (2, "")
    code, said = ended("snapshots docs --json >/dev/full")
    assert (code, "Traceback" in said) == (1, False)
    assert "there is no Strongroom" in said
