"""A notebook with everything that the library displays, in Japanese."""

import nbformat

TABLE = 'df!("検索語" => ["東京の天気", "機械学習とは"], "文書" => ["明日は晴れのち曇り", "データから規則を学ぶ手法"], "得点" => [0.92, 0.81])?'
BARS = 'bars("検索モデルの比較（テスト用クエリ）", &["再現率", "nDCG@10"], &[("基準モデル", vec![0.41, 0.38]), ("学習後モデル", vec![0.72, 0.64])])?'
CURVE = """let mut curve = LossCurve::new("学習の損失");
for step in 0..60usize {
    curve.push(step, 2.0 / (1.0 + 0.2 * step as f64));
    curve.push_to("検証データ", step, 2.2 / (1.0 + 0.15 * step as f64));
    curve.push_rate(step, 1e-3 * (1.0 - step as f64 / 60.0));
    std::thread::sleep(std::time::Duration::from_millis(50));
}
curve.finish();"""
PROGRESS = """for _ in kensaku::show::progress_iter("文書を符号化", 0..40) {
    std::thread::sleep(std::time::Duration::from_millis(20));
}"""
# PNG only, which front ends show of a chart if they do not trust the notebook.
PICTURE = BARS.removesuffix("?").join(['let chart = ', '?;']) + """
let mut picture = kensaku::show::Show::bundle(&chart);
picture.data.remove("image/svg+xml");
picture"""
TEXT = 'kensaku::show::markdown("**検索**モデル: $s = q \\\\cdot d$, 精度 `0.92`")'
OUTPUT = 'println!("標準出力: 検索");\neprintln!("標準エラー出力: 警告");'
# Replacement glyphs would look the same in both.
GLYPHS = 'let picture = |title: &str| bars(title, &["a"], &[("b", vec![1.0])])?.png();\npicture("検索")? != picture("索検")?'
CELLS = [TABLE, BARS, PICTURE, CURVE, PROGRESS, TEXT, OUTPUT, GLYPHS]
FAILURES = ['let 数: String = 42;', 'let 結果: Result<u32> = Err(kensaku::Error::Chart { problem: "失敗".to_owned() });\n結果?']


def gallery() -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 検索モデルの学習"), *cells])
    notebook.metadata.kernelspec = {"name": "kensaku", "display_name": "Rust (kensaku)", "language": "rust"}
    return notebook
