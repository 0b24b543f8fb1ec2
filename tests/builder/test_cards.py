"""Cards as they are written."""

from __future__ import annotations

import tomllib

import pytest

from rtseg.builder.cards import CardFacts, card_tables, read_tables, write_card
from rtseg.errors import ConfigError
from rtseg.models.card import CARD_NAME, read_card

FACTS = CardFacts(
    name="fields",
    task="semantic",
    licence="CC0",
    size_wh=(64, 32),
    output_kind="logits",
    classes=("field", "water"),
    palette=((0, 128, 0), (0, 0, 255)),
    limits='says "no"',
    training={"sources": [{"name": "x", "pairs": 3}], "network": {"name": "BiSeNetV2", "width": 0.5}},
    scores={"miou": 0.5},
)


def test_a_written_card_says_what_was_given(tmp_path):
    write_card(tmp_path, card_tables(FACTS, "0" * 64))
    card = read_card(tmp_path / CARD_NAME)
    assert (card.name, card.task, card.licence, card.limits) == ("fields", "semantic", "CC0", 'says "no"')
    assert (card.size_wh, card.classes, card.palette) == ((64, 32), FACTS.classes, FACTS.palette)
    assert card.effect is None
    assert dict(card.training) == FACTS.training
    assert dict(card.scores) == FACTS.scores


def test_the_tables_can_be_changed_and_written_again(tmp_path):
    write_card(tmp_path, card_tables(FACTS, "0" * 64))
    tables = read_tables(tmp_path)
    write_card(tmp_path, tables | {"scores": {"miou": 0.75}})
    assert read_card(tmp_path / CARD_NAME).scores["miou"] == 0.75
    assert tomllib.loads((tmp_path / CARD_NAME).read_text())["training"] == FACTS.training


def test_a_wrong_card_leaves_the_old_one(tmp_path):
    path = write_card(tmp_path, card_tables(FACTS, "0" * 64))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="hexadecimal"):
        write_card(tmp_path, card_tables(FACTS, "no digest"))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [CARD_NAME]
