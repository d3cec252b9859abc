"""Rows of the board about orders at an exchange. The tests that answer them read the made-up exchange's own book; the
daemon, TimescaleDB and ccxt's class are real."""

from tests.board.cases import answered_by

_BROKER, _DESK = "tests/unit/adapters/test_account_broker.py", "tests/integration/test_exchange_orders.py"
_RESTING, _STOPS = "tests/unit/adapters/test_resting_stops.py", "tests/integration/test_resting_stops.py"
_KEYS, _LIMITS = "tests/integration/test_keys.py", "tests/unit/pipeline/test_risk_limits.py"
_EXITS, _SPOOL = "tests/integration/test_offline_exits.py", "tests/unit/adapters/test_spool_file.py"
_PRICES, _STREAM = "tests/integration/test_live_prices.py", "tests/unit/adapters/test_candle_stream.py"
_SCHEMA = "tests/integration/test_schema.py"
_ACCOUNT = "tests/unit/adapters/test_fake_account.py"
_LOST = f"{_DESK}::test_a_lost_answer_is_asked_about_and_never_sent_again"
_PROVES = f"{_BROKER}::test_what_a_fault_at_placing_proves"
_MANNERS = f"{_DESK}::test_whatever_the_exchange_s_manners_the_books_agree"
_FEES = f"{_BROKER}::test_the_money_adds_up_whatever_fees_are_paid_in"

for _id, _fault, _expected, _tests in (
    (
        "F01",
        "the answer to an order is lost, the order was placed",
        "unknown, then adopted; one",
        (f"{_LOST}[reply lost]",),
    ),
    ("F02", "it is lost, and was not placed", "not placed; the next decision is anew", (f"{_LOST}[never came]",)),
    (
        "F03",
        "it is placed half a minute later",
        "nothing else in between; one",
        (f"{_LOST}[placed half a minute later]",),
    ),
    ("F04", "placed and filled before the look-up", "found by its id, booked once", (f"{_PROVES}[lost]",)),
    ("F05", "gateway, cut, page, nothing for an answer", "unknown, never failed", (_PROVES,)),
    (
        "F06",
        "an exchange takes the same id twice",
        "never sent twice",
        (
            f"{_ACCOUNT}::test_an_id_is_unique_among_open_orders_only",
            _LOST,
            f"{_SCHEMA}::test_the_database_has_one_order_for_a_decision_and_a_symbol_and_each_fill_once",
        ),
    ),
    (
        "F07",
        "fills double, late, in any order",
        "each booked once",
        (f"{_BROKER}::test_fills_that_come_late_double_and_in_any_order_are_booked_once", _MANNERS),
    ),
    (
        "F08",
        "a partial fill, then a cancel",
        "what was filled is kept",
        (f"{_BROKER}::test_what_is_left_at_the_next_decision_is_taken_back_and_a_fill_after_that_is_booked",),
    ),
    ("F09", "the answer to a cancel is lost", "asked again", (f"{_BROKER}::test_a_lost_cancel_is_asked_again",)),
    ("F10", "a fill after the cancel", "booked as late, alarm", (f"{_MANNERS}[filled after it was taken back]",)),
    ("F11", "fees in the base, the quote, a third currency", "the money adds up", (_FEES, _MANNERS)),
    (
        "F12",
        "less than a step, than the least amount",
        "rounded down or refused, nothing is sent",
        (f"{_BROKER}::test_what_cannot_be_is_refused",),
    ),
    (
        "F13",
        "the exchange changes its steps while the desk trades",
        "asked for again, once; refused again, the symbol is halted until they change",
        (
            f"{_BROKER}::test_rules_that_changed_are_asked_for_and_the_order_is_sent_as_they_are_now",
            f"{_BROKER}::test_what_is_refused_again_and_again_is_sent_no_more_until_the_rules_change",
        ),
    ),
    (
        "F16",
        "the account's report leaves a position out",
        "a difference, never flat; no fill is made up",
        (f"{_DESK}::test_a_position_that_the_report_leaves_out_is_a_difference_and_not_flat",),
    ),
    (
        "F17",
        "a limit of requests, a ban",
        "left alone for as long as it says; what sells went first",
        (f"{_BROKER}::test_at_a_limit_of_requests_it_is_left_alone_and_sales_went_first",),
    ),
    (
        "F19",
        "the price is far from the one that was decided at",
        "not sent, told once",
        (f"{_DESK}::test_an_order_far_from_the_last_trusted_price_is_not_sent",),
    ),
    (
        "F20",
        "a market is closed, gone, or its coin becomes ten",
        "its symbol is halted, the others go on, nobody gets rich",
        (
            f"{_BROKER}::test_a_market_that_is_closed_takes_no_order_and_one_that_is_gone_holds_up_no_other",
            f"{_DESK}::test_a_coin_that_becomes_ten_makes_nobody_rich",
        ),
    ),
    (
        "F21",
        "orders without end",
        "so many a minute, the rest is not placed",
        (f"{_LIMITS}::test_orders_within_a_minute",),
    ),
    (
        "F23",
        "paper, test net and real money mixed up, another key",
        "refused until settings, key and database agree",
        (
            f"{_KEYS}::test_paper_test_net_and_real_money_are_never_mixed",
            f"{_KEYS}::test_a_desk_on_paper_does_not_take_up_one_at_an_exchange",
        ),
    ),
    (
        "F15",
        "the account differs from the record",
        "blocked until both agree or a person says why",
        (f"{_DESK}::test_a_deposit_is_a_difference_until_a_person_says_what_it_is",),
    ),
    (
        "C24",
        "the database is away, a person flattens, the daemon is killed, the database is back",
        "each position closed once, all of it on record, both books agree",
        (
            f"{_EXITS}::test_a_real_daemon_obeys_and_what_it_did_outlives_it",
            f"{_EXITS}::test_killed_at_each_step_nothing_leaves_twice_and_nothing_is_forgotten",
        ),
    ),
    (
        "C25",
        "the database is away, a person flattens, and the answer to an exit is lost",
        "asked about, never sent twice",
        (f"{_EXITS}::test_a_lost_answer_is_asked_about_and_what_never_left_leaves_again",),
    ),
    (
        "C26",
        "the spool of exits is cut off at any byte, changed, or its disk is full",
        "an end without an end says nothing, a change stops the desk, and nothing follows from what is not on disk",
        (
            f"{_SPOOL}::test_cut_off_at_every_byte_the_whole_lines_are_read_and_the_next_one_follows",
            f"{_SPOOL}::test_every_changed_byte_is_seen_and_the_line_is_named",
            f"{_SPOOL}::test_a_disk_that_is_full_lets_nothing_follow_and_the_next_line_is_whole",
            f"{_EXITS}::test_a_spool_that_was_changed_stops_the_desk_with_one_line",
        ),
    ),
    ("F18", "not enough money", "refused, no loop", (f"{_BROKER}::test_what_cannot_be_is_refused",)),
    (
        "F24",
        "the exchange's clock is 12 s off",
        "compared, then sent once",
        (f"{_BROKER}::test_a_wrong_clock_is_compared_and_the_order_sent_once",),
    ),
    (
        "F25",
        "our clock drifts away from the exchange's while the desk trades",
        "an alarm, positions only shrink where that is enforced, and both end with it",
        (f"{_DESK}::test_a_clock_that_drifts_lets_positions_only_shrink_where_that_is_enforced",),
    ),
    (
        "F26",
        "its stream of candles ends, is silent, loses a candle's last state, comes shuffled, is refused",
        "asked for what does not come; the record is that of a desk that asks",
        (
            f"{_PRICES}::test_a_desk_that_listens_decides_what_one_that_asks_does",
            f"{_STREAM}::test_what_is_not_pushed_is_asked_for",
        ),
    ),
    (
        "F31",
        "a stop is reached while the desk is dead, or without its database",
        "sold at the exchange, booked once by the next decision",
        (f"{_STOPS}::test_a_stop_is_hit_and_the_next_decision_books_it",),
    ),
    (
        "F32",
        "a stop is reached between a decision and its sale",
        "sold once, a person's own coins untouched",
        (
            f"{_STOPS}::test_hit_as_the_decision_is_made_nothing_is_sold_twice",
            f"{_RESTING}::test_a_stop_that_was_filled_in_part_leaves_the_rest_to_the_sale",
        ),
    ),
    (
        "F33",
        "the answer about a stop that is set or taken back is lost",
        "one stop for each position in the end, never of more than is held",
        (
            f"{_STOPS}::test_an_answer_about_a_stop_that_is_lost_leaves_one_for_each_position",
            f"{_RESTING}::test_an_answer_lost_when_it_is_set_makes_no_second_one",
            f"{_RESTING}::test_an_answer_lost_when_it_is_taken_back_leaves_one_stop_in_the_end",
            f"{_RESTING}::test_a_sale_whose_stop_cannot_be_taken_back_for_certain_sells_once_or_not_at_all",
        ),
    ),
    (
        "F34",
        "the desk dies while it sets or takes back a stop",
        "the next one finds it, or sets it; no second one",
        (f"{_STOPS}::test_whatever_it_dies_of_there_is_one_stop_for_each_position_afterwards",),
    ),
):
    answered_by(_id, 1, _fault, _expected, *_tests)
