"""Plug-ins: packages of others that are found, allowed or not, and loaded or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.availability import examine
from engine.catalog import extractor_class, extractor_spec, labels, make_extractor
from engine.extractor_process import ExtractorProcess
from engine.extractors.text import TextExtractor
from engine.plugins import SETTING, allow_plugins
from models.errors import ExtractorUnavailable, UnknownExtractor
from models.fields import ExtractorChoice
from models.stores import Stores
from tests.engine.batches import documents_of, submitted, texts_in, words_of
from tests.engine.batches import run as run_batch
from tests.extractors import choice
from tests.factories import make_bucket
from tests.fixtures.plugins import SHOUT, Install
from tests.fixtures.stores import NamespaceOfTest

OFFER = {"shout@v1": "shouting:Shout"}


def test_an_allowed_plugin_is_an_extractor_like_any(install_plugin: Install) -> None:
    install_plugin("strata-shout", OFFER, shouting=SHOUT)

    allow_plugins(["shout@v1"])

    assert "shout@v1" in labels()
    assert extractor_spec("shout@v1").description == "Upper case."
    assert make_extractor(choice("shout@v1"), Path()).schema().names == ["row", "loud"]


def test_what_is_not_allowed_is_not_even_imported(install_plugin: Install) -> None:
    install_plugin("strata-shout", OFFER, shouting=SHOUT)

    with pytest.raises(UnknownExtractor, match="installed but not allowed") as refused:
        extractor_class("shout@v1")

    assert SETTING in refused.value.hint
    assert "shouting" not in sys.modules
    assert "shout@v1" not in labels()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("raise RuntimeError('no licence\\nat all')", "RuntimeError: no licence."),
        ("import sys; sys.exit(3)", "SystemExit: 3."),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("this is no Python", "SyntaxError"),
        ("", "no attribute 'Shout'"),
        ("Shout = 4", "shouting:Shout is no Extractor"),
        (SHOUT.replace('"v1"', '"v2"'), "is not that of shout@v1"),
        (
            SHOUT.replace("parameters=Parameters", "parameters=dict"),
            "its parameters have no JSON Schema",
        ),
    ],
)
def test_a_broken_plugin_is_an_error_that_names_it(
    install_plugin: Install, source: str, why: str
) -> None:
    install_plugin("strata-shout", OFFER, shouting=source)
    allow_plugins(["shout@v1"])

    with pytest.raises(ExtractorUnavailable) as refused:
        extractor_class("shout@v1")

    assert "plug-in shout@v1 of strata-shout 1.2 cannot be loaded" in refused.value.message
    assert why in refused.value.message
    assert "\n" not in refused.value.message
    assert SETTING in refused.value.hint


def test_a_plugin_never_takes_the_place_of_a_built_in(install_plugin: Install) -> None:
    install_plugin("strata-shout", {"text@v1": "shouting:Shout"}, shouting=SHOUT)
    allow_plugins(["text@v1"])

    assert extractor_class("text@v1") is TextExtractor
    assert "shouting" not in sys.modules


def test_two_packages_of_one_name_are_refused(install_plugin: Install) -> None:
    install_plugin("strata-shout", OFFER, shouting=SHOUT)
    install_plugin("strata-yell", OFFER, yelling=SHOUT)
    allow_plugins(["shout@v1"])

    with pytest.raises(ExtractorUnavailable, match=r"strata-shout 1\.2, strata-yell 1\.2"):
        extractor_class("shout@v1")


@pytest.mark.parametrize(
    ("label", "why"),
    [("shout@v1", "No installed package offers"), ("shout", "not the name of a plug-in")],
)
def test_an_allowed_plugin_that_is_not_there_says_so(label: str, why: str) -> None:
    allow_plugins([label])
    try:
        with pytest.raises(ExtractorUnavailable, match=why) as refused:
            extractor_class(label)
    finally:
        allow_plugins(())

    assert refused.value.hint


def test_a_plugin_whose_own_code_fails_is_unavailable(install_plugin: Install) -> None:
    broken = SHOUT.replace("vectors=lambda *_: ()", "vectors=lambda *_: 1 / 0")
    install_plugin("strata-shout", OFFER, shouting=broken)
    allow_plugins(["shout@v1"])

    lacks = examine("shout@v1", Path()).lacks

    assert lacks is not None
    assert "ZeroDivisionError" in lacks.message


def test_a_process_of_an_extractor_is_told_what_is_allowed(install_plugin: Install) -> None:
    install_plugin("strata-shout", OFFER, shouting=SHOUT)
    wanted = ExtractorChoice(name="shout", version="v1")

    ExtractorProcess(wanted, Path(), None, ("shout@v1",)).setup()
    stranger = ExtractorProcess(wanted, Path())

    with pytest.raises(UnknownExtractor, match="not allowed"):
        stranger.setup()


async def test_a_plugin_taken_away_fails_its_rows_readably(
    stores: Stores, namespace: NamespaceOfTest, install_plugin: Install
) -> None:
    from engine.inline_pool import InlinePools

    install_plugin("strata-shout", OFFER, shouting=SHOUT)
    allow_plugins(["shout@v1"])
    bucket = make_bucket(namespace.id)
    loud = words_of(bucket, choice("shout@v1"), vectors=[])
    batch = await submitted(stores, bucket, texts_in(bucket, ["a", "b"]), loud)
    allow_plugins(())

    ended = await run_batch(stores, batch, InlinePools(Path()))

    assert await documents_of(loud) == []
    assert ended.counts.rows_failed == 2
    assert ended.blocks_open == 0


@pytest.mark.long
def test_every_entrance_allows_what_the_settings_name() -> None:
    program = """
import workers.main
from engine.conductor import Conductor
from engine.plugins import allow_plugins, allowed_plugins
from graphql_api.app import create_app
from models.settings import load_settings

print("worker", *allowed_plugins())
for name, enter in {
    "api": lambda: create_app(load_settings()), "engine": lambda: Conductor(load_settings(), 1)
}.items():
    allow_plugins(())
    enter()
    print(name, *allowed_plugins())
"""
    environment = {
        **os.environ,
        "STRATA_EXTRACTORS__PLUGINS": '["shout@v1"]',
        "STRATA_ENGINE__IN_FLIGHT_BYTES": "1000000",  # or a conductor asks Ray
    }

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )

    assert done.stdout.split("\n")[:3] == ["worker shout@v1", "api shout@v1", "engine shout@v1"], (
        done.stderr
    )
