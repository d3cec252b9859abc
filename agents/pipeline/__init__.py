"""The arrows of the trading plane, one pure file each: market, combine, risk, orders, fills, attribution, ledger;
`step` composes the compiled ones. The same functions serve one live bar and ten years of history."""
