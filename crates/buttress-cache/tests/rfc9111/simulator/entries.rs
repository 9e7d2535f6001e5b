//! What is stored, and what becomes of it.

use buttress_cache::rfc9111::{
    HeadEffect, Piece, RequestHead, StoredHead, Target, Times, combine, head_response,
};
use http::{HeaderMap, StatusCode};

use super::Simulator;

impl Simulator {
    pub(super) fn put(
        &mut self,
        request: &RequestHead<'_>,
        target: &Target<'_>,
        mut head: StoredHead,
        mut body: Vec<u8>,
    ) {
        let variants = self.entries.entry(key(target)).or_default();
        for (old, old_body) in variants.iter() {
            if old.matches(request)
                && let Some(all) = combine(old, old_body.len(), &head, body.len())
            {
                (head, body) = (all.head, put_together(&all.pieces, old_body, &body));
                break;
            }
        }
        variants.retain(|(old, _)| !old.matches(request));
        variants.push((head, body));
    }

    pub(super) fn head_effects(
        &mut self,
        request: &RequestHead<'_>,
        target: &Target<'_>,
        status: StatusCode,
        fields: &HeaderMap,
        times: Times,
    ) {
        for (head, body) in self.entries.get_mut(&key(target)).into_iter().flatten() {
            let length = body.len() as u64;
            match head_response(&self.options, request, head, length, status, fields, times) {
                HeadEffect::Update(new) => *head = *new,
                HeadEffect::Stale => head.mark_stale(),
                _ => {}
            }
        }
    }
}

pub(super) fn key(target: &Target<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    target.feed(|bytes| key.extend_from_slice(bytes));
    key
}

pub(super) fn put_together(pieces: &[Piece], old: &[u8], new: &[u8]) -> Vec<u8> {
    let piece = |piece: &Piece| match piece {
        Piece::Old(range) => &old[range.clone()],
        Piece::New(range) => &new[range.clone()],
        _ => unreachable!(),
    };
    pieces.iter().flat_map(piece).copied().collect()
}
