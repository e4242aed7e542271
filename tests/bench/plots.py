"""Plots of the report: gnuplot draws each as an SVG."""

import subprocess
from dataclasses import dataclass, field

import kernelrun

HEAD = """
set terminal svg noenhanced size 820,460 background "white" font "sans-serif,13"
set format y "%.0s%c"
set grid lc rgb "#dddddd"
set key outside right top
set border 3
set tics nomirror
set style fill solid 0.8
"""
SHADES = {
    "ours": ("#0057b8", "#3fa7d6", "#00857c", "#6f4e9b"),
    "linux": ("#c8102e", "#f08a24", "#a0522d", "#d65f8a"),
}


@dataclass
class Line:
    """One curve."""

    title: str
    points: list[tuple[float, float]]
    whose: str = "ours"     # ours or linux
    shade: int = 0


@dataclass
class Plot:
    """One picture."""

    title: str
    x: str
    y: str
    lines: list[Line]
    settings: list[str] = field(default_factory=list)
    bars: bool = False


def svg(plot: Plot) -> str:
    """The picture as an <svg> element; empty when nothing is to be drawn."""
    lines = [line for line in plot.lines if line.points]
    if not lines:
        return ""
    script = [HEAD, f'set title "{plot.title}"', f'set xlabel "{plot.x}"', f'set ylabel "{plot.y}"', *plot.settings]
    parts = []
    for number, line in enumerate(lines):
        script += [f"$d{number} << EOD", *(f"{x} {y}" for x, y in line.points), "EOD"]
        color = SHADES[line.whose][line.shade % 4]
        style = "with boxes" if plot.bars else "with linespoints pt 7 ps 0.5 lw 2"
        dash = " dt 2" if line.whose == "linux" and not plot.bars else ""
        parts.append(f'$d{number} using 1:2 {style} lc rgb "{color}"{dash} title "{line.title}"')
    script.append("plot " + ", ".join(parts))
    try:
        done = subprocess.run(["gnuplot"], input="\n".join(script), text=True, capture_output=True, check=False)
    except FileNotFoundError as e:
        raise kernelrun.BenchError("gnuplot is missing: make setup") from e
    if done.returncode != 0:
        raise kernelrun.BenchError(f"gnuplot, {plot.title}: {done.stderr}")
    return done.stdout[done.stdout.index("<svg"):]


def value(row: dict) -> float:
    """What a row is judged by."""
    return row["q"]["500"] if "q" in row else row["cycles"] / row["n"]


def over_cpus(exact: dict, name: str) -> list[tuple[float, float]]:
    """A row's values over N."""
    return [(int(n), value(exact[n][name])) for n in sorted(exact, key=int) if name in exact[n]]


def percentiles(row: dict | None) -> list[tuple[float, float]]:
    """A row's quantiles: how rare (1 in so many are slower), and the value."""
    if row is None or "q" not in row:
        return []
    return [(1000 / (1000 - int(q)), v) for q, v in row["q"].items() if int(q) < 1000]


# Powers of ten are k and M on logarithmic scales; elsewhere numbers stand as they are.
LINEAR = 'set format y "%g"'
NINES = [
    "set logscale xy",
    'set xtics ("0" 1, "50" 2, "90" 10, "95" 20, "98" 50, "99" 100, "99.5" 200, "99.9" 1000)',
    "set xrange [1:1000]",
]
LOGLOG = [
    "set logscale xy",
    "set xtics (1, 2, 4, 8, 16, 32, 64, 128, 255)",
    "set xrange [1:300]",
]
LOGX = ["set logscale x", "set xtics (1, 2, 4, 8, 16, 32, 64, 128, 255)", "set xrange [1:300]", "set yrange [0:*]", LINEAR]


def distributions(ours: dict, peer: dict) -> list[Plot]:
    """Latency distributions."""
    mine, theirs = ours["exact"].get("2", {}), peer.get("exact", {}).get("2", {})
    names = ("unicast_busy", "unicast_idle", "low_idle", "ping_pong")
    lines = [Line(f"{name}", percentiles(mine.get(name)), shade=i) for i, name in enumerate(names)]
    lines += [Line(f"Linux {name}", percentiles(theirs.get(name)), "linux", i) for i, name in enumerate(names)]
    single = ours["single"].get("2", [])
    wall = [
        Line(f"{name}, boot {i + 1}", percentiles(boot[name]), "ours" if name == "unicast_busy" else "linux", i)
        for i, boot in enumerate(single[:3])
        for name in ("unicast_busy", "floor_busy")
    ]
    return [
        Plot("Latency, N=2, exact mode", "percentile", "instructions", lines, NINES),
        Plot("Latency by the host's clock, N=2, single mode", "percentile", "cycles", wall, NINES),
    ]


def scaling(ours: dict, peer: dict) -> list[Plot]:
    """What grows with the number of CPUs."""
    mine, theirs = ours["exact"], peer.get("exact", {})
    names = ("broadcast_busy", "broadcast_idle", "low_all", "stop_machine")
    lines = [Line(name, over_cpus(mine, name), shade=i) for i, name in enumerate(names)]
    lines += [Line(f"Linux {name}", over_cpus(theirs, name), "linux", i) for i, name in enumerate(names)]
    sender = [
        Line("post_broadcast", over_cpus(mine, "post_broadcast")),
        Line("Linux post_broadcast", over_cpus(theirs, "post_broadcast"), "linux"),
    ]
    one = [
        Line("unicast_busy", over_cpus(mine, "unicast_busy")),
        Line("the floor", over_cpus(mine, "floor_busy"), shade=1),
        Line("Linux unicast_busy", over_cpus(theirs, "unicast_busy"), "linux"),
    ]
    skew = [Line("last begin less first", over_cpus(mine, "skew"))]
    return [
        Plot("One caller, every CPU", "CPUs", "instructions of all CPUs", lines, LOGLOG),
        Plot("The sender's share of a broadcast post", "CPUs", "instructions", sender, LOGLOG),
        Plot("One caller, one target", "CPUs", "instructions", one, LOGX),
        Plot("Broadcast: skew between the first CPU and the last", "CPUs", "instructions", skew, LOGLOG),
    ]


def _bars(title: str, y: str, bars: list[tuple[str, float]]) -> Plot:
    names = ", ".join(f'"{name}" {i}' for i, (name, _) in enumerate(bars))
    settings = [f"set xtics ({names}) rotate by -25", "set boxwidth 0.6", "set nokey", "set yrange [0:*]", LINEAR]
    return Plot(title, "", y, [Line("", [(i, v) for i, (_, v) in enumerate(bars)])], settings, True)


def crowds(ours: dict) -> list[Plot]:
    """Many senders, interrupts, victims."""
    many, eight = ours["exact"].get("64", {}), ours["exact"].get("8", {})
    senders = []
    for shade, (kind, title) in enumerate((("hard", "hard"), ("low", "low priority"), ("seed", "calls of 2008"))):
        found = [(n, value(many[f"{kind}_senders_{n}"])) for n in (1, 4, 16) if f"{kind}_senders_{n}" in many]
        senders.append(Line(title, found, "linux" if kind == "seed" else "ours", shade))
    names = [n for n in ("unicast_busy", "post_more", "all_to_all", "storm_8", "storm_8_deep") if n in many]
    interrupts = [(name, many[name]["interrupts"] / many[name]["calls"]) for name in names]
    victims = [(name, value(eight[name])) for name in ("victim_busy", "victim_idle", "victim_none") if name in eight]
    return [
        Plot(
            "Many senders, each with a target", "senders", "instructions a call", senders,
            ["set logscale x", "set xtics (1, 4, 16)", "set xrange [0.8:20]", "set yrange [0:*]", LINEAR],
        ),
        _bars("Interrupts a call, N=64", "interrupts", interrupts),
        _bars("What a hard call takes from its target", "instructions", victims),
    ]  # fmt: skip
