"""Runs cells in stock evcxr_jupyter, prepared by `kensaku install --stock`.

    python stock.py

Tested with jupyter_client 8 and evcxr_jupyter 0.22.
"""

import sys
import time

import jupyter_client

# Stock evcxr infers types with rust-analyzer, which does not know the library, so the variables are annotated.
TENSOR = "let t: Tensor = Tensor::arange(0f32, 6f32, &Device::Cpu)?.reshape((2, 3))?;\nprintln!(\"sum {}\", t.sum_all()?.to_scalar::<f32>()?);"
FRAME = "let frame: DataFrame = df!(\"a\" => [1, 2, 3])?;\nframe"
CHART = "bars(\"held-out queries\", &[\"nDCG@10\"], &[(\"BM25\", vec![0.645])])?"
MIDDLE = "kensaku::show::display(&frame);\n1 + 1"


def main() -> None:
    start = time.monotonic()
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="kensaku-stock", startup_timeout=120)
    try:
        print(f"ready after {time.monotonic() - start:.1f} s")
        assert "sum 15" in run(client, TENSOR)["stdout"]
        frame = run(client, FRAME)
        assert "<table" in frame["text/html"] and "shape: (3, 1)" in frame["text/plain"], frame.keys()
        chart = run(client, CHART)
        # The first bytes of a PNG, in base64.
        assert chart["image/png"].startswith("iVBORw0KGgo") and chart["image/svg+xml"].startswith("<svg"), chart.keys()
        assert "<table" in run(client, MIDDLE)["text/html"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print("tensors, tables and charts are shown in stock evcxr_jupyter")


def run(client: jupyter_client.BlockingKernelClient, code: str) -> dict[str, str]:
    """Runs a cell, and returns its output by stream and MIME type."""
    found: dict[str, str] = {}

    def collect(message: dict) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            found[content["name"]] = found.get(content["name"], "") + content["text"]
        found.update(content.get("data") or {})
        if message["msg_type"] == "error":
            sys.exit("\n".join(content["traceback"]))

    start = time.monotonic()
    client.execute_interactive(code, timeout=120, output_hook=collect)
    print(f"{time.monotonic() - start:.1f} s  {code.splitlines()[0]}")
    return found


if __name__ == "__main__":
    main()
