"""Rows of the board that tests of the suite answer: clocks, statistics, hostile agents, roles, migrations, mail. They need
no daemon of their own, or start one themselves; the board runs them as they are."""

from tests.board.cases import answered_by

_UNIT, _WHOLE = "tests/unit", "tests/integration"
_OPERATIONS, _META = f"{_WHOLE}/test_operations.py", f"{_UNIT}/tuning/test_meta.py"
_ALLOCATION, _WORKERS = f"{_UNIT}/quant/test_allocation.py", f"{_UNIT}/adapters/test_workers.py"
_SCHEMA, _MAIL = f"{_WHOLE}/test_schema.py", f"{_WHOLE}/test_mail.py"

answered_by(
    "C16",
    2,
    "Apache's edition of TimescaleDB",
    "probed; no feature is used that it lacks",
    f"{_SCHEMA}::test_the_edition_is_probed",
)
answered_by(
    "C18",
    2,
    "`alembic check` after all migrations, down and up again",
    "no difference, data kept",
    f"{_SCHEMA}::test_schema_equals_metadata_and_survives_down_and_up",
)
answered_by("C19", 2, "two migrators at once", "one waits for the other", f"{_SCHEMA}::test_two_migrators_at_once")
answered_by("C21", 2, "dump and restore while the desk trades", "the same chain of hashes", f"{_WHOLE}/test_backup.py")
answered_by(
    "C22",
    3,
    "bars of years that cannot be",
    "refused by the database",
    f"{_SCHEMA}::test_the_database_refuses_impossible_bars",
)
answered_by("C23", 1, "a role does what it has no right to", "permission denied", f"{_WHOLE}/test_roles.py")
answered_by(
    "B01b",
    1,
    "the daemon stands still between a decision and its sending, for minutes and for days",
    "what is old by then is not sent, with the reason on record",
    f"{_WHOLE}/test_bars_in_time.py::test_what_was_decided_before_a_standstill_is_not_sent_long_after_it",
)
answered_by(
    "B04",
    2,
    "an agent holds the loop",
    "one timeout together, the watchdog is fed",
    f"{_WORKERS}::test_hanging_agents_cost_one_timeout_together",
)
answered_by(
    "B05",
    2,
    "an agent hangs, dies, fills memory, prints without end",
    "it abstains with the cause, the others say the same bits",
    f"{_WORKERS}::test_whatever_an_agent_does_it_abstains_and_the_others_say_the_same",
    f"{_WHOLE}/test_foreign_agents.py",
)
answered_by(
    "D06",
    1,
    "weights that are out of date",
    "not used",
    f"{_UNIT}/orchestrator/test_weights.py::test_expired_weights_are_refused",
)
answered_by(
    "E01",
    2,
    "a daemon that restarts every 20 hours",
    "the daily job runs daily",
    f"{_META}::test_a_daemon_that_restarts_every_20_hours_runs_its_daily_job_daily",
)
answered_by(
    "E02",
    2,
    "three days down",
    "each job once, the gap is told",
    f"{_META}::test_three_days_down_is_one_run_that_says_so",
    f"{_OPERATIONS}::test_days_down_are_one_run_of_each_job_that_says_so",
)
answered_by(
    "E03",
    2,
    "the clock goes an hour back",
    "nothing doubled, nothing skipped",
    f"{_OPERATIONS}::test_a_clock_an_hour_back_doubles_and_skips_nothing",
)
answered_by(
    "E04",
    2,
    "the clock goes a year ahead and back",
    "an alarm, and no job stops",
    f"{_OPERATIONS}::test_a_clock_a_year_ahead_and_back_stops_no_job",
    f"{_META}::test_a_jump_of_a_year_is_one_catch_up",
)
answered_by(
    "E05",
    3,
    "the machine's time zone and its summer time",
    "no due time moves",
    f"{_OPERATIONS}::test_the_zone_of_the_machine_moves_no_due_time",
)
answered_by(
    "E07",
    2,
    "a job fails",
    "tried again thrice",
    f"{_META}::test_failure_is_tried_again_thrice_then_left_to_the_next_slot",
)
answered_by("G08", 1, "bars come late, or not at all", "waited for, then named", f"{_WHOLE}/test_bars_in_time.py")
answered_by("G12", 1, "an agent that looks ahead", "found", f"{_UNIT}/replay/test_lookahead.py")
answered_by(
    "G13", 1, "splits, dividends and wrong prices in every order", "money stays", f"{_WHOLE}/test_wrong_prices.py"
)
answered_by(
    "H01",
    1,
    "a cap that cannot hold for so few agents",
    "relaxed and said",
    f"{_ALLOCATION}::test_a_cap_that_cannot_hold_is_relaxed_and_said",
)
answered_by("H02", 1, "few signals", "nothing moves", f"{_ALLOCATION}::test_few_signals_change_nothing")
answered_by(
    "H03",
    2,
    "singular, constant, missing returns",
    "weights are whole",
    f"{_ALLOCATION}::test_whatever_comes_weights_are_whole",
)
answered_by(
    "H04",
    1,
    "every mean negative",
    "never all in one",
    f"{_ALLOCATION}::test_all_means_negative_never_means_everything_in_one",
)
answered_by(
    "H05", 2, "a solver that fails", "the weights before", f"{_ALLOCATION}::test_a_broken_solver_leaves_the_weights"
)
answered_by(
    "H08", 1, "agents in another order", "the same weights", f"{_ALLOCATION}::test_the_order_of_agents_does_not_matter"
)
answered_by("H09", 1, "contributions of many trades", "sum to the profit", f"{_UNIT}/pipeline/test_ledger.py")
answered_by(
    "I03",
    2,
    "a mail server without TLS, or with another's certificate",
    "no password leaves",
    f"{_MAIL}::test_no_password_without_tls",
    f"{_MAIL}::test_a_certificate_that_does_not_fit_is_refused",
)
answered_by("I05", 2, "line breaks in a header", "refused", f"{_MAIL}::test_headers_take_no_line_breaks")
answered_by(
    "I08",
    3,
    "the mail server down for two days",
    "one mail afterwards",
    f"{_MAIL}::test_after_two_days_of_outage_one_mail_not_twenty_four",
)
answered_by(
    "J06",
    2,
    "an agent's loops, memory, files, children",
    "ended in time, nothing left",
    f"{_WORKERS}::test_no_worker_outlives_the_desk",
)
answered_by(
    "J05",
    2,
    "an agent looks for secrets",
    "none in its environment, no open file of the desk",
    f"{_WORKERS}::test_a_worker_sees_no_secret_and_no_descriptor_of_the_desk",
)
answered_by(
    "J10",
    2,
    "an agent that answers differently each time",
    "found by parity",
    f"{_WHOLE}/test_foreign_agents.py::test_an_agent_that_answers_differently_each_time_is_found_by_parity",
)
answered_by("K02", 2, "a secret in every place", "it shows nowhere", f"{_WHOLE}/test_secrets.py")
answered_by("K09", 2, "rows of the journal changed by hand", "each is named", f"{_WHOLE}/test_chain.py")
