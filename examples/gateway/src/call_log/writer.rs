use std::io;

use tokio::sync::mpsc;

use super::{Counts, Message, Rotated};

/// Writes what comes until nobody can send any more. Returns no error: a full disk costs lines, which are
/// counted, and not calls.
pub(super) fn write_all(mut calls: mpsc::Receiver<Message>, mut file: Rotated, counts: &Counts) {
    let mut line = Vec::new();
    let mut is_broken = false;
    while let Some(message) = calls.blocking_recv() {
        let result = match message {
            Message::Call(record) => {
                line.clear();
                let written = record.write_to(&mut line).and_then(|()| file.write(&line));
                match written {
                    Ok(()) => counts.wrote(1),
                    Err(_) => counts.lost(1),
                }
                // What cannot be flushed waits in the buffer until it can.
                written.and_then(|()| flush_if_idle(&calls, &mut file))
            }
            Message::Flush(written) => {
                let result = say_what_is_missing(&mut file, counts).and_then(|()| file.flush());
                // Who asked may have left.
                let _ = written.send(());
                result
            }
        };
        let result = result.and_then(|()| say_what_is_missing(&mut file, counts));
        // Once for each time that it breaks, and not for each line.
        if let (Err(error), false) = (&result, is_broken) {
            tracing::error!("the call log cannot be written: {error}");
        }
        is_broken = result.is_err();
    }
}

/// A busy log is flushed when its buffer is full, and an idle one at once.
fn flush_if_idle(calls: &mpsc::Receiver<Message>, file: &mut Rotated) -> io::Result<()> {
    if calls.is_empty() {
        file.flush()
    } else {
        Ok(())
    }
}

fn say_what_is_missing(file: &mut Rotated, counts: &Counts) -> io::Result<()> {
    let dropped = counts.take_unsaid();
    if dropped == 0 {
        return Ok(());
    }
    let said = file
        .write(format!("{{\"dropped\":{dropped}}}\n").as_bytes())
        .and_then(|()| file.flush());
    if said.is_err() {
        counts.not_said(dropped);
    } else {
        tracing::warn!(
            dropped,
            "the call log misses calls: they came faster than it is written, or it could not be written"
        );
    }
    said
}
