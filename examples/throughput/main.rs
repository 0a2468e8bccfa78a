//! What an upload costs, measured in this very process against a sink on loopback, so that a change for the
//! worse is seen in a minute:
//!
//! ```sh
//! cargo run --release --example throughput [SIZE]
//! ```
//!
//! uploads a temporary file of SIZE (1GiB where none is said), which lies in the page cache, in several ways, and
//! prints a row for each. The columns: seconds; CPU seconds for a GiB, without what the sink's threads used; that as
//! a multiple of the floor's; bytes read for each byte that arrived; and the process's peak memory, in which is what
//! the rows before have left with the allocator.
//!
//! The floor is what it costs to do nothing with the bytes: two threads that read 64 KiB and write them to the same
//! sink. Of each row the best of three runs is shown. CPU holds from run to run even on a busy machine; seconds do not.
//! It runs on Linux, which tells a process all this.

#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod sink;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use bytesize::ByteSize;
    use comfy_table::{CellAlignment, Table, presets};

    let size = match std::env::args().nth(1) {
        Some(text) => text.parse::<ByteSize>().map_err(|why| format!("the size {text:?}: {why}"))?.as_u64(),
        None => 1 << 30,
    };
    if size == 0 {
        return Err("the size 0: there is nothing to measure".into());
    }
    let lab = lab::Lab::open(size)?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["", "wall s", "CPU s/GiB", "× floor", "read/sent", "peak MiB"]);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let mut floor = None;
    for (name, work) in lab::ROWS {
        let cost = lab.best_of_three(*work)?;
        let floor = *floor.get_or_insert(cost.cpu_per_gib);
        table.add_row([
            (*name).to_owned(),
            format!("{:.2}", cost.wall),
            format!("{:.3}", cost.cpu_per_gib),
            format!("{:.2}", cost.cpu_per_gib / floor),
            format!("{:.2}", cost.read_per_sent),
            format!("{:.1}", cost.peak_mib),
        ]);
    }
    println!("{} in {} places, no TLS\n{table}", ByteSize(size), lab::PLACES);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("throughput: it counts by Linux's /proc");
}
