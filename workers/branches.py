"""What the branches' CSV files mean: each has its own idea of a column, a date, a number and an encoding."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

EURO: Final = {"EUR": Decimal(1), "GBP": Decimal("1.15"), "USD": Decimal("0.86")}
"""What a unit of each currency is worth."""


class Format(BaseModel):
    """How a branch writes its file."""

    model_config = ConfigDict(frozen=True)

    currency: str
    delimiter: str
    encoding: str
    day: str
    thousands: str
    decimal: str


FORMATS: Final = {
    "berlin": Format(currency="EUR", delimiter=";", encoding="cp1252", day="%d.%m.%Y", thousands=".", decimal=","),
    "boston": Format(currency="USD", delimiter="\t", encoding="utf-8", day="%m/%d/%Y", thousands=",", decimal="."),
    "london": Format(currency="GBP", delimiter=",", encoding="utf-8-sig", day="%Y-%m-%d", thousands=",", decimal="."),
}


class Raw(BaseModel):
    """A line as it came."""

    branch: str
    line: int
    cells: list[str]


class Sale(BaseModel):
    """A line that makes sense."""

    branch: str
    order: str
    day: date
    product: str
    quantity: int
    price: Decimal


def euro_cents(amount: Decimal, currency: str) -> int:
    """Return an amount of money in euro cents."""
    return int((amount * EURO[currency] * 100).to_integral_value(ROUND_HALF_UP))


def lines(inbox: Path, branch: str) -> Iterator[Raw]:
    """Yield the lines of a branch's file, without the empty ones."""
    how = FORMATS[branch]
    with (inbox / f"{branch}.csv").open(encoding=how.encoding, newline="") as file:
        cells_of = csv.reader(file, delimiter=how.delimiter)
        next(cells_of)  # the headings
        for cells in cells_of:
            if any(cells):
                yield Raw(branch=branch, line=cells_of.line_num, cells=[cell.strip() for cell in cells])


def understood(raw: Raw) -> Sale:
    """Return what a line says.

    Raises:
        ValueError: it makes no sense, and why.
    """
    how = FORMATS[raw.branch]
    try:
        order, day, product, quantity, price = raw.cells
    except ValueError:
        message = f"{len(raw.cells)} cells of 5"
        raise ValueError(message) from None
    if not order:
        message = "no order number"
        raise ValueError(message)
    if not quantity.isdecimal() or int(quantity) == 0:
        message = f"no quantity: {quantity!r}"
        raise ValueError(message)
    return Sale(
        branch=raw.branch,
        order=order.upper(),
        day=_day(day, how),
        product=product.capitalize(),
        quantity=int(quantity),
        price=_price(price, how),
    )


def _price(text: str, how: Format) -> Decimal:
    plain = text.lstrip("$").replace(how.thousands, "").replace(how.decimal, ".")
    if not plain.replace(".", "", 1).isdecimal():
        message = f"no price: {text!r}"
        raise ValueError(message)
    return Decimal(plain)


def _day(text: str, how: Format) -> date:
    try:
        return datetime.strptime(text, how.day).date()  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        message = f"no day: {text!r}"
        raise ValueError(message) from None
