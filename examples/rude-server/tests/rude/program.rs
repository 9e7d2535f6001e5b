//! The program itself, started as its README has it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rude-server"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            process,
            address: address.to_owned(),
        }
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn is_asked_as_with_curl() {
    let program = Program::start(&["--seed", "7"]);
    let refused = program.get("/openai?wait=1500ms");
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(
        refused.contains("\r\nx-ratelimit-reset-tokens: 1.500s\r\n"),
        "{refused}"
    );
    let served = program.get("/openai?wait=1500ms");
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert_eq!(program.get("/cut"), "");
}

#[test]
fn a_script_is_read_and_its_errors_are_told() {
    let folder = std::env::temp_dir().join(format!("rude-server-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (good, bad) = (folder.join("good.toml"), folder.join("bad.toml"));
    std::fs::write(&good, "[paths]\n'/pay' = 'stripe'\n").unwrap();
    std::fs::write(&bad, "[paths]\n'/pay' = 'stripe?wait=soon'\n").unwrap();

    let program = Program::start(&["--script", good.to_str().unwrap()]);
    assert!(program.get("/pay").contains("stripe-should-retry: true"));

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
