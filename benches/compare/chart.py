#!/usr/bin/env python3
"""chart: a Markdown table and an SVG chart of what compare.py has measured.

    python3 benches/compare/compare.py --scenario http --json figures.json
    python3 benches/compare/chart.py figures.json --scenario http --svg chart.svg

prints the table, and writes the chart: a panel each for CPU seconds, wall time relative to s3chunk's, and peak
memory; less is better in all three. s3chunk is highlighted; who failed has a row and no bars. The chart is readable
on a light and on a dark page.
"""
import argparse, html, json, pathlib, sys

OURS = "s3chunk"
BAR, GAP, NAMES, PANEL, SPACE, TOP = 16, 8, 96, 200, 24, 44
STYLE = """text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.ours{font-weight:700}
.number{font-size:12px}rect{fill:#afb8c1}rect.ours{fill:#0969da}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#484f58}rect.ours{fill:#2f81f7}}"""


def panels(rows):
    """title -> (client -> figure, how a figure is written); wall time only where s3chunk was measured"""
    good = {name: row for name, row in rows.items() if not row["failed"]}
    base = good.get(OURS, {}).get("wall")
    found = {"CPU seconds": ({n: r["cpu"] for n, r in good.items()}, "{:.2f}")}
    if base:
        found["Time, s3chunk = 1"] = ({n: r["wall"] / base for n, r in good.items()}, "{:.2f}")
    found["Peak memory, MiB"] = ({n: r["rss"] for n, r in good.items()}, "{:.0f}")
    return found


def ordered(rows):
    """clients, the least CPU first, those that failed last"""
    return sorted(rows, key=lambda name: (rows[name]["failed"], rows[name]["cpu"]))


def markdown(rows):
    columns = panels(rows)
    lines = ["| client | " + " | ".join(columns) + " | requests |", "| :-- |" + " --: |" * (len(columns) + 1)]
    for name in ordered(rows):
        cells = [form.format(figures[name]) if name in figures else "failed" for figures, form in columns.values()]
        cells.append("failed" if rows[name]["failed"] else f"{rows[name]['requests']:.0f}")
        bold = "**" if name == OURS else ""
        lines.append("| " + " | ".join(f"{bold}{cell}{bold}" for cell in [name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def svg(rows, title):
    columns, names = panels(rows), ordered(rows)
    width = NAMES + len(columns) * (PANEL + SPACE)
    height = TOP + len(names) * (BAR + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
           f"<title>{html.escape(title)}: less is better</title>", f"<style>{STYLE}</style>"]
    middle = lambda i: TOP + i * (BAR + GAP) + BAR - 3
    mark = lambda name, more="": f' class="{(more + " " if more else "") + "ours"}"' if name == OURS else f' class="{more}"' if more else ""
    for i, name in enumerate(names):
        out.append(f'<text x="{NAMES - 10}" y="{middle(i)}" text-anchor="end"{mark(name)}>{html.escape(name)}</text>')
    for p, (heading, (figures, form)) in enumerate(columns.items()):
        left = NAMES + p * (PANEL + SPACE)
        most = max(figures.values(), default=0) or 1
        out.append(f'<text x="{left}" y="20" class="title">{html.escape(heading)}</text>')
        for i, name in enumerate(names):
            if name in figures:
                # the number stands behind its bar, within the panel
                bar = max(1, figures[name] / most * (PANEL - 52))
                out.append(f'<rect x="{left}" y="{TOP + i * (BAR + GAP)}" width="{bar:.1f}" height="{BAR}" rx="2"{mark(name)}/>')
                text, at = form.format(figures[name]), left + bar + 6
            else:
                text, at = "failed", left
            out.append(f'<text x="{at:.1f}" y="{middle(i)}"{mark(name, "number")}>{text}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("figures", metavar="FILE", help="what compare.py --json wrote")
    ap.add_argument("--scenario", metavar="NAME", default="http", help="the scenario to show (default: http)")
    ap.add_argument("--leave-out", nargs="*", metavar="CLIENT", default=[], help="clients that are not shown")
    ap.add_argument("--markdown", metavar="FILE", help="where to write the table (default: standard output)")
    ap.add_argument("--svg", metavar="FILE", help="where to write the chart")
    a = ap.parse_args()
    figures = json.loads(pathlib.Path(a.figures).read_text())
    if a.scenario not in figures:
        sys.exit(f"{a.figures} has no scenario {a.scenario}; it has: {', '.join(figures)}")
    rows = {name: row for name, row in figures[a.scenario].items() if name not in a.leave_out}
    if a.markdown:
        pathlib.Path(a.markdown).write_text(markdown(rows))
    else:
        print(markdown(rows), end="")
    if a.svg:
        pathlib.Path(a.svg).write_text(svg(rows, a.scenario))


if __name__ == "__main__":
    main()
