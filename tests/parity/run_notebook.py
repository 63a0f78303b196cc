"""Runs a notebook with nbclient, like nbconvert and papermill, and checks the result.

    python run_notebook.py NOTEBOOK EXECUTED

Tested with nbclient 0.10 and jupyter_client 8.
"""

import pathlib
import sys
import time

import nbclient
import nbformat

# The limit for the kernel process, without its child that runs the cells.
MEMORY_LIMIT_MB = 150


def main(source: str, target: str) -> None:
    notebook = nbformat.read(source, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="kensaku")
    memory = []
    client.on_cell_executed = lambda **_: memory.append(resident_mb(client.km.provisioner.pid))
    start = time.monotonic()
    client.execute()
    seconds = time.monotonic() - start
    path = pathlib.Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in cells]
    assert counts == list(range(1, len(cells) + 1)), counts
    outputs = [output for cell in cells for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html", "text/plain"} <= kinds, kinds
    assert any(output.output_type == "stream" for output in outputs)
    assert 0 < max(memory) < MEMORY_LIMIT_MB, memory
    print(f"{len(cells)} cells in {seconds:.1f} s, {len(outputs)} outputs, kernel process {max(memory):.0f} MB: {path}")


def resident_mb(process: int) -> float:
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]
    return int(kilobytes) / 1000


if __name__ == "__main__":
    main(*sys.argv[1:])
