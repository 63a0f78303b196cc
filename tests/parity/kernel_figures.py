"""Compares waiting times and memory of our kernel with stock evcxr_jupyter and ipykernel.

    python kernel_figures.py TARGET [--quick] [--only ours stock ipykernel]

TARGET is cargo's `release` folder after building `kensaku` and running `kensaku install`. The stock kernel is built
here with its usual optimisation: this project compiles rust-analyzer's crates with less, as its kernel hardly uses
them. Requires jupyter_client and ipykernel. A quick run takes about five minutes, a full one about twenty.
The stock kernel gets the same dylib, which it can use as long as variables have type annotations. The column
"published" has its figures with the same crates as normal dependencies, on an idle machine.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

from kernel_client import Kernel

CLONE = pathlib.Path(__file__).resolve().parents[2]
USES = """use kensaku::prelude::*;
use kensaku::candle_core::{DType, Device, Tensor};
use kensaku::polars::prelude::*;"""
FRAME = 'let frame: DataFrame = df!("kind" => ["a", "b", "a", "c"], "n" => [1i64, 2, 3, 4])?;'
TENSOR = "let c: Tensor = Tensor::ones((64, 64), DType::F64, &Device::Cpu)?;"
CANDLE = "let d{n}: Tensor = c.to_dtype(DType::F32)?.sum_all()?;"
POLARS = """let q{n}: DataFrame = frame.clone().lazy().filter(col("n").gt(lit({n} % 3)))
    .group_by([col("kind")]).agg([col("n").sum()]).collect()?;
{show}"""
TRAINER = """let data: Dataset = rustdoc()?;
let train: Split = data.split("train")?;
let triples: TrainingSet = bm25_negatives(&train.queries, &train.qrels, &data.corpus, &MineConfig { num_negatives: 1, ..Default::default() })?;
let tokenizer: Tokenizer = Tokenizer::train_wordpiece(&data.corpus.texts(), &WordPieceConfig::default())?;
let settings: BiEncoderConfig = BiEncoderConfig { max_length: 64, ..Default::default() };
let model: BiEncoder = BiEncoder::new(BertConfig::default(), tokenizer.clone(), settings, 42)?;
let mut trainer: Trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), TrainConfig { batch_size: 64, epochs: 200, ..Default::default() })?;"""
TRAIN = """for step in trainer.steps(&triples)? {
    println!("{}", step?.step);
}"""
NEXT = 'println!("next {}", trainer.steps(&triples)?.next().transpose()?.map_or(0, |step| step.step));'
COMPLETIONS = ["frame.he", "frame.lazy().fil", "c.to_d", "c.sum_a", "loss::", "DataFrame::n", "Tensor::on", "col(\"a\").al", "std::fs::re", "vec![1].it"]
PRINTED = 'for n in 0..1_000_000 { println!("{n:099}"); }'
UPDATES = """let mut handle: kensaku::show::Handle = kensaku::show::Handle::new();
for n in 0..10_000 { handle.show(&kensaku::show::markdown(format!("update {n}"))); }"""

ROWS = [
    # what, goal, stock as published
    ("start to kernel_info reply (s)", "0.2", "3.3"),
    ("start to the first result with the crates (s)", "1.2", "42"),
    ("warm cell, no new variable, median (s)", "0.25", "0.3-0.6"),
    ("candle cell with a new variable, median (s)", "0.4", "2.3"),
    ("Polars lazy cell, variable and table, median (s)", "0.6", "1.7"),
    ("slowdown after 200 cells (x)", "< 1.3", ""),
    ("memory after 50 cells, completion used (MB)", "80", "2300"),
    ("completion, 95th percentile (s)", "0.3", ""),
    ("completions with matches", "10/10", ""),
    ("interrupted training: cell ended (s)", "0.3", "killed"),
    ("variables after the interrupt", "kept", "lost"),
    ("100 MB printed (s)", "", ""),
    ("  shown (MB)", "capped", ""),
    ("10,000 display updates (s)", "", ""),
    ("  kernel process, peak (MB)", "< 300", ""),
]


def rust(start, quick: bool, stock: bool) -> dict[str, str]:
    """The figures of a Rust kernel; `start` starts one."""
    figures = {}
    starts = []
    for _ in range(1 if quick else 5):
        before = time.monotonic()
        kernel = start()
        kernel.must(f"{USES}\n{TENSOR}\nprintln!(\"{{}}\", c.sum_all()?);")
        starts.append((kernel.ready, time.monotonic() - before))
        kernel.stop()
    figures["start to kernel_info reply (s)"] = median([ready for ready, _ in starts])
    figures["start to the first result with the crates (s)"] = median([first for _, first in starts])
    kernel = start()
    for part in (cells, output, interrupts):
        try:
            figures |= part(kernel, quick, stock)
        except Exception as problem:
            print(f"  {part.__name__} failed: {str(problem)[:600]}", file=sys.stderr)
            kernel.stop()
            kernel = start()
    kernel.stop()
    return figures


def cells(kernel: Kernel, quick: bool, stock: bool) -> dict[str, str]:
    for code in (USES, FRAME, TENSOR):
        kernel.must(code)
    typed = (lambda code: code) if stock else (lambda code: code.replace(": Tensor =", " =").replace(": DataFrame =", " ="))
    warm = lambda n: kernel.must(f'println!("{{}}", frame.height() + {n});').seconds
    # Displays the table in either kernel: stock looks for `evcxr_display` or Debug.
    polars = lambda n: kernel.must(typed(POLARS).format(n=n, show=f"q{n}.clone()" if not stock else f"kensaku::show::display(&q{n});")).seconds
    candle = lambda n: kernel.must(typed(CANDLE).format(n=n)).seconds
    warm(0), candle(0), polars(0)
    few, many = (5, 10) if quick else (20, 50)
    first = [warm(n) for n in range(many)]
    figures = {
        "warm cell, no new variable, median (s)": median(first),
        "candle cell with a new variable, median (s)": median([candle(n) for n in range(1, few)]),
        "Polars lazy cell, variable and table, median (s)": median([polars(n) for n in range(1, few)]),
    }
    times, offered = [], 0
    for n in range(1 if quick else 5):
        for code in COMPLETIONS:
            seconds, matches = kernel.complete(code)
            times.append(seconds)
            offered += bool(matches) and n == 0
    if offered:
        figures["completion, 95th percentile (s)"] = f"{sorted(times)[int(0.95 * (len(times) - 1))]:.3f}"
    figures["completions with matches"] = f"{offered}/{len(COMPLETIONS)}"
    done = 3 + many + 2 * few
    for n in range(done, 50):
        candle(1000 + n)
    figures["memory after 50 cells, completion used (MB)"] = f"{kernel.memory():.0f}"
    if not quick:
        for n in range(max(done, 50), 200):
            [warm, candle, polars, lambda n: kernel.must(f"fn f{n}(x: u64) -> u64 {{ x + {n} }}")][n % 4](2000 + n)
        last = [warm(n) for n in range(20)]
        figures["slowdown after 200 cells (x)"] = f"{statistics.median(last) / statistics.median(first):.2f}"
    return figures


def output(kernel: Kernel, quick: bool, stock: bool) -> dict[str, str]:
    kernel.must(USES)
    printed = kernel.execute(PRINTED)
    figures = {"100 MB printed (s)": f"{printed.seconds:.1f}", "  shown (MB)": f"{len(printed.text) / 1e6:.1f}"}
    print(f"  the printed text ends in: {printed.text[-200:]!r}", file=sys.stderr)
    updates = kernel.execute(UPDATES)
    figures["10,000 display updates (s)"] = f"{updates.seconds:.1f}"
    last = updates.text.strip().splitlines()[-1:]
    print(f"  displays: {updates.kinds}, the last: {last}", file=sys.stderr)
    kernel.must("println!(\"{}\", 1 + 1);")
    figures["  kernel process, peak (MB)"] = f"{kernel.memory('VmHWM'):.0f}"
    return figures


def interrupts(kernel: Kernel, quick: bool, stock: bool) -> dict[str, str]:
    kernel.must(USES)
    kernel.must(TRAINER)
    times, kept = [], True
    for _ in range(1 if quick or stock else 5):
        begun = kernel.begin(TRAIN)
        kernel.wait_for_text(begun)
        time.sleep(1)
        start = time.monotonic()
        kernel.interrupt()
        kernel.finish(begun)
        times.append(time.monotonic() - start)
        after = kernel.execute(NEXT)
        kept &= after.text.startswith("next ") and int(after.text.split()[1]) > 1
    return {
        "interrupted training: cell ended (s)": f"{median(times)} (worst {max(times):.2f})",
        "variables after the interrupt": "kept" if kept else "lost",
    }


def python(quick: bool) -> dict[str, str]:
    starts = []
    for _ in range(1 if quick else 5):
        before = time.monotonic()
        kernel = Kernel([sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
        kernel.must("1 + 1")
        starts.append((kernel.ready, time.monotonic() - before))
        warm = [kernel.must("print(1)").seconds for _ in range(50)]
        kernel.stop()
    return {
        "start to kernel_info reply (s)": median([ready for ready, _ in starts]),
        "start to the first result with the crates (s)": f"{median([first for _, first in starts])} (1 + 1)",
        "warm cell, no new variable, median (s)": median(warm),
    }


def median(values: list[float]) -> str:
    return f"{statistics.median(values):.3f}"


def stock_binary(release: pathlib.Path) -> pathlib.Path:
    """Builds the stock kernel fully optimised, in a separate folder."""
    target = release.parent / "stock"
    unoptimised = tomllib.loads((CLONE / "Cargo.toml").read_text())["profile"]["release"]["package"]
    options = [part for name in unoptimised for part in ("--config", f"profile.release.package.{name}.opt-level=3")]
    build = ["cargo", "build", "--release", "-p", "kensaku-kernel", "--example", "stock", "--target-dir", str(target)]
    subprocess.run(build + options, check=True, cwd=CLONE)
    return target / "release/examples/stock"


def stock_start(release: pathlib.Path, config: pathlib.Path):
    """Returns a function that starts the stock kernel, configured to pass the dylib to rustc."""
    stock = stock_binary(release)
    records = (json.loads(record.read_text()) for record in release.glob("kensaku-dylib-*.json"))
    dylib = next(record for record in records if record["workspace"] == str(CLONE))
    flags = ["-Cprefer-dynamic", "--extern", f"kensaku={dylib['library']}", f"-Ldependency={dylib['dependencies']}"]
    (config / "evcxr.toml").write_text('[evcxr]\nopt_level = "0"\n')
    (config / "init.evcxr").write_text(":build_env CARGO_ENCODED_RUSTFLAGS=" + "\x1f".join(flags) + "\n")
    folders = f"{pathlib.Path(dylib['library']).parent}:{dylib['standard_library']}"
    env = {**os.environ, "EVCXR_CONFIG_DIR": str(config), "LD_LIBRARY_PATH": folders}
    return lambda: Kernel([str(stock), "--control_file", "{connection_file}"], env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=["ours", "stock", "ipykernel"])
    arguments = parser.parse_args()
    release, quick = arguments.target.absolute(), arguments.quick
    columns = {}
    with tempfile.TemporaryDirectory() as config:
        starts = {
            "ours": lambda: rust(lambda: Kernel([str(release / "kensaku"), "kernel", "{connection_file}"]), quick, False),
            "stock": lambda: rust(stock_start(release, pathlib.Path(config)), quick, True),
            "ipykernel": lambda: python(quick),
        }
        for name in arguments.only:
            before = os.getloadavg()[0]
            columns[name] = starts[name]()
            print(f"{name}: load {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores", file=sys.stderr)
    header = ["", "goal", "published", *columns]
    table = [header] + [[*row, *(column.get(row[0], "") for column in columns.values())] for row in ROWS]
    widths = [max(len(line[index]) for line in table) for index in range(len(header))]
    for line in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if line is header:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
