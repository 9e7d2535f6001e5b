//! The program itself, started as its README has it.

use std::process::Command;

use buttress_by_hand::Program;

fn start(arguments: &[&str]) -> Program {
    let anywhere = ["--listen", "127.0.0.1:0"];
    Program::start(
        env!("CARGO_BIN_EXE_rude-server"),
        &[&anywhere, arguments].concat(),
    )
}

#[test]
fn is_asked_as_with_curl() {
    let program = start(&["--seed", "7"]);
    let refused = program.get("/openai?wait=1500ms");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("x-ratelimit-reset-tokens"), Some("1.500s"));
    let served = program.get("/openai?wait=1500ms");
    assert_eq!(served.status(), 200);
    assert_eq!(program.get("/cut").text(), "");
}

#[test]
fn a_script_is_read_and_its_errors_are_told() {
    let folder = std::env::temp_dir().join(format!("rude-server-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (good, bad) = (folder.join("good.toml"), folder.join("bad.toml"));
    std::fs::write(&good, "[paths]\n'/pay' = 'stripe'\n").unwrap();
    std::fs::write(&bad, "[paths]\n'/pay' = 'stripe?wait=soon'\n").unwrap();

    let program = start(&["--script", good.to_str().unwrap()]);
    let refused = program.get("/pay");
    assert_eq!(refused.header("stripe-should-retry"), Some("true"));

    let failed = Command::new(env!("CARGO_BIN_EXE_rude-server"))
        .arg("--script")
        .arg(&bad)
        .output()
        .unwrap();
    assert!(!failed.status.success());
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(
        error.contains("bad.toml") && error.contains("wait=soon"),
        "{error}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
