"""Compares a new script of ten lines with a warm cell with the same lines, and with a second run of the script.

    KENSAKU=target/release/kensaku python script_speed.py

Tested with jupyter_client 8.
"""

import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import jupyter_client

ROUNDS = 8
CODE = """let df = df!("a" => [1, 2, NUMBER], "b" => ["x", "y", "z"])?;
let kept = df.clone().lazy().filter(col("a").gt(lit(1))).collect()?;
let words: Vec<String> = kept.column("b")?.str()?.iter().flatten().map(str::to_owned).collect();
println!("{words:?}");
let t = Tensor::arange(0f32, 6f32, &Device::Cpu)?.reshape((2, 3))?;
let sum = t.sqr()?.sum_all()?.to_scalar::<f32>()?;
println!("{sum}");
let total: i32 = (0..10).sum();
println!("{total}");
kept
"""


def main() -> None:
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="kensaku", startup_timeout=120)
    times: dict[str, list[float]] = {"a warm cell": [], "a new script": [], "the script again": []}
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder) / "ten.rs"
        try:
            # The first round is for warm-up.
            for number in range(ROUNDS + 1):
                code = CODE.replace("NUMBER", str(number))
                script.write_text(code)
                steps = [lambda: cell(client, code), lambda: run(script), lambda: run(script)]
                for seconds, what in zip(times.values(), steps):
                    start = time.monotonic()
                    what()
                    if number > 0:
                        seconds.append(time.monotonic() - start)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    medians = {what: statistics.median(seconds) for what, seconds in times.items()}
    print(", ".join(f"{what} {median:.2f} s" for what, median in medians.items()))
    # As fast as a cell, with a margin for a busy machine.
    assert medians["a new script"] < 1.5 * medians["a warm cell"], times
    assert medians["the script again"] < 0.5 * medians["a new script"], times


def cell(client: jupyter_client.BlockingKernelClient, code: str) -> None:
    reply = client.execute_interactive(code, output_hook=lambda message: None, timeout=120)
    assert reply["content"]["status"] == "ok", reply


def run(script: pathlib.Path) -> None:
    subprocess.run([os.environ["KENSAKU"], "run", script], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
