"""Reruns an executed notebook with nbval, which compares the outputs.

    python run_nbval.py EXECUTED

nbval ignores updates of displays and keeps their first content. So all cells must run, but those with progress bars,
live charts or random numbers are not compared.
Tested with nbval 0.11.
"""

import pathlib
import subprocess
import sys
import tempfile

import nbformat

# Code that may show a progress bar on a slow machine, and code with random numbers.
VARYING = ["negatives(", "rand("]


def main(executed: str) -> None:
    notebook = nbformat.read(executed, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    compared = [cell for cell in cells if cell.outputs and is_settled(cell)]
    for cell in compared:
        cell.metadata["tags"] = ["nbval-check-output"]
    assert len(compared) >= len(cells) // 3, f"only {len(compared)} of {len(cells)} cells are compared"
    with tempfile.TemporaryDirectory() as folder:
        reference = pathlib.Path(folder) / "reference.ipynb"
        nbformat.write(notebook, reference)
        arguments = ["--nbval-lax", "--nbval-kernel-name=kensaku", "--nbval-cell-timeout=600"]
        pytest = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *arguments, str(reference)]
        subprocess.run(pytest, check=True)
    print(f"{len(cells)} cells ran, {len(compared)} were compared")


def is_settled(cell: nbformat.NotebookNode) -> bool:
    live = any(output.output_type == "display_data" for output in cell.outputs)
    return not live and not any(word in cell.source for word in VARYING)


if __name__ == "__main__":
    main(*sys.argv[1:])
