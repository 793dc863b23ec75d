"""A small transformer that reads the first words of an emergency note and foresees what becomes of the patient."""

import json
import re
from functools import cache
from pathlib import Path

from torch import Tensor, arange, nn

WIDTH, HEADS, TOKENS = 32, 4, 12


class Block(nn.Module):
    """Causal self-attention and a small network, each behind a normalisation; ``(n, tokens, width)`` to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.inner = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.before(hidden)
        heads = [part(normed).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        return hidden + self.inner(self.after(hidden))


class NoteReader(nn.Module):
    """Token ids ``(n, 12)`` to logits ``(n, classes)``: two blocks, the mean over the tokens, and a linear layer."""

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.words(tokens) + self.places(arange(tokens.shape[1], device=tokens.device))
        return self.classifier(self.norm(self.blocks(hidden)).mean(dim=1))


def build(classes: int) -> nn.Module:
    return NoteReader(len(vocabulary()) + 1, classes)


def tokenize(text: str) -> list[int]:
    """Each word as its number in the alphabetical list of all words; 0 is padding."""
    numbers = vocabulary()
    return [numbers[word] for word in _words(text)]


@cache
def vocabulary() -> dict[str, int]:
    """Words to numbers from 1. The federation agreed on the list of words beforehand."""
    lines = Path(__file__).with_name("notes.jsonl").read_text(encoding="utf-8").splitlines()
    found = {word for line in lines for word in _words(json.loads(line)["text"])}
    return {word: number for number, word in enumerate(sorted(found), start=1)}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
