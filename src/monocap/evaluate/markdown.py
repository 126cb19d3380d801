"""A report for people: one Markdown page with our numbers, those that others published, and what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monocap.evaluate.report import ALL_SAMPLES, Report, worst
from monocap.evaluate.scoring import METRICS
from monocap.files import replacing


def write_markdown(path: Path, report: Report, pictures: Sequence[Path] = ()) -> None:
    """The report as Markdown; ``pictures`` beside it are shown at the end."""
    with replacing(path) as temporary:
        temporary.write_text(markdown(report, pictures), encoding="utf-8")


def markdown(report: Report, pictures: Sequence[Path] = ()) -> str:
    """The page as text."""
    protocol, data = report["protocol"], report["data"]
    lines = [f"# {protocol['title']}", ""]
    lines += [f"Protocol `{protocol['name']}`, version {protocol['version']}. `{report['command']}`", ""]
    lines += [*_data(data), "## Results", ""]
    lines += _results(report)
    lines += ["", "Mean (median) over samples; in brackets 95 % of the mean, by bootstrap over sequences.", ""]
    lines += _published(report)
    lines += ["## Beware", "", f"- Truth: {protocol['truth']}. Body: {protocol['body']}."]
    lines += [f"- {trap}" for trap in protocol["traps"]]
    lines += [f"- {row['label']}: {note}." for row in report["rows"] for note in row["notes"]]
    lines += [f"- {note}." for note in data["notes"]]
    lines += ["", *_by_joint(report), *_samples(report), *_skipped(data)]
    if pictures:
        lines += ["## Pictures", "", f"Licence of the pictures' source: {data['licence']}", ""]
        lines += [f"![{picture.stem.replace('_', ' ')}]({picture.name})\n" for picture in pictures]
    return "\n".join(lines).rstrip() + "\n"


def _data(data: dict[str, Any]) -> list[str]:
    left_out = f"{data['skipped']} skipped ({', '.join(f'{n} × {kind}' for kind, n in data['problems'].items())})"
    other = f", {data['not_of_protocol']} of other subjects or cameras" if data["not_of_protocol"] else ""
    state = left_out if data["problems"] else "none skipped"
    text = f"Data: {data['name']}, {data['compared']} of {data['read']} samples compared, {state}{other}."
    return [text, f"Licence: {data['licence']}.", ""]


def _results(report: Report) -> list[str]:
    names = list(dict.fromkeys(name for row in report["rows"] for name in row["metrics"]))
    head = ["estimate", "found", "missed", *(_title(name) for name in names)]
    table = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for row in report["rows"]:
        cells = [_cell(row["metrics"].get(name)) for name in names]
        table.append(_line([row["label"], str(row["found"]), str(row["missed"]), *cells]))
    return table


def _title(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title} ({metric.unit}) {'↓' if metric.lower_is_better else '↑'}"


def _cell(summary: dict[str, Any] | None) -> str:
    if summary is None or summary["mean"] is None:
        return "–"
    low, high = summary["mean_95"]
    sure = "" if low is None else f" [{low:.1f}, {high:.1f}]"
    return f"**{summary['mean']:.1f}** ({summary['median']:.1f}){sure}"


def _published(report: Report) -> list[str]:
    rows = report["published"]
    if not rows:
        return []
    names = [name for name in METRICS if any(name in row["values"] for row in rows)]
    head = ["published", *(_title(name) for name in names), "source", "what differs"]
    table = ["## Beside published numbers", "", "Not measured here, and never quite the same protocol.", ""]
    table += [_line(head), _line(["---", *["---:"] * len(names), "---", "---"])]
    for row in rows:
        values = [f"{row['values'][name]:g}" if name in row["values"] else "–" for name in names]
        table.append(_line([row["method"], *values, row["source"], row["caveat"]]))
    return [*table, ""]


def _by_joint(report: Report) -> list[str]:
    rows = report["rows"]
    table = [f"## By joint: {rows[0]['by_joint']['what']}", "", _line(["joint", *(row["label"] for row in rows)])]
    table.append(_line(["---", *["---:"] * len(rows)]))
    for j, name in enumerate(report["protocol"]["joints"]):
        table.append(_line([name, *(_value(row["by_joint"]["values"][j]) for row in rows)]))
    return [*table, ""]


def _samples(report: Report) -> list[str]:
    samples = report["samples"]
    few = len(samples) <= ALL_SAMPLES
    chosen = range(len(samples)) if few else worst(report, 20)
    columns = [(row["label"], name) for row in report["rows"] for name in row["metrics"]]
    head = ["sample", *(f"{METRICS[name].title}, {label}" for label, name in columns)]
    table = [f"## {'Every sample' if few else 'The 20 worst samples'}", "", _line(head)]
    table.append(_line(["---", *["---:"] * len(columns)]))
    for i in chosen:
        values = [_value(samples[i]["values"][label][name]) for label, name in columns]
        table.append(_line([samples[i]["picture"] or samples[i]["sample"], *values]))
    if few and len(samples) > 1:
        medians = [report_median(report, label, name) for label, name in columns]
        table.append(_line(["**median**", *(f"**{_value(value)}**" for value in medians)]))
    return [*table, ""]


def report_median(report: Report, label: str, name: str) -> float | None:
    """The median of one metric in one row."""
    row = next(row for row in report["rows"] if row["label"] == label)
    return row["metrics"][name]["median"]


def _skipped(data: dict[str, Any]) -> list[str]:
    if not data["problem_list"]:
        return []
    lines = ["## Left out", ""]
    lines += [f"- {message}" for message in data["problem_list"][:ALL_SAMPLES]]
    if len(data["problem_list"]) > ALL_SAMPLES:
        lines.append(f"- … and {len(data['problem_list']) - ALL_SAMPLES} more, all in the JSON file")
    return [*lines, ""]


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
