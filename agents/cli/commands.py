"""The table of commands, in the order of the help. A command's own module is imported when it runs, not before."""

from __future__ import annotations

from agents.cli import actions, agent_actions, arguments, cash_actions, history_arguments, trading_arguments
from agents.cli.command import Command
from agents.cli.keeping_commands import KEEPING
from agents.cli.options import add_demo

RUNNING = (
    Command(
        "connect",
        "connecting",
        "an exchange's prices and orders: check it, write settings",
        arguments.connect,
        (
            "quorum connect binance --symbols BTC/USDT ETH/USDT",
            "quorum connect kraken --interval 4h",
            "quorum connect binance --trade --cash 1000",
            "quorum connect alpaca --trade --symbols AAPL MSFT --cash 10000",
        ),
    ),
    Command(
        "demo",
        "demo",
        "trade 13 years of five US stocks through all agents",
        arguments.demo,
        ("quorum demo", "quorum demo --restart"),
    ),
    Command(
        "practice",
        "practice",
        "watch the daemon trade on a made-up exchange with faults",
        arguments.practice,
        (
            "quorum practice",
            "quorum practice --faults maintenance --bars 30 --speed 2",
            "quorum practice --faults random --seed 7",
            "quorum practice --market bars --interval 1h",
        ),
    ),
    Command(
        "trade",
        "trading",
        "run the trading daemon in the foreground",
        trading_arguments.trade,
        ("quorum trade", "quorum trade --settings quorum.toml", "quorum trade --confirm", "quorum trade --ramp 0.2"),
    ),
    Command(
        "meta",
        "meta",
        "run the scheduled jobs: analyzer, optimizer, project manager",
        arguments.meta,
        ("quorum meta", "quorum meta --once", "quorum meta --once --only weight_optimizer"),
    ),
    Command(
        "job",
        "meta",
        "run one job for a due time, as the daemon does",
        arguments.job,
        ("quorum job weight_optimizer --json",),
    ),
    Command(
        "halt",
        "trading",
        "let positions only shrink, and take back what works",
        trading_arguments.halt,
        (
            "quorum halt --reason 'exchange trouble'",
            "quorum halt --kill --reason 'no database'",
            "quorum halt --flatten --offline --reason 'out, now'",
        ),
    ),
    Command(
        "cash",
        "cash",
        "tell of money that came or went; returns do not move",
        cash_actions.CASH[0].add_arguments,
        ("quorum cash", "quorum cash deposit 5000 --reason savings", "quorum cash withdraw 800 --reason rent"),
        actions=cash_actions.CASH,
    ),
    Command(
        "reconcile",
        "reconcile",
        "where the exchange's books differ",
        trading_arguments.reconcile,
        ("quorum reconcile", "quorum reconcile --adopt USDT --reason 'paid in by hand'"),
    ),
    Command(
        "bars",
        "bars",
        "judge doubtful prices; tell of a delisting or a new name",
        actions.BARS[0].add_arguments,
        ("quorum bars", "quorum bars accept AAPL", "quorum bars accept --help"),
        actions=actions.BARS,
    ),
    Command(
        "resume",
        "trading",
        "leave the halted state",
        trading_arguments.reason,
        ("quorum resume --reason 'checked the fills by hand'",),
    ),
)
LOADING = (
    Command(
        "download",
        "exchanges",
        "bring an exchange's or stocks' history into files",
        arguments.download,
        (
            "quorum download --from 2024-01-01",
            "quorum download --exchange kraken --symbols BTC/USDT --from 2026-01-01",
            "quorum download --source yahoo --symbols AAPL MSFT --from 2010-01-01",
        ),
    ),
    Command(
        "import-bars",
        "data",
        "load bar files into the desk's database",
        arguments.import_bars,
        (
            "quorum import-bars prices.csv --map close=Last",
            "quorum import-bars data/*.csv.gz --map adj_close='Adj Close'",
        ),
    ),
    Command(
        "import-series",
        "data",
        "load on-chain figures, fear-and-greed indexes or dated texts",
        arguments.import_series,
        ("quorum import-series onchain.csv", "quorum import-series headlines.csv --texts --symbol AAPL"),
    ),
    Command(
        "data",
        "stored_data",
        "what data there are, gaps, refused files; take bars back",
        actions.DATA[0].add_arguments,
        ("quorum data", "quorum data gaps AAPL", "quorum data remove --help"),
        actions=actions.DATA,
    ),
)
LOOKING = (
    Command(
        "status",
        "status",
        "performance, positions and health of the desk",
        add_demo,
        ("quorum status", "quorum status --demo"),
    ),
    Command(
        "why",
        "why",
        "who said what about a symbol, and what became of it",
        arguments.why,
        ("quorum why AAPL", "quorum why AAPL --at 2008-10-10 --demo"),
    ),
    Command(
        "agents",
        "scorecards",
        "scorecards: how good each agent is, and whether that is shown",
        arguments.agents,
        ("quorum agents", "quorum agents --window 90 --demo"),
    ),
    Command(
        "agent",
        "agent",
        "who comes and goes; bring a strategy of your own",
        agent_actions.AGENT[0].add_arguments,
        ("quorum agent list", "quorum agent new cross", "quorum agent check my_agents/cross.py"),
        actions=agent_actions.AGENT,
    ),
    Command(
        "weights",
        "weights",
        "the agents' weights: in force, in the past, why, proposed",
        arguments.weights,
        (
            "quorum weights show",
            "quorum weights why --demo",
            "quorum weights revert 12 --reason 'bad data in March'",
            "quorum weights resume --reason 'the feed of March was wrong, and is mended'",
            "quorum weights optimize --returns returns.csv --previous weights.json",
        ),
    ),
    Command(
        "report",
        "report",
        "the report that would be mailed, on the screen or in a file",
        arguments.report,
        ("quorum report", "quorum report --demo --open", "quorum report --days 30 --out report.html"),
    ),
    Command(
        "todo",
        "todo",
        "what the reports suggest, and your tasks",
        arguments.todo,
        ("quorum todo", "quorum todo accept 3", "quorum todo add 'rotate the keys' --priority high"),
    ),
    Command(
        "web",
        "web",
        "the dashboard: pages for a browser on this machine",
        arguments.web,
        ("quorum web", "quorum web --demo", "quorum web --port 9000"),
        "\nIt prints its address and where the token for the login is. It changes nothing.\n",
    ),
    Command("jobs", "jobs", "what ran, what is due, what failed", add_demo, ("quorum jobs", "quorum jobs --json")),
    Command(
        "psql",
        "status",
        "open psql on the desk's database, to look around",
        arguments.psql,
        ("quorum psql", "quorum psql --demo -- -c 'SELECT * FROM v_equity LIMIT 5'"),
    ),
)
STUDYING = (
    Command(
        "check",
        "check",
        "before a desk starts: turnover and costs of its last year",
        history_arguments.check,
        ("quorum check --bars db", "quorum check --bars bars/ --set data.interval=5m", "quorum check --demo --json"),
        "\nWithout --from: the last year; what is before is the agents' memory.\n",
    ),
    Command(
        "replay",
        "replay",
        "what the desk would have done, under any settings",
        history_arguments.replay,
        (
            "quorum replay --demo --set tuning.step=0.10 --out replay/",
            "quorum replay --bars bars/ --agents TrendFollower,Breakout",
            "quorum replay --demo --start-weights TrendFollower=0.4,Breakout=0.6",
            "quorum replay --history",
        ),
    ),
    Command(
        "search",
        "search",
        "try many settings: is the best more than luck?",
        history_arguments.search,
        ("quorum search SPACE.toml --demo --workers 2",),
        history_arguments.SPACE_EXAMPLE,
    ),
    Command(
        "walk-forward",
        "walk_forward",
        "learn on a window, be judged on the next: does tuning add?",
        history_arguments.walk_forward,
        ("quorum walk-forward --demo --train-days 750 --test-days 250",),
    ),
    Command(
        "lookahead",
        "lookahead",
        "does an agent look into the future?",
        history_arguments.lookahead,
        ("quorum lookahead --demo", "quorum lookahead --agent my_agent.py:MyAgent --demo"),
    ),
)
GROUPS = {
    "run the desk": RUNNING,
    "feed it": LOADING,
    "look at it": LOOKING,
    "study history": STUDYING,
    "keep this machine": KEEPING,
}
"""The headings of the help, and what stands below them."""
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
