"""How an agent's figures become votes, and several votes one opinion: [T, S] each, one pass over all numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled_bare


def mean_vote(answers: Sequence[Floats], signed: Sequence[Floats]) -> tuple[Floats, Floats]:
    """The mean of some answers, and how far what they answer to agrees in sign, 0 to 1."""
    total, signs = np.zeros(answers[0].shape), np.zeros(answers[0].shape)
    for answer, value in zip(answers, signed, strict=True):
        _vote(answer.reshape(-1), value.reshape(-1), total.reshape(-1), signs.reshape(-1))
    _share(total.reshape(-1), signs.reshape(-1), float(len(answers)))
    return total, signs


@compiled_bare
def _vote(answer: Floats, value: Floats, total: Floats, signs: Floats) -> None:
    for i in range(len(answer)):
        total[i] += answer[i]
        signs[i] += 1.0 if value[i] > 0.0 else (-1.0 if value[i] < 0.0 else value[i])


@compiled_bare
def _share(total: Floats, signs: Floats, count: float) -> None:
    for i in range(len(total)):
        total[i] /= count
        signs[i] = abs(signs[i]) / count


def silence_before(strength: Floats, values: Floats, least: int) -> None:
    """NaN into `strength` [n, S], of the newest rows of `values` [T, S], where fewer than `least` values came yet."""
    _silence(strength, values, least)


@compiled_bare
def _silence(strength: Floats, values: Floats, least: int) -> None:
    bars, symbols = values.shape
    first = bars - len(strength)
    for s in range(symbols):
        count = 0
        for t in range(bars):
            count += 1 if abs(values[t, s]) < np.inf else 0
            if count >= least:
                break
            if t >= first:
                strength[t - first, s] = np.nan


def against_stretch(
    values: Floats, mean: Floats, deviation: Floats, quiet: float, full: float
) -> tuple[Floats, Floats, Floats]:
    """(z, strength, confidence): the distance from the mean in deviations, NaN where nothing moves; -z / full, NaN
    nearer than `quiet`; and how far z is from `quiet` to `full`. Overwrites `mean` and `deviation`."""
    confidence = np.empty(values.shape)
    flat = mean.reshape(-1), deviation.reshape(-1), confidence.reshape(-1)
    _stretch(np.ascontiguousarray(values).reshape(-1), flat, quiet, full)
    return deviation, mean, confidence


@compiled_bare
def _stretch(values: Floats, figures: tuple[Floats, Floats, Floats], quiet: float, full: float) -> None:
    mean, deviation, confidence = figures
    for i in range(len(values)):
        moved = deviation[i] > 1e-9
        distance = (values[i] - mean[i]) / (deviation[i] if moved else 1.0)
        distance = distance if moved else np.nan
        deviation[i] = distance
        mean[i] = -distance / full if abs(distance) >= quiet else np.nan
        confidence[i] = (abs(distance) - quiet) / (full - quiet)


def mean_place(places: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """(the mean of some places, how far they agree, the largest of their sizes)."""
    shape = places[0].shape
    total, spoken, edge = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for place in places:
        _place(place.reshape(-1), total.reshape(-1), spoken.reshape(-1), edge.reshape(-1))
    agreed = agreement(total, spoken)
    total /= len(places)
    return total, agreed, edge


@compiled_bare
def _place(place: Floats, total: Floats, spoken: Floats, edge: Floats) -> None:
    for i in range(len(place)):
        size = abs(place[i])
        total[i] += place[i]
        spoken[i] += size
        edge[i] = size if size > edge[i] else edge[i]


def in_scale(values: Floats, size: Floats, bars: float) -> None:
    """`values` in units of `size` x `bars`, in place."""
    _divide(values.reshape(-1), np.ascontiguousarray(size).reshape(-1), bars)


@compiled_bare
def _divide(values: Floats, size: Floats, bars: float) -> None:
    for i in range(len(values)):
        values[i] = values[i] / (size[i] * bars)


def trend_and_contrary(
    with_trend: tuple[Floats, Floats, Floats], index: Floats, percent_b: Floats
) -> tuple[Floats, Floats]:
    """(strength, agreement) of TechnicalAnalyst's votes: its docstring tells how they are put together."""
    strength, agreed = np.empty(index.shape), np.empty(index.shape)
    gap, cloud, lines = (vote.reshape(-1) for vote in with_trend)
    against = index.reshape(-1), np.ascontiguousarray(percent_b).reshape(-1)
    _outvote((gap, cloud, lines), against, strength.reshape(-1), agreed.reshape(-1))
    return strength, agreed


@compiled_bare
def _outvote(
    with_trend: tuple[Floats, Floats, Floats], against_it: tuple[Floats, Floats], strength: Floats, agreed: Floats
) -> None:
    (gap, cloud, lines), (index, percent_b) = with_trend, against_it
    for i in range(len(strength)):
        trend = (gap[i] + (cloud[i] + lines[i]) / 2.0) / 2.0
        one, other = (50.0 - index[i]) / 20.0, 1.0 - 2.0 * percent_b[i]
        one = -1.0 if one < -1.0 else one
        one = 1.0 if one > 1.0 else one
        other = -1.0 if other < -1.0 else other
        other = 1.0 if other > 1.0 else other
        against = (1.0 - abs(trend)) * ((one + other) / 2.0)
        spoken = abs(trend) + abs(against)
        said = abs(spoken) > 1e-12
        strength[i] = trend + against
        agreed[i] = abs(trend + against) / (spoken if said else 1.0) if said else 0.0 * spoken


def alone_and_among_peers(own: Floats, among: Floats) -> tuple[Floats, Floats]:
    """(strength, agreement) of Momentum's votes: the mean of `own`, which is cut at 1 in place, and the place among
    peers, where there are any."""
    strength, agreed = np.empty(own.shape), np.empty(own.shape)
    _with_peers(own.reshape(-1), among.reshape(-1), strength.reshape(-1), agreed.reshape(-1))
    return strength, agreed


@compiled_bare
def _with_peers(own: Floats, among: Floats, strength: Floats, agreed: Floats) -> None:
    for i in range(len(own)):
        first = -1.0 if own[i] < -1.0 else own[i]
        first = 1.0 if first > 1.0 else first
        own[i] = first
        second = among[i] if abs(among[i]) < np.inf else first
        spoken = (abs(first) + abs(second)) / 2.0
        said = spoken > 1e-12
        strength[i] = (first + second) / 2.0
        agreed[i] = abs(strength[i]) / (spoken if said else 1.0) if said else 0.0 * spoken


def agreement(total: Floats, spoken: Floats) -> Floats:
    """How far votes agree: |their sum| over the sum of their sizes, 0 where nobody says anything, NaN where unknown."""
    result = np.empty(total.shape)
    _agree(total.reshape(-1), spoken.reshape(-1), result.reshape(-1))
    return result


@compiled_bare
def _agree(total: Floats, spoken: Floats, result: Floats) -> None:
    for i in range(len(total)):
        said = spoken[i] > 1e-12
        result[i] = abs(total[i]) / (spoken[i] if said else 1.0) if said else 0.0 * spoken[i]


def place_between(value: Floats, low: Floats, high: Floats) -> Floats:
    """-1 at `low`, +1 at `high`, cut there; NaN where both are the same but for rounding."""
    result = np.empty(value.shape)
    _between(value.reshape(-1), low.reshape(-1), high.reshape(-1), result.reshape(-1))
    return result


@compiled_bare
def _between(value: Floats, low: Floats, high: Floats, result: Floats) -> None:
    for i in range(len(value)):
        width = high[i] - low[i]
        apart = width > 1e-12 * abs(high[i])
        place = 2.0 * (value[i] - low[i]) / (width if apart else 1.0) - 1.0
        place = -1.0 if place < -1.0 else place
        place = 1.0 if place > 1.0 else place
        result[i] = place if apart else np.nan
