use http::Method;

/// Bytes of a chunk of a stream.
pub(crate) const CHUNK: usize = 64;

/// The key of a tier that is never refused.
const PAID: &str = "paid-key";

/// The key of a tier that is refused often, see [`gateway`](crate::gateway).
const FREE: &str = "free-key";

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// So many bytes.
    Bytes(usize),
    /// So many bytes, of those who are sent them.
    Upload(usize),
    /// As before, but the client leaves when it has sent so many of them.
    LeftUpload(usize, usize),
    /// So many chunks, one after another.
    Stream(usize),
    /// So many chunks, but the client leaves after so many.
    LeftStream(usize, usize),
    /// So many chunks, but the upstream breaks off after so many.
    CutStream(usize, usize),
    /// A tunnel, through which so many bytes go there and back.
    Tunnel(usize),
    /// A message of so many bytes, by gRPC.
    Grpc(usize),
    /// An answer that takes so many milliseconds, and the client leaves after so many.
    LeftEarly(u64, u64),
    /// So many bytes, with a key that has used up its quota most of the time.
    Free(usize),
    /// With a key that nobody has given out.
    Stranger,
    /// What is the same for everybody and may be stored.
    Shared(u64),
    /// What is another for each key, of which there are a few, and may be stored for that key alone.
    Own(u64, usize),
}

/// The keys of those for whom something is stored, none of which is ever refused.
const OWN_KEYS: [&str; 4] = ["paid-key-0", "paid-key-1", "paid-key-2", "paid-key-3"];

/// How many different things are shared.
const SHARED: u64 = 64;

impl Asked {
    /// What comes next. Tunnels are of HTTP/1.1, and gRPC is of HTTP/2.
    pub(crate) fn draw(random: &mut fastrand::Rng, in_http2: bool) -> Self {
        match random.u32(0..100) {
            0..28 => Self::Bytes(random.usize(0..16_384)),
            28..31 => {
                let chunks = random.usize(2..16);
                Self::CutStream(chunks, random.usize(1..chunks))
            }
            31..35 if in_http2 => Self::Grpc(random.usize(0..16_384)),
            31..35 => Self::Tunnel(random.usize(1..40_000)),
            35..46 => Self::Upload(random.usize(0..40_000)),
            46..50 => {
                let length = random.usize(2..40_000);
                Self::LeftUpload(length, random.usize(1..length))
            }
            50..60 => Self::Stream(random.usize(1..16)),
            60..72 => {
                let chunks = random.usize(2..16);
                Self::LeftStream(chunks, random.usize(0..chunks))
            }
            72..77 => Self::LeftEarly(random.u64(0..300), random.u64(0..300)),
            77..87 => Self::Free(random.usize(0..1_024)),
            87..92 => Self::Stranger,
            92..96 => Self::Shared(random.u64(0..SHARED)),
            _ => Self::Own(random.u64(0..SHARED), random.usize(0..OWN_KEYS.len())),
        }
    }

    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Upload(_) | Self::LeftUpload(..) | Self::Grpc(_) => Method::POST,
            _ => Method::GET,
        }
    }

    /// Where. The last segment is `id`, but for what is shared.
    pub(crate) fn path(self, id: u64) -> String {
        match self {
            Self::Bytes(length) | Self::Upload(length) | Self::LeftUpload(length, _) => {
                format!("/bytes/{length}/{id}")
            }
            Self::Stream(chunks) | Self::LeftStream(chunks, _) => format!("/stream/{chunks}/{id}"),
            Self::CutStream(chunks, sent) => format!("/cut/{chunks}/{sent}/{id}"),
            Self::Tunnel(_) => format!("/tunnel/{id}"),
            Self::Grpc(length) => format!("/grpc/{length}/{id}"),
            Self::LeftEarly(millis, _) => format!("/slow/{millis}/{id}"),
            // Where OpenAI's protocol is spoken.
            Self::Free(length) => format!("/v1/bytes/{length}/{id}"),
            Self::Stranger => format!("/bytes/0/{id}"),
            Self::Shared(number) => format!("/shared/{number}"),
            Self::Own(number, _) => format!("/own/{number}"),
        }
    }

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Free(_) => FREE,
            Self::Stranger => "a-key-of-nobody",
            Self::Own(_, who) => OWN_KEYS.get(who).copied().unwrap_or(PAID),
            _ => PAID,
        }
    }

    /// Whether many ask for the very same, so that it has no number of its own.
    pub(crate) const fn is_shared(self) -> bool {
        matches!(self, Self::Shared(_) | Self::Own(..))
    }

    /// Whose bytes come back, and how many.
    pub(crate) fn content(self, id: u64) -> (u64, usize) {
        match self {
            Self::Bytes(length)
            | Self::Upload(length)
            | Self::LeftUpload(length, _)
            | Self::Tunnel(length)
            | Self::Grpc(length)
            | Self::Free(length) => (id, length),
            Self::Stream(chunks) | Self::LeftStream(chunks, _) => (id, chunks * CHUNK),
            Self::CutStream(_, sent) => (id, sent * CHUNK),
            Self::LeftEarly(..) | Self::Stranger => (id, 0),
            Self::Shared(number) => (number, stored_length(number)),
            Self::Own(number, _) => (own_number(number, self.key()), stored_length(number)),
        }
    }
}

/// Whose bytes they are that stand at `number` for whoever has this key.
pub(crate) fn own_number(number: u64, key: &str) -> u64 {
    let key = key
        .bytes()
        .fold(1_u64, |sum, byte| sum.wrapping_mul(257) + u64::from(byte));
    number ^ key
}

/// How long that is which may be stored.
pub(crate) const fn stored_length(number: u64) -> usize {
    // Some fit into a packet, and not all of them into a cache.
    number as usize * 1_021
}
