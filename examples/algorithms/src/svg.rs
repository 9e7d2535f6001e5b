use std::{fmt::Write as _, time::Duration};

use buttress::Quota;

use crate::{lane::Lane, traffic::WATCHED};

const WIDTH: u32 = 900;
const LEFT: u32 = 250;
const RIGHT: u32 = 140;
const TOP: u32 = 64;
const LANE: u32 = 34;

const INK: &str = "#1f2328";
const FAINT: &str = "#d0d7de";
const PASSED: &str = "#0969da";
const REFUSED: &str = "#cf222e";

/// The picture: a lane for the arrivals, and one for each algorithm.
pub(crate) fn draw(quota: &Quota, arrivals: &[Duration], lanes: &[Lane]) -> String {
    let rows = u32::try_from(lanes.len()).unwrap_or(u32::MAX) + 1;
    let bottom = TOP + rows * LANE;
    let height = bottom + 52;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <title>The same traffic under {quota}, by algorithm</title>\n\
         <desc>{}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"15\" font-weight=\"600\">The same traffic under {quota}</text>\n",
        description(quota, lanes),
    );
    text(&mut svg, x_end() + 14, 28, "", "passed");
    text(
        &mut svg,
        x_end() + 14,
        46,
        "font-size=\"11\"",
        "most in any second",
    );

    for second in 0..=WATCHED.as_secs() {
        let x = x(Duration::from_secs(second));
        let _ = writeln!(svg, "<path d=\"M{x} {TOP}V{bottom}\" stroke=\"{FAINT}\"/>",);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{second} s</text>",
            bottom + 16
        );
    }

    let mut middle = TOP + LANE / 2;
    text(&mut svg, 16, middle + 4, "font-weight=\"600\"", "arrivals");
    for arrival in arrivals {
        tick(&mut svg, *arrival, middle, 8, INK);
    }
    let total = arrivals.len();
    text(&mut svg, x_end() + 14, middle + 4, "", &total.to_string());

    for lane in lanes {
        middle += LANE;
        text(&mut svg, 16, middle + 4, "", lane.name);
        for (arrival, passed) in arrivals.iter().zip(&lane.passed) {
            match passed {
                None => cross(&mut svg, *arrival, middle),
                Some(at) => {
                    if at > arrival {
                        wait(&mut svg, *arrival, *at, middle);
                    }
                    tick(&mut svg, *at, middle, 8, PASSED);
                }
            }
        }
        let passed = format!("{} · {}", lane.count(), lane.most_in_any(quota.period()));
        text(&mut svg, x_end() + 14, middle + 4, "", &passed);
    }

    legend(&mut svg, bottom + 38);
    svg.push_str("</svg>\n");
    svg
}

/// The picture in words, for who cannot see it.
fn description(quota: &Quota, lanes: &[Lane]) -> String {
    let of = |lane: &Lane| {
        let most = lane.most_in_any(quota.period());
        format!(
            "{}: {} passed, at most {most} in any second",
            lane.name,
            lane.count()
        )
    };
    lanes.iter().map(of).collect::<Vec<_>>().join("; ")
}

fn legend(svg: &mut String, y: u32) {
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {}v10\" stroke=\"{PASSED}\" stroke-width=\"2\"/>",
        y - 9
    );
    text(
        svg,
        LEFT + 10,
        y,
        "font-size=\"11\"",
        "passed, after the wait where there is a line",
    );
    let crossed = LEFT + 290;
    let _ = writeln!(
        svg,
        "<path d=\"M{crossed} {}l5 5m0 -5l-5 5\" stroke=\"{REFUSED}\"/>",
        y - 7
    );
    text(svg, crossed + 12, y, "font-size=\"11\"", "refused");
}

fn text(svg: &mut String, x: u32, y: u32, attributes: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" {attributes}>{text}</text>");
}

fn tick(svg: &mut String, at: Duration, middle: u32, half: u32, colour: &str) {
    let (x, top, length) = (x(at), middle - half, 2 * half);
    let _ = writeln!(
        svg,
        "<path d=\"M{x} {top}v{length}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
}

fn cross(svg: &mut String, at: Duration, middle: u32) {
    let (x, top) = (x(at) - 2.5, middle + 3);
    let _ = writeln!(
        svg,
        "<path d=\"M{x} {top}l5 5m0 -5l-5 5\" stroke=\"{REFUSED}\"/>"
    );
}

fn wait(svg: &mut String, from: Duration, to: Duration, middle: u32) {
    let (from, to) = (x(from), x(to));
    let _ = writeln!(
        svg,
        "<path d=\"M{from} {middle}H{to}\" stroke=\"{PASSED}\" stroke-opacity=\"0.35\"/>"
    );
}

const fn x_end() -> u32 {
    WIDTH - RIGHT
}

/// Where a time stands, in tenths of a unit so that the file stays readable.
fn x(at: Duration) -> f64 {
    let width = f64::from(x_end() - LEFT);
    let x = f64::from(LEFT) + width * at.as_secs_f64() / WATCHED.as_secs_f64();
    (x * 10.0).round() / 10.0
}
