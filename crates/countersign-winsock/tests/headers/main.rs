//! The headers: they compile everywhere they should, and have Windows' numbers and layouts.

mod compile;
mod matrix;
mod mingw;
mod rust;
mod strings;
