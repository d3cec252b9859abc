"""What must hold whatever happens, told from the exchange's own book and the record, never from what the desk believes.

`Oracles` looks at each order that arrives at the exchange, after each turn of the daemon, and at the end; what it finds
it keeps, in words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal

import numpy as np

from agents.adapters.brokers.venue_books import CROSSING
from agents.core.books import LIVE
from agents.core.errors import JournalError
from agents.core.orders import FINAL_ORDER_STATES, Order
from agents.core.types import RiskState, as_datetime, as_stamp
from tests.simulation.account import CASH
from tests.simulation.desk import STALE_AFTER_BARS, Simulated
from tests.simulation.market import closes_at
from tests.simulation.world import HOUR, START

CENT = Decimal("0.0001")
DUST = Decimal("0.000001")
RECOVERY_BARS = 4
"""So many bars after the last fault the desk has become again what an undisturbed one is."""
STANDING_S = 60.0
"""Between the last look at anything and the sending no more than this passes, but in calls that are slow."""


class Oracles:
    """Of one seed."""

    def __init__(self, sim: Simulated) -> None:
        self.sim = sim
        self.found: list[str] = []
        self.foreign: dict[str, int] = {}
        """Bases of which somebody else brought some, with the number of the call before which it was."""
        self._state = RiskState.ACTIVE
        self._cycles = self._closed = 0
        self._fills: dict[str, object] = {}
        self._turn_began = START
        sim.account.on_place = self.sees_order

    def says(self, what: str) -> None:
        """Something does not hold."""
        self.found.append(what)
        self.sim.world.tell(f"!! {what}")

    # ------------------------------------------------------------ an order arrives at the exchange

    def sees_order(self, order: Order) -> None:
        """O2 one order for a decision; O4 nothing while halted, killed, stale or unreconciled; nothing unrecorded."""
        key, journal, sim = order.client_order_id, self.sim.journal, self.sim
        decided = key.removesuffix(CROSSING)
        if key not in journal.sent_at:
            self.says(f"{key} leaves and is not on record as being sent")
        if decided not in journal.orders:
            self.says(f"{key} leaves, and its decision is not on record")
        if any(o.client_id == key for o in sim.account.book.orders.values()):
            self.says(f"{key} leaves, and the exchange has it already")
        at_work = [o.client_id for o in sim.account.book.orders.values() if o.works and o.symbol == order.symbol]
        if at_work:
            self.says(f"{key} leaves while {', '.join(at_work)} of {order.symbol} still works")
        sent = journal.sent_at.get(key, 0)
        if sim.switch.reason is not None and sim.switch.pulled_at < sent:
            self.says(f"{key} leaves while the kill file is there")
        if order.side == "buy" and self._halted_before(journal.looked_for_commands):
            self.says(f"{key} buys while the desk is halted")
        age = sim.world.clock.true - order.decision_time
        allowed = HOUR * STALE_AFTER_BARS + abs(sim.world.clock.ahead) + timedelta(seconds=STANDING_S + 400)
        since_look = sim.world.stood_still >= journal.looked_for_commands
        if order.side == "buy" and age > allowed and not since_look:
            self.says(f"{key} buys {age} after its bar closed")
        base = order.symbol.partition("/")[0]
        self._forget_explained()
        if self.foreign.get(base, sim.account.looked) < sim.account.looked:
            self.says(f"{key} leaves while the books of {base} differ")

    def _forget_explained(self) -> None:
        """What a person has said not to be the desk's is no difference any more."""
        for broken, words in self.sim.journal.closed[self._closed :]:
            if broken.asked is not None or words.startswith("ignored"):
                self.foreign.pop(broken.name.partition("/")[0], None)
        self._closed = len(self.sim.journal.closed)

    def _halted_before(self, number: int) -> bool:
        """By the newest word of a person before the call of this number, or by what the desk decided since."""
        state = RiskState.ACTIVE
        for said, command in self.sim.journal.commanded:
            if said < number:
                state = command.state
        return state is RiskState.HALTED

    # ------------------------------------------------------------ after a turn, or a crash

    def turn_begins(self) -> None:
        """Remember when."""
        self._turn_began = self.sim.world.clock.true

    def look(self) -> None:
        """O1 and O3 after each decision, O2 and positions that turn over whenever one looks."""
        journal, book = self.sim.journal, self.sim.account.book
        if len(journal.cycles) != self._cycles:
            self._cycles = len(journal.cycles)
            self._look_at_decision()
        lost = [key for key in self._fills if key not in journal.fills]
        if lost and not self.sim.world.met["power cut"]:
            self.says(f"fills that were on record are gone: {lost}")
        self._fills = dict(journal.fills)
        for name, amount in book.balances.items():
            if amount < -DUST:
                self.says(f"the account holds {amount:f} {name}")

    def _look_at_decision(self) -> None:
        journal = self.sim.journal
        cycle = journal.cycles[-1]
        if len(journal.cycles) > 1 and cycle.time[0] <= journal.cycles[-2].time[-1]:
            self.says(f"decided twice at {cycle.time[0]}")
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        flows = [t.flow.amount for after, t in journal.taken if not t.refused and as_stamp(after) < cycle.time[0]]
        cash = CASH + sum(flows, start=Decimal(0))
        for fill in journal.fills.values():
            held[fill.symbol] += fill.signed_quantity
            cash -= fill.signed_quantity * fill.price + fill.fee
        for s, symbol in enumerate(cycle.symbols):
            of_record = cycle.positions[symbol].quantity if symbol in cycle.positions else Decimal(0)
            if abs(of_record - held[symbol]) > DUST:
                self.says(f"{symbol}: the books hold {of_record:f}, the fills on record make {held[symbol]:f}")
            if abs(float(held[symbol]) - cycle.position[0, s]) > 1e-6:
                self.says(f"{symbol}: the step holds {cycle.position[0, s]}, the fills make {held[symbol]:f}")
            if held[symbol] < -DUST:
                self.says(f"{symbol}: short {held[symbol]:f}")
        if abs(float(cash) - cycle.cash[0, LIVE]) > 1e-4:
            self.says(f"the books have {cycle.cash[0, LIVE]} of cash, fills and flows on record make {cash:f}")
        worth = float(cash) + float(np.nansum(cycle.position[0] * cycle.mark[0]))
        if abs(worth - cycle.equity[0, LIVE]) > 1e-3:
            self.says(f"equity {cycle.equity[0, LIVE]}, cash and positions make {worth}")
        self._all_is_booked()

    def _all_is_booked(self) -> None:
        """What the exchange showed when the turn began is in the books with this decision."""
        journal, book = self.sim.journal, self.sim.account.book
        seen_ms = round(self._turn_began.timestamp() * 1000)
        for trade in book.trades:
            if trade.shown_ms < seen_ms and self._fill_id(trade) not in journal.fills:
                order = book.orders[trade.order_id]
                if order.client_id.removesuffix(CROSSING) in journal.orders:
                    self.says(f"trade {trade.trade_id} of {order.client_id} was shown, and is not booked")

    @staticmethod
    def _fill_id(trade) -> str:
        return f"sim-{trade.symbol.replace('/', '')}-{trade.trade_id}"

    # ------------------------------------------------------------ the end

    def end(self, control: dict[np.datetime64, np.ndarray] | None) -> None:
        """After the quiet bars: all agrees, and the desk is as if nothing had been. `control`: the targets [S] of
        the undisturbed desk, by the time of the decision."""
        self._orders_of_exchange()
        self._states()
        self._money()
        if self.sim.journal.breaks_:
            self.says(f"differences are open: {[(b.kind, b.name, b.ours, b.theirs) for b in self.sim.journal.breaks_]}")
        for defect in self.sim.endurance.defects:
            if isinstance(defect, JournalError) and self.sim.world.met["answer to commit lost"]:
                continue  # the decision on record is another one: the desk is taken up again from there
            self.says(f"a defect: {type(defect).__name__}: {defect}")
        self._converged(control)

    def _orders_of_exchange(self) -> None:
        """O2: ids once, and no more bought or sold for a decision than was decided."""
        journal, book = self.sim.journal, self.sim.account.book
        counts = Counter(order.client_id for order in book.orders.values())
        for key, count in counts.items():
            if count > 1:
                self.says(f"the exchange has {count} orders of the id {key}")
        executed: defaultdict[str, Decimal] = defaultdict(Decimal)
        for order in book.orders.values():
            executed[order.client_id.removesuffix(CROSSING)] += order.executed
        for key, amount in executed.items():
            if key not in journal.orders:
                self.says(f"the exchange has {key}, the record not")
            elif amount > journal.orders[key][0].quantity and not self.sim.world.plan.manners.fills_after_cancel:
                self.says(f"{amount:f} executed for {key}, decided were {journal.orders[key][0].quantity:f}")

    def _states(self) -> None:
        """What the record says of an order's end is what the exchange's book says."""
        journal, book = self.sim.journal, self.sim.account.book
        there: defaultdict[str, list] = defaultdict(list)
        for order in book.orders.values():
            there[order.client_id.removesuffix(CROSSING)].append(order)
        newest = journal.cycles[-1].time[-1]
        for key, (order, state, reason) in journal.orders.items():
            found = there[key]
            if state == "not_placed" and found:
                self.says(f"{key} is on record as never placed ({reason}), and the exchange has it")
            if state == "filled" and sum(o.executed for o in found) == 0:
                self.says(f"{key} is on record as filled, and the exchange filled nothing")
            if as_stamp(order.decision_time) < newest:
                if state not in FINAL_ORDER_STATES:
                    self.says(f"{key} of {order.decision_time} is still {state}")
                if any(o.works for o in found):
                    self.says(f"{key} of {order.decision_time} still works at the exchange")

    def _money(self) -> None:
        """Fills are the exchange's executions, each once, and both sides have the same."""
        journal, book = self.sim.journal, self.sim.account.book
        known = {o.order_id for o in book.orders.values() if o.client_id.removesuffix(CROSSING) in journal.orders}
        trades = {self._fill_id(t): t for t in book.trades if t.order_id in known}
        for key in journal.fills.keys() - trades.keys():
            self.says(f"fill {key} is booked, and the exchange has no such execution")
        for key, fill in journal.fills.items():
            if key in trades and (fill.price, fill.side) != (trades[key].price, trades[key].side.lower()):
                self.says(f"fill {key} is booked otherwise than it was")
        pnl = sum(float(np.nansum(cycle.contribution)) for cycle in journal.cycles)
        newest = journal.cycles[-1].time[-1]
        flows = [t.flow.amount for after, t in journal.taken if not t.refused and as_stamp(after) < newest]
        capital = float(CASH + sum(flows, start=Decimal(0)))
        equity = float(journal.cycles[-1].equity[-1, LIVE])
        if abs(capital + pnl - equity) > 1e-2:
            self.says(f"equity {equity}; capital and all contributions make {capital + pnl}")

    def _converged(self, control: dict[np.datetime64, np.ndarray] | None) -> None:
        scene, cycles = self.sim.world.plan.scene, {c.time[-1]: c for c in self.sim.journal.cycles}
        for row in range(scene.quiet_from + RECOVERY_BARS, scene.bars):
            cycle = cycles.get(as_stamp(closes_at(row)))
            if cycle is None:
                self.says(f"no decision at bar {row}, {row - scene.quiet_from} bars after the last fault")
                continue
            if cycle.risk_state[-1] != RiskState.ACTIVE:
                self.says(f"the desk is not active at bar {row}")
            if control is not None and not np.allclose(
                cycle.target_weight[-1], control[cycle.time[-1]], rtol=0, atol=1e-9
            ):
                self.says(f"bar {row}: target {cycle.target_weight[-1]}, undisturbed {control[cycle.time[-1]]}")
            self._holds_its_target(cycle, cycles.get(as_stamp(closes_at(row - 1))))

    def _holds_its_target(self, cycle, before) -> None:
        """Orders that must be filled within a bar have been: the position is what was wanted."""
        plan = self.sim.world.plan
        slow = plan.manners.first_s + plan.manners.parts * plan.manners.part_s + plan.manners.late_s > 1500
        late_chase = plan.scene.order_type == "chase" and plan.manners.late_s > 0  # for that while the books differ
        unlike = plan.scene.order_type == "limit" or plan.manners.fills_after_cancel or late_chase
        if before is None or unlike or slow or self.sim.data.disturbed:
            return
        for s, symbol in enumerate(cycle.symbols):
            wanted = before.target_weight[-1, s] * before.equity[-1, LIVE] / before.mark[-1, s]
            if abs(wanted - cycle.position[-1, s]) * cycle.mark[-1, s] > 0.01 * cycle.equity[-1, LIVE]:
                self.says(f"{symbol} at {as_datetime(cycle.time[-1])}: holds {cycle.position[-1, s]}, wanted {wanted}")
