"""The kinds of columns and checks that all tables share, and the names that constraints get."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, DateTime, Double, MetaData, Numeric, Text, func
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

MONEY = Numeric(28, 8)
MOMENT = DateTime(timezone=True)


def moment(name: str = "time") -> Column[Any]:
    """A moment that must be known."""
    return Column(name, MOMENT, nullable=False)


def recorded_at() -> Column[Any]:
    """When the row was written, by the server's clock."""
    return Column("recorded_at", MOMENT, nullable=False, server_default=func.now())


def words(name: str, *items: SchemaItem, nullable: bool = False) -> Column[str]:
    """A text; "text" itself is SQLAlchemy's literal SQL."""
    return Column(name, Text, *items, nullable=nullable)


def number(name: str, *, nullable: bool = False) -> Column[float]:
    """A figure of statistics, in double precision."""
    return Column(name, Double, nullable=nullable)


def money(name: str, *, nullable: bool = False) -> Column[Any]:
    """An amount or a quantity, to 1e-8."""
    return Column(name, MONEY, nullable=nullable)


def price(name: str) -> Column[Any]:
    """With as many decimals as it needs."""
    return Column(name, Numeric, nullable=False)


def sane_time(column: str = "time") -> CheckConstraint:
    """No moment of before 1900 or after 2100: such are errors of a file or a clock."""
    return CheckConstraint(f"{column} > '1900-01-01Z' AND {column} < '2100-01-01Z'", name=f"{column}_sane")


def check(name: str, condition: str) -> CheckConstraint:
    """A named check."""
    return CheckConstraint(condition, name=name)


def finite(*columns: str) -> str:
    """The SQL that refuses NaN and infinities."""
    return " AND ".join(f"{c} > '-Infinity' AND {c} < 'Infinity'" for c in columns)
