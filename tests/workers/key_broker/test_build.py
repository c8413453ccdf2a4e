from pathlib import Path

import pytest

from config.errors import ConfigError
from config.home import Home
from config.settings import KmsSettings
from crypto import canonical
from crypto.kms.errors import AccessDenied
from crypto.kms.keystore import Keystore
from crypto.kms.lock import PASSPHRASE_VARIABLE
from tests.workers.key_broker.world import World
from workers.key_broker.build import build_gateway, build_service, passphrase_of


def test_service_is_built_from_home_and_settings(world: World) -> None:
    service = build_service(world.home, KmsSettings())
    answer = service.answer(canonical.encode(world.request()), world.now)
    assert answer is not None
    assert service.status().gateway.calls == 1
    service.close()


def test_missing_identity_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with pytest.raises(ConfigError, match="strongroom identity new --role key-broker"):
        build_service(home, KmsSettings())


def test_damaged_identity_is_a_typed_error(world: World) -> None:
    (world.home.identities / "key-broker").write_bytes(b"no identity")
    with pytest.raises(ConfigError, match="identities/key-broker"):
        build_service(world.home, KmsSettings())


def test_passphrase_comes_from_file_then_environment_then_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes("correct hörse\r\nsecond line\n".encode())
    environment = {PASSPHRASE_VARIABLE: "other"}
    from_file = passphrase_of(KmsSettings(passphrase_file=str(path)), environment)
    assert from_file is not None
    assert from_file() == "correct hörse".encode()
    from_environment = passphrase_of(KmsSettings(), environment)
    assert from_environment is not None
    assert from_environment() == b"other"
    assert passphrase_of(KmsSettings(), {}) is None


def test_passphrase_file_that_is_missing_is_a_typed_refusal(tmp_path: Path) -> None:
    read = passphrase_of(KmsSettings(passphrase_file=str(tmp_path / "none")), {})
    assert read is not None
    with pytest.raises(AccessDenied, match="passphrase_file"):
        read()


def test_keystore_folder_of_the_settings_is_used(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "elsewhere")
    keystore.initialise()
    keystore.create("main")
    home = Home(tmp_path / "home")
    home.create()
    gateway = build_gateway(home, KmsSettings(keystore=str(tmp_path / "elsewhere")))
    assert gateway.describe(gateway.begin(b"t"), "local-kms://main").key_id == keystore.find("main").key_id
