"""Expenses that a person has to approve. `python -m workers.approval` shows it; with `--wait` it is you who decides.

A chain of ask, pay and tell. What is not small is a question: `ask` suspends the payment, which comes after it. The
expense waits then, for days if need be, and no code runs. A resume of the payment says yes, a skip of it says no: from
Python, from a terminal, or from the Web UI. Nothing is paid because something was forgotten.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from mageflow_temporal import (
    Chain,
    Mageflow,
    MageflowConfig,
    Member,
    ReturnValue,
    SignatureEndedError,
    Status,
    TaskAlreadyRunningError,
)
from workers.stage import stage

mf = Mageflow(config=MageflowConfig(task_queue="approval"))

ASK, PAY, TELL = range(3)
"""The chain's steps by their index, which is their path, too."""


class Expense(BaseModel):
    """What somebody has paid for the firm, and wants back."""

    who: str
    what: str
    euros: Decimal


class Case(BaseModel):
    """What every step is given: it is bound to the chain."""

    expense: Expense


class Question(Case):
    """Whether a person has to be asked, and how long to wait for an answer."""

    small: Decimal = Decimal(50)
    """Euros: what costs no more than this is paid without a question."""
    reminder: timedelta = timedelta(days=3)
    patience: timedelta = timedelta(days=14)


class Payment(Case):
    """An expense to pay. Who approves it may say so with the resume."""

    asked: ReturnValue[bool]
    by: str = "somebody"


class Decision(BaseModel):
    """What has become of an expense. A skip that gives only the words is a no."""

    words: str
    euros: Decimal = Decimal(0)


class Letter(Case):
    """What to tell whoever wants the money."""

    decision: ReturnValue[Decision]


class Chase(BaseModel):
    """A payment that perhaps still waits for somebody."""

    payment: str
    """Its key."""


@mf.task()
@mf.with_signature
async def ask(question: Question, signature: Member) -> bool:
    """Suspend the payment and ask a person, where it is not small. Return whether it has."""
    if question.expense.euros <= question.small:
        return False
    # Run again, after the loss of a worker, it changes nothing: what is suspended and started is so already.
    payment = Member(mf, f"{signature.key.removesuffix(str(ASK))}{PAY}")
    await payment.suspend(f"approve {question.expense.euros} EUR for {question.expense.what}?")
    # Free signatures, with a delay: the chain has nothing to wait for when the answer comes sooner.
    for task, delay in ((remind, question.reminder), (give_up, question.patience)):
        await (await mf.sign(task, payment=payment.key)).start(delay=delay)
    return True


@mf.task(at_most_once=True)
async def pay(payment: Payment) -> Decision:
    """Pay an expense. Never twice: where nobody knows whether it was paid, a person has to look."""
    words = f"approved by {payment.by}" if payment.asked else "too little to ask anybody"
    return Decision(words=words, euros=payment.expense.euros)


@mf.task()
async def tell(letter: Letter) -> str:
    """Return what to tell whoever wants the money."""
    return f"{letter.expense.who} gets {letter.decision.euros} EUR for {letter.expense.what}: {letter.decision.words}"


@mf.task()
async def remind(chase: Chase) -> bool:
    """Remind the person, and return whether that was needed."""
    payment = Member(mf, chase.payment)
    report = await payment.status()
    if report.status is not Status.SUSPENDED:
        return False
    print(f"  a reminder, still open: {report.reason}")
    return True


@mf.task()
async def give_up(chase: Chase) -> bool:
    """Say no where nobody has said anything, and return whether that was needed."""
    payment = Member(mf, chase.payment)
    if (await payment.status()).status is not Status.SUSPENDED:
        return False
    try:
        await refuse(payment, "nobody has answered")
    except (TaskAlreadyRunningError, SignatureEndedError):
        return False  # somebody has, in this very moment
    return True


async def claim(expense: Expense, **question: Any) -> Chain[str]:
    """Return the chain for an expense."""
    steps = [await mf.sign(ask, **question), pay, tell]
    return await mf.chain(steps, name="expense", expense=expense)


async def approve(payment: Member, by: str) -> None:
    """Say yes."""
    await payment.resume({"by": by})


async def refuse(payment: Member, words: str) -> None:
    """Say no."""
    await payment.skip(Decision(words=words))


# What follows shows it: `python -m workers.approval`.


async def waits(chain: Chain[str]) -> Member:
    """Wait until the payment of an expense waits for a person, and return it."""
    payment = Member(mf, f"{chain.key}#{PAY}")
    while (report := await payment.status()).status is not Status.SUSPENDED:  # noqa: ASYNC110 - it may be another process that asks
        await asyncio.sleep(0.05)
    print(f"  {report.reason}  ({payment.key})")
    return payment


async def show() -> None:
    """Claim four expenses: a small one, and one each to approve, to refuse and to forget."""
    async with stage(mf):
        pen = await claim(Expense(who="Ada", what="a pen", euros=Decimal("3.20")))
        train = await claim(Expense(who="Grace", what="a train ticket", euros=Decimal(180)))
        boat = await claim(Expense(who="Linus", what="a bigger boat", euros=Decimal(75_000)))
        book = await claim(
            Expense(who="Edsger", what="a rare book", euros=Decimal(90)),
            reminder=timedelta(seconds=1),
            patience=timedelta(seconds=3),
        )
        print("Claimed:", ", ".join([(await one.start()).key for one in (pen, train, boat, book)]))
        print(await pen.result())

        print("These wait, and no code runs:")
        ticket, yacht = await waits(train), await waits(boat)
        await approve(ticket, by="Barbara")
        print(await train.result())
        await refuse(yacht, "we are a bakery")
        print(await boat.result())
        print("Nobody says anything to the book:")
        print(await book.result())


def ways(payment: Member, address: str) -> dict[str, str]:
    """Return the commands that say yes or no in a terminal."""
    where = f"'{payment.key}' --address {address}"
    by, words = json.dumps({"by": "me"}), json.dumps({"words": "no receipt"})
    return {
        "yes": f"mageflow resume {where}",
        "yes, by a name": f"mageflow resume {where} --kwargs '{by}'",
        "no": f"mageflow skip {where} --result '{words}'",
    }


async def ask_you() -> None:
    """Claim one expense, and wait until you have said yes or no in another terminal, or in the Web UI."""
    async with stage(mf) as address:
        train = await claim(Expense(who="Grace", what="a train ticket", euros=Decimal(180)))
        await train.start()
        for answer, command in ways(await waits(train), address).items():
            print(f"{answer + ':':<16}{command}")
        print(await train.result())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m workers.approval", description="Expenses that need a person's yes."
    )
    parser.add_argument("--wait", action="store_true", help="leave the decision to you")
    with suppress(KeyboardInterrupt):
        asyncio.run(ask_you() if parser.parse_args().wait else show())
