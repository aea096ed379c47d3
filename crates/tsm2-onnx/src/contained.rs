//! The edge to the runtime: its panics are errors, and its recursion has room.
//!
//! tract was not written for graphs of an attacker: some of them make it panic. This needs `panic = "unwind"`, as the
//! workspace builds.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;
use std::thread::{self, Builder};

use tract_onnx::prelude::TractResult;

use crate::error::GraphError;

/// Stack of the thread that reads a graph; only what is used of it takes memory.
const STACK: usize = 64 << 20;

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` of tract. A panic is an error like any other, and the process's panic hook does not see it.
pub fn contained<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, GraphError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_CONTAINED.get() {
                before(panic);
            }
        }));
    });
    IS_CONTAINED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(false);
    match done {
        Ok(done) => done.map_err(|error| GraphError::Run(format!("{error:#}"))),
        Err(panic) => Err(GraphError::Run(format!("tract panicked: {}", text(&*panic)))),
    }
}

/// Runs `work` on a thread of its own with much stack, wherever it is called.
///
/// # Errors
/// Those of `work`; [`GraphError::Io`] without a thread.
pub fn with_room<T: Send>(work: impl FnOnce() -> Result<T, GraphError> + Send) -> Result<T, GraphError> {
    thread::scope(|scope| {
        let thread = Builder::new().name("onnx".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| GraphError::Io(format!("no thread to read it: {error}")))?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_runtime_is_an_error_with_its_reason() {
        let error = contained(|| -> TractResult<()> { panic!("index {} out of bounds", 7) }).expect_err("a panic");
        assert_eq!(error.to_string(), "the graph cannot be run: tract panicked: index 7 out of bounds");
        assert_eq!(contained(|| Ok(3)), Ok(3), "and the next graph runs");
    }
}
