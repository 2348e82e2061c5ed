"""The values that only plan files have: money with its currency, quarters of a year."""

import re
from decimal import Decimal
from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

from tieline.files.problems import shown
from tieline.files.schema import Kind, refusal
from tieline.model.plan import QUARTERS_PER_YEAR, quarter_name

#: The currency that plans are reckoned in.
USD: Final = "USD"
_QUARTER: Final = re.compile(r"(2[0-9]{3})Q([1-4])")
_MONEY: Final = re.compile(
    r"([0-9][0-9,]{0,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})\s*(k|M|bn)?\s+([A-Z]{3})"
)
_MULTIPLES: Final = {None: 1, "k": 10**3, "M": 10**6, "bn": 10**9}
_MONEY_FORMS: Final = "an amount and its currency, such as 27000 USD, 1.4M CNY or 2bn USD"


class Money(NamedTuple):
    """An amount in a currency."""

    amount: float
    currency: str

    def __str__(self) -> str:
        """Give it as it stands in a file."""
        return f"{Decimal(repr(self.amount)).normalize():f} {self.currency}"


def money_of(value: object) -> Money | None:
    """Give the money that text names; None where it has another form."""
    found = _MONEY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    digits, multiple, currency = found.groups()
    # decimal, so that 1.1M USD is 1,100,000 and is written so again
    return Money(float(Decimal(digits.replace(",", "")) * _MULTIPLES[multiple]), currency)


def quarter_of(value: object) -> int | None:
    """Give the quarter that text such as 2027Q1 names; None where it has another form."""
    found = _QUARTER.fullmatch(value) if isinstance(value, str) else None
    return QUARTERS_PER_YEAR * int(found[1]) + int(found[2]) - 1 if found else None


def _money(value: object) -> Money:
    money = value if isinstance(value, Money) else money_of(value)
    if money is None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        what = f"{shown(value)} without a currency" if number else shown(value)
        raise refusal(what, f"allowed: {_MONEY_FORMS}")
    return money


def _quarter(value: object) -> int:
    quarter = quarter_of(value)
    if quarter is None:
        raise PydanticCustomError("form", "has another form")
    return quarter


Amount = Annotated[
    Money,
    BeforeValidator(_money, json_schema_input_type=str),
    PlainSerializer(str),
    Kind(_MONEY_FORMS),
]
Quarter = Annotated[
    int,
    BeforeValidator(_quarter, json_schema_input_type=str),
    PlainSerializer(quarter_name),
    Kind("a quarter such as 2027Q1"),
]
