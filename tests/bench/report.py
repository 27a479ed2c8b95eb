#!/usr/bin/python3
"""Figures and what is made of them: aligned tables, JSON, plots, and whether the marks are met. It
knows what the measures are called, not how they are made.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys

# name: (title, unit, decimals, what the columns are); in the order in which they are printed
MEASURES = {
    "dhcp": {
        "cpu": ("CPU of a four-way exchange, 1,000 a second", "us", 1),
        "cpu_full": ("CPU of a four-way exchange, as many as it can, 32 under way", "us", 1),
        "first": ("CPU of a machine's first exchange, 1,000 a second", "us", 1),
        "rate": ("highest rate of exchanges with less than 0.1 % lost", "1/s", 0),
        "busy": ("what the server used of its core at that rate", "%", 0),
        "p50": ("latency of an exchange, median", "us", 0),
        "p99": ("latency of an exchange, 99 %", "us", 0),
    },
    "storm": {
        "storm": ("boot storm until all are served (perfdhcp, avalanche)", "s", 2),
    },
    "reload": {
        "reload": ("one line changed: until it is in force", "ms", 1),
        "gap": ("one line changed: longest gap in answers meanwhile", "ms", 1),
        "reload_all": ("all lines changed: until they are in force", "ms", 1),
        "gap_all": ("all lines changed: longest gap in answers meanwhile", "ms", 1),
    },
    "bind": {
        "bind": ("one bind", "ms", 2),
        "unbind": ("one unbind", "ms", 2),
        "kernel": ("of it, what the kernel takes to read and write the table of iptables", "ms", 2),
    },
    "bulk": {
        "bulk": ("all bound at once (eipd: a reload with auto-bind)", "ms", 1),
        "bulk_gap": ("longest gap in DHCP's answers meanwhile, one core for both", "ms", 1),
    },
    "flows": {
        "inward": ("CPU of a new connection from outside", "ns", 0),
        "outward": ("CPU of a new connection to the outside", "ns", 0),
        "flow_p50": ("latency of a new connection, there and back, median", "us", 1),
        "flow_p99": ("latency of a new connection, there and back, 99 %", "us", 1),
    },
    "memory": {
        "private": ("private memory, with code that nobody else runs at the time", "kB", 0),
        "dirty": ("private memory, without code", "kB", 0),
        "resident": ("resident memory", "kB", 0),
        "binary": ("the program, without symbols", "kB", 0),
        "libraries": ("its shared libraries, without libc", "kB", 0),
    },
    "first": {
        "offer": ("from exec to the first OFFER", "ms", 1),
    },
}
COLUMNS = {"dhcp": "VMs", "storm": "clients", "reload": "lines", "bind": "bound", "bulk": "bound",
           "flows": "bindings", "memory": "VMs", "first": "VMs"}
EIPD = "eipd"
IN_MEMORY = "eipd, state not on disk"
PATENT = "the patent's commands"


class Figures:
    """All that was measured."""

    def __init__(self, machine):
        self.machine, self.list, self.notes = machine, [], []

    def add(self, measure, subject, size, values):
        section = next(name for name, measures in MEASURES.items() if measure in measures)
        title, unit, _ = MEASURES[section][measure]
        self.list.append({"section": section, "measure": measure, "title": title, "unit": unit,
                          "subject": subject, "size": size,
                          "median": statistics.median(values), "min": min(values),
                          "max": max(values), "runs": values})

    def note(self, section, subject, size, text):
        note = {"section": section, "subject": subject, "size": size, "text": text}
        if note not in self.notes:
            self.notes.append(note)

    def find(self, measure, subject, size):
        for figure in self.list:
            if (figure["measure"], figure["subject"], figure["size"]) == (measure, subject, size):
                return figure
        return None

    def median(self, measure, subject, size):
        figure = self.find(measure, subject, size)
        return figure["median"] if figure else None

    def subjects(self, measure):
        return list(dict.fromkeys(f["subject"] for f in self.list if f["measure"] == measure))

    def sizes(self, measure):
        return sorted({f["size"] for f in self.list if f["measure"] == measure},
                      key=lambda size: size or 0)

    # ---- tables

    def table(self, section, measure):
        """Lines: a row for each subject, a column for each size."""
        title, unit, decimals = MEASURES[section][measure]
        sizes = self.sizes(measure)
        base = [self.median(measure, EIPD, size) for size in sizes]
        rows = [[""] + ["" if size is None else f"{size:,} {COLUMNS[section]}" for size in sizes]]
        for subject in self.subjects(measure):
            row = [subject]
            for size, eipd in zip(sizes, base):
                figure = self.find(measure, subject, size)
                row.append(cell(figure, eipd, decimals) if figure else "-")
            rows.append(row)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        yield f"{title}, {unit.replace('us', 'µs')}"
        for row in rows:
            yield "  " + row[0].ljust(widths[0]) + "".join(
                "   " + text.rjust(width) for text, width in zip(row[1:], widths[1:]))
        yield ""

    def tables(self, section):
        for measure in MEASURES[section]:
            if self.subjects(measure):
                yield from self.table(section, measure)
        if section == "bind":
            yield from bind_parts(self)
        for note in self.notes:
            if note["section"] == section:
                size = f", {note['size']:,} {COLUMNS[section]}" if note["size"] else ""
                yield f"  note: {note['subject']}{size}: {note['text']}"
        yield ""


def cell(figure, eipd, decimals):
    """median (min-max) ×ratio to eipd"""
    median, low, high = (f"{figure[key]:,.{decimals}f}" for key in ("median", "min", "max"))
    spread = f" ({low}–{high})" if len(figure["runs"]) > 1 else ""
    ratio = f" ×{figure['median'] / eipd:.2f}" if eipd else ""
    return median + spread + ratio


def bind_parts(figures):
    """Lines: where the time of a bind goes, from the difference of what was measured."""
    sizes = figures.sizes("kernel")
    rows = [["", *(f"{size:,} bound" for size in sizes)],
            ["the state file, to the disk (two fsync)"], ["the kernel: the table of iptables"],
            ["all else: the address, the comparison, the socket"],
            ["the kernel's part alone / the patent's commands"]]
    for size in sizes:
        whole, memory, patent = (figures.median("bind", name, size)
                                 for name in (EIPD, IN_MEMORY, PATENT))
        kernel = figures.median("kernel", IN_MEMORY, size)
        if None in (whole, memory, patent):
            return
        for row, part in zip(rows[1:], (whole - memory, kernel, memory - kernel)):
            row.append(f"{part:,.2f} ms {part / whole * 100:3.0f} %")
        rows[4].append(f"{kernel / patent:.3f}")
    if not sizes:
        return
    yield "where the time of a bind goes (eipd)"
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  " + row[0].ljust(widths[0]) + "".join(
            "   " + text.rjust(width) for text, width in zip(row[1:], widths[1:]))
    yield ""


# ---- marks

def ratio_marks(figures):
    """(what, limit, the value or None); the value must not exceed the limit."""
    def value(measure, subject, size):
        return figures.median(measure, subject, size)

    def ratio(upper, lower):
        return upper / lower if upper is not None and lower else None

    def best(measure, size):
        others = [value(measure, name, size) for name in figures.subjects(measure)
                  if not name.startswith(EIPD) and name != "bare reflector"]
        return max([other for other in others if other], default=None)

    def least(measure, size, names):
        others = [value(measure, name, size) for name in names]
        return min([other for other in others if other], default=None)

    dnsmasq = "dnsmasq, no lease file"
    for measure, when in ("cpu", "1,000 a second"), ("cpu_full", "as many as it can"):
        for size in 100, 100000:
            yield (f"CPU of an exchange / the bare reflector's, {size:,} VMs, {when}", 1.25,
                   ratio(value(measure, EIPD, size), value(measure, "bare reflector", size)))
        flat = [value(measure, EIPD, size) for size in (100, 100000)]
        yield (f"CPU of an exchange, 100,000 VMs and 100: greater / smaller, {when}", 1.10,
               ratio(max(flat), min(flat)) if all(flat) else None)
        for size, limit in (1000, 1 / 4), (10000, 1 / 12):
            yield (f"CPU of an exchange / dnsmasq's, {size:,} VMs, {when}", limit,
                   ratio(value(measure, EIPD, size), value(measure, dnsmasq, size)))
    for size in figures.sizes("rate"):
        yield (f"best peer's highest rate / ours, {size:,} VMs", 1.0,
               ratio(best("rate", size), value("rate", EIPD, size)))
    yield "reload of 100,000 lines, ms", 500, value("reload", EIPD, 100000)
    yield "the same, longest gap in answers, ms", 20, value("gap", EIPD, 100000)
    yield "reload of 100,000 lines, all changed, ms", 500, value("reload_all", EIPD, 100000)
    yield "the same, longest gap in answers, ms", 20, value("gap_all", EIPD, 100000)
    yield ("one bind / the patent's commands, 100 bound", 1 / 15,
           ratio(value("bind", EIPD, 100), value("bind", PATENT, 100)))
    restore = "iptables-legacy-restore of the same rules"
    yield ("4,000 in one reload / iptables-legacy-restore, which adds no addresses", 1.0,
           ratio(value("bulk", EIPD, 4000), value("bulk", restore, 4000)))
    yield ("the same, the rules alone / iptables-legacy-restore", 1.0,
           ratio(value("bulk", "eipd, the rules alone", 4000), value("bulk", restore, 4000)))
    yield ("the same, both / iptables-legacy-restore and ip -batch of the addresses", 1.0,
           ratio(value("bulk", EIPD, 4000),
                 value("bulk", "the same, and ip -batch of the addresses", 4000)))
    yield ("the same, longest gap in DHCP's answers meanwhile, ms", 20,
           value("bulk_gap", EIPD, 4000))
    for measure, where in ("inward", "from outside"), ("outward", "to the outside"):
        yield (f"a new connection {where}, 16,384 bindings / 1", 1.15,
               ratio(value(measure, EIPD, 16384), value(measure, EIPD, 1)))
    peers = [dnsmasq, "busybox udhcpd"]
    yield ("private memory / the least of dnsmasq's and udhcpd's, 1,000 VMs", 1.0,
           ratio(value("private", EIPD, 1000), least("private", 1000, peers)))
    yield "private memory, 1,000 VMs, kB", 1024, value("private", EIPD, 1000)
    yield "private memory, 100,000 VMs, kB", 20480, value("private", EIPD, 100000)
    yield "from exec to the first OFFER, 1,000 VMs, ms", 20, value("offer", EIPD, 1000)


def marks(figures):
    return [{"what": what, "limit": limit, "value": value, "met": value <= limit}
            for what, limit, value in ratio_marks(figures) if value is not None]


def marks_table(figures):
    rows = marks(figures)
    width = max((len(row["what"]) for row in rows), default=0)
    for row in rows:
        yield (f"  {row['what'].ljust(width)}  {row['value']:10.3f}  at most {row['limit']:9.3f}  "
               + ("met" if row["met"] else "MISSED"))


# ---- the README's tables

# (what, measure, sizes, decimals)
README_DHCP = [
    ("CPU of an exchange, µs", "cpu", (100, 1000, 10000, 100000), 0),
    ("exchanges a second", "rate", (100, 1000, 10000, 100000), 0),
    ("boot storm, s", "storm", (1000, 10000), 1),
    ("reload, ms", "reload", (1000, 10000, 100000), 0),
    ("private memory, kB", "private", (1000, 100000), 0),
    ("exec to first OFFER, ms", "offer", (1000,), 0),
]
README_NAT = [
    ("one bind, ms", "bind", (0, 100, 1000, 16000), 1),
    ("a new connection in, ns", "inward", (1, 256, 16384), 0),
    ("a new connection out, ns", "outward", (1, 256, 16384), 0),
]


def markdown_table(figures, rows, subjects, unit):
    subjects = [name for name in subjects
                if any(name in figures.subjects(measure) for _, measure, _, _ in rows)]
    yield f"| | {unit} | " + " | ".join(subjects) + " |"
    yield "|---|---:|" + "---:|" * len(subjects)
    for what, measure, sizes, decimals in rows:
        for size in sizes:
            cells = [figures.median(measure, name, size) for name in subjects]
            if any(cell is not None for cell in cells):
                yield f"| {what} | {size:,} | " + " | ".join(
                    "–" if cell is None else f"{cell:,.{decimals}f}" for cell in cells) + " |"
    yield ""


def markdown(figures):
    """The tables of the README's section on speed."""
    machine = figures.machine
    yield (f"Medians of one run on {machine['date'][:10]}: {machine['cpu']}, {machine['cores']} "
           f"cores, Linux {machine['kernel']}.")
    yield ""
    yield from markdown_table(figures, README_DHCP, [
        EIPD, "eipd, static", "bare reflector", "dnsmasq, no lease file", "busybox udhcpd",
        "ISC dhcpd", "Kea"], "machines")
    yield from markdown_table(figures, README_NAT, [
        EIPD, IN_MEMORY, PATENT, "iptables-legacy-restore", "nft, a map"], "bound")
    missed = [mark for mark in marks(figures) if not mark["met"]]
    yield f"Marks: {len(marks(figures)) - len(missed)} of {len(marks(figures))} are met" + (
        "." if not missed else "; missed: " + "; ".join(
            f"{mark['what']}: {mark['value']:.3g}, not {mark['limit']:.3g}" for mark in missed)
        + ".")


def load(path):
    """Figures from a bench.json."""
    with open(path, encoding="utf8") as file:
        kept = json.load(file)
    figures = Figures(kept["machine"])
    figures.list, figures.notes = kept["figures"], kept["notes"]
    return figures


# ---- files

# what is plotted over the size: (measure, logarithmic)
PLOTS = ["cpu", "cpu_full", "rate", "storm", "reload", "gap", "bind", "inward", "outward", "private"]
COLOURS = {"eipd": "#c00000", "bare reflector": "#808080"}
OTHERS = ["#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2"]


def plot(figures, measure, directory):
    """An SVG of the medians with their spread; nothing for a single size."""
    section = next(name for name, measures in MEASURES.items() if measure in measures)
    sizes = [size for size in figures.sizes(measure) if size]
    if len(sizes) < 2:
        return
    title, unit, _ = MEASURES[section][measure]
    data, lines, colours = "", [], iter(OTHERS)
    for number, subject in enumerate(figures.subjects(measure)):
        colour = COLOURS.get(subject) or next(colours)
        width = 3 if subject == EIPD else 1.5
        lines.append(f"$d{number} using 1:2:3:4 with yerrorlines lw {width} lc rgb '{colour}' "
                     f"pt 7 ps 0.5 title \"{subject}\"")
        data += f"$d{number} << EOD\n"
        for size in sizes:
            figure = figures.find(measure, subject, size)
            if figure and figure["median"] > 0:
                data += f"{size} {figure['median']} {figure['min']} {figure['max']}\n"
        data += "EOD\n"
    script = f"""
set terminal svg size 800,480 font 'sans,13' background rgb 'white'
set output '{directory}/{measure}.svg'
set logscale xy
set format x '%.0f'
set format y '%.0f'
set grid ytics lc rgb '#dddddd'
set key outside right top Left reverse
set title "{title}"
set xlabel "{COLUMNS[section]}"
set ylabel "{unit.replace('us', 'µs')}"
set xrange [{sizes[0] / 1.5}:{sizes[-1] * 1.5}]
set xtics ({', '.join(f'"{size:,}" {size}' for size in sizes)})
{data}plot {', '.join(lines)}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=False)


def write(figures, build):
    """bench.json, and below bench/ the tables and the plots; the tables as one text."""
    directory = os.path.join(build, "bench")
    with open(os.path.join(build, "bench.json"), "w", encoding="utf8") as out:
        json.dump({"machine": figures.machine, "figures": figures.list, "notes": figures.notes,
                   "marks": marks(figures)}, out, indent=1, ensure_ascii=False)
        out.write("\n")
    with open(os.path.join(directory, "tables.txt"), "w", encoding="utf8") as out:
        out.write(text(figures))
    with open(os.path.join(directory, "tables.md"), "w", encoding="utf8") as out:
        out.write("\n".join(markdown(figures)) + "\n")
    if shutil.which("gnuplot"):
        for measure in PLOTS:
            plot(figures, measure, directory)


def text(figures):
    machine = figures.machine
    lines = [f"{key}: {value}" for key, value in machine.items() if not isinstance(value, dict)]
    lines += [f"{name}: {version}" for name, version in machine["versions"].items()]
    lines.append("")
    for section in MEASURES:
        lines += [line for line in figures.tables(section) if line or lines[-1]]
    if marks(figures):
        lines += ["marks", *marks_table(figures), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--markdown":
        sys.exit("usage: report.py --markdown build/bench.json")
    print("\n".join(markdown(load(sys.argv[2]))))
