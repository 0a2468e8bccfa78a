//! One binary of integration tests: the engine, every store, the wire, the command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a panic is the message, also in what the tests share"
)]

mod checked;
mod colour;
mod command;
mod contract;
mod doctor;
mod engine;
mod exec;
mod finish;
mod github;
mod keys;
#[cfg(target_os = "linux")]
mod limits;
mod many;
mod options;
mod pages;
mod rate;
mod reach;
mod recipes;
mod resume;
mod retry;
mod screen;
mod stop;
mod streams;
mod support;
mod trailers;
mod unfinished;
mod wire;
