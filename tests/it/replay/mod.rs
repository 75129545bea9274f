//! What a real Memos 0.30.0 answered, asked again: the recordings replayed on the imported fixture.

mod beyond;
mod compare;
mod exceptions;
mod recording;
mod renamed;
mod run;
