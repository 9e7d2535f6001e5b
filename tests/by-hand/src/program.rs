use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

/// A running program, which has said `listening on http://ADDRESS` first of all. Ends with the test.
#[derive(Debug)]
pub struct Program {
    process: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts the one at `path`, and waits until it listens.
    pub fn start(path: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(path)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        Self {
            process,
            address: address.unwrap().parse().unwrap(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it answers to a request of `path`.
    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", "")
    }

    /// What it answers to a method and a path, with lines of fields, each with its end of line, and a body.
    pub fn send(&self, what: &str, fields: &str, body: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).unwrap();
        write!(
            socket,
            "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        Answer(text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// All that came back until the connection was closed.
#[derive(Debug)]
pub struct Answer(String);

impl Answer {
    /// As it came.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a field, whose name is written in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n").unwrap();
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// What stands behind the head, as it came.
    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}
