"""`strongroom down`."""

from pathlib import Path

from tests.client.shell import Shell


def test_without_a_stack_there_is_nothing_to_do(tmp_path: Path) -> None:
    told = Shell(tmp_path).json("down", code=1)
    assert (told["code"], told["remedy"]) == ("not-up", "nothing to do")
    assert not (tmp_path / "home").exists()
