//! The channels: invalid frames, both transports, heartbeat, shutdown.

use anyhow::{Context, Result};
use serde_json::json;
use zeromq::{SocketRecv, SocketSend, ZmqMessage};

use crate::client::messages::{frames, send_frames};
use crate::client::{Client, Start, raw, read, state};

#[tokio::test]
async fn invalid_frames_are_ignored() -> Result<()> {
    let mut kernel = Client::start().await?;
    let header = |id: &str, kind: &str| json!({ "msg_id": id, "msg_type": kind, "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z", "version": "5.3" });
    let good = frames("key", &header("good", "kernel_info_request"), &json!({}))?;
    let mut unsigned = good.clone();
    unsigned[1] = b"00".to_vec();
    let mut not_hex = good.clone();
    not_hex[1] = b"no signature".to_vec();
    let mut changed = good.clone();
    changed[5] = b"{\"changed\":true}".to_vec();
    let without_id = json!({ "msg_type": "kernel_info_request" });
    let wrong = [
        vec![b"hello".to_vec()],
        vec![b"<IDS|MSG>".to_vec()],
        good[..3].to_vec(),
        good[1..].to_vec(),
        unsigned,
        not_hex,
        changed,
        frames("another key", &header("forged", "kernel_info_request"), &json!({}))?,
        frames("key", &without_id, &json!({}))?,
        frames("key", &json!("no object"), &json!({}))?,
        frames("key", &header("list", "execute_request"), &json!([1]))?,
    ];
    for frames in &wrong {
        send_frames(&mut kernel.shell, frames).await?;
        send_frames(&mut kernel.control, frames).await?;
        send_frames(&mut kernel.stdin, frames).await?;
    }
    // The same message twice: the second is a replay.
    send_frames(&mut kernel.shell, &good).await?;
    send_frames(&mut kernel.shell, &good).await?;
    let answer = kernel.finish("good").await?.expect_ok();
    assert_eq!(answer.reply["protocol_version"], "5.5");
    assert_eq!(kernel.execute("1").await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn unknown_requests_only_get_busy_and_idle() -> Result<()> {
    let mut kernel = Client::start().await?;
    let id = kernel.send(raw("make_tea_request", json!({}))).await?;
    let states: Vec<_> = kernel.read_to_idle(&id).await?.iter().map(state).collect();
    assert_eq!(states, ["busy", "idle"]);
    // Missing fields have their defaults.
    let empty = kernel.ask("execute_request", json!({})).await?.expect_ok();
    assert_eq!(empty.kinds(), ["execute_input"]);
    assert_eq!(kernel.ask("history_request", json!({})).await?.expect_ok().reply["history"][0][1], 1);
    kernel.shutdown().await
}

#[tokio::test]
async fn headers_are_returned_unchanged() -> Result<()> {
    let mut kernel = Client::start().await?;
    let header =
        json!({ "msg_id": "whole", "msg_type": "comm_info_request", "subshell_id": "索", "more": [1, { "a": 2 }] });
    send_frames(&mut kernel.shell, &frames("key", &header, &json!({}))?).await?;
    let answer = kernel.finish("whole").await?.expect_ok();
    assert_eq!(answer.parent, header);
    assert!(answer.messages.iter().all(|message| message.parent == header));
    let own: Vec<_> = answer.messages.iter().map(|message| &message.header["session"]).collect();
    assert!(own.iter().all(|session| *session == own[0] && **session != "transcripts"), "{own:?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn ipc_works_like_tcp() -> Result<()> {
    let mut kernel = Client::start_as(Start { ipc: true, ..Start::default() }).await?;
    assert_eq!(kernel.execute("20 + 1").await?.expect_ok().value(), Some("21"));
    kernel.heartbeat.socket.send(ZmqMessage::from("beat")).await?;
    assert_eq!(kernel.heartbeat.socket.recv().await?.get(0).map(|frame| frame.to_vec()), Some("beat".into()));
    kernel.shutdown().await
}

#[tokio::test]
async fn heartbeats_are_echoed_and_control_is_answered_while_a_cell_runs() -> Result<()> {
    let mut kernel = Client::start().await?;
    let id = kernel.begin("println!(\"running\"); std::thread::sleep(std::time::Duration::from_secs(600));").await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.heartbeat.socket.send(ZmqMessage::from("検索")).await?;
    assert_eq!(kernel.heartbeat.socket.recv().await?.get(0).map(|frame| frame.to_vec()), Some("検索".into()));
    let info = kernel.control(raw("kernel_info_request", json!({}))).await?.content;
    assert_eq!(info["supported_features"], json!([]));
    assert_eq!(info["language_info"]["pygments_lexer"], "rust");
    let version = info["language_info"]["version"].as_str().unwrap_or_default();
    assert!(version.split('.').count() == 3, "{version}");
    assert!(info["banner"].as_str().is_some_and(|banner| banner.contains(version)));
    let links = info["help_links"].as_array().context("there are links")?;
    assert_eq!(links.len(), 5);
    // The registry's crate of this name is not ours.
    assert!(links.iter().all(|link| !link["url"].as_str().is_some_and(|url| url.ends_with("/kensaku"))));

    // Immediately, although the cell would run for minutes.
    let restart = kernel.control(raw("shutdown_request", json!({ "restart": true }))).await?;
    assert_eq!(restart.content, json!({ "status": "ok", "restart": true }));
    kernel.wait_for_end().await
}

#[tokio::test]
async fn old_clients_request_shutdown_on_the_shell_channel() -> Result<()> {
    let mut kernel = Client::start().await?;
    let end = kernel.ask("shutdown_request", json!({ "restart": false })).await?.expect_ok();
    assert_eq!(end.reply["restart"], false);
    kernel.wait_for_end().await?;
    kernel.expect_silence().await
}

#[tokio::test]
async fn comms_without_a_target_are_closed() -> Result<()> {
    let mut kernel = Client::start().await?;
    let open = json!({ "comm_id": "c1", "target_name": "no.such.target", "data": {} });
    let id = kernel.send(raw("comm_open", open)).await?;
    let messages = kernel.read_to_idle(&id).await?;
    assert_eq!(messages[1].kind, "comm_close");
    assert_eq!(messages[1].content, json!({ "comm_id": "c1", "data": {} }));
    assert_eq!(kernel.ask("comm_info_request", json!({})).await?.expect_ok().reply["comms"], json!({}));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_comm_lists_the_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut 数 = vec![1.5f32];\nlet name = String::from(\"a\");").await?.expect_ok();
    let send = async |kernel: &mut Client, kind: &str, content| {
        let id = kernel.send(raw(kind, content)).await?;
        kernel.read_to_idle(&id).await
    };
    let open = json!({ "comm_id": "c1", "target_name": "kensaku.variables", "data": {} });
    assert_eq!(send(&mut kernel, "comm_open", open).await?.len(), 2);
    let answer = send(&mut kernel, "comm_msg", json!({ "comm_id": "c1", "data": {} })).await?;
    assert_eq!((answer[1].kind.as_str(), &answer[1].content["comm_id"]), ("comm_msg", &json!("c1")));
    let variables = &answer[1].content["data"]["variables"];
    assert_eq!((&variables[0]["name"], &variables[0]["mutable"]), (&json!("数"), &json!(true)));
    assert!(variables[0]["type"].as_str().is_some_and(|ty| ty.contains("Vec<f32>")), "{variables}");
    assert_eq!(variables[1]["name"], "name");
    let info = kernel.ask("comm_info_request", json!({ "target_name": "kensaku.variables" })).await?.expect_ok();
    assert_eq!(info.reply["comms"], json!({ "c1": { "target_name": "kensaku.variables" } }));
    assert_eq!(send(&mut kernel, "comm_close", json!({ "comm_id": "c1", "data": {} })).await?.len(), 2);
    assert_eq!(send(&mut kernel, "comm_msg", json!({ "comm_id": "c1", "data": {} })).await?.len(), 2);
    kernel.shutdown().await
}

#[tokio::test]
async fn history_outlives_the_kernel() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let history = folder.path().join("history.jsonl").display().to_string();
    let variables = [("KENSAKU_HISTORY", history.as_str())];
    let mut first = Client::start_with(&variables).await?;
    first.execute("let 索 = 20;").await?.expect_ok();
    first.execute("索 + 1").await?.expect_ok();
    let tail = json!({ "hist_access_type": "tail", "n": 5, "output": true, "raw": true });
    let entries = first.ask("history_request", tail.clone()).await?.expect_ok().reply["history"].clone();
    assert_eq!(entries, json!([[1, 1, ["let 索 = 20;", null]], [1, 2, ["索 + 1", "21"]]]));
    first.shutdown().await?;

    let mut second = Client::start_with(&variables).await?;
    assert_eq!(second.ask("history_request", tail).await?.expect_ok().reply["history"], entries);
    second.execute("索").await?;
    let before =
        json!({ "hist_access_type": "range", "session": -1, "start": 2, "stop": 3, "output": false, "raw": true });
    let entries = second.ask("history_request", before).await?.expect_ok().reply["history"].clone();
    assert_eq!(entries, json!([[1, 2, "索 + 1"]]));
    let search =
        json!({ "hist_access_type": "search", "pattern": "索*", "n": 1, "unique": true, "output": false, "raw": true });
    let entries = second.ask("history_request", search).await?.expect_ok().reply["history"].clone();
    assert_eq!(entries, json!([[2, 1, "索"]]));
    second.shutdown().await
}

#[tokio::test]
async fn every_message_has_the_kernels_version_and_user() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.control.send(raw("no_such_request", json!({}))).await?;
    kernel.control.send(raw("kernel_info_request", json!({}))).await?;
    let info = read(&mut kernel.control).await?;
    assert_eq!((info.kind.as_str(), &info.header["version"]), ("kernel_info_reply", &json!("5.5")));
    assert_eq!(info.header["username"], "kensaku");
    Ok(())
}

#[tokio::test]
async fn front_ends_that_do_not_read_do_not_delay_others() -> Result<()> {
    const DISPLAYS: usize = 40;
    let mut kernel = Client::start().await?;
    let mut suspended = Vec::new();
    for _ in 0..6 {
        suspended.push(kernel.subscribe().await?);
    }
    // More than sockets hold.
    let code = format!(
        "for i in 0..{DISPLAYS} {{ kensaku::show::display(&kensaku::show::html(format!(\"{{i}} {{}}\", \"x\".repeat(1 << 20)))); }}"
    );
    let begun = std::time::Instant::now();
    let run = kernel.execute(&code).await?.expect_ok();
    let numbers: Vec<_> = run
        .messages
        .iter()
        .filter_map(|message| {
            let html = message.content["data"]["text/html"].as_str()?;
            html.split(' ').next()?.parse::<usize>().ok()
        })
        .collect();
    assert_eq!(numbers, (0..DISPLAYS).collect::<Vec<_>>());
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it took {:?}", begun.elapsed());
    let asked = std::time::Instant::now();
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));
    assert!(asked.elapsed() < std::time::Duration::from_secs(5), "it took {:?}", asked.elapsed());
    drop(suspended);
    kernel.shutdown().await
}
