"""Compares the output of an exported notebook with that of the notebook: all metrics must be equal.

    quickstart | python exported.py EXECUTED_NOTEBOOK
"""

import json
import pathlib
import re
import sys

# Lines with metrics: `nDCG@10 before 0.343, ..`, and the rows of a report or of a chart's text.
METRIC = re.compile(r"^((nDCG|RR|R)@\d+|trained|before|BM25)\b.*\d\.\d{3}")


def main(executed: str) -> None:
    program = metrics(sys.stdin.read())
    notebook = metrics("\n".join(texts(json.loads(pathlib.Path(executed).read_text()))))
    assert len(notebook) >= 8, notebook
    assert program == notebook, f"the program printed {program}, the notebook {notebook}"
    print(f"{len(program)} lines of metrics are equal in the notebook and in its program")


def texts(notebook: dict) -> list[str]:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return ["".join(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs]


def metrics(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if METRIC.match(line)]


if __name__ == "__main__":
    main(*sys.argv[1:])
