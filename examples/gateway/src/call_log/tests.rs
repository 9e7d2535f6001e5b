use std::{fs, path::PathBuf};

use super::{file::Rotated, *};

/// A folder of the test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn of(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gateway-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_full_file_is_set_aside_and_the_last_one_goes() {
    let folder = Folder::of("rotation");
    let path = folder.0.join("log");
    fs::write(&path, "old\n").unwrap();
    let mut file = Rotated::open(&path, 10, 3).unwrap();
    for line in [
        "one\n",
        "two\n",
        "three\n",
        "four\n",
        "five\n",
        "six, which is too long\n",
        "7\n",
    ] {
        file.write(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    assert_eq!(folder.read("log"), "7\n");
    assert_eq!(folder.read("log.1"), "six, which is too long\n");
    assert_eq!(folder.read("log.2"), "four\nfive\n");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 3);
}

#[test]
fn one_file_begins_anew() {
    let folder = Folder::of("one-file");
    let path = folder.0.join("log");
    let mut file = Rotated::open(&path, 10, 1).unwrap();
    for line in ["one two\n", "three\n"] {
        file.write(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    assert_eq!(folder.read("log"), "three\n");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

/// The folder is gone for a time, as where a disk is mounted late: nothing can be opened, and nothing is lost.
#[test]
fn what_is_set_aside_stays_while_nothing_can_be_opened() {
    for files in [1, 3] {
        let folder = Folder::of("vanished");
        let (logs, elsewhere) = (folder.0.join("logs"), folder.0.join("elsewhere"));
        fs::create_dir(&logs).unwrap();
        let mut file = Rotated::open(&logs.join("log"), 10, files).unwrap();
        for line in ["one two\n", "three four\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        fs::rename(&logs, &elsewhere).unwrap();
        for _ in 0..5 {
            file.write(b"lost, and said so\n").unwrap_err();
        }
        // Without its last file, as where it was set aside and could not be opened anew.
        fs::remove_file(elsewhere.join("log")).unwrap();
        fs::rename(&elsewhere, &logs).unwrap();
        file.write(b"five\n").unwrap();
        file.flush().unwrap();
        assert_eq!(folder.read("logs/log"), "five\n");
        if files > 1 {
            assert_eq!(folder.read("logs/log.1"), "one two\n");
        }
    }
}

#[tokio::test]
async fn nobody_waits_where_the_queue_is_full() {
    let (queue, mut calls) = mpsc::channel(2);
    let log = CallLog {
        queue,
        counts: Arc::default(),
    };
    for _ in 0..5 {
        log.write(Record::example());
    }
    assert_eq!(log.dropped(), 3);
    assert!(matches!(calls.recv().await, Some(Message::Call(_))));
    log.write(Record::example());
    assert_eq!(log.dropped(), 3);
    drop(calls);
    log.write(Record::example());
    assert_eq!(log.dropped(), 4, "nobody writes");
}

#[tokio::test]
async fn what_is_dropped_is_counted_and_said() {
    let folder = Folder::of("dropped");
    let log = CallLog::open(&CallLogConfig::at(folder.0.join("log"))).unwrap();
    log.counts.lost(3);
    log.flush().await;
    assert_eq!(folder.read("log"), "{\"dropped\":3}\n");
    assert_eq!((log.written(), log.dropped()), (0, 3));
    log.flush().await;
    assert_eq!(folder.read("log"), "{\"dropped\":3}\n", "said once");
}
