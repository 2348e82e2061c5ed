"""Accelerators in Slurm's resource strings.

    TRES (AllocTRES, ReqTRES)    billing=64,cpu=64,gres/gpu:a100=8,gres/gpu=8,mem=512G,node=1
    GRES (AllocGRES, ReqGRES)    gpu:8   gpu:k80:2,mic:1   gpu   7696487:2

A TRES string may hold the total, the parts by type, or both. All numbers are for the whole
job, not per node. Where slurmdbd did not know a GRES by name it wrote its number, which is
made of the bytes of the name.
"""

import re

import polars as pl


def accelerators(columns: list[str], gres: str) -> list[pl.Expr]:
    """Give `count` and `type` from the first of the columns that names any.

    Parameters
    ----------
    columns
        Names of columns of resource strings, in order of trust; null is empty.
    gres
        Name of the generic resource that counts.

    Returns
    -------
    list of expression
        `count`, null where no column names the resource; `type`, the types joined with
        `+`, null where none is named.
    """
    counts = []
    types = []
    for column in columns:
        parse = _tres if column.endswith("TRES") else _gres
        count, kind = parse(pl.col(column).fill_null(""), gres)
        some = count > 0
        counts.append(pl.when(some).then(count))
        types.append(pl.when(some & (kind != "")).then(kind))
    return [
        pl.coalesce(counts).cast(pl.Float64).alias("count"),
        pl.coalesce(types).alias("type"),
    ]


def kinds_of_gres(frame: pl.DataFrame, columns: list[str]) -> list[str]:
    """Give the names of the generic resources in a table, sorted."""
    text = pl.concat_str(columns, separator=",", ignore_nulls=True)
    found = frame.select(text.str.extract_all(r"gres/[^=:,]+").explode()).to_series().drop_nulls()
    return [kind.removeprefix("gres/") for kind in found.unique().sort()]


def _tres(text: pl.Expr, gres: str) -> tuple[pl.Expr, pl.Expr]:
    name = re.escape(gres)
    total = text.str.extract(rf"(?:^|,)gres/{name}=(\d+)").cast(pl.Int64)
    parts = text.str.extract_all(rf"gres/{name}:[^=,]+=\d+")
    by_type = parts.list.eval(pl.element().str.extract(r"=(\d+)$").cast(pl.Int64)).list.sum()
    kinds = parts.list.eval(pl.element().str.extract(r":([^=]+)="))
    return pl.coalesce(total, by_type), kinds.list.unique().list.sort().list.join("+")


def _gres(text: pl.Expr, gres: str) -> tuple[pl.Expr, pl.Expr]:
    name = rf"(?:{re.escape(gres)}|{_plugin_number(gres)})"
    kind = r"(?::[^:,()]*[A-Za-z][^:,()]*)?"
    parts = text.str.extract_all(rf"(?:^|,)(?:gres[:/])?{name}{kind}(?::\d+|,|\(|$)")
    number = pl.element().str.extract(r":(\d+)$").cast(pl.Int64).fill_null(1)
    types = parts.list.eval(pl.element().str.extract(rf"{name}:([^:,()]*[A-Za-z][^:,()]*)"))
    joined = types.list.drop_nulls().list.unique().list.sort().list.join("+")
    return parts.list.eval(number).list.sum(), joined


def _plugin_number(name: str) -> int:
    """Give the number Slurm makes of the name of a GRES (7696487 for gpu)."""
    return sum(ord(letter) << (8 * place % 32) for place, letter in enumerate(name)) % 2**32
