"""The report: one HTML file that needs nothing else, from what was measured last."""

import html
import os

import goals
import insns
import kernelrun
import measure
import plots

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; width: 100% }
th, td { border-bottom: 1px solid #ddd; padding: .25em .6em; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.met { color: #00713a } .open { color: #c8102e; font-weight: bold } .answered { color: #a05a00 }
svg { max-width: 100%; height: auto; margin: 1em 0 } pre { font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 1em }
"""
# Hot paths whose instructions the report shows, beside their source.
SHOWN = ("unicast_busy", "self")


def _table(head: list[str], rows: list[list]) -> str:
    out = ["<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for row in rows:
        cells = []
        for cell in row:
            number = ' class="number"' if isinstance(cell, (int, float)) else ""
            text = f"{cell:,.2f}".rstrip("0").rstrip(".") if isinstance(cell, float) else str(cell)
            cells.append(f"<td{number}>{html.escape(text)}</td>")
        out.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*out, "</table>"])


def _goals(ours: dict, peer: dict) -> str:
    judged = goals.judge(ours, peer)
    table = _table(
        ["goal", "ours", "limit", "Linux", ""], [[j.what, j.measured, j.limit, j.linux, j.verdict] for j in judged]
    )
    for verdict in ("met", "answered", "open"):
        table = table.replace(f"<td>{verdict}</td>", f'<td class="{verdict}">{verdict}</td>')
    return table


def _rows(exact: dict, cpus: str) -> str:
    floor = plots.value(exact[cpus]["floor_busy"])
    rows = []
    for name, row in exact[cpus].items():
        q = row.get("q", {})
        rows.append(
            [name, q.get("0", ""), float(plots.value(row)), q.get("990", ""), q.get("1000", ""),
             float(plots.value(row) / floor), float(row["interrupts"] / row["calls"])]
        )  # fmt: skip
    return _table(["row", "min", "median or mean", "p99", "max", "x floor", "interrupts a call"], rows)


def _instructions(build: str) -> str:
    parts = []
    for row in SHOWN:
        text = insns.text(build, row, 2, 64, lines=True)
        parts.append(f"<details><summary>{row}</summary><pre>{html.escape(text)}</pre></details>")
    return "\n".join(parts)


def write(build: str) -> str:
    """Writes build/bench/report.html; returns its path."""
    ours, peer = measure.load(build, "ours.json"), measure.load(build, "linux.json")
    if not ours:
        raise kernelrun.BenchError("nothing of this kernel was measured: make bench")
    drawn = plots.distributions(ours, peer) + plots.scaling(ours, peer) + plots.crowds(ours)
    figures = [[name, value] for name, value in ours["figures"].items()]
    parts = [
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Cross calls: what they cost</title>",
        f"<style>{STYLE}</style><h1>Cross calls: what they cost</h1>",
        f"<p>{html.escape(ours['qemu'])}; machine q35 (Linux {html.escape(peer.get('release', 'not measured'))}: pc). Exact mode: "
        "<code>-icount shift=0,sleep=off</code>, one tick is one instruction, summed over the CPUs that ran until the "
        "measuring one went on. Dashed lines: Linux.</p>",
        "<h2>Goals</h2>", _goals(ours, peer),
        "<h2>Pictures</h2>", *(plots.svg(plot) for plot in drawn),
        *(f"<h2>Rows, N={n}, exact mode</h2>" + _rows(ours["exact"], n) for n in ("2", "8", "64")),
        "<h2>Figures</h2>", _table(["figure", ""], figures),
        f"<p>Longest with interrupts off: {html.escape(ours.get('masked', ''))}.</p>",
        "<h2>Hot paths</h2><p>How often each instruction ran a sample, on CPU 0 and on the others.</p>",
        _instructions(build),
    ]  # fmt: skip
    path = measure.path(build, "report.html")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts) + "\n")
    print(f"report: {os.path.relpath(path)}")
    return path
