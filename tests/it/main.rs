//! One binary of integration tests: the engine, every store, the wire, the command.

mod command;
mod contract;
mod engine;
mod keys;
mod support;
mod wire;
