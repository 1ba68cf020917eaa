"""The sales of three branches, as CSV files: the same whenever they are made, and as untidy as such files are.

Each branch has its own idea of a column, a date, a number and an encoding. Orders were sent twice, corrected later, cut
off, or typed by somebody in a hurry.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

_SEED: Final = 1851
_ORDERS: Final = 160
"""Of each branch."""
_EVERY: Final = 6
"""One line in so many is untidy."""
_PRODUCTS: Final = ("Honey", "Café crème", "Tea", "Käse", "Jam")
_FIRST_DAY: Final = date(2026, 1, 1)


@dataclass(frozen=True)
class Sold:
    """What a branch has sold in truth: what must be in the database in the end."""

    order: str
    currency: str
    cents: int
    """Of the whole order, in the branch's currency."""


@dataclass(frozen=True)
class _Line:
    order: str
    day: str
    product: str
    quantity: str
    price: str

    def cells(self) -> list[str]:
        return [self.order, self.day, self.product, self.quantity, self.price]


@dataclass(frozen=True)
class _Branch:
    name: str
    currency: str
    header: str
    delimiter: str
    encoding: str
    day: str
    price: Callable[[int], str]


_BRANCHES: Final = (
    _Branch(
        name="berlin",
        currency="EUR",
        header="Bestellung;Datum;Artikel;Menge;Einzelpreis",
        delimiter=";",
        encoding="cp1252",
        day="%d.%m.%Y",
        price=lambda cents: f"{cents / 100:,.2f}".translate({ord(","): ".", ord("."): ","}),
    ),
    _Branch(
        name="boston",
        currency="USD",
        header="Order\tDate\tItem\tUnits\tUnit price",
        delimiter="\t",
        encoding="utf-8",
        day="%m/%d/%Y",
        price=lambda cents: f"${cents / 100:,.2f}",
    ),
    _Branch(
        name="london",
        currency="GBP",
        header="order_id,date,product,qty,price",
        delimiter=",",
        encoding="utf-8-sig",
        day="%Y-%m-%d",
        price=lambda cents: f"{cents / 100:.2f}",
    ),
)

_HOPELESS: Final[tuple[Callable[[_Line], _Line], ...]] = (
    lambda line: replace(line, order=""),
    lambda line: replace(line, day="soon"),
    lambda line: replace(line, day=""),
    lambda line: replace(line, quantity="two"),
    lambda line: replace(line, quantity="-1"),
    lambda line: replace(line, price="n/a"),
)


def write(folder: Path) -> list[Sold]:
    """Write `berlin.csv`, `boston.csv` and `london.csv` into a folder, and return what was sold in truth."""
    dice = random.Random(_SEED)  # noqa: S311 - no secret: the same files each time
    return [sold for branch in _BRANCHES for sold in _write(branch, folder / f"{branch.name}.csv", dice)]


def _write(branch: _Branch, path: Path, dice: random.Random) -> list[Sold]:
    lines: list[list[str]] = []
    truth: dict[str, Sold] = {}
    for number in range(1, _ORDERS + 1):
        cents, quantity = dice.randrange(90, 250_000), dice.randint(1, 9)
        line = _Line(
            order=f"{branch.name[:2].upper()}-{number:04}",
            day=f"{_FIRST_DAY + timedelta(days=dice.randrange(90)):{branch.day}}",
            product=dice.choice(_PRODUCTS),
            quantity=str(quantity),
            price=branch.price(cents),
        )
        sent, counts = [line.cells()], quantity
        if number % _EVERY == 0:
            sent, counts = _untidy(line, quantity, dice)
        lines += sent
        if counts:
            truth[line.order] = Sold(order=line.order, currency=branch.currency, cents=cents * counts)
    with path.open("w", encoding=branch.encoding, newline="") as file:
        csv.writer(file, delimiter=branch.delimiter).writerows([branch.header.split(branch.delimiter), *lines])
    return list(truth.values())


def _untidy(line: _Line, quantity: int, dice: random.Random) -> tuple[list[list[str]], int]:
    """Return the lines that were sent for an order, and how many pieces of it count; 0 if it does not count at all."""
    match dice.randrange(5):
        case 0:  # sent twice
            return [line.cells(), line.cells()], quantity
        case 1:  # corrected: the later line counts
            return [line.cells(), replace(line, quantity=str(quantity + 1)).cells()], quantity + 1
        case 2:  # spaces, capitals, and an empty line
            return [[f" {cell.upper()} " for cell in line.cells()], []], quantity
        case 3:  # cut off
            return [line.cells()[:3]], 0
        case _:
            return [dice.choice(_HOPELESS)(line).cells()], 0
