//! C programs against the library: for each rule of SPEC and each row of its table of errors.
//!
//! Each program under `tests/c` is compiled and run four times: as it is, with `-fshort-wchar`, with the
//! address and undefined-behaviour sanitizers, and under valgrind.

mod build;
mod examples;
mod exports;
mod forked;
mod install;
mod instruments;
mod rights;
mod rules;
mod world;
