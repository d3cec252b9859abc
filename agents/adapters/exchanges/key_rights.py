"""What a key may do, by the exchanges that tell: each has a question and words of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class KeyRights(NamedTuple):
    """Whether a key may trade and take money away; None where the exchange does not tell."""

    trade: bool | None = None
    withdraw: bool | None = None


class Question(NamedTuple):
    """`method` is ccxt's name of the request, which `at_test_net` says is answered there, too; `read` its answer."""

    method: str
    read: Callable[[Any], KeyRights]
    at_test_net: bool


def _of_binance(answer: Mapping[str, Any]) -> KeyRights:
    away = ("enableWithdrawals", "permitsUniversalTransfer")
    return KeyRights(bool(answer["enableSpotAndMarginTrading"]), any(bool(answer.get(name)) for name in away))


def _of_bybit(answer: Mapping[str, Any]) -> KeyRights:
    told = answer["result"]
    wallet, spot = told["permissions"].get("Wallet") or (), told["permissions"].get("Spot") or ()
    return KeyRights("SpotTrade" in spot and str(told.get("readOnly", 0)) == "0", "Withdraw" in wallet)


def _of_okx(answer: Mapping[str, Any]) -> KeyRights:
    rights = {right.strip() for right in str(answer["data"][0]["perm"]).split(",")}
    return KeyRights("trade" in rights, "withdraw" in rights)


def _of_coinbase(answer: Mapping[str, Any]) -> KeyRights:
    return KeyRights(bool(answer["can_trade"]), bool(answer["can_transfer"]))


QUESTIONS: Mapping[str, Question] = {
    "binance": Question("sapi_get_account_apirestrictions", _of_binance, at_test_net=False),
    "binanceus": Question("sapi_get_account_apirestrictions", _of_binance, at_test_net=False),
    "bybit": Question("private_get_v5_user_query_api", _of_bybit, at_test_net=True),
    "okx": Question("private_get_account_config", _of_okx, at_test_net=True),
    "coinbase": Question("v3_private_get_brokerage_key_permissions", _of_coinbase, at_test_net=False),
}
"""By ccxt's name of the exchange. Only Binance's was asked (of the made-up exchange); the others are as their manuals
say."""
