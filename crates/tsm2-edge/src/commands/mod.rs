//! The commands of `tsm2-edge`: arguments in, library calls, text out.

pub mod simulate;
