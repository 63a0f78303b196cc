//! Large, fast and cleared output.

use anyhow::Result;
use serde_json::json;

use crate::client::{Client, Transcript, memory};

/// In kB: more than the kernel needs, and much less than the output of the cells.
const MEMORY: u64 = 300_000;

#[tokio::test]
async fn a_hundred_megabytes_are_cut_with_a_message() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let line = \"x\".repeat(99);\nfor _ in 0..1_000_000 { println!(\"{line}\"); }\n\"the end\"";
    let run = kernel.execute(code).await?.expect_ok();
    let printed = run.text("stdout").len();
    assert!((9_900_000..=10_000_000).contains(&printed), "{printed} bytes");
    let notices: Vec<_> = run.messages.iter().filter(|message| message.content["name"] == "stderr").collect();
    assert_eq!(notices.len(), 1);
    assert!(run.text("stderr").contains("10 MB"), "{}", run.text("stderr"));
    assert_eq!(run.value(), Some("\"the end\""));
    let peak = memory(kernel.process(), "VmHWM")?;
    println!("100 MB printed: the kernel's peak is {peak} kB");
    assert!(peak < MEMORY, "{peak} kB");
    assert_eq!(kernel.execute("println!(\"next\")").await?.expect_ok().text("stdout"), "next\n");
    kernel.shutdown().await
}

#[tokio::test]
async fn the_last_of_ten_thousand_updates_arrives() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use kensaku::show::{Handle, Message};\nlet mut handle = Handle::new();\nlet big = \"x\".repeat(20_000);\n\
                for step in 0..10_000 { handle.show(&Message::text(format!(\"{step} {big}\"))); }";
    let run = kernel.execute(code).await?.expect_ok();
    assert_eq!(run.kinds()[..2], ["execute_input", "display_data"]);
    let updates = run.kinds().iter().filter(|kind| **kind == "update_display_data").count();
    assert!((1..2_000).contains(&updates), "{updates} updates");
    let last = &run.messages[run.messages.len() - 2].content["data"]["text/plain"];
    assert!(last.as_str().is_some_and(|text| text.starts_with("9999 ")));
    let peak = memory(kernel.process(), "VmHWM")?;
    println!("10,000 updates: {updates} were sent, the kernel's peak is {peak} kB");
    assert!(peak < MEMORY, "{peak} kB");

    let many = "for step in 0..10_000 { kensaku::show::display(&kensaku::show::Message::text(format!(\"{step}\"))); }";
    let run = kernel.execute(many).await?.expect_ok();
    let displays = run.kinds().iter().filter(|kind| **kind == "display_data").count();
    assert_eq!(displays, 1_000);
    assert!(run.text("stderr").contains("1000 displays"), "{}", run.text("stderr"));
    kernel.shutdown().await
}

#[tokio::test]
async fn outputs_can_be_cleared() -> Result<()> {
    let mut kernel = Client::start().await?;
    let pause = "std::thread::sleep(std::time::Duration::from_millis(300));";
    let code = format!(
        "use kensaku::show::clear_output;\nprintln!(\"one\"); {pause}\nclear_output(true); println!(\"two\"); {pause}\n\
         clear_output(false); {pause}\nprintln!(\"never seen\"); clear_output(true);"
    );
    let run = kernel.execute(&code).await?.expect_ok();
    assert_eq!(run.kinds(), ["execute_input", "stream", "clear_output", "stream", "clear_output", "clear_output"]);
    let waits: Vec<_> = run.messages.iter().filter_map(|message| message.content["wait"].as_bool()).collect();
    assert_eq!(waits, [true, false, true]);
    kernel.shutdown().await
}

#[tokio::test]
async fn text_and_displays_stay_in_order() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use std::io::Write;\nuse kensaku::show::{Message, display};\n\
                for round in 0..20 {\n    print!(\"{round}\\r\");\n    display(&Message::text(format!(\"d{round}\")));\n}\nprint!(\"end\"); std::io::stdout().flush()?;";
    let run = kernel.execute(code).await?.expect_ok();
    let told: Vec<String> = run.messages[2..run.messages.len() - 1]
        .iter()
        .map(|message| match message.kind.as_str() {
            "stream" => message.content["text"].as_str().unwrap_or_default().to_owned(),
            _ => message.content["data"]["text/plain"].as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    let mut expected: Vec<String> = (0..20).flat_map(|round| [format!("{round}\r"), format!("d{round}")]).collect();
    expected.push("end".to_owned());
    assert_eq!(told, expected);
    kernel.shutdown().await
}

#[tokio::test]
async fn output_of_a_thread_that_outlives_its_cell_is_shown() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code =
        "std::thread::spawn(|| { std::thread::sleep(std::time::Duration::from_millis(500)); println!(\"late\"); });";
    let id = kernel.begin(code).await?;
    assert_eq!(kernel.finish(&id).await?.expect_ok().kinds(), ["execute_input"]);
    let late = kernel.wait_for(&id, "stream").await?;
    assert_eq!(late.content, json!({ "name": "stdout", "text": "late\n" }));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_held_lock_of_stdout_does_not_block_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = std::io::stdout().lock();").await?.expect_ok();
    assert_eq!(kernel.execute("println!(\"next\"); 2").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn stdout_and_stderr_stay_in_order() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "for i in 0..1000 {\n    println!(\"o{i}\"); eprintln!(\"e{i}\"); eprint!(\"DON{i}E\"); println!(\"検\"); eprint!(\"索\");\n}";
    let run = kernel.execute(code).await?.expect_ok();
    let lines = (0..1000).flat_map(|i| {
        let errors = [("stdout", format!("o{i}\n")), ("stderr", format!("e{i}\nDON{i}E"))];
        errors.into_iter().chain([("stdout", "検\n".to_owned()), ("stderr", "索".to_owned())])
    });
    assert_eq!(pieces(&run), lines.collect::<Vec<_>>());

    // Displays that Linux splits, while another thread writes to stderr.
    let code = "use kensaku::show::{Message, display};\n\
                let other = std::thread::spawn(|| for i in 0..2000 { eprintln!(\"e{i}\"); });\n\
                for i in 0..20 { display(&Message::text(format!(\"d{i} {}\", \"x\".repeat(300_000)))); }\n\
                other.join().unwrap();";
    let run = kernel.execute(code).await?.expect_ok();
    let displays = run.messages.iter().filter(|message| message.kind == "display_data");
    let sizes: Vec<_> = displays.map(|shown| shown.content["data"]["text/plain"].as_str().map(str::len)).collect();
    assert_eq!(sizes, (0..20).map(|i| Some(format!("d{i} ").len() + 300_000)).collect::<Vec<_>>());
    assert_eq!(run.text("stderr"), (0..2000).map(|i| format!("e{i}\n")).collect::<String>());
    kernel.shutdown().await
}

#[tokio::test]
async fn each_thread_keeps_its_order() -> Result<()> {
    let mut kernel = Client::start().await?;
    // Formatted first, as stderr writes each piece separately.
    let code = "let threads = [\"a\", \"b\"].map(|name| std::thread::spawn(move || for i in 0..500 {\n    \
                let line = format!(\"{name}{i}\\n\"); if i % 2 == 0 { print!(\"{line}\") } else { eprint!(\"{line}\") }\n}));\n\
                for thread in threads { thread.join().unwrap(); }";
    let run = kernel.execute(code).await?.expect_ok();
    let lines: Vec<(String, String)> = pieces(&run)
        .into_iter()
        .flat_map(|(stream, text)| text.lines().map(|line| (stream.to_owned(), line.to_owned())).collect::<Vec<_>>())
        .collect();
    for name in ["a", "b"] {
        let told: Vec<_> = lines.iter().filter(|(_, line)| line.starts_with(name)).cloned().collect();
        let stream = |i| if i % 2 == 0 { "stdout" } else { "stderr" };
        let expected: Vec<_> = (0..500).map(|i| (stream(i).to_owned(), format!("{name}{i}"))).collect();
        assert_eq!(told, expected);
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn output_of_libc_forks_and_programs_stays_in_order() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "unsafe extern \"C\" { fn write(descriptor: i32, bytes: *const u8, count: usize) -> isize; fn perror(text: *const i8); }\n\
                for _ in 0..20 {\n    println!(\"1\"); assert_eq!(unsafe { write(2, b\"2\\n\".as_ptr(), 2) }, 2); println!(\"3\");\n    \
                unsafe { perror(c\"4\".as_ptr().cast()) }; println!(\"5\");\n    \
                std::process::Command::new(\"sh\").args([\"-c\", \"echo 6; echo 7 >&2\"]).status()?;\n    \
                println!(\"8\"); eprintln!(\"9\"); \n}";
    let run = kernel.execute(code).await?.expect_ok();
    let told = pieces(&run);
    let shown: Vec<_> = told
        .iter()
        .map(|(stream, text)| {
            let starts: String = text.lines().filter_map(|line| line.chars().next()).collect();
            (*stream, starts)
        })
        .collect();
    let round = [("2", "3"), ("4", "56"), ("7", "8"), ("9", "1")];
    let mut expected = vec![("stdout", "1".to_owned())];
    for (error, out) in (0..20).flat_map(|_| round) {
        expected.extend([("stderr", error.to_owned()), ("stdout", out.to_owned())]);
    }
    expected.pop();
    assert_eq!(shown, expected);

    let code = "unsafe extern \"C\" { fn fork() -> i32; fn waitpid(process: i32, status: *mut i32, how: i32) -> i32; fn _exit(code: i32) -> !; }\n\
                println!(\"a\");\nlet process = unsafe { fork() };\nif process == 0 { unsafe {\n    \
                write(2, b\"b\\n\".as_ptr(), 2); write(1, b\"c\\n\".as_ptr(), 2); _exit(0)\n} }\n\
                unsafe { waitpid(process, std::ptr::null_mut(), 0) };\neprintln!(\"d\");";
    let run = kernel.execute(code).await?.expect_ok();
    let told = [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c\n"), ("stderr", "d\n")];
    assert_eq!(pieces(&run), told.map(|(stream, text)| (stream, text.to_owned())));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_huge_write_to_stderr_is_complete() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use std::io::{IoSlice, Write};\nlet text = \"検\".repeat(3_000_000);\nlet mut err = std::io::stderr();\n\
                println!(\"before\"); err.write_all(text.as_bytes())?; println!(\"after\");\n\
                let slices: Vec<_> = (0..100).map(|_| IoSlice::new(b\"0123456789\")).collect();\n\
                let written = err.write_vectored(&slices)?; println!(\" {written}\");";
    let run = kernel.execute(code).await?.expect_ok();
    let told = pieces(&run);
    let shape: Vec<_> = told.iter().map(|(stream, text)| (*stream, text.len())).collect();
    assert_eq!(shape, [("stdout", 7), ("stderr", 9_000_000), ("stdout", 6), ("stderr", 1000), ("stdout", 6)]);
    assert!(told[1].1.chars().all(|letter| letter == '検'));
    let code = "let megabytes = \"x\".repeat(100_000_000);\nlet written = std::io::stderr().write(megabytes.as_bytes())?;\nwritten";
    let run = kernel.execute(code).await?.expect_ok();
    assert_eq!(run.value(), Some("100000000"));
    assert!((10_000_000..10_001_000).contains(&run.text("stderr").len()));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_stream_can_be_redirected_and_restored() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use std::os::fd::AsRawFd;\nunsafe extern \"C\" { fn dup(descriptor: i32) -> i32; fn dup2(from: i32, to: i32) -> i32; }\n\
                let path = std::env::temp_dir().join(format!(\"kensaku-order-{}\", std::process::id()));\n\
                let file = std::fs::File::create(&path)?;\nlet kept = unsafe { dup(2) };\nunsafe { dup2(file.as_raw_fd(), 2) };\n\
                eprintln!(\"filed\");";
    assert_eq!(kernel.execute(code).await?.expect_ok().kinds(), ["execute_input"]);
    let code = "unsafe { dup2(1, 2) };\neprintln!(\"as stdout\");";
    assert_eq!(pieces(&kernel.execute(code).await?.expect_ok()), [("stdout", "as stdout\n".to_owned())]);
    let code = "unsafe { dup2(kept, 2) };\neprintln!(\"back\");\nlet filed = std::fs::read_to_string(&path)?;\n\
                std::fs::remove_file(&path)?;\nfiled";
    let run = kernel.execute(code).await?.expect_ok();
    assert_eq!(pieces(&run), [("stderr", "back\n".to_owned())]);
    assert_eq!(run.value(), Some("\"filed\\n\""));
    kernel.shutdown().await
}

#[tokio::test]
async fn the_text_of_a_value_is_cut_while_it_is_formatted() -> Result<()> {
    let mut kernel = Client::start().await?;
    let endless = "struct Endless;\nimpl std::fmt::Debug for Endless {\n    \
                   fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { loop { f.write_str(\"123\\n\")?; } }\n}\nEndless";
    for code in [endless, "vec![1.5f32; 2_000_000]", "\"検\".repeat(30_000_000)", "vec![(1, Some(\"a\")); 500_000]"] {
        let run = kernel.execute(code).await?.expect_ok();
        let value = run.value().unwrap_or_default();
        assert!((60_000..70_000).contains(&value.len()), "{code}: {} bytes", value.len());
        assert!(value.ends_with("… cut at 64 KiB: `println!` shows all of it"), "{code}");
    }
    let code = "let tokenizer = Tokenizer::train_wordpiece(&[\"a b c\"], &WordPieceConfig::default())?;\n\
                let model = BiEncoder::new(BertConfig::default(), tokenizer, BiEncoderConfig::default(), 42)?;\nmodel";
    let run = kernel.execute(code).await?.expect_ok();
    let value = run.value().unwrap_or_default();
    assert!(value.starts_with("BiEncoder (bert, ") && value.len() < 1000, "{value}");
    kernel.shutdown().await
}

#[tokio::test]
async fn tensors_show_their_numbers_and_tables_full_texts() -> Result<()> {
    let mut kernel = Client::start().await?;
    let tensor =
        kernel.execute("let t = Tensor::new(&[[1f32, 0.5], [0.25, 0.]], &Device::Cpu)?;\nt").await?.expect_ok();
    assert_eq!(tensor.value(), Some("[[1.0000, 0.5000],\n [0.2500, 0.0000]]\nTensor[[2, 2], f32]"));
    assert_eq!(kernel.execute("&t").await?.expect_ok().value(), tensor.value());
    let many = kernel.execute("(Some(t.clone()), vec![t.flatten_all()?])").await?.expect_ok();
    assert_eq!(many.value(), Some("(Some(Tensor[dims 2, 2; f32]), [Tensor[1, 0.5, 0.25, 0; f32]])"));
    let code = "let text = \"long \".repeat(100);\nlet frame = df!(\"text\" => vec![text; 30])?;\n\
                show::table(&frame, &show::TableConfig::whole())";
    let run = kernel.execute(code).await?.expect_ok();
    let html =
        run.messages.iter().find_map(|message| message.content["data"]["text/html"].as_str()).unwrap_or_default();
    assert_eq!(html.matches(&"long ".repeat(100)).count(), 30);
    kernel.shutdown().await
}

#[tokio::test]
async fn displays_for_stock_evcxr_are_shown() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "#[derive(Debug)]\nstruct D;\nimpl D {\n    fn evcxr_display(&self) {\n        \
                println!(\"EVCXR_BEGIN_CONTENT text/html\\n<b>x</b>\\nEVCXR_END_CONTENT\");\n    }\n}\nD";
    let shown = json!({ "text/html": "<b>x</b>" });
    for code in [code, "&D"] {
        let run = kernel.execute(code).await?.expect_ok();
        assert_eq!(run.kinds(), ["execute_input", "display_data"], "{code}");
        assert_eq!(run.messages[2].content["data"], shown);
    }
    let code = "trait Figure {\n    fn evcxr_display(&self) -> bool {\n        \
                println!(\"EVCXR_BEGIN_CONTENT text/html\\n<b>x</b>\\nEVCXR_END_CONTENT\"); true\n    }\n}\n\
                struct F;\nimpl Figure for F {}\nF";
    assert_eq!(kernel.execute(code).await?.expect_ok().messages[2].content["data"], shown);
    assert_eq!(kernel.execute("Some(D)").await?.expect_ok().value(), Some("Some(D)"));
    kernel.shutdown().await
}

/// The text of both streams in order, with consecutive pieces joined.
fn pieces(run: &Transcript) -> Vec<(&str, String)> {
    let mut pieces: Vec<(&str, String)> = Vec::new();
    for content in run.messages.iter().filter(|message| message.kind == "stream").map(|message| &message.content) {
        let (stream, text) =
            (content["name"].as_str().unwrap_or_default(), content["text"].as_str().unwrap_or_default());
        match pieces.last_mut() {
            Some((last, joined)) if *last == stream => joined.push_str(text),
            _ => pieces.push((stream, text.to_owned())),
        }
    }
    pieces
}
