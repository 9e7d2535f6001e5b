//! The program and its file.

use crate::{
    raw::within,
    running::{Program, config_file},
};

#[tokio::test]
async fn the_program_says_it_and_fails() {
    let file = config_file("wrong.toml", "\n[limits.per_ip]\nquota = 'many'\n");
    let path = file.to_str().unwrap();
    let output = within(Program::command().args(["--config", path]).output())
        .await
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("{path}:3: limits.per_ip.quota: ")),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);

    // What is named in it is looked at when the gateway starts.
    for (text, field) in [
        (
            "\n[call_log]\npath = '/absent/calls.ndjson'\n",
            "3: call_log.path: `/absent/calls.ndjson` cannot be opened: ",
        ),
        (
            "[[upstreams]]\nurl = 'https://a'\n\nca = '/absent.pem'\n",
            "4: upstreams[0].ca: /absent.pem: ",
        ),
    ] {
        let file = config_file(
            "names_what_is_absent.toml",
            &format!("listen = '127.0.0.1:0'\n{text}"),
        );
        let path = file.to_str().unwrap();
        let output = within(Program::command().args(["--config", path]).output()).await;
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        let (line, field) = field.split_once(':').unwrap();
        let line = line.parse::<usize>().unwrap() + 1;
        assert!(
            said.starts_with(&format!("{path}:{line}:{field}")),
            "{said}"
        );
    }

    let output = within(
        Program::command()
            .args(["--config", "absent.toml"])
            .output(),
    )
    .await
    .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.starts_with("absent.toml: cannot be read: "),
        "{said}"
    );
}
