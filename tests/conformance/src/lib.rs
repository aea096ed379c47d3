//! One suite of cases, a thin runner per engine.
