#!/usr/bin/python3
"""Holds the documents against the programs, for 01-docs.t: every key of the configuration, every
command, every option stands in its manual, with its default, and nothing stands there that is not.

usage: docs.py ROOT EIPD EIPCTL"""
import re
import subprocess
import sys
import tempfile

ROOT, EIPD, EIPCTL = sys.argv[1:]


def read(name):
    with open(f"{ROOT}/{name}", encoding="utf-8") as file:
        return file.read()


def point(sentence, wrong):
    """wrong: what is missing or too much, a line each; empty where all is well."""
    print(f"{'not ok' if wrong else 'ok'} - {sentence}")
    for line in wrong:
        print(f"# {line}")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False,
                          stdin=subprocess.DEVNULL)


def table_of_keys():
    """{(section, key): default, None where it must be given} from the tables of config.c; the
    options of [dhcp] stand in [tag NAME] as well."""
    macros = {name: ("/etc" if base else "") + text for name, base, text in re.findall(
        r'#define (\w+) +(SYSCONFDIR )?"([^"]*)"', read("common/config.h"))}
    keys = {}
    for section, key, default in re.findall(r'^\t\{ "([a-z]+)", "([a-z-]+)", ("[^"]*"|\w+),',
                                            read("common/config.c"), re.M):
        keys[section, key] = default[1:-1] if default[0] == '"' else macros.get(default)
    return keys


def unknown_keys(keys):
    """Those that the program says it does not know."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        lines = ["[daemon]", "log-level = nonsense"]
        places = {}
        for section in sorted({section for section, _ in keys}):
            lines.append(f"[{section}]" if section != "tag" else "[tag x]")
            for key in sorted(key for s, key in keys if s == section):
                if (section, key) == ("daemon", "log-level"):
                    continue
                lines.append(f"{key} = \x01nonsense")
                places[len(lines)] = (section, key)
        file.write("\n".join(lines) + "\n")
        file.flush()
        said = run(EIPD, "-t", "-c", file.name).stderr
    if "log-level" not in said:
        return [("the program does not speak", said)]
    return [places[int(line)] for line in re.findall(r":(\d+): \[[^]]*\] \S+: unknown key", said)]


def manual_keys():
    """{(section, key): default as it is written} from eipd.conf.5."""
    keys, section = {}, None
    items = re.split(r"^\.(?=Ss |It |El)", read("conf/man/eipd.conf.5"), flags=re.M)
    for item in items:
        first, _, rest = item.replace("\\&", "").partition("\n")
        if first.startswith("Ss "):
            found = re.fullmatch(r"Ss Sections? \[(\w+).*\]", first)
            section = found and found[1]
        elif section and first.startswith("It Ic ") and " No = " in first:
            key = re.sub(r" Ns Ar ", "", first[len("It Ic "):].split(" No = ")[0])
            default = re.search(r"The default is(?:\n\.Ql (\S+) \.| (none))|It (must) be given",
                                rest)
            keys[section, key] = (None if default and default[3] else
                                  "" if default and default[2] else
                                  default[1] if default else "(not said)")
    return keys


def readme_keys():
    """Of the table of the configuration: `| section | `key`, `key` | … |`"""
    keys, section = set(), None
    for line in read("README").split("\n"):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) < 5:
            continue
        section = cells[1].split()[0] if cells[1] else section
        keys |= {(section, key) for key in re.findall(r"`([a-z-]+(?:\.N)?)`", cells[2])}
    return keys


def sample_keys():
    """Of conf/eipd.conf, commented out or not."""
    keys, section = set(), None
    for line in read("conf/eipd.conf").split("\n"):
        if found := re.match(r"#?\[(\w+).*\]", line):
            section = found[1]
        elif found := re.match(r"#?([a-z-]+)(\.[0-9]+)? =", line):
            keys.add((section, found[1] + (".N" if found[2] else "")))
    return keys


def listing(keys):
    return [f"[{section}] {key}" for section, key in sorted(keys)]


def check_keys():
    table, manual = table_of_keys(), manual_keys()
    plain = {key for key in manual if not key[1].startswith("option.")}
    point(f"the table of keys can be read ({len(table)})", [] if len(table) >= 40 else listing(table))
    point("the program knows each key of the table", listing(unknown_keys(table)))
    point("eipd.conf(5): every key is there", listing(set(table) - set(manual)))
    point("eipd.conf(5): and option.N", listing({("dhcp", "option.N")} - set(manual)))
    point("eipd.conf(5): the program knows every key that is there", listing(unknown_keys(plain)))
    point("eipd.conf(5): each has its default", [
        f"[{s}] {k}: {manual[s, k]}, but it is {default}" for (s, k), default in sorted(table.items())
        if (s, k) in manual and manual[s, k] != default])
    point("README: every key is in the table", listing(set(table) - readme_keys()))
    point("conf/eipd.conf: every key is there", listing(set(table) - sample_keys()))


def commands():
    """{words: arguments} of `eipctl help`."""
    text = run(EIPCTL, "help").stdout.partition("\ncommands")[2]
    return dict(re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: ([A-Z\[].*))?$", text, re.M))


def manual_commands():
    """{words: source of the item} of the list of commands in eipctl.8."""
    text = read("conf/man/eipctl.8").partition("The commands are:")[2].partition("\n.Ss JSON")[0]
    items = {}
    for item in text.split("\n.It Ic ")[1:]:
        words = re.match(r"[a-z]+(?: [a-z]+)?(?= |\n)", item)
        items[words[0] if words else item[:20]] = item
    return items


def check_commands():
    helped, manual = commands(), manual_commands()
    point(f"eipctl help lists commands ({len(helped)})", [] if len(helped) >= 17 else sorted(helped))
    point("eipctl(8): every command is there", sorted(set(helped) - set(manual)))
    point("eipctl(8): and no other", sorted(set(manual) - set(helped)))
    point("eipctl(8): every option of a command is with it", [
        f"{words}: {option}" for words, arguments in helped.items()
        for option in re.findall(r"--[a-z-]+", arguments)
        if f"Fl {option[1:]}" not in manual.get(words, "")])
    json = read("conf/man/eipctl.8").partition("\n.Ss JSON")[2].partition("\n.Ss ")[0]
    told = set(re.findall(r"(?:^\.It Ic |, |^\.Ic )([a-z]+(?: [a-z]+)?)(?= ,|\n)", json, re.M))
    point("eipctl(8): every command's JSON is there", sorted(set(helped) - told - {"help"}))


def check_options():
    for program, name in ((EIPD, "eipd"), (EIPCTL, "eipctl")):
        page = read(f"conf/man/{name}.8")
        usage = run(program, "-h").stdout.partition("\ncommands")[0]
        options = re.findall(r"(?<![\w-])-(-?[a-z-]+|[A-Z])(?![\w])", usage)
        point(f"{name}(8): every option of {name} -h is there", sorted(
            {option for option in options if not re.search(rf"^\.It .*Fl {option}\b", page, re.M)}))


check_keys()
check_commands()
check_options()
print("done")
