import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings import ENDPOINTS_FILE, EngineSettings, S3Settings, Settings, load_settings


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """No variable of ours before the test, the same as before after it."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("STRATA_"):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def leave(folder: Path, body: object) -> None:
    (folder / ENDPOINTS_FILE).write_text(json.dumps(body))


def test_everything_has_a_default_but_the_addresses() -> None:
    settings = Settings()

    parts = (settings.mongo, settings.redis, settings.qdrant)
    assert [part.url for part in parts] == [None, None, None]
    assert (settings.engine.block_rows, settings.engine.max_attempts) == (None, 3)
    assert settings.worker.sweep_seconds == 5.0


def test_variables_reach_nested_parts(tmp_path: Path) -> None:
    os.environ["STRATA_MONGO__URL"] = "mongodb://a"
    os.environ["STRATA_ENGINE__BLOCK_ROWS"] = "7"
    os.environ["STRATA_S3__SOURCE_BUCKETS"] = '["a", "b"]'

    settings = load_settings(tmp_path)

    assert settings.mongo.url == "mongodb://a"
    assert settings.engine.block_rows == 7
    assert settings.s3.source_buckets == ("a", "b")


def test_what_a_running_up_left_is_found_and_the_environment_wins(tmp_path: Path) -> None:
    leave(tmp_path, {"STRATA_MONGO__URL": "mongodb://left", "STRATA_REDIS__URL": "redis://left"})
    os.environ["STRATA_REDIS__URL"] = "redis://given"

    settings = load_settings(tmp_path)

    assert settings.mongo.url == "mongodb://left"
    assert settings.redis.url == "redis://given"
    assert settings.data == tmp_path


def test_the_folder_may_come_from_the_environment(tmp_path: Path) -> None:
    leave(tmp_path, {"STRATA_MONGO__URL": "mongodb://left"})
    os.environ["STRATA_DATA"] = str(tmp_path)

    assert load_settings().mongo.url == "mongodb://left"


@pytest.mark.parametrize("body", ["", "{", "[]", "3", "null", '"text"', "\x00"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, body: str) -> None:
    (tmp_path / ENDPOINTS_FILE).write_text(body)

    assert load_settings(tmp_path).mongo.url is None


def test_a_misspelt_part_is_refused(tmp_path: Path) -> None:
    os.environ["STRATA_MONGO__ULR"] = "mongodb://a"

    with pytest.raises(ValidationError, match="ulr"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"block_rows": 0}, {"lease_seconds": 0}, {"max_attempts": 0}, {"conductors": 0},
     {"blocks_in_flight": 0}, {"pool_size": 0}],
)  # fmt: skip
def test_values_with_which_nothing_would_ever_run_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        EngineSettings.model_validate(values)


def test_secrets_are_not_shown() -> None:
    part = S3Settings.model_validate({"access_key": "id", "secret_key": "canary"})

    shown = f"{part!r} {part} {part.model_dump()} {part.model_dump_json()}"
    assert "canary" not in shown


def test_settings_do_not_change_under_their_readers() -> None:
    with pytest.raises(ValidationError):
        Settings().engine.block_rows = 3  # type: ignore[misc]
