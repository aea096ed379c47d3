//! A command that must fail.

/// Runs a command that must fail with one line of error containing all of `named`.
pub fn refused_by(program: &str, arguments: &[&str], named: &[&str]) {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let [line] = errors[..] else {
        panic!("{arguments:?}: more or less than one line: {stderr}")
    };
    for name in named {
        assert!(line.contains(name), "{line:?} does not name {name:?}");
    }
}
