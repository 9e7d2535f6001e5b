//! By how much a process grows while many times a cache's capacity passes through it, in distinct objects
//! from a kilobyte to a quarter of a megabyte. The target is the capacity and 15 percent.

use std::{convert::Infallible, error::Error};

use axum::body::{Body, Bytes};
use buttress_benches::memory::resident;
use buttress_cache::CacheLayer;
use clap::Parser;
use http::{Request, Response, header::CACHE_CONTROL};
use tower::{Layer as _, service_fn};

/// What passes through, and what it passes through.
#[derive(Parser)]
struct Arguments {
    /// The cache's capacity, in MiB.
    #[arg(long, default_value_t = 64)]
    capacity: usize,

    /// How much passes through it, in MiB.
    #[arg(long, default_value_t = 10 * 1024)]
    volume: u64,
}

const MIB: u64 = 1_048_576;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { capacity, volume } = Arguments::parse();
    let cache = CacheLayer::shared().capacity(capacity << 20).build()?;
    let handle = cache.cache();
    let mut service = cache.layer(service_fn(origin));
    // What the process takes by itself: the layer is made, and everything has run once.
    read(&mut service, 0).await?;
    let before = resident()?;
    let (mut passed, mut most) = (0, 0);
    for n in 1_u64.. {
        passed += read(&mut service, n).await?;
        if n % 64 == 0 {
            most = most.max(resident()?.saturating_sub(before));
        }
        if passed >= volume * MIB {
            break;
        }
    }
    let stats = handle.stats();
    let (grown, bound) = (most as f64 / MIB as f64, capacity as f64 * 1.15);
    let verdict = if grown <= bound { "met" } else { "**missed**" };
    println!(
        "| growth while {volume} MiB in {} objects pass through a cache of {capacity} MiB | {grown:.1} MiB | | {bound:.1} MiB | {verdict} |",
        stats.stored
    );
    Ok(())
}

/// As large as the target says: sizes of all magnitudes are as frequent.
fn size(n: u64) -> usize {
    let bits = 10 + n % 8;
    let rest = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits);
    (1 << bits) + rest as usize
}

async fn origin(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let n = request.uri().path().trim_start_matches('/').parse();
    let body = Bytes::from(vec![b'x'; size(n.unwrap_or_default())]);
    let mut response = Response::new(Body::from(body));
    let fresh = http::HeaderValue::from_static("max-age=31536000");
    response.headers_mut().insert(CACHE_CONTROL, fresh);
    Ok(response)
}

/// Asks for the `n`-th object, and reads it to its end.
async fn read<S, B>(service: &mut S, n: u64) -> Result<u64, Box<dyn Error>>
where
    S: tower::Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("http://example.com/{n}").parse()?;
    let body = service.call(request).await?.into_body();
    let mut read = 0;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame
            .map_err(Into::into)
            .map_err(|error| error.to_string())?;
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(read)
}
