//! Output that is much, fast, or taken back.

use anyhow::Result;
use serde_json::json;

use crate::client::Client;

/// More than the kernel needs, much less than what the cells put out.
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
    let peak = peak_memory(kernel.process())?;
    println!("100 MB printed: the kernel's peak is {peak} kB");
    assert!(peak < MEMORY, "{peak} kB");
    assert_eq!(kernel.execute("println!(\"next\")").await?.expect_ok().text("stdout"), "next\n");
    kernel.shutdown().await
}

#[tokio::test]
async fn of_ten_thousand_updates_the_last_one_arrives() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use kensaku::show::{Handle, Message};\nlet mut handle = Handle::new();\nlet big = \"x\".repeat(20_000);\n\
                for step in 0..10_000 { handle.show(&Message::text(format!(\"{step} {big}\"))); }";
    let run = kernel.execute(code).await?.expect_ok();
    assert_eq!(run.kinds()[..2], ["execute_input", "display_data"]);
    let updates = run.kinds().iter().filter(|kind| **kind == "update_display_data").count();
    assert!((1..2_000).contains(&updates), "{updates} updates");
    let last = &run.messages[run.messages.len() - 2].content["data"]["text/plain"];
    assert!(last.as_str().is_some_and(|text| text.starts_with("9999 ")));
    let peak = peak_memory(kernel.process())?;
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
async fn outputs_can_be_taken_back() -> Result<()> {
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
async fn a_lock_of_stdout_that_is_kept_does_not_hold_up_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = std::io::stdout().lock();").await?.expect_ok();
    assert_eq!(kernel.execute("println!(\"next\"); 2").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

/// The most memory a process has had in kB; Linux tells it.
fn peak_memory(process: u32) -> Result<u64> {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    Ok(line.trim().split(' ').next().unwrap_or("0").parse()?)
}
