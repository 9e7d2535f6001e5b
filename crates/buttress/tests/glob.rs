//! `use buttress::*` hides nothing that its user has from elsewhere.

use core::time::Duration;

use buttress::*;

#[test]
fn a_glob_import_hides_neither_core_nor_http() {
    let request = http::Request::get("/limits").body(()).unwrap();
    assert_eq!(Head::of(&request).uri().path(), "/limits");
    assert_eq!(retry_after_value(Duration::from_millis(1)), "1");
}
