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
