//! Missing tools and data: a test is skipped, or fails under `TSM2_REQUIRE_ALL=1`.

/// Reports that a test lacks `what`. With `TSM2_REQUIRE_ALL=1` the test fails.
pub fn skip(what: &str) {
    assert!(
        std::env::var_os("TSM2_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "TSM2_REQUIRE_ALL=1: {what}"
    );
    println!("SKIPPED: {what}");
}
