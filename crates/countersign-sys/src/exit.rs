//! The end of a process, without ceremony.

#![expect(unsafe_code, reason = "the standard library ends processes with ceremony only")]

/// Ends the process at once (_exit(2)): no handler of exit(3) runs, and no buffer is written.
///
/// That is for a process whose other threads are inside a library that such a handler would take
/// down under them. Whatever must be written must be written before.
pub fn exit_at_once(status: u8) -> ! {
    unsafe extern "C" {
        fn _exit(status: core::ffi::c_int) -> !;
    }
    // SAFETY: _exit(2) takes any status, touches no memory of ours and does not return.
    unsafe { _exit(i32::from(status)) }
}
