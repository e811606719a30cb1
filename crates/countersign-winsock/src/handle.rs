//! `HANDLE`s: numbers that only this library understands.
//!
//! A handle is an index with a generation, so that one that was closed is not mistaken for the
//! one that has its place now. As on Windows it is a multiple of four and never NULL; it is no number
//! that a socket could have, so that a socket closed as a handle closes nothing.

use std::sync::{Arc, PoisonError, RwLock};

use crate::abi::Handle;
use crate::event::Event;
use crate::token::Token;

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Event(Arc<Event>),
    Token(Arc<Token>),
}

#[derive(Default)]
struct Handles {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: u32,
    object: Option<Object>,
}

static HANDLES: RwLock<Handles> = RwLock::new(Handles { places: Vec::new(), free: Vec::new() });

/// Makes a handle; `None` if there are too many.
pub(crate) fn make(object: Object) -> Option<Handle> {
    let mut handles = HANDLES.write().unwrap_or_else(PoisonError::into_inner);
    let index = match handles.free.pop() {
        Some(index) => index,
        None => {
            let index = u32::try_from(handles.places.len()).ok().filter(|it| *it < 1 << 29)?;
            handles.places.push(Place::default());
            index
        }
    };
    let place = handles.places.get_mut(index as usize)?;
    place.object = Some(object);
    Some(encode(index, place.generation))
}

/// Returns what a handle stands for.
pub(crate) fn find(handle: Handle) -> Option<Object> {
    let (index, generation) = decode(handle)?;
    let handles = HANDLES.read().unwrap_or_else(PoisonError::into_inner);
    let place = handles.places.get(index as usize)?;
    if place.generation == generation { place.object.clone() } else { None }
}

/// Returns the event that a handle stands for.
pub(crate) fn event(handle: Handle) -> Option<Arc<Event>> {
    match find(handle)? {
        Object::Event(event) => Some(event),
        Object::Token(_) => None,
    }
}

/// Closes a handle.
pub(crate) fn close(handle: Handle) -> Option<Object> {
    let (index, generation) = decode(handle)?;
    let mut handles = HANDLES.write().unwrap_or_else(PoisonError::into_inner);
    let place = handles.places.get_mut(index as usize)?;
    if place.generation != generation {
        return None;
    }
    let object = place.object.take()?;
    place.generation = (place.generation + 1) & GENERATIONS;
    handles.free.push(index);
    Some(object)
}

/// More than there can be descriptors (nr_open of proc(5) is 2^20 unless root raises it).
const FIRST: u32 = 1 << 24;
const GENERATIONS: u32 = (1 << 28) - 1;

fn encode(index: u32, generation: u32) -> Handle {
    let number = (u64::from(generation) << 34) | (u64::from(index + FIRST) << 2);
    std::ptr::without_provenance_mut(number as usize)
}

fn decode(handle: Handle) -> Option<(u32, u32)> {
    let number = handle.addr() as u64;
    if number & 3 != 0 || number >> 62 != 0 {
        return None;
    }
    let index = ((number >> 2) as u32).checked_sub(FIRST)?;
    Some((index, u32::try_from(number >> 34).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Object, close, event, make};
    use crate::event::Event;

    #[test]
    fn a_closed_handle_is_not_the_next_one() {
        let make = || make(Object::Event(Event::new(true, false))).unwrap();
        let first = make();
        assert!(event(first).is_some() && first.addr() % 4 == 0);
        assert!(close(first).is_some() && close(first).is_none());
        let second = make();
        assert!(first != second && event(first).is_none() && event(second).is_some());
        for wrong in [0, 1, 2, 4, 8, 4 << 40, usize::MAX, usize::MAX - 3] {
            assert!(event(std::ptr::without_provenance_mut(wrong)).is_none(), "{wrong:#x}");
        }
        close(second);
    }
}
